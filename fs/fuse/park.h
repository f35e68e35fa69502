/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that must wait for the index. FUSE's threads are few, so a handler never waits: it
 * parks the request here and returns. A worker answers it when the index knows enough.
 *
 *   handler: answer()  false ──> park_add ──> list ──> worker, each time the index has grown:
 *                                  │                     answer() again
 *                                  └── interrupted ──> EINTR      park_stop ──> ENOTCONN
 */
#ifndef VMAFS_PARK_H
#define VMAFS_PARK_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct index;
struct node;
struct park;

/* A request as its answer function needs it. */
struct request {
        fuse_req_t req;
        const struct node *node;
        off_t offset; /* an answer may move it on, to where it must look again */
        size_t size;
        int whence;

        /* Reply and return true, or return false: the index does not know enough yet. */
        bool (*answer)(void *ctx, struct request *r);
};

/* CTX is what answer gets. INDEX outlives the park. NULL: out of memory or threads. */
struct park *park_new(struct index *index, void *ctx);

/* Park a copy of R, which was not answered. Thread-safe. */
void park_add(struct park *p, const struct request *r);

/*
 * Fail what is parked and whatever comes, and end the worker, which index_stop must have been
 * called for. Returns false where the worker is stuck in a read that does not come back: then
 * the park must not be freed.
 */
bool park_stop(struct park *p);

/* After park_stop has returned true. NULL is allowed. */
void park_free(struct park *p);

#endif
