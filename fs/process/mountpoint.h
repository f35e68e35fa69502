/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount point, held open from the moment it is checked. So nobody who may rename a directory
 * above it can make us mount on, or unmount, another one.
 */
#ifndef VMAFS_MOUNTPOINT_H
#define VMAFS_MOUNTPOINT_H

#include <limits.h>
#include <stdbool.h>

struct mountpoint {
        int folder;              /* its parent directory; -1: nothing is held … */
        int fd;                  /* … and the mount point itself, below what is mounted later */
        char name[NAME_MAX + 1]; /* in folder */
        char *path;              /* absolute, without links, when it was opened */
};

#define MOUNTPOINT_NONE ((struct mountpoint){.folder = -1, .fd = -1})

/*
 * Open PATH, and refuse it if it cannot be mounted on. Unless NONEMPTY, it must be empty and
 * nothing may be mounted on it. Returns the exit status; reports what is wrong.
 */
int mountpoint_open(const char *path, bool nonempty, struct mountpoint *out);
void mountpoint_close(struct mountpoint *m);

/*
 * A new descriptor (O_PATH) of what is at the mount point now, or -1 with errno. Sends no request
 * to its file system.
 */
int mountpoint_look(const struct mountpoint *m);

#endif
