/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/stream.h"

#include <stdatomic.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/* What one call of a codec may decode. */
#define STEP_SIZE (256 << 10)

void stream_note_damage(struct stream *st, const struct error *err)
{
        scoped_lock(&st->damage_lock);

        st->damage = *err;
}

/* A worker's job: the second proof. */
static void prove(void *ctx, size_t index)
{
        struct stream *st = ctx;
        struct restart_segment segment;
        struct block *scratch;
        size_t len;

        if (!restart_get(st->table, index, &segment))
                return;
        len = (size_t)(segment.end - segment.point.out);
        if (blockcache_scratch(st->cache, len, &scratch) < 0)
                return;
        segments_prove(st->segments, index, block_data(scratch), len);
        blockcache_put(st->cache, scratch);
}

static void recents_append(struct recents *list, struct recent *r)
{
        r->next = NULL;
        *list->end = r;
        list->end = &r->next;
}

static struct recent *recents_take(struct recents *list)
{
        struct recent *r = list->first;

        list->first = r->next;
        if (!list->first)
                list->end = &list->first;
        return r;
}

void stream_forget(struct stream *st, uint64_t keep_from)
{
        /* Readers lag behind the pass: what it feeds them has to last until they come. */
        uint64_t fed_max = st->has_readers ? st->cache_bytes : st->fed_max;

        while (st->recalled.first && st->recalled.first->end <= keep_from) {
                struct recent *r = recents_take(&st->recalled);

                blockcache_put(st->cache, r->block);
                recents_append(&st->fed, r);
                st->fed_bytes += r->end - r->start;
        }
        while (st->fed.first && st->fed_bytes > fed_max) {
                struct recent *r = recents_take(&st->fed);

                blockcache_drop_unread(st->cache, r->start);
                st->fed_bytes -= r->end - r->start;
                free(r);
        }
}

/* restart_recall's answer: from the blocks that the pass still holds. */
static int recall(void *ctx, uint64_t offset, void *buf, size_t len)
{
        struct stream *st = ctx;
        char *to = buf;

        for (struct recent *r = st->recalled.first; r && len > 0; r = r->next) {
                size_t n;

                if (offset < r->start || offset >= r->end)
                        continue;
                n = (size_t)min_u64(len, r->end - offset);
                memcpy(to, (char *)block_data(r->block) + (offset - r->start), n);
                to += n;
                offset += n;
                len -= n;
        }
        if (len == 0)
                return 0;
        if (offset < st->tail_start)
                return -ERANGE;
        memcpy(to, (char *)block_data(st->tail) + (offset - st->tail_start), len);
        return 0;
}

void stream_set_tail(struct stream *st, struct block *tail, uint64_t start)
{
        scoped_lock(&st->tail_lock);

        st->tail = tail;
        st->tail_start = start;
}

int stream_retire_tail(struct stream *st, uint64_t end, struct block *next)
{
        struct recent *r = malloc(sizeof *r);

        if (!r)
                return -ENOMEM;
        *r = (struct recent){.block = st->tail, .start = st->tail_start, .end = end};
        recents_append(&st->recalled, r);
        /* In the cache first: no reader may find it in neither place. */
        blockcache_add(st->cache, st->tail, (size_t)(end - st->tail_start));
        stream_set_tail(st, next, end);
        return 0;
}

/*
 * Begin the next segment at START, where the frontier is. The FRESH bytes that were decoded
 * behind it already move over.
 */
static int begin_tail(struct stream *st, uint64_t start, size_t fresh)
{
        struct block *next;
        int rc;

        if (start == st->tail_start)
                return 0;
        rc = blockcache_prepare(st->cache, start, RESTART_SEGMENT_MAX, &next);
        if (rc < 0)
                return rc;
        memcpy(block_data(next), (char *)block_data(st->tail) + (start - st->tail_start), fresh);
        rc = stream_retire_tail(st, start, next);
        if (rc < 0)
                blockcache_put(st->cache, next);
        return rc;
}

static void queue_proofs(struct stream *st)
{
        size_t index;

        /* Without memory for the job the point stays unproven, and is not entered. */
        while (!st->late_proofs && restart_next_unproven(st->builder, &index))
                workers_submit(st->workers, WORK_LATER, prove, st, index);
}

