/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the pass goes on behind damage.
 *
 *   segment | the last one in front | gap: nobody reads it | segments again
 *                        ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~^ the frontier, and a point
 *                        st->gaps: what was returned but is not believed, and what is lost
 */
#include <errno.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart.h"
#include "archive/stream/stream_internal.h"

/* The tail ends at the frontier, and after LOST bytes that nobody has another begins. */
static int skip_gap(struct stream *st, const struct codec_gap *gap)
{
        uint64_t frontier = st->frontier, after = frontier + gap->lost;
        struct block *next = NULL;
        int rc = restart_skip(st->builder, gap->in_end * 8, gap->lost);

        if (rc == 0)
                rc = restart_here(st->builder, gap->in_bit, gap->aux, gap->history,
                                  gap->history_len);
        if (rc == 0)
                rc = blockcache_prepare(st->cache, after, RESTART_SEGMENT_MAX, &next);
        if (rc < 0)
                return rc;
        if (frontier == st->tail_start) {
                struct block *empty = st->tail;

                stream_set_tail(st, next, after);
                blockcache_put(st->cache, empty);
                return 0;
        }
        rc = stream_retire_tail(st, frontier, next);
        if (rc < 0)
                blockcache_put(st->cache, next);
        else
                stream_set_tail(st, next, after);
        return rc;
}

int stream_resume(struct source *s, struct source_gap *gap, struct error *err)
{
        struct stream *st = (struct stream *)s;
        uint64_t frontier = st->frontier;
        struct codec_gap found;
        int rc;

        if (st->failure.code != EIO || !st->codec->resume)
                return 0;
        rc = st->codec->resume(st->pass, frontier, &found);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        /* Whatever a codec finds: without progress there is no end. */
        if (rc > 0 && (found.in_bit <= st->resumed_bit || found.lost > SOURCE_SIZE_UNKNOWN / 4))
                rc = 0;
        *gap = (struct source_gap){frontier - min_u64(frontier, found.doubt),
                                   frontier + (rc > 0 ? found.lost : 0)};
        if (gaps_add(&st->gaps, *gap) < 0)
                return 0;
        if (rc == 0)
                return 0;
        st->resumed_bit = found.in_bit;
        rc = skip_gap(st, &found);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        atomic_store_explicit(&st->frontier, gap->end, memory_order_release);
        stream_forget(st, gap->end);
        st->failure = (struct error){0};
        atomic_store(&st->failed, false);
        return 1;
}
