/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"

enum {
        MODE_WRITING = 0200,
        MODE_DONE = 0600,
        TRIES = 100, /* how often to try for a name that others keep taking and giving back */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Does the open file FD have the name NAME in DIRFD? */
static bool is_named(int dirfd, const char *name, int fd)
{
        struct stat here, there;

        return fstat(fd, &here) == 0 && fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
               same_file(&here, &there);
}

/* 0; -EBUSY if another process has the lock; another -errno of flock if there are no locks. */
static int lock(int fd)
{
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                return 0;
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/*
 * Create a new file. -EAGAIN if another process found it before it was locked, and took it for one
 * that a killed process left.
 */
static int create(int dirfd, const char *name)
{
        cleanup_close int fd =
            openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_WRITING);

        if (fd < 0)
                return -errno;
        if (lock(fd) == -EBUSY || !is_named(dirfd, name, fd))
                return -EAGAIN;
        return steal_fd(&fd);
}

static bool was_left(const struct stat *st)
{
        return st->st_uid == geteuid() && (st->st_mode & 07777) == MODE_WRITING;
}

/* Remove the regular file NAME, if nobody is writing it. */
static int remove_file(int dirfd, const char *name, bool force)
{
        cleanup_close int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        int locked;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        locked = lock(fd);
        if (locked == -EBUSY)
                return -EBUSY;
        if (!force && (locked < 0 || !was_left(&st)))
                return -EEXIST;
        /* It may have been given its real name meanwhile. */
        if (is_named(dirfd, name, fd) && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

/* Make room for a new file NAME. */
static int remove_left(int dirfd, const char *name, bool force)
{
        struct stat st;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (S_ISREG(st.st_mode))
                return remove_file(dirfd, name, force);
        if (!force)
                return -EEXIST;
        return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int partial_open(int dirfd, bool force, struct partial *p)
{
        int rc = -EAGAIN;

        for (int i = 0; i < TRIES && (rc == -EAGAIN || rc == -EEXIST); i++) {
                rc = create(dirfd, p->name);
                if (rc == -EEXIST) {
                        int removed = remove_left(dirfd, p->name, force);

                        if (removed < 0)
                                return removed;
                }
        }
        if (rc < 0)
                return rc == -EAGAIN || rc == -EEXIST ? -EBUSY : rc;
        p->fd = rc;
        return 0;
}

/*
 * Some file systems report only at close what was not written. Close a duplicate: FD stays open and
 * locked.
 */
static int flush(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        if (copy < 0)
                return -errno;
        return close(copy) < 0 ? -errno : 0;
}

int partial_close(struct partial *p)
{
        cleanup_close int fd = steal_fd(&p->fd);
        int rc = flush(fd);
        struct stat st;

        if (rc < 0)
                return rc;
        if (fstat(fd, &st) < 0)
                return -errno;
        p->device = st.st_dev;
        p->inode = st.st_ino;
        p->ctime = st.st_ctim;
        return 0;
}

/*
 * While the file was closed, another file could get its inode number. Such a file has another
 * ctime.
 */
int partial_reopen(int dirfd, struct partial *p)
{
        cleanup_close int fd = openat(dirfd, p->name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return errno == ENOENT || errno == ELOOP ? -ESTALE : -errno;
        if (lock(fd) == -EBUSY || !is_named(dirfd, p->name, fd))
                return -ESTALE;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_dev != p->device || st.st_ino != p->inode ||
            st.st_ctim.tv_sec != p->ctime.tv_sec || st.st_ctim.tv_nsec != p->ctime.tv_nsec)
                return -ESTALE;
        p->fd = steal_fd(&fd);
        return 0;
}

int partial_leave(struct partial *p)
{
        cleanup_close int fd = steal_fd(&p->fd);

        return fchmod(fd, MODE_DONE) < 0 ? -errno : flush(fd);
}

static int give_name(int dirfd, const char *name, const char *leaf, bool replace)
{
        if (replace)
                return renameat(dirfd, name, dirfd, leaf) < 0 ? -errno : 0;
        if (renameat2(dirfd, name, dirfd, leaf, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL)
                return -errno;
        /* Some file systems support no flags. link does not replace a file either. */
        if (linkat(dirfd, name, dirfd, leaf, 0) < 0 || unlinkat(dirfd, name, 0) < 0)
                return -errno;
        return 0;
}

int partial_finish(int dirfd, struct partial *p, const char *leaf, bool replace)
{
        /*
         * Keep it open until it has its name: no other file can get its inode number or its lock.
         */
        cleanup_close int fd = steal_fd(&p->fd);
        int rc = flush(fd);

        if (rc < 0)
                return rc;
        if (!is_named(dirfd, p->name, fd))
                return -ESTALE;
        if (fchmod(fd, MODE_DONE) < 0)
                return -errno;
        return give_name(dirfd, p->name, leaf, replace);
}