static int end_pass(struct stream *st)
{
        uint64_t end = st->frontier;
        int rc = restart_finish(st->builder, st->in->size);

        if (rc < 0)
                return rc;
        queue_proofs(st);
        rc = stream_retire_tail(st, end, NULL);
        if (rc < 0)
                return rc;
        stream_forget(st, end);
        st->base.size = end;
        st->ended = true;
        st->codec->pass_close(steal_ptr(&st->pass));
        workers_drain(st->workers);
        return 0;
}

/* Room behind the frontier for what the codec decodes next. *ROOM: its bytes, at *AT. */
static int make_room(struct stream *st, char **at, size_t *room, struct error *err)
{
        uint64_t frontier = st->frontier;
        ssize_t planned = 0;
        size_t used;
        int rc;

        if (st->codec->plan)
                planned = st->codec->plan(st->pass, st->builder, err);
        if (planned < 0)
                return (int)planned;
        rc = begin_tail(st, restart_segment_start(st->builder), 0);
        *room = max_u64((size_t)planned, STEP_SIZE);
        used = (size_t)(frontier - st->tail_start);
        if (rc == 0 && used + *room > RESTART_SEGMENT_MAX) {
                rc = restart_split(st->builder);
                if (rc == 0)
                        rc = begin_tail(st, frontier, 0);
                used = 0;
        }
        *at = (char *)block_data(st->tail) + used;
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* Decode some more. */
static int decode_on(struct stream *st, struct error *err)
{
        uint64_t frontier = st->frontier;
        size_t room = 0;
        char *at = NULL;
        ssize_t n;
        int rc = make_room(st, &at, &room, err);

        if (rc < 0)
                return rc;
        n = st->codec->pass(st->pass, at, room, st->builder, err);
        if (n < 0)
                return (int)n;
        /* If the codec named a point, what it returned lies behind that. */
        rc = begin_tail(st, restart_segment_start(st->builder), (size_t)n);
        if (rc == 0 && n > 0) {
                at = (char *)block_data(st->tail) + (frontier - st->tail_start);
                rc = restart_advance(st->builder, at, (size_t)n);
        }
        if (rc == 0 && n == 0)
                rc = end_pass(st);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        if (n > 0) {
                atomic_store_explicit(&st->frontier, frontier + (size_t)n, memory_order_release);
                stream_forget(st, restart_keep_from(st->builder));
                queue_proofs(st);
        }
        return 0;
}

static int advance(struct stream *st, struct error *err)
{
        int walked = st->walks ? stream_walk(st, err) : 0;

        if (walked == 0)
                return decode_on(st, err);
        return walked < 0 ? walked : 0;
}

static int stream_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        struct stream *st = (struct stream *)s;

        st->scanner = pthread_self();
        while (st->frontier < offset && !st->ended && !st->failure.code) {
                int rc = advance(st, &st->failure);

                if (rc < 0) {
                        if (!st->failure.code)
                                error_fill(&st->failure, -rc, "%s", strerror(-rc));
                        atomic_store(&st->failed, true);
                        workers_drain(st->workers);
                }
        }
        *end = st->frontier;
        if (st->frontier >= offset || !st->failure.code)
                return 0;
        if (err)
                *err = st->failure;
        return -st->failure.code;
}

static void stream_close(struct source *s)
{
        struct stream *st = (struct stream *)s;

        if (st->pass)
                st->codec->pass_close(st->pass);
        workers_free(st->workers);
        if (st->cache)
                stream_forget(st, UINT64_MAX);
        while (st->fed.first)
                free(recents_take(&st->fed));
        free(st->seen.bytes);
        if (st->tail)
                blockcache_put(st->cache, st->tail);
        restart_builder_free(st->builder);
        segments_free(st->segments);
        blockcache_free(st->cache);
        restart_table_free(st->table);
        source_close(st->in);
        pthread_mutex_destroy(&st->tail_lock);
        tracks_fini(&st->tracks);
        gaps_fini(&st->gaps);
        pthread_mutex_destroy(&st->damage_lock);
        free(st);
}

