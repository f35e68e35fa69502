/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_MOUNTINFO_H
#define VMAFS_MOUNTINFO_H

struct mountinfo {
        unsigned major, minor; /* of the device */
        char type[64];         /* "fuse.vmafs" */
};

/*
 * The topmost mount on PATH (absolute, without links), as /proc/self/mountinfo (proc(5)) has it;
 * unlike stat it asks nothing of the file system. 0, or -ENOENT where nothing is mounted on it.
 */
int mountinfo_find(const char *path, struct mountinfo *out);

#endif
