/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/park.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "archive/cleanup.h"
#include "index/index.h"

enum parked_state {
        PARKED_NEW,  /* not on the list yet */
        PARKED_HERE, /* on the list */
        PARKED_BUSY, /* the worker is handling it */
};

/* Owned by whoever replies: the worker, the interrupt, or park_stop. */
struct parked {
        struct request request;
        struct park *park;
        struct parked *next, *prev; /* park->lock */
        enum parked_state state;    /* park->lock */
        bool interrupted;           /* park->lock */
        uint64_t asked;             /* the round of try_ready that looked at it last; park->lock */
};

struct park {
        struct index *index;
        void *ctx;
        pthread_t worker;
        pthread_mutex_t lock;
        pthread_cond_t added;
        struct parked *first; /* lock */
        bool stopping;        /* lock */
        uint64_t round;       /* of try_ready; the worker's */
};

/* Under lock. */
static void list_insert(struct park *p, struct parked *item)
{
        item->state = PARKED_HERE;
        item->prev = NULL;
        item->next = p->first;
        if (p->first)
                p->first->prev = item;
        p->first = item;
}

/* Under lock. */
static void list_remove(struct park *p, struct parked *item)
{
        if (item->prev)
                item->prev->next = item->next;
        else
                p->first = item->next;
        if (item->next)
                item->next->prev = item->prev;
}

static void fail_request(struct request *r, int error)
{
        fuse_reply_err(r->req, error);
        if (r->failed)
                r->failed(r);
}

/*
 * The caller has taken ITEM off the list and holds no lock, since an interrupt holds the request's
 * own lock while it waits for ours. After the first line it cannot reach ITEM.
 */
static void fail(struct parked *item, int error)
{
        fuse_req_interrupt_func(item->request.req, NULL, NULL);
        fail_request(&item->request, error);
        free(item);
}

/* The reader was killed. libfuse holds the request's lock, so it stays alive here. */
static void interrupted(fuse_req_t req, void *data)
{
        struct parked *item = data;
        bool ours = false;

        (void)req;
        {
                scoped_lock(&item->park->lock);
                item->interrupted = true;
                if (item->state == PARKED_HERE) {
                        list_remove(item->park, item);
                        ours = true;
                }
        }
        if (!ours)
                return;
        fail_request(&item->request, EINTR);
        free(item);
}

/* Put ITEM on the list, or say with which error it must fail instead. */
static int settle(struct park *p, struct parked *item)
{
        scoped_lock(&p->lock);

        if (item->interrupted)
                return EINTR;
        if (p->stopping)
                return ENOTCONN;
        list_insert(p, item);
        pthread_cond_signal(&p->added);
        return 0;
}

void park_add(struct park *p, const struct request *r)
{
        struct parked *item = calloc(1, sizeof *item);
        int error;

        if (!item) {
                struct request copy = *r;

                fail_request(&copy, ENOMEM);
                return;
        }
        item->request = *r;
        item->park = p;
        item->state = PARKED_NEW;
        fuse_req_interrupt_func(r->req, interrupted, item);
        error = settle(p, item);
        if (error) {
                fail(item, error);
                return;
        }
        /* What R waits for may have come between its answer function's look and now. */
        index_wake(p->index);
}

/* Take an item off the list that is ready and was not looked at in this round, or NULL. */
static struct parked *take_ready(struct park *p)
{
        scoped_lock(&p->lock);

        for (struct parked *item = p->first; item; item = item->next) {
                struct request *r = &item->request;

                if (item->asked == p->round)
                        continue;
                item->asked = p->round;
                if (r->ready && !r->ready(p->ctx, r))
                        continue;
                list_remove(p, item);
                item->state = PARKED_BUSY;
                return item;
        }
        return NULL;
}

/* Take an item off the list, or NULL. */
static struct parked *take_first(struct park *p)
{
        struct parked *item;
        scoped_lock(&p->lock);

        item = p->first;
        if (!item)
                return NULL;
        list_remove(p, item);
        item->state = PARKED_BUSY;
        return item;
}

/* Answer every parked request that is ready. Those that must wait on are put back at the end. */
static void try_ready(struct park *p)
{
        struct parked *item, *waiting = NULL;

        p->round++;
        while ((item = take_ready(p))) {
                struct request *r = &item->request;

                /* Interrupts wait until it is known whether the request was answered. */
                fuse_req_interrupt_func(r->req, NULL, NULL);
                if (r->answer(p->ctx, r)) {
                        free(item);
                        continue;
                }
                item->next = waiting;
                waiting = item;
        }
        while ((item = waiting)) {
                int error;

                waiting = item->next;
                item->state = PARKED_NEW;
                fuse_req_interrupt_func(item->request.req, interrupted, item);
                error = settle(p, item);
                if (error)
                        fail(item, error);
        }
}

/* Wait until something is parked. False: stop. */
static bool wait_for_work(struct park *p)
{
        scoped_lock(&p->lock);

        while (!p->first && !p->stopping)
                pthread_cond_wait(&p->added, &p->lock);
        return !p->stopping;
}

static void *work(void *arg)
{
        /* A scan advances many thousand times a second; checking that often would not help. */
        static const struct timespec breath = {.tv_nsec = 1000000};
        struct park *p = arg;
        uint64_t seen = 0;

        while (wait_for_work(p)) {
                try_ready(p);
                index_wait(p->index, &seen);
                nanosleep(&breath, NULL);
        }
        return NULL;
}

struct park *park_new(struct index *index, void *ctx)
{
        struct park *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->index = index;
        p->ctx = ctx;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->added, NULL);
        if (pthread_create(&p->worker, NULL, work, p) != 0) {
                free(p);
                return NULL;
        }
        return p;
}

bool park_stop(struct park *p)
{
        struct timespec limit;
        struct parked *item;

        {
                scoped_lock(&p->lock);
                p->stopping = true;
                pthread_cond_signal(&p->added);
        }
        while ((item = take_first(p)))
                fail(item, ENOTCONN);
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 3;
        return pthread_timedjoin_np(p->worker, NULL, &limit) == 0;
}

void park_free(struct park *p)
{
        if (!p)
                return;
        pthread_cond_destroy(&p->added);
        pthread_mutex_destroy(&p->lock);
        free(p);
}
