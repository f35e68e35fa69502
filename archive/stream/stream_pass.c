/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pass goes on step by step: the codec decodes, and what it has decoded is taken.
 *
 *   taken: readers and the frontier know it | decoded ahead: nobody knows it yet |
 *                  the pass's thread is here ^              a worker is decoding ^
 *
 * What takes most of the time is decoding, and then what the pass's thread does with the decoded
 * bytes: a format parses them. So while that thread is busy, a worker decodes the next batch of
 * steps. The codec, the builder and the growing segment belong to the worker from the start of its
 * task until that is joined. Whatever a step brings, such as damage, the end of the stream or a
 * lost range, takes effect when the pass's thread takes it, in its turn: except for the time that
 * it takes, nothing differs from a pass that decodes when it is asked to.
 */
#include <stdatomic.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/codec.h"
#include "archive/stream/notes.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/* What one call of a codec may decode. */
#define STEP_SIZE (256 << 10)

/* A reader of a header or two needs nothing decoded ahead. */
#define AHEAD_FROM (UINT64_C(8) << 20)
/* A batch ends with the step that makes it so large, … */
#define AHEAD_BATCH (UINT64_C(4) << 20)
/* … and all that is decoded ahead takes at most one part in so many of the cache. */
#define AHEAD_SHARE 4

/* ---- decoding: by the thread that has the codec ---- */

/* A worker's job: the second proof. */
static void prove(void *ctx, size_t index)
{
        struct stream *st = ctx;
        struct restart_segment segment;
        struct buffer scratch;
        size_t len, memory;

        if (!restart_get(st->table, index, &segment))
                return;
        len = (size_t)(segment.end - segment.point.out);
        memory = len + segments_memory(st->segments, &segment);
        blockcache_begin_work(st->cache, memory);
        if (blockcache_pin_memory(st->cache, len, &scratch) == 0) {
                segments_prove(st->segments, index, scratch.data, len);
                blockcache_unpin_memory(st->cache, &scratch);
        }
        blockcache_end_work(st->cache, memory);
}

static void queue_proofs(struct stream *st)
{
        size_t index;

        /* Without memory for the job the point stays unproven, and is not entered. */
        while (!st->late_proofs && restart_next_unproven(st->builder, &index))
                workers_submit(st->workers, WORK_LATER, prove, st, index);
}

/* Begin a segment at START. The FRESH bytes that were decoded after it already move over. */
static int begin_segment(struct stream *st, uint64_t start, size_t fresh)
{
        struct growing *g = &st->growing;
        struct block *next;
        int rc;

        if (start == g->start)
                return 0;
        rc = blockcache_prepare(st->cache, start, RESTART_SEGMENT_MAX, &next);
        if (rc < 0)
                return rc;
        memcpy(block_data(next), (char *)block_data(g->block) + (start - g->start), fresh);
        rc = stream_retire(st, g->block, g->start, start);
        if (rc < 0) {
                blockcache_put(st->cache, next);
                return rc;
        }
        g->block = next;
        g->start = start;
        return 0;
}

