/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/readahead.h"

#include "archive/cleanup.h"

enum { STALE = 256 }; /* reads by anybody since a reader's last */

void tracks_init(struct tracks *t)
{
        pthread_mutex_init(&t->lock, NULL);
}

void tracks_fini(struct tracks *t)
{
        pthread_mutex_destroy(&t->lock);
}

static size_t distance(size_t a, size_t b)
{
        return a > b ? a - b : b - a;
}

/* The nearest track that segment INDEX is NEAR to, or the stalest. Caller holds the lock. */
static struct track *find(struct tracks *t, size_t index, size_t near)
{
        struct track *nearest = NULL, *stalest = &t->track[0];

        for (size_t i = 0; i < TRACKS; i++) {
                struct track *at = &t->track[i];

                if (at->tick < stalest->tick)
                        stalest = at;
                if (!at->tick || distance(at->index, index) > near)
                        continue;
                if (!nearest || distance(at->index, index) < distance(nearest->index, index))
                        nearest = at;
        }
        if (nearest)
                return nearest;
        *stalest = (struct track){.index = index, .ahead = index};
        return stalest;
}

/* Who has caught up with another is told apart from him no more. Caller holds the lock. */
static void merge(struct tracks *t, const struct track *at, size_t near)
{
        for (size_t i = 0; i < TRACKS; i++) {
                struct track *other = &t->track[i];

                if (other != at && other->tick && distance(other->index, at->index) <= near)
                        *other = (struct track){0};
        }
}

void tracks_note(struct tracks *t, size_t index, size_t near, size_t depth, size_t *first,
                 size_t *end)
{
        struct track *at;
        scoped_lock(&t->lock);

        *first = *end = 0;
        at = find(t, index, near);
        at->tick = ++t->tick;
        if (index <= at->index)
                return;
        *first = at->ahead > index ? at->ahead + 1 : index + 1;
        *end = index + 1 + depth;
        at->index = index;
        at->ahead = *end - 1;
        at->sequential = true;
        merge(t, at, near);
}

bool tracks_followed(struct tracks *t, size_t index, size_t near, size_t reach)
{
        scoped_lock(&t->lock);

        for (size_t i = 0; i < TRACKS; i++) {
                const struct track *at = &t->track[i];

                if (at->sequential && at->index < index && index - at->index > near &&
                    index - at->index <= reach && t->tick - at->tick < STALE)
                        return true;
        }
        return false;
}
