/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/seccomp.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "archive/error.h"

#ifndef FUSE_DEV_IOC_CLONE
#define FUSE_DEV_IOC_CLONE _IOR(229, 0, uint32_t)
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* libc names its arenas with it */
#endif

/*
 * By name. A call that the architecture does not have, or that this libseccomp does not know yet,
 * is skipped. Those with time64 are of 32-bit architectures.
 */
static const char *const allowed[] = {
    /* files that are open: the archive, the index, extracted files, the FUSE device */
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "lseek",
    "_llseek",
    "close",
    "fstat",
    "fstat64",
    "fstatfs",
    "fstatfs64",
    "ftruncate",
    "ftruncate64",
    "fadvise64",
    "fadvise64_64",
    "arm_fadvise64_64",
    "fallocate",
    "poll",
    "ppoll",
    "ppoll_time64",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    /* to notice writes to an open file */
    "inotify_init1",
    "inotify_add_watch",
    /* to look for loop devices (loopdev.c) and processors; libc's fstat is one of these, too */
    "getdents64",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "readlink",
    "readlinkat",
    /* memory */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mincore",
    "membarrier",
    /* threads, and the helpers' end */
    "futex",
    "futex_time64",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "getcpu",
    "clone3",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "waitpid",
    /* signals */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigreturn",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_sigsuspend",
    "rt_sigpending",
    "sigaltstack",
    "restart_syscall",
    "pause",
    /* ids and time */
    "getpid",
    "getppid",
    "gettid",
    "getpgrp",
    "getuid",
    "getuid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getegid",
    "getegid32",
    "time",
    "gettimeofday",
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "nanosleep",
    "getrandom",
    "getrusage",
    "times",
    "sysinfo",
    "uname",
    "getrlimit",
    "ugetrlimit",
    /* for syslog(3)'s socket; this call takes no address */
    "send",
};

static const char *const forbidden[] = {
    /* programs and processes */
    "execve",
    "execveat",
    "fork",
    "vfork",
    "kill",
    "tkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "perf_event_open",
    "userfaultfd",
    /* the network */
    "socket",
    "socketpair",
    "socketcall",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmmsg",
    /* files: made, named, linked, removed, or with another mode, owner, time or attribute */
    "creat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "truncate",
    "truncate64",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "chown32",
    "fchown",
    "fchown32",
    "lchown",
    "lchown32",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "utimensat_time64",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    /* the system */
    "mount",
    "umount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "swapon",
    "swapoff",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "bpf",
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "quotactl",
    "acct",
    "open_by_handle_at",
    "mknod",
    "mknodat",
    "settimeofday",
    "clock_settime",
    "sethostname",
    /* who we are */
    "setuid",
    "setuid32",
    "setgid",
    "setgid32",
    "setreuid",
    "setreuid32",
    "setregid",
    "setregid32",
    "setresuid",
    "setresuid32",
    "setresgid",
    "setresgid32",
    "setgroups",
    "setgroups32",
    "setfsuid",
    "setfsuid32",
    "setfsgid",
    "setfsgid32",
    "personality",
};

#define ONLY32 UINT32_MAX /* for an argument of which the kernel ignores the upper half */
#define ALL64  UINT64_MAX

#if defined __s390__
enum { CLONE_FLAGS = 1 };
#else
enum { CLONE_FLAGS = 0 };
#endif

/* O_TMPFILE is O_DIRECTORY and one more bit. */
#define OPEN_BEYOND_READING                                                                        \
        (uint64_t)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

/* CALL is allowed or refused if its argument ARG, masked with MASK, is VALUE. */
static const struct condition {
        const char *call;
        uint32_t action;
        unsigned arg;
        uint64_t mask, value;
} conditions[] = {
    /* A new thread, not a new process; a thread cannot have namespaces of its own. */
    {"clone", SCMP_ACT_ALLOW, CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD},
    {"clone", SCMP_ACT_ERRNO(EPERM), CLONE_FLAGS, CLONE_THREAD, 0},
    {"mmap", SCMP_ACT_ALLOW, 2, PROT_EXEC, 0},
    {"mmap", SCMP_ACT_ERRNO(EPERM), 2, PROT_EXEC, PROT_EXEC},
    {"mmap2", SCMP_ACT_ALLOW, 2, PROT_EXEC, 0},
    {"mmap2", SCMP_ACT_ERRNO(EPERM), 2, PROT_EXEC, PROT_EXEC},
    {"mprotect", SCMP_ACT_ALLOW, 2, PROT_EXEC, 0},
    {"mprotect", SCMP_ACT_ERRNO(EPERM), 2, PROT_EXEC, PROT_EXEC},
    /* isatty, the size of the terminal, and a FUSE descriptor for each thread */
    {"ioctl", SCMP_ACT_ALLOW, 1, ONLY32, TCGETS},
    {"ioctl", SCMP_ACT_ALLOW, 1, ONLY32, TIOCGWINSZ},
    {"ioctl", SCMP_ACT_ALLOW, 1, ONLY32, FUSE_DEV_IOC_CLONE},
    {"fcntl", SCMP_ACT_ALLOW, 1, ONLY32, F_DUPFD},
    {"fcntl", SCMP_ACT_ALLOW, 1, ONLY32, F_DUPFD_CLOEXEC},
    {"fcntl", SCMP_ACT_ALLOW, 1, ONLY32, F_GETFD},
    {"fcntl", SCMP_ACT_ALLOW, 1, ONLY32, F_SETFD},
    {"fcntl", SCMP_ACT_ALLOW, 1, ONLY32, F_GETFL},
    {"fcntl64", SCMP_ACT_ALLOW, 1, ONLY32, F_DUPFD},
    {"fcntl64", SCMP_ACT_ALLOW, 1, ONLY32, F_DUPFD_CLOEXEC},
    {"fcntl64", SCMP_ACT_ALLOW, 1, ONLY32, F_GETFD},
    {"fcntl64", SCMP_ACT_ALLOW, 1, ONLY32, F_SETFD},
    {"fcntl64", SCMP_ACT_ALLOW, 1, ONLY32, F_GETFL},
    /* libc names threads and arenas */
    {"prctl", SCMP_ACT_ALLOW, 0, ONLY32, PR_SET_NAME},
    {"prctl", SCMP_ACT_ALLOW, 0, ONLY32, PR_SET_VMA},
    /* A daemon that is ready outlives whoever started it. */
    {"prctl", SCMP_ACT_ALLOW, 0, ONLY32, PR_SET_PDEATHSIG},
    /* Only for reading, and never to create a file, named or unnamed. */
    {"open", SCMP_ACT_ALLOW, 1, OPEN_BEYOND_READING, 0},
    {"openat", SCMP_ACT_ALLOW, 2, OPEN_BEYOND_READING, 0},
    /* Limits are read, not set. */
    {"prlimit64", SCMP_ACT_ALLOW, 2, ALL64, 0},
    /* Only what syslog(3) needs for the socket that it already has. */
    {"sendto", SCMP_ACT_ALLOW, 4, ALL64, 0},
};

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
        int call = seccomp_syscall_resolve_name(name);

        return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, action, call, 0);
}

