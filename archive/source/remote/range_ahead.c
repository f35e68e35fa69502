/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/remote/range_ahead.h"

#include <stddef.h>

#include "archive/bytes.h"

/* Readers of the same stream ask in any order, and pass over a little. */
enum { SLACK = 1 << 20 };

/* The track that a read at OFFSET goes on with, or the one to be used anew. */
static struct range_track *find(struct range_ahead *a, uint64_t offset)
{
        struct range_track *stalest = &a->tracks[0];

        for (size_t i = 0; i < RANGE_AHEAD_TRACKS; i++) {
                struct range_track *t = &a->tracks[i];

                if (t->tick && offset + SLACK >= t->next &&
                    offset <= max_u64(t->next, t->end) + (t->window ? SLACK : 0))
                        return t;
                if (t->tick < stalest->tick)
                        stalest = t;
        }
        *stalest = (struct range_track){.next = UINT64_MAX};
        return stalest;
}

void range_ahead_note(struct range_ahead *a, uint64_t offset, uint64_t len, uint64_t *first,
                      uint64_t *end)
{
        struct range_track *t = find(a, offset);
        bool moved;

        *first = *end = 0;
        t->tick = ++a->tick;
        if (t->next == UINT64_MAX) {
                t->last = offset;
                t->next = t->end = offset + len;
                return;
        }
        moved = offset > t->last && offset + len > t->next;
        t->last = max_u64(t->last, offset);
        t->next = max_u64(t->next, offset + len);
        if (t->announced && t->next <= t->end)
                return;
        t->announced = false;
        if (!moved)
                return;
        if (!t->moved) {
                t->moved = true;
                return;
        }
        t->end = max_u64(t->end, t->next);
        /* Half of it is still to come: the next requests begin before these are used up. */
        if (t->window && t->end - t->next > t->window / 2)
                return;
        t->window = t->window ? min_u64(t->window * 2, RANGE_AHEAD_MAX) : RANGE_AHEAD_MIN;
        *first = t->end;
        *end = t->end = max_u64(t->end, t->next + t->window);
}

void range_ahead_announce(struct range_ahead *a, uint64_t offset, uint64_t len)
{
        struct range_track *t = find(a, offset);

        *t = (struct range_track){.last = offset,
                                  .next = offset,
                                  .end = offset + len,
                                  .tick = ++a->tick,
                                  .announced = true};
}
