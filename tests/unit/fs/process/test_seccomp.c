/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All system calls that the filter lets through, each with its reason. The filter itself is asked:
 * each call there is, is made in the sandbox, under a filter of the test's own that reports what is
 * not refused to another process, and lets none of it be done.
 *
 *   child    own filter, sandbox, then: call 0, call 1, …   refused: an errno at once
 *   test                                  └─ not refused: it is reported here, and fails
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/process/sandbox.h"

enum { CALLS_MAX = 600, SOCKET = 77 };

/* With these ARGUMENTS it is let through; without, see the table of values. */
static const struct allowed {
        const char *call, *reason;
        uint64_t arguments[6];
} all[] = {
    {"read", "open files and the FUSE device", {0}},
    {"readv", "libc's streams", {0}},
    {"pread64", "archives", {0}},
    {"preadv", "archives, pieces that lie together", {0}},
    {"preadv2", "libc's preadv", {0}},
    {"write", "messages, replies to the kernel; what is open for writing", {0}},
    {"writev", "replies to the kernel", {0}},
    {"pwrite64", "the new index and what is extracted", {0}},
    {"pwritev", "libc's pwritev", {0}},
    {"pwritev2", "libc's pwritev", {0}},
    {"lseek", "libc's streams, a block device's size", {0}},
    {"close", "", {0}},
    {"fstat", "has the archive changed", {0}},
    {"fstatfs", "is the archive on a local file system", {0}},
    {"ftruncate", "the size of an extracted disk, which is open for writing", {0}},
    {"fadvise64", "reading ahead", {0}},
    {"fallocate", "holes for what is lost of an extracted disk", {0}},
    {"poll", "the inotify descriptor, the FUSE device", {0}},
    {"ppoll", "libc's poll", {0}},
    {"dup", "copies of a descriptor to close them", {0}},
    {"dup2", "the end: nobody is to wait for the FUSE device or the terminal", {0}},
    {"dup3", "libc's dup2", {0}},
    {"pipe", "libfuse", {0}},
    {"pipe2", "libfuse", {0}},
    {"inotify_init1", "to be told of writes to the archive", {0}},
    {"inotify_add_watch", "the same; it tells what happens to a file, and does nothing to it", {0}},
    {"getdents64", "/sys/block, for loop devices", {0}},
    {"stat", "nothing is opened by it", {0}},
    {"lstat", "the same", {0}},
    {"newfstatat", "libc's fstat", {0}},
    {"statx", "libc's fstat", {0}},
    {"readlink", "nothing is opened by it", {0}},
    {"readlinkat", "the same", {0}},
    {"brk", "malloc", {0}},
    {"munmap", "malloc", {0}},
    {"mremap", "malloc; it keeps the protection", {0}},
    {"madvise", "malloc, stacks of threads", {0}},
    {"mincore", "libc", {0}},
    {"membarrier", "libc", {0}},
    {"futex", "threads", {0}},
    {"futex_waitv", "threads", {0}},
    {"set_robust_list", "threads", {0}},
    {"get_robust_list", "threads", {0}},
    {"rseq", "threads", {0}},
    {"set_tid_address", "threads", {0}},
    {"sched_yield", "threads", {0}},
    {"sched_getaffinity", "the number of processors", {0}},
    {"sched_getparam", "threads", {0}},
    {"sched_getscheduler", "threads", {0}},
    {"getcpu", "malloc", {0}},
    {"exit", "threads", {0}},
    {"exit_group", "the end", {0}},
    {"wait4", "the helpers' end", {0}},
    {"waitid", "the same", {0}},
    {"rt_sigaction", "its own signals", {0}},
    {"rt_sigprocmask", "its own signals", {0}},
    {"rt_sigreturn", "its own signals", {0}},
    {"rt_sigtimedwait", "its own signals", {0}},
    {"rt_sigsuspend", "its own signals", {0}},
    {"rt_sigpending", "its own signals", {0}},
    {"sigaltstack", "its own signals", {0}},
    {"restart_syscall", "its own signals", {0}},
    {"pause", "its own signals", {0}},
    {"getpid", "who it is", {0}},
    {"getppid", "who it is", {0}},
    {"gettid", "who it is", {0}},
    {"getpgrp", "who it is", {0}},
    {"getuid", "who it is", {0}},
    {"geteuid", "who it is", {0}},
    {"getgid", "who it is", {0}},
    {"getegid", "who it is", {0}},
    {"time", "the time", {0}},
    {"gettimeofday", "the time", {0}},
    {"clock_gettime", "the time", {0}},
    {"clock_getres", "the time", {0}},
    {"clock_nanosleep", "waiting", {0}},
    {"nanosleep", "waiting", {0}},
    {"getrandom", "malloc, hashes", {0}},
    {"getrusage", "what it uses itself", {0}},
    {"times", "what it uses itself", {0}},
    {"sysinfo", "how much memory there is", {0}},
    {"uname", "libc", {0}},
    {"getrlimit", "how many files may be open", {0}},
    /* by value */
    {"open", "to read, where Landlock lets it", {0}},
    {"openat", "to read, where Landlock lets it", {0}},
    {"clone", "threads: no process, no namespace", {CLONE_THREAD}},
    {"mmap", "memory that is no code", {0}},
    {"mprotect", "memory that is no code", {0}},
    {"ioctl", "is it a terminal; a FUSE descriptor for each thread", {0, 0x5401}},
    {"ioctl", "the size of the terminal, for a picture", {0, 0x5413}},
    {"fcntl", "copies of descriptors, and what they are", {0, F_GETFD}},
    {"prctl", "names of threads and memory, outliving the parent", {PR_SET_NAME}},
    {"prlimit64", "limits are read", {0}},
    {"sendto", "syslog and requests to helpers: no address", {0}},
    {"recvmsg", "replies of helpers", {SOCKET}},
    {"tgkill", "signals to itself", {0}}, /* the process' number, see arguments_of */
};

