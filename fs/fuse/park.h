/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that must wait for the index. There are few FUSE threads, so a handler never waits: it
 * parks the request here and returns. A worker answers it once the index knows enough.
 *
 *   handler: answer()  false ──> park_add ──> list ──> worker, when the index has grown:
 *                                  │                     ready()  true ──> answer()
 *                                  └── interrupted ──> EINTR      park_stop ──> ENOTCONN
 *
 * ready() makes waiting cheap: it asks only the map, and continues from where it stopped the last
 * time. Each call of answer() would read and copy the part that is already known.
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
struct open_archive;
struct park;

/* A request as its answer function needs it. */
struct request {
        fuse_req_t req;
        struct node *node;
        uint64_t nodeid; /* tree_ops.h: of a member, which has no node */
        off_t offset;    /* an answer may move it on, to where it must look again */
        size_t size;
        int whence;
        char *name;       /* to look up, or of an attribute: a copy while it is parked, or NULL */
        uint64_t unknown; /* for ready: the first byte that was not known when it last asked */

        /*
         * Would answer reply now? Called often, under the park's lock: it reads no archive and
         * waits for nobody but the index's lock. NULL: only answer can tell.
         */
        bool (*ready)(void *ctx, struct request *r);

        /* Reply and return true, or return false: the index does not know enough yet. */
        bool (*answer)(void *ctx, struct request *r);

        /* R was failed, and is not answered any more: let go of what it holds. NULL: nothing. */
        void (*failed)(struct request *r);

        /* tree_ops.c: whether NAME is to be freed, and what answers once the archive is open. */
        bool own_name;
        bool (*tree_answer)(void *ctx, struct request *r);
        /* member.c: what answers it once NODE is the archive's own. */
        bool (*inner)(void *ctx, struct request *r);

        /* member.c: the archive that is kept open for it, and what the above were before. */
        struct open_archive *archive;
        void *held_ctx;
        bool (*held_answer)(void *ctx, struct request *r);
        void (*held_failed)(struct request *r);
};

/* CTX is what answer gets. INDEX outlives the park. NULL: out of memory or threads. */
struct park *park_new(struct index *index, void *ctx);

/* Park a copy of R, which was not answered. Thread-safe. */
void park_add(struct park *p, const struct request *r);

/*
 * Fail all parked and future requests, and end the worker. Call index_stop first. Returns false if
 * the worker is stuck in a read that does not return; then the park must not be freed.
 */
bool park_stop(struct park *p);

/* After park_stop has returned true. NULL is allowed. */
void park_free(struct park *p);

#endif
