/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Landlock (landlock(7)): which paths a process may still open, for it and all its future threads.
 */
#ifndef VMAFS_LANDLOCK_H
#define VMAFS_LANDLOCK_H

#include <stddef.h>

enum landlock_use {
        LANDLOCK_LOOK,  /* list directories and read files below */
        LANDLOCK_DRIVE, /* read, write and control this device */
};

struct landlock_rule {
        const char *path; /* one that does not exist grants nothing */
        enum landlock_use use;
};

/*
 * From now on the calling thread, and whatever it starts, can open, create and remove only what the
 * N rules grant, and can neither connect nor listen by TCP. Open files stay open. Needs
 * no_new_privs. Returns 0; -ENOSYS or -EOPNOTSUPP if the kernel has no Landlock; or another -errno.
 */
int landlock_confine(const struct landlock_rule *rules, size_t n);

#endif
