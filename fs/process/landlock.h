/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Landlock (landlock(7)): which paths a process may still open, for it and all its future threads.
 */
#ifndef VMAFS_LANDLOCK_H
#define VMAFS_LANDLOCK_H

#include <stddef.h>

enum landlock_use {
        LANDLOCK_LOOK,  /* list directories and read files below */
        LANDLOCK_MAKE,  /* read, write, create, rename and remove files below */
        LANDLOCK_DRIVE, /* read, write and control this device */
};

struct landlock_rule {
        const char *path; /* one that does not exist grants nothing; NULL: fd */
        int fd;           /* open directory or device */
        enum landlock_use use;
};

/*
 * From here on the calling thread, and what it starts, opens, creates and removes nothing but what
 * the N rules grant, and neither connects nor listens by TCP. Files that are open stay so. Needs
 * no_new_privs. 0; -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock, or -errno.
 */
int landlock_confine(const struct landlock_rule *rules, size_t n);

#endif
