/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_MOUNTINFO_H
#define VMAFS_MOUNTINFO_H

#include <stdint.h>

struct mountinfo {
        unsigned id;           /* of the mount; a later one may have it again */
        unsigned major, minor; /* of the device */
        char type[64];         /* "fuse.vmafs" */
};

/*
 * The topmost mount on PATH (absolute, without links), as /proc/self/mountinfo (proc(5)) has it;
 * unlike stat it asks nothing of the file system. 0, or -ENOENT where nothing is mounted on it.
 */
int mountinfo_find(const char *path, struct mountinfo *out);

/*
 * A number of the topmost mount on PATH that no other ever has, asked of the kernel and not of the
 * file system; 0 where the kernel (before 6.8) has none.
 */
uint64_t mountinfo_unique_id(const char *path);

#endif
