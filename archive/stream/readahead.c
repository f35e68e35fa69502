/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/readahead.h"

#include "archive/cleanup.h"

enum { STALE = 256 }; /* a track is stale after so many reads by others */

void readahead_init(struct readahead *t)
{
        pthread_mutex_init(&t->lock, NULL);
}

void readahead_fini(struct readahead *t)
{
        pthread_mutex_destroy(&t->lock);
}

static size_t distance(size_t a, size_t b)
{
        return a > b ? a - b : b - a;
}

/* The closest track to which segment INDEX is NEAR, or the stalest track. Caller holds the lock. */
static struct reader_track *find(struct readahead *t, size_t index, size_t near)
{
        struct reader_track *nearest = NULL, *stalest = &t->track[0];

        for (size_t i = 0; i < READAHEAD_TRACKS; i++) {
                struct reader_track *at = &t->track[i];

                if (at->tick < stalest->tick)
                        stalest = at;
                if (!at->tick || distance(at->index, index) > near)
                        continue;
                if (!nearest || distance(at->index, index) < distance(nearest->index, index))
                        nearest = at;
        }
        if (nearest)
                return nearest;
        *stalest = (struct reader_track){.index = index, .ahead = index};
        return stalest;
}

/* Merge the tracks of a reader that has caught up with another. Caller holds the lock. */
static void merge(struct readahead *t, const struct reader_track *at, size_t near)
{
        for (size_t i = 0; i < READAHEAD_TRACKS; i++) {
                struct reader_track *other = &t->track[i];

                if (other != at && other->tick && distance(other->index, at->index) <= near)
                        *other = (struct reader_track){0};
        }
}

void readahead_note(struct readahead *t, size_t index, size_t near, size_t depth, size_t *first,
                    size_t *end)
{
        struct reader_track *at;
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

bool readahead_followed(struct readahead *t, size_t index, size_t near, size_t reach)
{
        scoped_lock(&t->lock);

        for (size_t i = 0; i < READAHEAD_TRACKS; i++) {
                const struct reader_track *at = &t->track[i];

                if (at->sequential && at->index < index && index - at->index > near &&
                    index - at->index <= reach && t->tick - at->tick < STALE)
                        return true;
        }
        return false;
}
