/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/collection/relist.h"

#include <time.h>

#include "archive/cleanup.h"
#include "index/tree/tree.h"

void relist_init(struct relist *r)
{
        pthread_condattr_t attr;

        *r = (struct relist){.rc = 0};
        pthread_mutex_init(&r->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&r->ended, &attr);
        pthread_condattr_destroy(&attr);
}

static void *run(void *arg)
{
        struct relist *r = arg;
        int rc = r->list(r->owner, r->folder);

        tree_release(r->folder, 1);
        {
                scoped_lock(&r->lock);

                r->rc = rc;
                r->finished++;
                pthread_cond_broadcast(&r->ended);
        }
        return NULL;
}

/* Under lock, with no thread at work. */
static bool start(struct relist *r)
{
        if (r->has_thread)
                pthread_join(r->thread, NULL);
        tree_hold(r->folder);
        r->has_thread = pthread_create(&r->thread, NULL, run, r) == 0;
        if (r->has_thread)
                r->started++;
        else
                tree_release(r->folder, 1);
        return r->has_thread;
}

/* Under lock: the answer of the job that was started as NUMBER, if it comes in time. */
static int await(struct relist *r, uint64_t number)
{
        struct timespec limit;

        clock_gettime(CLOCK_MONOTONIC, &limit);
        limit.tv_sec += RELIST_WAIT / 1000;
        while (r->finished < number && pthread_cond_timedwait(&r->ended, &r->lock, &limit) == 0)
                ;
        return r->finished == number ? r->rc : 0;
}

int relist_run(struct relist *r, int (*list)(void *owner, struct node *folder), void *owner,
               struct node *folder)
{
        scoped_lock(&r->lock);

        if (r->started != r->finished)
                return 0;
        r->list = list;
        r->owner = owner;
        r->folder = folder;
        return start(r) ? await(r, r->started) : 0;
}

void relist_fini(struct relist *r)
{
        if (r->has_thread)
                pthread_join(r->thread, NULL);
        pthread_cond_destroy(&r->ended);
        pthread_mutex_destroy(&r->lock);
}
