/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/growth.h"

#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <nbdkit-plugin.h>
#include <time.h>

#include "archive/cleanup.h"
#include "index/index.h"

enum {
        TICK_NS = 50000000,  /* how often a request that waits looks for its client */
        BREATH_NS = 1000000, /* a scan advances many thousand times a second */
};

void growth_init(struct growth *g)
{
        pthread_condattr_t monotonic;

        *g = (struct growth){0};
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->wanted, NULL);
        pthread_cond_init(&g->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

void growth_fini(struct growth *g)
{
        pthread_cond_destroy(&g->changed);
        pthread_cond_destroy(&g->wanted);
        pthread_mutex_destroy(&g->lock);
}

/* ---- the waker ---- */

/* False: it ends. */
static bool wait_for_waiter(struct growth *g)
{
        scoped_lock(&g->lock);

        while (g->waiting == 0 && !g->ending)
                pthread_cond_wait(&g->wanted, &g->lock);
        return !g->ending;
}

static void begin_round(struct growth *g)
{
        scoped_lock(&g->lock);

        g->round++;
        pthread_cond_broadcast(&g->changed);
}

static void *wake(void *arg)
{
        static const struct timespec breath = {.tv_nsec = BREATH_NS};
        struct growth *g = arg;
        uint64_t seen = 0;

        while (wait_for_waiter(g)) {
                index_wait(g->index, &seen);
                begin_round(g);
                nanosleep(&breath, NULL);
        }
        return NULL;
}

int growth_start(struct growth *g, struct index *index)
{
        int rc;

        g->index = index;
        rc = pthread_create(&g->waker, NULL, wake, g);
        g->started = rc == 0;
        return -rc;
}

void growth_stop(struct growth *g)
{
        if (!g->started)
                return;
        {
                scoped_lock(&g->lock);
                g->ending = true;
                pthread_cond_signal(&g->wanted);
        }
        pthread_join(g->waker, NULL);
        g->started = false;
}

/* ---- requests ---- */

/* Wait for a tick. Has a round begun since ROUND? */
static bool wait_tick(struct growth *g, uint64_t round)
{
        struct timespec until;
        int rc = 0;
        scoped_lock(&g->lock);

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NS;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        g->waiting++;
        pthread_cond_signal(&g->wanted);
        while (g->round == round && rc == 0)
                rc = pthread_cond_timedwait(&g->changed, &g->lock, &until);
        g->waiting--;
        return g->round != round;
}

static int wait_for_next(struct growth *g, uint64_t round)
{
        bool changed;

        do {
                changed = wait_tick(g, round);
                /* Without a time to sleep, it only looks whether there is a client. */
                if (nbdkit_nanosleep(0, 0) < 0)
                        return -ESHUTDOWN;
        } while (!changed);
        return 0;
}

int growth_until(struct growth *g, int (*attempt)(void *ctx), void *ctx)
{
        int rc, gone = 0;

        do {
                /* Asked for before the index is looked at, so that no change is missed. */
                uint64_t round = g->round;

                rc = attempt(ctx);
                if (rc == -EAGAIN)
                        gone = wait_for_next(g, round);
        } while (rc == -EAGAIN && gone == 0);
        return gone < 0 ? gone : rc;
}