static int add_list(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
        int rc = 0;

        for (size_t i = 0; i < n && rc == 0; i++)
                rc = add(ctx, action, names[i]);
        return rc;
}

static int add_condition(scmp_filter_ctx ctx, const struct condition *c)
{
        int call = seccomp_syscall_resolve_name(c->call);
        struct scmp_arg_cmp cmp = {
            .arg = c->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = c->mask, .datum_b = c->value};

        return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(ctx, c->action, call, 1, &cmp);
}

static int add_conditions(scmp_filter_ctx ctx)
{
        /* Signals to this process: pthread_kill, pthread_cancel, abort. */
        struct condition own = {"tgkill", SCMP_ACT_ALLOW, 0, ONLY32, (uint32_t)getpid()};
        int rc = add_condition(ctx, &own);

        for (size_t i = 0; i < sizeof conditions / sizeof *conditions && rc == 0; i++)
                rc = add_condition(ctx, &conditions[i]);
        return rc;
}

/* What only some sandboxes need, by S. */
static int add_needs(scmp_filter_ctx ctx, const struct sandbox *s)
{
        /* libfuse opens the FUSE device like this. Landlock lets it open no other. */
        struct condition device = {"openat", SCMP_ACT_ALLOW, 2, (uint32_t)~O_LARGEFILE,
                                   O_RDWR | O_CLOEXEC};
        int rc = s->clone_fd ? add_condition(ctx, &device) : 0;

        /* Only helpers send replies, which may carry descriptors. */
        for (size_t i = 0; i < sizeof s->sockets / sizeof *s->sockets && rc == 0; i++) {
                struct condition reply = {"recvmsg", SCMP_ACT_ALLOW, 0, ONLY32,
                                          (uint32_t)s->sockets[i]};

                if (s->sockets[i] >= 0)
                        rc = add_condition(ctx, &reply);
        }
        return rc;
}

#define LIST(names) (names), sizeof(names) / sizeof *(names)

static int fill(scmp_filter_ctx ctx, const struct sandbox *s)
{
        int rc = add_list(ctx, SCMP_ACT_ALLOW, LIST(allowed));

        if (rc == 0)
                rc = add_list(ctx, SCMP_ACT_ERRNO(EPERM), LIST(forbidden));
        if (rc == 0)
                rc = add_conditions(ctx);
        if (rc == 0)
                rc = add_needs(ctx, s);
        /* A process may live for months, and most of its system calls are short. */
        if (rc == 0)
                rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        /* The audit log: not every kernel can. */
        if (rc == 0)
                seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
        return rc;
}

/* If RC, from filling CTX, is 0, load CTX into the kernel for all threads. */
static int load(scmp_filter_ctx ctx, int rc)
{
        if (rc == 0)
                rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
        if (rc == 0)
                rc = seccomp_load(ctx);
        seccomp_release(ctx);
        return rc;
}

/*
 * clone3 has its flags in memory, where no filter can look; without it libc uses clone. As that
 * happens with each new thread, it is refused by a filter of its own, which does not fill the log.
 */
static int refuse_clone3(void)
{
        scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

        return ctx ? load(ctx, add(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3")) : -ENOMEM;
}

int seccomp_apply(const struct sandbox *s, struct error *err)
{
        scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        int rc = ctx ? fill(ctx, s) : -ENOMEM;

        /* Filters add up. The long one comes last, since it forbids adding another. */
        if (rc == 0)
                rc = refuse_clone3();
        if (ctx)
                rc = load(ctx, rc);
        return rc < 0 ? error_set(err, -rc, "system calls cannot be filtered: %s", strerror(-rc))
                      : 0;
}
