/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What readers leave of segments (leftovers.h), or will want of them, is kept as small blocks of
 * the cache.
 */
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/stream/decoder/paused.h"
#include "archive/stream/parts.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/* Whoever reads in sequence has left a segment that is so far before the one he is in. */
#define LEFT_REACH (UINT64_C(128) << 20)

struct block *stream_hold_leftover(struct stream *st, const struct restart_segment *segment,
                                   uint64_t offset, uint64_t *start, uint64_t *end)
{
        uint64_t at = segment->point.out;
        struct block *block;

        at += (offset - at) / STRAY_UNIT * STRAY_UNIT;
        block = blockcache_get_ready(st->strays, at);
        if (block) {
                *start = at;
                *end = min_u64(at + STRAY_UNIT, segment->end);
        }
        return block;
}

/*
 * Keep the unit at byte AT of the segment of LEN bytes at START, whose bytes DATA has. Without
 * memory for a unit it is decoded again when it is wanted.
 */
static void keep_unit(struct stream *st, uint64_t start, uint64_t len, uint64_t at,
                      const uint8_t *data)
{
        struct block *block;

        if (blockcache_contains(st->strays, start + at) ||
            blockcache_prepare(st->strays, start + at, STRAY_UNIT, &block) < 0)
                return;
        len = min_u64(STRAY_UNIT, len - at);
        memcpy(block_data(block), data + at, len);
        blockcache_add(st->strays, block, len);
        blockcache_put(st->strays, block);
}

void stream_leave_segments(struct stream *st, const struct restart_segment *segment)
{
        uint64_t start = segment->point.out, near = STREAM_IN_FLIGHT;
        struct left_segment left;

        while (leftovers_leave(&st->leftovers, start - min_u64(start, near), LEFT_REACH, &left)) {
                struct block *block = blockcache_get_ready(st->cache, left.start);

                if (!block)
                        continue;
                for (size_t i = 0; i < left.count; i++)
                        keep_unit(st, left.start, left.len, left.units[i] * STRAY_UNIT,
                                  block_data(block));
                /* It has served its time. */
                blockcache_put_read(st->cache, block, (size_t)left.len);
        }
}

void stream_note_read(struct source *s, uint64_t offset, uint64_t len)
{
        struct stream *st = (struct stream *)s;

        while (len > 0) {
                struct restart_segment segment;
                uint64_t n;

                if (!restart_find(st->table, offset, &segment))
                        return;
                n = min_u64(len, segment.end - offset);
                leftovers_note(&st->leftovers, segment.point.out, segment.end - segment.point.out,
                               offset - segment.point.out, n);
                offset += n;
                len -= n;
        }
}

/* ---- what is expected ---- */

void stream_init_expected(struct stream *st)
{
        pthread_mutex_init(&st->expected.lock, NULL);
        STAILQ_INIT(&st->expected.jobs);
}

static struct expected *take_job(struct stream *st)
{
        struct expectations *x = &st->expected;
        struct expected *e;
        scoped_lock(&x->lock);

        e = STAILQ_FIRST(&x->jobs);
        if (e) {
                STAILQ_REMOVE_HEAD(&x->jobs, next);
                x->count--;
        }
        return e;
}

void stream_fini_expected(struct stream *st)
{
        struct expected *e;

        while ((e = take_job(st)))
                free(e);
        pthread_mutex_destroy(&st->expected.lock);
}

/* What a job is about. */
struct wanted {
        struct stream *st;
        const struct expected *job;
        uint64_t start, len; /* of the segment */
};

/* Keep all that is wanted of DATA. Or with DATA NULL: is it kept already? */
static bool keep_wanted(const struct wanted *w, const uint8_t *data)
{
        for (size_t i = 0; i < w->job->count; i++) {
                uint64_t at = w->job->ranges[i].start - w->start;

                for (at -= at % STRAY_UNIT; w->start + at < w->job->ranges[i].end; at += STRAY_UNIT)
                        if (data)
                                keep_unit(w->st, w->start, w->len, at, data);
                        else if (!blockcache_contains(w->st->strays, w->start + at))
                                return false;
        }
        return true;
}

static void use_decoded(void *ctx, const uint8_t *data, uint64_t done)
{
        (void)done;
        keep_wanted(ctx, data);
}