/* Room for what the codec decodes next. *ROOM: its bytes, at *AT. */
static int make_room(struct stream *st, char **at, size_t *room, struct error *err)
{
        struct growing *g = &st->growing;
        ssize_t planned = 0;
        int rc;

        if (st->codec->plan)
                planned = st->codec->plan(st->pass, st->builder, err);
        if (planned < 0)
                return (int)planned;
        rc = begin_segment(st, restart_segment_start(st->builder), 0);
        *room = max_u64((size_t)planned, STEP_SIZE);
        if (rc == 0 && g->end - g->start + *room > RESTART_SEGMENT_MAX) {
                rc = restart_split(st->builder);
                if (rc == 0)
                        rc = begin_segment(st, g->end, 0);
        }
        *at = (char *)block_data(g->block) + (g->end - g->start);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* Decode at most ROOM bytes to AT. Returns how many; 0 at the end of the stream; -errno. */
static ssize_t decode(struct stream *st, char *at, size_t room, struct error *err)
{
        struct growing *g = &st->growing;
        ssize_t n = st->codec->pass(st->pass, at, room, st->builder, err);
        int rc;

        if (n < 0)
                return n;
        /* If the codec named a point, what it returned lies after that. */
        rc = begin_segment(st, restart_segment_start(st->builder), (size_t)n);
        if (rc == 0 && n > 0) {
                size_t used = (size_t)(g->end - g->start);

                rc = restart_advance(st->builder, (char *)block_data(g->block) + used, (size_t)n);
                blockcache_fill(st->cache, g->block, used + (size_t)n);
        }
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        g->end += (size_t)n;
        return n;
}

static void decode_step(struct stream *st, struct step *out, struct error *err)
{
        struct growing *g = &st->growing;
        size_t room = 0;
        char *at = NULL;
        ssize_t n = make_room(st, &at, &room, err);

        if (n == 0)
                n = decode(st, at, room, err);
        if (n > 0)
                queue_proofs(st);
        g->stopped = n <= 0;
        g->widest = max_u64(g->widest, n > 0 ? (uint64_t)n : 0);
        *out = (struct step){.n = n,
                             .tail = g->block,
                             .tail_start = g->start,
                             .end = g->end,
                             .keep_from = n > 0 ? restart_keep_from(st->builder) : 0,
                             .trust = st->codec->trust(st->pass)};
}

/* ---- decoding ahead ---- */

/* A worker's job: fill the batch that is not being taken. */
static void fill(void *ctx, size_t arg)
{
        struct stream *st = ctx;
        struct ahead *a = &st->ahead;
        struct batch *b = &a->batches[!a->taking];
        uint64_t until = st->growing.end + a->most;

        (void)arg;
        while (b->count < BATCH_STEPS && st->growing.end < until && !st->growing.stopped &&
               !atomic_load(&a->cancelled))
                decode_step(st, &b->steps[b->count++], &b->err);
}

/* Have the next batch decoded, if the cache has room for it and somebody is free to do it. */
static void go_ahead(struct stream *st)
{
        struct ahead *a = &st->ahead;
        const struct growing *g = &st->growing;
        struct batch *b = &a->batches[!a->taking];
        uint64_t waiting = g->end - st->decoded, share = st->cache_bytes / AHEAD_SHARE;

        if (a->most == 0 || a->started || g->stopped || g->end < AHEAD_FROM ||
            waiting + max_u64(g->widest, a->most) > share || workers_threads(st->workers) < 2)
                return;
        b->count = b->taken = 0;
        b->err = (struct error){0};
        a->started = true;
        workers_start(st->workers, &a->task, fill, st);
}

/* The next step that was decoded ahead; NULL: none was. */
static const struct step *next_ready(struct stream *st, struct error *err)
{
        struct ahead *a = &st->ahead;
        struct batch *b = &a->batches[a->taking];
        const struct step *step;

        if (b->taken == b->count && a->started) {
                workers_join(st->workers, &a->task);
                a->started = false;
                a->taking = !a->taking;
                b = &a->batches[a->taking];
        }
        if (b->taken == b->count)
                return NULL;
        step = &b->steps[b->taken++];
        if (step->n < 0 && err)
                *err = b->err;
        return step;
}

void stream_init_ahead(struct stream *st, bool allowed)
{
        uint64_t most = min_u64(AHEAD_BATCH, st->cache_bytes / AHEAD_SHARE / 4);

        st->ahead.most = allowed && workers_processors() > 1 ? most : 0;
}

void stream_stop_ahead(struct stream *st)
{
        atomic_store(&st->ahead.cancelled, true);
        workers_join(st->workers, &st->ahead.task);
}

/* ---- taking: the pass's thread ---- */

static int end_pass(struct stream *st)
{
        uint64_t end = st->decoded;
        struct codec_trust trust = st->codec->trust(st->pass);
        int rc = restart_finish(st->builder, st->in->size);

        if (rc < 0)
                return rc;
        queue_proofs(st);
        rc = stream_retire_tail(st, end, NULL);
        if (rc == 0)
                rc = stream_believe(st, &trust);
        if (rc < 0)
                return rc;
        stream_forget(st, end);
        st->base.size = end;
        st->ended = true;
        if (st->notes)
                notes_clear(st->notes);
        st->codec->pass_close(steal_ptr(&st->pass));
        workers_drain(st->workers);
        return 0;
}

static void show_tail(struct stream *st, const struct step *s)
{
        scoped_lock(&st->tail_lock);

        st->tail = s->tail;
        st->tail_start = s->tail_start;
}

static int take(struct stream *st, const struct step *s, struct error *err)
{
        int rc = 0;

        show_tail(st, s);
        if (s->n < 0)
                return (int)s->n;
        st->decoded = s->end;
        rc = s->n == 0 ? end_pass(st) : stream_believe(st, &s->trust);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        /*
         * What is withheld is held, so that nobody has to decode it a second time. So is the tail,
         * which a worker may have left for another one.
         */
        if (s->n > 0)
                stream_forget(st, min_u64(s->keep_from, min_u64(st->frontier, s->tail_start)));
        return 0;
}

/* Decode some more, or take what was decoded ahead. */
static int decode_on(struct stream *st, struct error *err)
{
        const struct step *step = next_ready(st, err);
        struct step own;

        if (!step) {
                st->growing.end = st->decoded;
                decode_step(st, &own, err);
                step = &own;
        }
        go_ahead(st);
        return take(st, step, err);
}

/* Have what was found kept, if there is more of it than the last time. */
static void offer_checkpoint(struct stream *st)
{
        const struct restart_checkpoint *c =
            st->keep && !st->ended ? restart_last_checkpoint(st->builder, st->decoded) : NULL;

        if (!c || c->index <= st->kept)
                return;
        st->kept = c->index;
        st->keep(st->keep_ctx, &st->base);
}

static int advance(struct stream *st, struct error *err)
{
        int skipped = st->skips ? stream_skip(st, err) : 0;
        int rc = skipped == 0 ? decode_on(st, err) : 0;

        if (skipped < 0)
                return skipped;
        if (rc == 0)
                offer_checkpoint(st);
        return rc;
}

void stream_advance(struct stream *st)
{
        struct error why = {0};
        int rc = advance(st, &why);

        if (rc == -EIO) {
                workers_drain(st->workers);
                rc = stream_recover(st, &why);
                if (rc < 0)
                        error_fill(&why, -rc, "%s", strerror(-rc));
        }
        if (rc >= 0)
                return;
        if (!why.code)
                error_fill(&why, -rc, "%s", strerror(-rc));
        st->failure = why;
        atomic_store(&st->failed, true);
        workers_drain(st->workers);
}
