/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/decoder/turns.h"

#include <stdbool.h>

#include "archive/cleanup.h"

/* A thread that waits, on its stack. Each has a condition of its own, so that no other is woken. */
struct turn {
        TAILQ_ENTRY(turn) next;
        uint64_t place;
        unsigned passed; /* so many that came later had their turn */
        pthread_cond_t given;
        bool is_given;
};

void turns_init(struct turns *t, unsigned most)
{
        *t = (struct turns){.most = most};
        TAILQ_INIT(&t->queue);
        pthread_mutex_init(&t->lock, NULL);
}

void turns_fini(struct turns *t)
{
        pthread_mutex_destroy(&t->lock);
}

/* Caller holds the lock. */
static void wait_for_one(struct turns *t, uint64_t place)
{
        struct turn mine = {.place = place};

        pthread_cond_init(&mine.given, NULL);
        TAILQ_INSERT_TAIL(&t->queue, &mine, next);
        t->waiting++;
        while (!mine.is_given)
                pthread_cond_wait(&mine.given, &t->lock);
        pthread_cond_destroy(&mine.given);
}

void turns_begin(struct turns *t, uint64_t place)
{
        scoped_lock(&t->lock);

        if (t->most > 0 && t->taken == t->most)
                wait_for_one(t, place);
        else
                t->taken++;
}

/* Whose turn is next; NULL: nobody waits. Caller holds the lock. */
static struct turn *choose(struct turns *t)
{
        struct turn *at, *best = TAILQ_FIRST(&t->queue);

        if (!best || best->passed >= TURNS_PATIENCE)
                return best;
        TAILQ_FOREACH(at, &t->queue, next)
        if (at->place < best->place)
                best = at;
        TAILQ_FOREACH(at, &t->queue, next)
        {
                if (at == best)
                        break;
                at->passed++;
        }
        return best;
}

/* The turn goes on to another thread, so that none that comes meanwhile takes it away. */
void turns_end(struct turns *t)
{
        struct turn *next;
        scoped_lock(&t->lock);

        next = choose(t);
        if (!next) {
                t->taken--;
                return;
        }
        TAILQ_REMOVE(&t->queue, next, next);
        t->waiting--;
        next->is_given = true;
        pthread_cond_signal(&next->given);
}