/* How much of the segment is wanted, from its beginning. */
static uint64_t wanted_end(const struct wanted *w)
{
        uint64_t end = 0;

        for (size_t i = 0; i < w->job->count; i++)
                end = max_u64(end, w->job->ranges[i].end - w->start);
        return end;
}

/* Keep what is wanted of a block in memory. False: it is in none. */
static bool keep_from_memory(const struct wanted *w, uint64_t end)
{
        struct block *block = blockcache_get_ready(w->st->cache, w->start);

        if (!block)
                block = blockcache_get_ready(w->st->cache, w->start | PAUSED_KEY);
        if (!block)
                return false;
        if (end <= block_len(block))
                keep_wanted(w, block_data(block));
        else
                end = 0;
        blockcache_put(w->st->cache, block);
        return end > 0;
}

/* Decode SEGMENT as far as it is wanted. What cannot be had now, the reader asks for himself. */
static void decode_wanted(struct wanted *w, const struct restart_segment *segment)
{
        struct paused *paused = segments_paused(w->st->segments);
        uint64_t end = wanted_end(w);
        struct block *block;

        if (keep_wanted(w, NULL) || keep_from_memory(w, end))
                return;
        if (round_up(end, PART_SIZE) < w->len && paused_suits(paused, segment) &&
            !blockcache_contains(w->st->cache, w->start)) {
                paused_reach(paused, segment, end, use_decoded, w, NULL, NULL);
                return;
        }
        if (stream_get_segment(w->st, segment, &block) < 0)
                return;
        keep_wanted(w, block_data(block));
        blockcache_put_read(w->st->cache, block, (size_t)w->len);
}

/* A worker's job. */
static void meet_expectation(void *ctx, size_t none)
{
        struct stream *st = ctx;
        cleanup_free struct expected *job = take_job(st);
        struct restart_segment segment;
        struct wanted w = {.st = st, .job = job};

        (void)none;
        if (!job || !restart_get(st->table, job->index, &segment))
                return;
        w.start = segment.point.out;
        w.len = segment.end - segment.point.out;
        decode_wanted(&w, &segment);
}

bool stream_unit(struct source *s, uint64_t offset, struct source_range *out)
{
        struct stream *st = (struct stream *)s;
        struct restart_segment segment;

        if (!restart_find(st->table, offset, &segment))
                return false;
        *out = (struct source_range){segment.point.out, segment.end};
        return true;
}

bool stream_is_led(struct stream *st, size_t index)
{
        struct expectations *x = &st->expected;
        scoped_lock(&x->lock);

        for (size_t i = 0; i < EXPECTED_WHOLE; i++)
                if (x->whole[i] == index + 1)
                        return true;
        return false;
}

/* All of SEGMENT will be read. One that continues is decoded in its turn. */
static void expect_whole(struct stream *st, const struct restart_segment *segment)
{
        struct expectations *x = &st->expected;
        scoped_lock(&x->lock);

        if (!segment->point_held)
                return;
        x->whole[x->whole_at++ % EXPECTED_WHOLE] = segment->index + 1;
        if (!blockcache_contains(st->cache, segment->point.out))
                workers_submit(st->workers, WORK_SOON, stream_read_ahead, st, segment->index);
}

void stream_expect(struct source *s, const struct source_range *ranges, size_t count)
{
        struct stream *st = (struct stream *)s;
        struct expectations *x = &st->expected;
        struct restart_segment segment;
        struct expected *job;

        if (!restart_find(st->table, ranges[0].start, &segment) || !segment.point_held)
                return;
        for (size_t i = 0; i < count; i++)
                if (ranges[i].start < segment.point.out || ranges[i].start >= ranges[i].end)
                        return;
        if (ranges[0].start == segment.point.out && ranges[0].end == segment.end) {
                expect_whole(st, &segment);
                return;
        }
        job = malloc(sizeof *job + count * sizeof *ranges);
        if (!job)
                return;
        job->index = segment.index;
        job->count = count;
        for (size_t i = 0; i < count; i++)
                job->ranges[i] =
                    (struct source_range){ranges[i].start, min_u64(ranges[i].end, segment.end)};
        pthread_mutex_lock(&x->lock);
        if (x->count < EXPECTED_MAX) {
                STAILQ_INSERT_TAIL(&x->jobs, job, next);
                x->count++;
                job = NULL;
        }
        pthread_mutex_unlock(&x->lock);
        if (job)
                free(job);
        else
                workers_submit(st->workers, WORK_SOON, meet_expectation, st, 0);
}
