/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small process that outlives a mount's and unmounts it: a sandboxed process has no right to,
 * and one that was killed cannot. It is this program again under another name, and has nothing of
 * the mount's process but the end of a pipe.
 *
 *   mount's process   start ── mount ── mounted ─── … serves … ─── end, or its own sudden end
 *   unmounter                wait for the pipe …………………………………………… is it still that mount? unmount
 *
 * Its name in ps(1) is neither vmafs nor the mount point's: who kills all of vmafs, or all that has
 * to do with a directory, still gets a clean end.
 */
#ifndef VMAFS_UNMOUNTER_H
#define VMAFS_UNMOUNTER_H

#include <stdbool.h>
#include <sys/types.h>

struct unmounter {
        int fd; /* the pipe; -1: not started, or ended */
        pid_t pid;
};

/*
 * Start one for MOUNTPOINT (absolute, without links), before anything is mounted there and before
 * the sandbox. SIGPIPE must be ignored. 0 or -errno.
 */
int unmounter_start(struct unmounter *u, const char *mountpoint);

/* The mount is there: tell which one it is, so that never another one is unmounted. 0 or -errno. */
int unmounter_mounted(const struct unmounter *u, const char *mountpoint);

/*
 * Have the mount unmounted, lazily, or where it is GONE let it be; return when that is done. Takes
 * the session's FUSE device DEVICE away, so that neither it nor its readers wait for us: the number
 * stays, and poll finds an error there, as it does once a mount has gone.
 */
void unmounter_end(struct unmounter *u, int device, bool gone);

/* In the unmounter itself: is this the name that it is called by? Then its main function. */
bool unmounter_is_called(const char *name);
int unmounter_run(void);

#endif
