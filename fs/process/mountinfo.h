/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_MOUNTINFO_H
#define VMAFS_MOUNTINFO_H

#include <stdint.h>

struct mountinfo {
        unsigned id;           /* as mountinfo_id */
        unsigned major, minor; /* of the device */
        char type[64];         /* "fuse.vmafs" */
};

/*
 * The id of the mount that the open file FD is on (O_PATH is enough); 0 if it cannot be found.
 * Sends no request to that file system. A later mount may get the same id.
 */
unsigned mountinfo_id(int fd);

/*
 * What /proc/self/mountinfo (proc(5)) says about that mount. Returns 0, or -ENOENT if it is gone.
 */
int mountinfo_find(int fd, struct mountinfo *out);

/*
 * The unique id of that mount, which is never used again; 0 on kernels before 6.8, which have none.
 * Sends no request to the file system.
 */
uint64_t mountinfo_unique_id(int fd);

#endif