/* What is let through with some arguments is not with these. */
static const struct allowed not_so[] = {
    {"openat", "to write", {0, 0, O_WRONLY}},
    {"openat", "to read and write", {0, 0, O_RDWR}},
    {"openat", "to make", {0, 0, O_CREAT}},
    {"openat", "to make without a name", {0, 0, O_TMPFILE}},
    {"openat", "to cut", {0, 0, O_TRUNC}},
    {"openat", "to append", {0, 0, O_APPEND | O_WRONLY}},
    {"openat", "as the FUSE device, without clone_fd", {0, 0, O_RDWR | O_CLOEXEC}},
    {"open", "to make", {0, O_CREAT | O_WRONLY}},
    {"clone", "a process", {SIGCHLD}},
    {"clone", "a namespace", {CLONE_NEWUSER | SIGCHLD}},
    {"mmap", "code", {0, 0, PROT_EXEC}},
    {"mprotect", "code", {0, 0, PROT_READ | PROT_EXEC}},
    {"ioctl", "typing for the user", {0, 0x5412}},
    {"fcntl", "other flags", {0, F_SETFL}},
    {"fcntl", "signals for others", {0, F_SETOWN}},
    {"fcntl", "leases", {0, F_SETLEASE}},
    {"prctl", "being dumpable", {PR_SET_DUMPABLE}},
    {"prctl", "other filters", {PR_SET_SECCOMP}},
    {"prlimit64", "limits are set", {0, 0, 1}},
    {"sendto", "an address", {0, 0, 0, 0, 1}},
    {"recvmsg", "another socket", {SOCKET + 1}},
    {"tgkill", "another process", {1}},
};

struct shared {
        _Atomic int listener; /* -1: not yet; -2: there is none */
        _Atomic bool probing;
        _Atomic bool reported;
        bool let_through[CALLS_MAX];
        bool let_through_not_so[sizeof not_so / sizeof *not_so];
};

/* ---- the child ---- */

/* All calls are reported. The descriptor on which, or -1. */
static int report_all(void)
{
        struct sock_filter report = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
        struct sock_fprog program = {.len = 1, .filter = &report};

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                            &program);
}

static bool goes_through(struct shared *s, int call, const uint64_t a[6])
{
        s->reported = false;
        s->probing = true;
        syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);
        s->probing = false;
        return s->reported;
}

