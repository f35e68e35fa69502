/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/unmounter.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"
#include "fs/process/mountinfo.h"

static const char NAME[] = "unmount-helper";

/* What goes through the pipe: a path, an identity, an order; or as far as the sender got. */
struct target {
        char path[PATH_MAX];
};

struct identity {
        struct mountinfo info;
        uint64_t unique_id; /* 0: the kernel has none */
};

enum order {
        ORDER_NONE, /* the sender has come to its end */
        ORDER_UNMOUNT,
        ORDER_FORGET, /* somebody else has unmounted it */
};

static int write_all(int fd, const void *buf, size_t len)
{
        const char *at = buf;

        while (len > 0) {
                ssize_t n = write(fd, at, len);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        at += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

static bool read_all(int fd, void *buf, size_t len)
{
        char *at = buf;

        while (len > 0) {
                ssize_t n = read(fd, at, len);

                if (n == 0 || (n < 0 && errno != EINTR))
                        return false;
                if (n > 0) {
                        at += n;
                        len -= (size_t)n;
                }
        }
        return true;
}

static int identify(const char *path, struct identity *out)
{
        *out = (struct identity){0};
        if (mountinfo_find(path, &out->info) < 0)
                return -ENOENT;
        out->unique_id = mountinfo_unique_id(path);
        return 0;
}

/* ---- in the mount's process ---- */

/*
 * A session of its own, so that a terminal's ^C does not reach it; no signals, since it ends when
 * we do; and no descriptor but the pipe's end.
 */
static int spawn(pid_t *pid, int fd)
{
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        char name[64];
        char *argv[] = {name, NULL};
        sigset_t all;
        int rc;

        sigfillset(&all);
        snprintf(name, sizeof name, "%s: for process %d", NAME, (int)getpid());
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attr);
        rc = posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
        if (rc == 0)
                rc =
                    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_RDWR, 0);
        if (rc == 0)
                rc = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
        if (rc == 0)
                rc = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
        if (rc == 0)
                rc = posix_spawnattr_setsigmask(&attr, &all);
        if (rc == 0)
                rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
        if (rc == 0)
                rc = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
        posix_spawn_file_actions_destroy(&files);
        return -rc;
}

int unmounter_start(struct unmounter *u, const char *mountpoint)
{
        struct target target = {0};
        int fds[2];
        int rc;

        if (strlen(mountpoint) >= sizeof target.path)
                return -ENAMETOOLONG;
        memcpy(target.path, mountpoint, strlen(mountpoint));
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        rc = spawn(&u->pid, fds[0]);
        close(fds[0]);
        if (rc == 0) {
                u->fd = fds[1];
                return write_all(u->fd, &target, sizeof target);
        }
        close(fds[1]);
        return rc;
}

int unmounter_mounted(const struct unmounter *u, const char *mountpoint)
{
        struct identity identity;
        int rc = identify(mountpoint, &identity);

        return rc < 0 ? rc : write_all(u->fd, &identity, sizeof identity);
}

void unmounter_end(struct unmounter *u, int device, bool gone)
{
        char order = gone ? ORDER_FORGET : ORDER_UNMOUNT;

        if (u->fd < 0)
                return;
        write_all(u->fd, &order, 1);
        /* What threads still tell the kernel goes into the pipe, where nobody reads on. */
        dup2(u->fd, device);
        close(steal_fd(&u->fd));
        while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* ---- in the unmounter ---- */

bool unmounter_is_called(const char *name)
{
        return name && strncmp(name, NAME, sizeof NAME - 1) == 0;
}

/* Root keeps what unmounting takes: the right to, and a way through directories of others. */
static void drop_capabilities(void)
{
        capng_clear(CAPNG_SELECT_CAPS);
        capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN,
                      CAP_DAC_READ_SEARCH, -1);
        capng_apply(CAPNG_SELECT_CAPS);
}

static bool is_same(const char *path, const struct identity *was)
{
        struct identity now;

        return identify(path, &now) == 0 && now.info.id == was->info.id &&
               now.info.major == was->info.major && now.info.minor == was->info.minor &&
               strcmp(now.info.type, was->info.type) == 0 && now.unique_id == was->unique_id;
}

/*
 * The sender was killed in the moment between mounting and saying what it had mounted. A mount of
 * ours whose process has ended is of use to nobody; the kernel needs a moment to see that it has.
 */
static bool is_orphan(const char *path)
{
        static const struct timespec tick = {.tv_nsec = 20000000};

        for (int i = 0; i < 50; i++) {
                struct mountinfo info;

                if (mountinfo_find(path, &info) < 0 || strcmp(info.type, "fuse.vmafs") != 0)
                        return false;
                if (open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == ENOTCONN)
                        return true;
                nanosleep(&tick, NULL);
        }
        return false;
}

static int unmount(const char *path)
{
        /* By force: nobody will answer who waits for it, and that may be a thread of the sender. */
        if (umount2(path, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                return STATUS_OK;
        if (errno != EPERM)
                return STATUS_FAILED;
        execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, NULL);
        execl("/usr/bin/fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, NULL);
        return STATUS_FAILED;
}

int unmounter_run(void)
{
        struct target target;
        struct identity identity;
        char order = ORDER_NONE;
        bool known;

        prctl(PR_SET_NAME, NAME);
        if (chdir("/") < 0)
                return STATUS_FAILED;
        if (geteuid() == 0)
                drop_capabilities();
        if (!read_all(STDIN_FILENO, &target, sizeof target))
                return STATUS_FAILED;
        target.path[sizeof target.path - 1] = '\0';
        known = read_all(STDIN_FILENO, &identity, sizeof identity);
        read_all(STDIN_FILENO, &order, sizeof order);
        if (order == ORDER_FORGET)
                return STATUS_OK;
        if (known ? is_same(target.path, &identity) : is_orphan(target.path))
                return unmount(target.path);
        return STATUS_OK;
}