static const struct source_ops stream_ops = {
    .pread = stream_pread,
    .borrow = stream_borrow,
    .give_back = stream_give_back,
    .reach = stream_reach,
    .resume = stream_resume,
    .close = stream_close,
};

/* Set up for a pass over the whole stream. */
static int start_pass(struct stream *st, const struct codec_limits *limits, struct error *err)
{
        int rc = restart_table_new(&st->table);

        if (rc == 0)
                rc = restart_builder_new(st->table, recall, st, &st->builder);
        if (rc == 0)
                rc = blockcache_prepare(st->cache, 0, RESTART_SEGMENT_MAX, &st->tail);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        return st->codec->pass_open(st->in, limits, &st->pass, err);
}

/* A table that is complete already. */
static void adopt_table(struct stream *st, struct restart_table *table)
{
        st->table = table;
        st->frontier = restart_end(table);
        st->base.size = restart_end(table);
        st->ended = true;
}

static int set_up(struct stream *st, const struct stream_options *o,
                  struct restart_table *take_table, struct error *err)
{
        struct codec_limits limits = {.window = o->window ? o->window : STREAM_WINDOW_DEFAULT};
        size_t cache_bytes = o->cache_bytes ? o->cache_bytes : STREAM_CACHE_DEFAULT;
        unsigned threads = o->threads ? o->threads : workers_processors();
        int rc;

        if (take_table)
                adopt_table(st, take_table);
        st->cache_bytes = cache_bytes;
        st->fed_max = cache_bytes / 8;
        rc = blockcache_new(cache_bytes, &st->cache);
        if (rc == 0)
                rc = workers_new(threads, &st->workers);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        limits.workers = st->workers;
        st->depth = threads * 2;
        st->late_proofs = o->late_proofs;
        st->walks = o->walk && st->codec->walk;
        if (!take_table)
                rc = start_pass(st, &limits, err);
        if (rc < 0)
                return rc;
        rc = segments_new(st->codec, &limits, st->in, st->table, st->cache, &st->segments);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

int stream_open(const struct codec_ops *codec, struct source *take_in,
                const struct stream_options *o, struct source **out, struct error *err)
{
        struct stream *st = calloc(1, sizeof *st);
        int rc;

        if (!st) {
                source_close(take_in);
                restart_table_free(o->take_table);
                return error_set(err, ENOMEM, "out of memory");
        }
        st->ops = stream_ops;
        st->ops.name = codec->name;
        st->base.ops = &st->ops;
        st->base.size = SOURCE_SIZE_UNKNOWN;
        st->codec = codec;
        st->in = take_in;
        st->recalled.end = &st->recalled.first;
        st->fed.end = &st->fed.first;
        pthread_mutex_init(&st->tail_lock, NULL);
        tracks_init(&st->tracks);
        gaps_init(&st->gaps);
        pthread_mutex_init(&st->damage_lock, NULL);
        rc = set_up(st, o, o->take_table, err);
        if (rc < 0) {
                stream_close(&st->base);
                return rc;
        }
        *out = &st->base;
        return 0;
}

static struct stream *as_stream(struct source *s)
{
        return s->ops->close == stream_close ? (struct stream *)s : NULL;
}

void stream_release(struct source *s)
{
        struct stream *st = as_stream(s);

        if (st)
                workers_release(st->workers);
}

uint64_t stream_consumed(struct source *s)
{
        struct stream *st = as_stream(s);
        struct restart_segment last;
        size_t n = st ? restart_count(st->table) : 0;

        if (n == 0 || !restart_get(st->table, n - 1, &last))
                return 0;
        return (last.in_end != RESTART_IN_UNKNOWN ? last.in_end : last.point.in_bit) / 8;
}

struct restart_table *stream_table(struct source *s)
{
        struct stream *st = as_stream(s);

        return st ? st->table : NULL;
}

int stream_damage(struct source *s, struct error *err)
{
        struct stream *st = as_stream(s);

        if (!st)
                return 0;
        scoped_lock(&st->damage_lock);
        if (st->damage.code)
                *err = st->damage;
        return -st->damage.code;
}
