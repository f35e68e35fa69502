/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pass that decodes only what it has to: see codec_ops.skip.
 *
 *   decoded ==|== passed over ==|== passed over ==|== passed over |
 *             point             point             point           ^ where the walk is
 *                                                 ^ the frontier: all before it is finished
 *
 * There is no tail meanwhile. What is read before the frontier is decoded on demand: whole segments
 * for readers, as always; for the pass's own thread, which reads a header here and there, only the
 * piece that holds it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"

/* End what was decoded last here. */
static int drop_tail(struct stream *st)
{
        struct block *tail = st->tail;

        if (!tail)
                return 0;
        if (st->decoded > st->tail_start)
                return stream_retire_tail(st, st->decoded, NULL);
        stream_set_tail(st, NULL, st->decoded);
        blockcache_put(st->cache, tail);
        return 0;
}

/* What comes next has to be decoded, into a tail. */
static int make_tail(struct stream *st)
{
        struct block *tail;
        int rc = blockcache_prepare(st->cache, st->decoded, RESTART_SEGMENT_MAX, &tail);

        if (rc == 0)
                stream_set_tail(st, tail, st->decoded);
        return rc;
}

int stream_skip(struct stream *st, struct error *err)
{
        ssize_t n = st->codec->skip(st->pass, st->builder, err);
        int rc = 0;

        if (n < 0)
                return (int)n;
        if (n > 0)
                rc = drop_tail(st);
        if (rc == 0 && !st->tail) {
                struct codec_trust trust = st->codec->trust(st->pass);

                st->decoded = restart_segment_start(st->builder);
                rc = stream_believe(st, &trust);
        }
        if (rc == 0 && n == 0 && !st->tail)
                rc = make_tail(st);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        if (n > 0)
                stream_forget(st, restart_keep_from(st->builder));
        return n > 0;
}

bool stream_wants_piece(struct stream *st, const struct restart_segment *segment)
{
        return segment->point.by_sums && pthread_equal(st->scanner, pthread_self()) && !st->ended &&
               !blockcache_contains(st->cache, segment->point.out);
}

static void piece_free(struct piece *p)
{
        free(p->bytes);
        *p = (struct piece){0};
}

/* Decode the piece of SEGMENT that byte OFFSET of the stream lies in. */
static int get_piece(struct stream *st, const struct restart_segment *segment, uint64_t offset,
                     struct piece *p)
{
        struct codec_piece where = {0};
        struct error err = {0};
        int rc;

        piece_free(p);
        rc = segments_piece(st->segments, segment, offset - segment->point.out, &p->bytes, &where,
                            &err);
        if (rc == -EIO)
                stream_note_damage(st, &err);
        if (rc < 0)
                return rc;
        p->start = segment->point.out + where.start;
        p->end = p->start + where.len;
        return 0;
}

static ssize_t copy_piece(const struct piece *p, void *buf, size_t len, uint64_t offset)
{
        size_t n = (size_t)min_u64(len, p->end - offset);

        memcpy(buf, (const char *)p->bytes + (offset - p->start), n);
        return (ssize_t)n;
}

ssize_t stream_read_piece(struct stream *st, const struct restart_segment *segment, void *buf,
                          size_t len, uint64_t offset)
{
        bool own = pthread_equal(st->scanner, pthread_self());
        struct piece other = {0};
        struct piece *p = own ? &st->seen : &other;
        ssize_t n = 0;

        if (offset < p->start || offset >= p->end)
                n = get_piece(st, segment, offset, p);
        if (n == 0)
                n = copy_piece(p, buf, len, offset);
        piece_free(&other);
        return n;
}
