/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/decoder/turns.h"

#include <stdbool.h>

#include "archive/cleanup.h"

/* A thread that waits, on its stack. Each has a condition of its own, so that no other is woken. */
struct turn {
        STAILQ_ENTRY(turn) next;
        pthread_cond_t given;
        bool is_given;
};

void turns_init(struct turns *t, unsigned most)
{
        *t = (struct turns){.most = most};
        STAILQ_INIT(&t->queue);
        pthread_mutex_init(&t->lock, NULL);
}

void turns_fini(struct turns *t)
{
        pthread_mutex_destroy(&t->lock);
}

/* Caller holds the lock. */
static void wait_for_one(struct turns *t)
{
        struct turn mine = {0};

        pthread_cond_init(&mine.given, NULL);
        STAILQ_INSERT_TAIL(&t->queue, &mine, next);
        t->waiting++;
        while (!mine.is_given)
                pthread_cond_wait(&mine.given, &t->lock);
        pthread_cond_destroy(&mine.given);
}

void turns_begin(struct turns *t)
{
        scoped_lock(&t->lock);

        if (t->most > 0 && t->taken == t->most)
                wait_for_one(t);
        else
                t->taken++;
}

/* The turn goes on to the next thread, so that none that comes meanwhile takes it away. */
void turns_end(struct turns *t)
{
        struct turn *next;
        scoped_lock(&t->lock);

        next = STAILQ_FIRST(&t->queue);
        if (!next) {
                t->taken--;
                return;
        }
        STAILQ_REMOVE_HEAD(&t->queue, next);
        t->waiting--;
        next->is_given = true;
        pthread_cond_signal(&next->given);
}
