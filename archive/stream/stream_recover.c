/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Continues the pass after damage.
 *
 *   segment | the last one before | gap: nobody reads it | segments again
 *                    ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~^ the frontier, and a point
 *                    st->lost: what is withheld, and what is lost
 */
#include <errno.h>
#include <stdatomic.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/stream_internal.h"

/*
 * End the tail where decoding stopped, and begin another one after LOST bytes, which nobody can
 * read.
 */
static int skip_gap(struct stream *st, const struct codec_lost_range *gap)
{
        uint64_t here = st->decoded, after = here + gap->lost;
        struct block *next = NULL;
        int rc = restart_skip(st->builder, gap->in_end * 8, gap->lost);

        if (rc == 0)
                rc = restart_here(st->builder, gap->in_bit, gap->aux, gap->history,
                                  gap->history_len);
        if (rc == 0)
                rc = blockcache_prepare(st->cache, after, RESTART_SEGMENT_MAX, &next);
        if (rc < 0)
                return rc;
        if (here == st->tail_start) {
                struct block *empty = st->tail;

                stream_set_tail(st, next, after);
                blockcache_put(st->cache, empty);
                return 0;
        }
        rc = stream_retire_tail(st, here, next);
        if (rc < 0)
                blockcache_put(st->cache, next);
        else
                stream_set_tail(st, next, after);
        return rc;
}

/*
 * Go on from what the codec has found, but only if the input has advanced. Otherwise this might
 * never end.
 */
static bool is_progress(const struct stream *st, const struct codec_lost_range *found)
{
        return found->in_bit > st->recovered_bit && found->lost <= SOURCE_SIZE_UNKNOWN / 4;
}

/* Nothing more can be decoded: the stream ends here. */
static int end_early(struct stream *st)
{
        st->base.size = st->decoded;
        st->ended = true;
        return 0;
}

static int go_on(struct stream *st, const struct codec_lost_range *found)
{
        int rc = stream_lose(st, st->decoded + found->lost, found->exact);

        if (rc == 0)
                rc = skip_gap(st, found);
        if (rc < 0)
                return rc;
        st->recovered_bit = found->in_bit;
        st->settled = st->decoded += found->lost;
        stream_forget(st, st->decoded);
        return 1;
}

static int tell(const struct stream *st, const struct error *why)
{
        const struct source_observer *o = &st->observer;

        return o->damaged ? o->damaged(o->ctx, st->decoded, why) : 0;
}

int stream_recover(struct stream *st, const struct error *why)
{
        bool believed = st->believed || st->frontier > st->settled;
        struct codec_lost_range found = {0};
        int rc = tell(st, why), recovered = 0;

        stream_note_damage(st, why);
        if (rc == 0 && st->codec->recover)
                rc = recovered = st->codec->recover(st->pass, st->decoded, &found);
        if (rc < 0)
                return rc;
        if (found.sound && st->suspect <= st->frontier)
                atomic_store_explicit(&st->frontier, st->decoded, memory_order_release);
        st->believed = found.inside && believed;
        rc = stream_lose(st, st->decoded, found.exact);
        if (rc < 0)
                return rc;
        return recovered && is_progress(st, &found) ? go_on(st, &found) : end_early(st);
}
