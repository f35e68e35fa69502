/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the sandbox refuses, and what has to go on working in it. What it does about files is
 * test_sandbox_files.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "index/index.h"
#include "tests/fixtures/sandbox_fixture.h"

/* ---- what is refused ---- */

static int try_exec(const struct fixture *f)
{
        (void)f;
        return result(execl("/bin/true", "true", NULL));
}

static int try_execveat(const struct fixture *f)
{
        char *argv[] = {NULL};

        (void)f;
        return result(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, argv, 0));
}

static void starts_no_program(void **state)
{
        refused(state, try_exec, EPERM);
        refused(state, try_execveat, EPERM);
}

static int try_fork(const struct fixture *f)
{
        pid_t pid = fork();

        (void)f;
        if (pid == 0)
                _exit(0);
        return result(pid);
}

static int try_vfork(const struct fixture *f)
{
        (void)f;
        return result(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL));
}

static void starts_no_process(void **state)
{
        refused(state, try_fork, EPERM);
        refused(state, try_vfork, EPERM);
}

static int try_inet(const struct fixture *f)
{
        (void)f;
        return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_unix(const struct fixture *f)
{
        (void)f;
        return result(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int try_socketpair(const struct fixture *f)
{
        int fds[2];

        (void)f;
        return result(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static void has_no_network(void **state)
{
        refused(state, try_inet, EPERM);
        refused(state, try_unix, EPERM);
        refused(state, try_socketpair, EPERM);
}

static int try_ptrace(const struct fixture *f)
{
        (void)f;
        return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int try_peek(const struct fixture *f)
{
        char byte;
        struct iovec local = {&byte, 1}, remote = {&byte, 1};

        (void)f;
        return result(process_vm_readv(getppid(), &local, 1, &remote, 1, 0));
}

static void traces_nobody(void **state)
{
        refused(state, try_ptrace, EPERM);
        refused(state, try_peek, EPERM);
}

static int try_kill(const struct fixture *f)
{
        (void)f;
        return result(kill(getppid(), 0));
}

static int try_tgkill(const struct fixture *f)
{
        pid_t other = getppid();

        (void)f;
        return result(syscall(SYS_tgkill, other, other, 0));
}

static void signals_nobody_else(void **state)
{
        refused(state, try_kill, EPERM);
        /* Allowed for this process, so there is no rule for others. */
        refused(state, try_tgkill, ENOSYS);
}

static int try_mount(const struct fixture *f)
{
        return result(mount("none", f->dir, "tmpfs", 0, NULL));
}

static int try_umount(const struct fixture *f)
{
        return result(umount2(f->dir, MNT_DETACH));
}

static int try_unshare(const struct fixture *f)
{
        (void)f;
        return result(unshare(CLONE_NEWUSER));
}

static int try_namespace(const struct fixture *f)
{
        (void)f;
        return result(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static int try_clone3(const struct fixture *f)
{
        struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
        long pid = syscall(SYS_clone3, &args, sizeof args);

        (void)f;
        if (pid == 0)
                _exit(0);
        return result(pid);
}

static void changes_no_mounts_or_namespaces(void **state)
{
        refused(state, try_mount, EPERM);
        refused(state, try_umount, EPERM);
        refused(state, try_unshare, EPERM);
        refused(state, try_namespace, EPERM);
        /* glibc falls back to clone only for this one. */
        refused(state, try_clone3, ENOSYS);
}

static int try_code(const struct fixture *f)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);

        (void)f;
        return p == MAP_FAILED ? errno : 0;
}

static int try_make_code(const struct fixture *f)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        (void)f;
        return p == MAP_FAILED ? 0 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static void makes_no_code(void **state)
{
        refused(state, try_code, EPERM);
        refused(state, try_make_code, EPERM);
}

static int try_unknown(const struct fixture *f)
{
        (void)f;
        return result(syscall(1999));
}

static int try_limit(const struct fixture *f)
{
        struct rlimit limit;

        (void)f;
        return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : result(setrlimit(RLIMIT_NOFILE, &limit));
}

static void does_not_know_other_calls(void **state)
{
        refused(state, try_unknown, ENOSYS);
        refused(state, try_limit, ENOSYS);
}

static int try_setuid(const struct fixture *f)
{
        (void)f;
        return result(setresuid(1, 1, 1));
}

static void gains_no_privileges(void **state)
{
        refused(state, try_setuid, EPERM);
}

static int try_passwd(const struct fixture *f)
{
        (void)f;
        return result(open("/etc/passwd", O_RDONLY));
}

static int try_list(const struct fixture *f)
{
        (void)f;
        return result(open("/", O_RDONLY | O_DIRECTORY));
}

static int try_archive(const struct fixture *f)
{
        (void)f;
        return result(open(SANDBOX_TINY, O_RDONLY));
}

static void opens_nothing_else(void **state)
{
        skip_without_landlock();
        refused(state, try_passwd, EACCES);
        refused(state, try_list, EACCES);
        refused(state, try_archive, EACCES);
}

/* ---- what goes on working ---- */

static int keep_index(const struct fixture *f)
{
        if (index_scan(f->opened, NULL, NULL) < 0)
                return EIO;
        return index_sidecar_state(f->opened).problem ? EACCES : 0;
}

static void has_its_index_kept(void **state)
{
        const struct fixture *f = *state;

        for (int mode = MOUNT; mode <= VERB; mode++) {
                assert_int_equal(sandboxed(state, (enum sandbox_mode)mode, keep_index), 0);
                assert_int_equal(unlink(f->index), 0);
        }
}

static void *do_nothing(void *arg)
{
        return arg;
}

static void *wait_for_ever(void *arg)
{
        for (;;)
                pause();
        return arg;
}

/* With an exit from within and one from without: both unwind. */
static int use_threads(const struct fixture *f)
{
        pthread_t thread;
        void *value;

        (void)f;
        for (int i = 0; i < 100; i++)
                if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 ||
                    pthread_join(thread, NULL) != 0)
                        return EAGAIN;
        if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 ||
            pthread_cancel(thread) != 0 || pthread_join(thread, &value) != 0)
                return EAGAIN;
        return value == PTHREAD_CANCELED ? 0 : EINVAL;
}

static void starts_and_cancels_threads(void **state)
{
        works(state, use_threads);
}

static void *exec_in_thread(void *arg)
{
        return (void *)(intptr_t)try_exec(arg);
}

static int try_thread_exec(const struct fixture *f)
{
        pthread_t thread;
        void *value = NULL;

        if (pthread_create(&thread, NULL, exec_in_thread, (void *)(uintptr_t)f) != 0)
                return 0;
        pthread_join(thread, &value);
        return (int)(intptr_t)value;
}

static void holds_new_threads_too(void **state)
{
        refused(state, try_thread_exec, EPERM);
}

static int call_abort(const struct fixture *f)
{
        (void)f;
        abort();
}

/* abort must not hang or loop where a call is refused. */
static void can_abort(void **state)
{
        assert_int_equal(sandboxed(state, MOUNT, call_abort), KILLED + SIGABRT);
}

static int use_libc(const struct fixture *f)
{
        time_t now = time(NULL);
        struct timespec tick = {.tv_nsec = 1000};
        struct tm tm;
        void *large = malloc(64 << 20), *larger;
        uint64_t random;

        (void)f;
        if (!large || !localtime_r(&now, &tm))
                return ENOMEM;
        memset(large, 1, 64 << 20);
        larger = realloc(large, 100 << 20);
        free(larger ? larger : large);
        if (nanosleep(&tick, NULL) < 0 || sysconf(_SC_NPROCESSORS_ONLN) < 1)
                return EINVAL;
        (void)isatty(STDOUT_FILENO);
        return getentropy(&random, sizeof random) < 0 ? errno : 0;
}

static void leaves_libc_its_own(void **state)
{
        works(state, use_libc);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            SANDBOX_TEST(starts_no_program),
            SANDBOX_TEST(starts_no_process),
            SANDBOX_TEST(has_no_network),
            SANDBOX_TEST(traces_nobody),
            SANDBOX_TEST(signals_nobody_else),
            SANDBOX_TEST(changes_no_mounts_or_namespaces),
            SANDBOX_TEST(makes_no_code),
            SANDBOX_TEST(does_not_know_other_calls),
            SANDBOX_TEST(gains_no_privileges),
            SANDBOX_TEST(opens_nothing_else),
            SANDBOX_TEST(holds_new_threads_too),
            SANDBOX_TEST(has_its_index_kept),
            SANDBOX_TEST(starts_and_cancels_threads),
            SANDBOX_TEST(can_abort),
            SANDBOX_TEST(leaves_libc_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
