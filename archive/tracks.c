/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tracks.h"

#include "archive/cleanup.h"

void tracks_init(struct tracks *t)
{
        pthread_mutex_init(&t->lock, NULL);
}

void tracks_fini(struct tracks *t)
{
        pthread_mutex_destroy(&t->lock);
}

/* The track that segment INDEX continues, or the stalest for a new one. Caller holds the lock. */
static struct track *find(struct tracks *t, size_t index)
{
        struct track *stalest = &t->track[0];

        for (size_t i = 0; i < TRACKS; i++) {
                struct track *at = &t->track[i];

                if (at->tick && (at->index == index || at->index + 1 == index))
                        return at;
                if (at->tick < stalest->tick)
                        stalest = at;
        }
        *stalest = (struct track){.index = index, .ahead = index};
        return stalest;
}

void tracks_note(struct tracks *t, size_t index, size_t depth, size_t *first, size_t *end)
{
        struct track *at;
        scoped_lock(&t->lock);

        *first = *end = 0;
        at = find(t, index);
        at->tick = ++t->tick;
        if (at->index == index)
                return;
        *first = at->ahead > index ? at->ahead + 1 : index + 1;
        *end = index + 1 + depth;
        at->index = index;
        at->ahead = *end - 1;
}
