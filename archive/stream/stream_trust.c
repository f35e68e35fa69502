/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decides which decoded bytes are trusted, and when.
 *
 *   members    | proven | proven | in progress                      ...
 *   short one  |=================|~~~~~~~~~~~~~~~|                       waits for its checksum
 *   long one   |=========================|~~~~~~~~~~ SOURCE_WITHHELD |   the last of it waits
 *                                        ^ frontier                  ^ decoded
 *
 * So a member of at most SOURCE_WITHHELD bytes is trusted as a whole or not at all. In a longer
 * one, the checksum comes too late for all but its end.
 *
 * The checksum of a damaged member cannot be compared any more. If nothing of the member was
 * trusted yet, all of it is lost, since there may be more damage than the decoder has noticed.
 * Otherwise its rest is as good as the part that was trusted.
 */
#include <stdatomic.h>

#include "archive/bytes.h"
#include "archive/stream/codec.h"
#include "archive/stream/lost_ranges.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "archive/stream/stream_internal.h"

static void move_frontier(struct stream *st, uint64_t to)
{
        atomic_store_explicit(&st->frontier, to, memory_order_release);
}

int stream_lose(struct stream *st, uint64_t end, bool exact)
{
        struct source_lost_range gap = {.start = st->frontier, .end = end, .exact = exact};
        int rc;

        if (end <= gap.start)
                return 0;
        rc = lost_ranges_add(&st->lost, gap);
        if (rc == 0)
                move_frontier(st, end);
        return rc;
}

/* Does a checksum prove everything withheld, up to where damage is suspected? */
static bool is_cleared(const struct stream *st, const struct codec_trust *t)
{
        return t->proven_from <= st->frontier && st->suspect <= t->proven;
}

int stream_believe(struct stream *st, const struct codec_trust *t)
{
        uint64_t to = max_u64(min_u64(t->settled, st->decoded),
                              st->decoded - min_u64(st->decoded, st->withheld));
        int rc = 0;

        if (t->settled > st->settled) {
                if (!st->believed)
                        rc = stream_lose(st, t->broken, false);
                st->believed = false;
                st->settled = t->settled;
        }
        if (rc == 0 && to > st->frontier) {
                if (st->suspect > st->frontier && !is_cleared(st, t))
                        rc = stream_lose(st, st->suspect, false);
                if (rc == 0 && to > st->frontier)
                        move_frontier(st, to);
        }
        return rc;
}

void stream_withhold(struct source *s, uint64_t bytes)
{
        ((struct stream *)s)->withheld = bytes;
}

uint64_t stream_frontier(struct source *s)
{
        return atomic_load_explicit(&((struct stream *)s)->frontier, memory_order_acquire);
}

uint64_t stream_decoded(struct source *s)
{
        return ((const struct stream *)s)->decoded;
}

void stream_suspect(struct source *s, uint64_t offset)
{
        struct stream *st = (struct stream *)s;

        st->suspect = max_u64(st->suspect, min_u64(offset, st->decoded));
}

bool stream_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap)
{
        return lost_ranges_find(&((struct stream *)s)->lost, from, gap);
}
