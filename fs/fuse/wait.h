/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that wait in their handler: for a folder that is filled, or an archive that is opened,
 * which may take as long as a server does. A process that waits can be killed: then the kernel interrupts
 * its request, and the process ends once that is answered. The handler goes on, for later requests.
 *
 *   handler   wait_begin ── waits ─────────────────── wait_end: false, nobody to answer any more
 *                             └── interrupted ── EINTR
 */
#ifndef VMAFS_WAIT_H
#define VMAFS_WAIT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ops_context;

/* So many handlers may wait at a time; more would leave no thread for the others: */
enum wait_most {
        WAIT_FOLDERS = 64, /* for what is in a folder */
        WAIT_FILES = 80,   /* for that, or a file that is opened: which others do not prevent */
};

struct wait {
        struct ops_context *c;
        fuse_req_t req;
        atomic_uint state; /* wait.c */
};

/*
 * The handler of REQ is about to wait. False: REQ was failed, with EAGAIN if MOST wait. W stays where
 * it is until wait_end.
 */
bool wait_begin(struct wait *w, struct ops_context *c, fuse_req_t req, enum wait_most most);

/* It does not wait any more. False: REQ was failed meanwhile, and is gone. */
bool wait_end(struct wait *w);

#endif
