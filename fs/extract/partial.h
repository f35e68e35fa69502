/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that is written under a temporary name, and gets its real name when it is complete.
 *
 *   partial_open ──> writes ──> partial_finish    it has its name
 *        │             │  ^
 *        │             v  │ partial_close, partial_reopen: descriptors are few
 *        │
 *        └──> killed: the file stays, unlocked and of mode 0200
 *        └──> partial_leave: it stays for somebody to use, of mode 0600
 *
 * The process that writes the file holds a lock on it, so that two processes in one folder neither
 * replace nor rename each other's files. The mode distinguishes a file that a killed process left,
 * which the next one replaces, from one that was left on purpose. And nobody mistakes an incomplete
 * file for a disk.
 *
 * If the file system has no locks, a replaced file is still noticed by its inode number, but a file
 * that was left is replaced only with FORCE.
 */
#ifndef VMAFS_PARTIAL_H
#define VMAFS_PARTIAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct partial {
        char name[NAME_MAX + 1];
        int fd; /* for writing, and locked; -1: not open */
        /* While it is not open: what identified it when it was closed. */
        dev_t device;
        ino_t inode;
        struct timespec ctime;
};

/*
 * Create the file P->name in the folder DIRFD, and set P->fd. A file that a killed process left is
 * replaced; with FORCE, so is any file, link or pipe that no vmafs is writing to. Returns 0; -EBUSY
 * if another process is writing it; -EEXIST if something else has the name; or -errno of open.
 */
int partial_open(int dirfd, bool force, struct partial *p);

/* Close it for now. Returns 0, or -errno if something was not written. */
int partial_close(struct partial *p);

/*
 * Open it again. Returns 0; -ESTALE if it is not the file that was closed, or another process has
 * it; or -errno.
 */
int partial_reopen(int dirfd, struct partial *p);

/* Close the file for good and leave it incomplete. Returns 0 or -errno. */
int partial_leave(struct partial *p);

/*
 * Rename it to LEAF, which must not exist unless REPLACE, and close it in any case. Returns 0;
 * -ESTALE if somebody has moved or replaced it; -EEXIST; or another -errno of renaming or writing.
 */
int partial_finish(int dirfd, struct partial *p, const char *leaf, bool replace);

#endif
