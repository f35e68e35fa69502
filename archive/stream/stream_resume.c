/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Begins a pass where another one was interrupted.
 *
 *   table    |=segment=|=segment=|=segment=|= growing, empty
 *   recalled              |=======|========|             decoded again: as far as the codec recalls
 *   frontier                        ^                    what follows it waits for its checksum
 *   decoded                                ^ the pass goes on, with its state
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/codec.h"
#include "archive/stream/notes.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/stream.h"
#include "archive/stream/stream_internal.h"

void stream_resume_fini(struct stream_resume *r)
{
        restart_table_free(r->take_table);
        notes_free(r->take_notes);
        *r = (struct stream_resume){0};
}

/* Hold what the codec may recall, up to HERE. */
static int decode_recalled(struct stream *st, uint64_t here)
{
        uint64_t at = restart_keep_from(st->builder);

        while (at < here) {
                struct restart_segment segment;
                struct block *block;
                int rc;

                if (!restart_find(st->table, at, &segment))
                        return -EINVAL;
                rc = stream_get_segment(st, &segment, &block);
                if (rc < 0)
                        return rc;
                rc = stream_hold_recalled(st, block, segment.point.out, segment.end);
                if (rc < 0) {
                        blockcache_put(st->cache, block);
                        return rc;
                }
                at = segment.end;
        }
        return 0;
}

static int begin_codec(struct stream *st, const struct codec_limits *limits,
                       struct stream_resume *take, const struct restart_segment *here,
                       struct error *err)
{
        void *history;
        int rc = restart_history(st->table, here->index, &history);

        if (rc < 0)
                return rc == -ENODATA ? -EINVAL : rc;
        rc = st->codec->pass_resume(st->in, limits, &here->point, history, &take->state,
                                    st->builder, &st->pass, err);
        if (rc == 0)
                st->settled = st->codec->trust(st->pass).settled;
        return rc;
}

int stream_begin_resumed(struct stream *st, const struct codec_limits *limits,
                         struct stream_resume *take, struct error *err)
{
        struct restart_segment here;
        struct block *tail = NULL;
        int rc = st->codec->pass_resume && restart_growing(st->table, &here) ? 0 : -EINVAL;

        if (rc == 0)
                rc = restart_builder_resume(st->table, stream_recall, st, &take->state,
                                            limits->keep, &st->builder);
        if (rc == 0)
                rc = decode_recalled(st, here.point.out);
        if (rc == 0)
                rc = blockcache_prepare(st->cache, here.point.out, RESTART_SEGMENT_MAX, &tail);
        if (rc == 0) {
                stream_set_tail(st, tail, here.point.out);
                st->decoded = here.point.out;
                atomic_store(&st->frontier, min_u64(take->frontier, here.point.out));
                rc = begin_codec(st, limits, take, &here, err);
        }
        if (rc < 0)
                error_fill(err, -rc, "the pass cannot go on where it was interrupted");
        return rc;
}
