/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mounter: a small process that mounts on behalf of the serving process, outlives it, and
 * unmounts. A sandboxed process has no right to do that, and a killed one cannot. It is started
 * before the archive is read. It holds the mount point's directories open, and nothing of the
 * archive or the index.
 *
 *   mount's process   start ─── … ─── mount ─── … serves … ─── end, or its own sudden end
 *   mounter                wait        mount, wait ………………………………………… is it still that mount? unmount
 *
 * Its name in ps(1) contains neither vmafs nor the mount point, so that it survives somebody
 * killing every process with such a name, and still unmounts.
 */
#ifndef VMAFS_MOUNTER_H
#define VMAFS_MOUNTER_H

#include <stdbool.h>

#include "fs/process/helper.h"

struct fuse_args;
struct mountpoint;

struct mounter {
        struct helper helper;
        int dead; /* a descriptor on which every operation fails, or -1 */
};

#define MOUNTER_NONE ((struct mounter){.helper = HELPER_NONE, .dead = -1})

/* What is mounted. The caller keeps ownership and must not change it. */
struct mounter_job {
        const struct mountpoint *point;
        const struct fuse_args *args; /* libfuse's options */
        bool allow_other;
};

/* Start one. 0 or -errno. */
int mounter_start(struct mounter *m, const struct mounter_job *job);

/*
 * Mount. Sets *DEVICE to the open FUSE device, which the caller owns. Returns the exit status;
 * errors have been reported.
 */
int mounter_mount(struct mounter *m, int *device);

/*
 * Call this once the kernel's first request has been answered: what the kernel set then can be
 * changed now.
 */
void mounter_greeted(struct mounter *m);

/*
 * Unmount lazily, unless the mount is GONE already, and return when that is done. The session's
 * FUSE device DEVICE (-1: none) is replaced by a dead descriptor of the same number, so that
 * neither the session nor its readers wait for us. poll reports an error on it, as it does after an
 * unmount.
 */
void mounter_end(struct mounter *m, int device, bool gone);

#endif