static void arguments_of(const struct allowed *row, pid_t self, uint64_t out[6])
{
        memcpy(out, row->arguments, sizeof row->arguments);
        if (strcmp(row->call, "tgkill") == 0 && out[0] == 0)
                out[0] = (uint64_t)self;
}

/* Numbers that are no calls, but for uprobe's and uretprobe's, which no filter is asked about. */
static bool is_gap(int call)
{
#if defined __x86_64__
        return call >= 335 && call < 424;
#else
        (void)call;
        return false;
#endif
}

static void probe_all(struct shared *s)
{
        pid_t self = getpid();
        uint64_t a[6];

        for (int call = 0; call < CALLS_MAX; call++) {
                if (is_gap(call))
                        continue;
                memset(a, 0, sizeof a);
                for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                        if (seccomp_syscall_resolve_name(all[i].call) == call)
                                arguments_of(&all[i], self, a);
                s->let_through[call] = goes_through(s, call, a);
        }
        for (size_t i = 0; i < sizeof not_so / sizeof *not_so; i++)
                s->let_through_not_so[i] = goes_through(
                    s, seccomp_syscall_resolve_name(not_so[i].call), not_so[i].arguments);
}

static void run_child(struct shared *s)
{
        const struct sandbox sandbox = {.sockets = {SOCKET, -1, -1}, .serves = true};
        int listener = report_all();

        s->listener = listener < 0 ? -2 : listener;
        if (listener < 0 || sandbox_enter(&sandbox, NULL) < 0)
                _exit(1);
        probe_all(s);
        _exit(0);
}

/* ---- the process that is reported to ---- */

/* Answer one report. False: there will be none any more. */
static bool answer(struct shared *s, int listener)
{
        struct seccomp_notif report = {0};
        struct seccomp_notif_resp answer = {0};
        struct pollfd p = {.fd = listener, .events = POLLIN};

        if (poll(&p, 1, -1) < 0 || !(p.revents & POLLIN))
                return false;
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &report) < 0)
                return errno == ENOENT || errno == EINTR;
        answer.id = report.id;
        if (s->probing) {
                s->reported = true;
                answer.error = -EXFULL;
        } else {
                answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        }
        return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 || errno == ENOENT;
}

/*
 * What a child whose descriptors are ours, so that we have the one on which it is reported, finds.
 */
static const struct shared *ask_filter(void **state)
{
        struct shared *s = *state;
        int status;
        pid_t pid;

        if (!sandbox_is_built()) {
                print_message("a sanitizer's runtime does what the sandbox refuses\n");
                skip();
        }
        s->listener = -1;
        pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
                run_child(s);
        assert_true(pid > 0);
        while (s->listener == -1 && waitpid(pid, &status, WNOHANG) == 0)
                sched_yield();
        if (s->listener == -2) {
                waitpid(pid, &status, 0);
                print_message("the kernel reports no calls\n");
                skip();
        }
        while (answer(s, s->listener))
                ;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(s->listener);
        return s;
}

/* ---- the tests ---- */

static const char *name_of(int call)
{
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

        return name ? name : "unknown";
}

static bool is_listed(int call)
{
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                if (seccomp_syscall_resolve_name(all[i].call) == call)
                        return true;
        return false;
}

static void test_what_is_listed_is_let_through_and_nothing_else(void **state)
{
        const struct shared *s = ask_filter(state);

        for (int call = 0; call < CALLS_MAX; call++) {
                if (is_gap(call) || s->let_through[call] == is_listed(call))
                        continue;
                fail_msg("%d, %s: is %slet through", call, name_of(call),
                         s->let_through[call] ? "" : "not ");
        }
}

static void test_it_is_not_with_other_arguments(void **state)
{
        const struct shared *s = ask_filter(state);

        for (size_t i = 0; i < sizeof not_so / sizeof *not_so; i++)
                if (s->let_through_not_so[i])
                        fail_msg("%s is let through: %s", not_so[i].call, not_so[i].reason);
}

static int setup(void **state)
{
        *state = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return *state == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
        return munmap(*state, sizeof(struct shared));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_what_is_listed_is_let_through_and_nothing_else,
                                            setup, teardown),
            cmocka_unit_test_setup_teardown(test_it_is_not_with_other_arguments, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
