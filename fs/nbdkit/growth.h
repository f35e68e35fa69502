/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that wait until the index has grown. nbdkit has a thread for each request, which may
 * wait, unlike one of FUSE. But it has to notice when its client leaves, or nbdkit ends.
 *
 *   request:  is it known?  -EAGAIN ──> wait for the next round, and look again
 *   waker:    the index has changed ──> the next round begins: wake all
 */
#ifndef VMAFS_GROWTH_H
#define VMAFS_GROWTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct index;

struct growth {
        struct index *index;
        pthread_t waker;
        bool started;
        pthread_mutex_t lock;
        pthread_cond_t wanted;  /* somebody waits, or it ends */
        pthread_cond_t changed; /* a round has begun */
        unsigned waiting;       /* lock */
        bool ending;            /* lock */
        _Atomic uint64_t round; /* changed under lock, and read by each request without it */
};

void growth_init(struct growth *g);

/* Start the waker, a thread, for INDEX. 0 or -errno. */
int growth_start(struct growth *g, struct index *index);

/* End it. Call index_stop first; no request may be waiting. Does nothing if it was not started. */
void growth_stop(struct growth *g);
void growth_fini(struct growth *g);

/*
 * Call ATTEMPT, and again each time the index has changed, until it returns other than -EAGAIN, which is returned. Only
 * in a callback of nbdkit that serves a client: -ESHUTDOWN if that has left or nbdkit ends, which
 * nbdkit has logged.
 */
int growth_until(struct growth *g, int (*attempt)(void *ctx), void *ctx);

#endif
