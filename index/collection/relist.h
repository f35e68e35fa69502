/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists a folder on a server again, in a thread of its own, so that nobody waits long for a server
 * that is slow: after a second, what was there before is shown.
 *
 *   caller    relist_run ── start ── wait: 1 s at most ── its answer, or what was there before
 *   thread                    └─ list, and take in what is new …
 *
 * One folder is listed at a time. Whoever asks for another meanwhile does not wait at all.
 */
#ifndef VMAFS_RELIST_H
#define VMAFS_RELIST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct node;

enum { RELIST_WAIT = 1000 }; /* milliseconds */

struct relist {
        pthread_mutex_t lock; /* guards all but the job */
        pthread_cond_t ended;
        bool has_thread; /* that was started last, and not joined */
        pthread_t thread;
        uint64_t started, finished; /* so many */
        int rc;                     /* of the last one */

        /* The job of the thread. */
        int (*list)(void *owner, struct node *folder);
        void *owner;
        struct node *folder;
};

void relist_init(struct relist *r);

/*
 * Call LIST for FOLDER, which the caller holds or is the root. Returns what LIST returns; or 0 if that
 * is not known yet, another folder is being listed, or no thread can be started. Thread-safe.
 */
int relist_run(struct relist *r, int (*list)(void *owner, struct node *folder), void *owner,
               struct node *folder);

/* Wait until LIST has returned, if it was called. Nobody calls relist_run any more. */
void relist_fini(struct relist *r);

#endif
