/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/stream.h"

#include <stdatomic.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/notes.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/*
 * Output that the codec may recall is held in the cache, and has one part in so many of it: a
 * stream that needs more is entered at fewer places. What every level of zstd up to 19 needs is
 * had in any case.
 */
#define KEEP_SHARE 2
#define KEEP_LEAST (UINT64_C(8) << 20)

void stream_note_damage(struct stream *st, const struct error *err)
{
        scoped_lock(&st->damage_lock);

        st->damage = *err;
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

/* The first block that is held for the codec, which does not recall what is before KEEP_FROM. */
static struct recent *take_recalled(struct stream *st, uint64_t keep_from)
{
        scoped_lock(&st->recalled_lock);

        return st->recalled.first && st->recalled.first->end <= keep_from
                   ? recents_take(&st->recalled)
                   : NULL;
}

/* Has the scan passed R? It may read what is so far before where it wants to be next. */
static bool is_passed(const struct stream *st, const struct recent *r)
{
        return r->end <= st->asked - min_u64(st->asked, SOURCE_WITHHELD);
}

void stream_forget(struct stream *st, uint64_t keep_from)
{
        /* What is withheld takes the memory that was used before. */
        uint64_t held = min_u64(st->fed_max, st->decoded - st->frontier);
        struct recent *r;
        /* Readers lag behind the pass: what it feeds them has to last until they come. */
        uint64_t fed_max = st->has_readers ? st->cache_bytes : st->fed_max - held;

        while ((r = take_recalled(st, keep_from))) {
                blockcache_put(st->cache, r->block);
                recents_append(&st->fed, r);
                st->fed_bytes += r->end - r->start;
        }
        while (st->fed.first && st->fed_bytes > fed_max && is_passed(st, st->fed.first)) {
                r = recents_take(&st->fed);
                blockcache_drop_unread(st->cache, r->start);
                st->fed_bytes -= r->end - r->start;
                free(r);
        }
}

/* From the blocks that the pass still holds. */
int stream_recall(void *ctx, uint64_t offset, void *buf, size_t len)
{
        struct stream *st = ctx;
        const struct growing *g = &st->growing;
        char *to = buf;
        scoped_lock(&st->recalled_lock);

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
        if (offset < g->start)
                return -ERANGE;
        memcpy(to, (char *)block_data(g->block) + (offset - g->start), len);
        return 0;
}

void stream_set_tail(struct stream *st, struct block *tail, uint64_t start)
{
        scoped_lock(&st->tail_lock);

        st->tail = st->growing.block = tail;
        st->tail_start = st->growing.start = start;
}

int stream_hold_recalled(struct stream *st, struct block *block, uint64_t start, uint64_t end)
{
        struct recent *r = malloc(sizeof *r);

        if (!r)
                return -ENOMEM;
        *r = (struct recent){.block = block, .start = start, .end = end};
        scoped_lock(&st->recalled_lock);
        recents_append(&st->recalled, r);
        return 0;
}

int stream_retire(struct stream *st, struct block *block, uint64_t start, uint64_t end)
{
        int rc = stream_hold_recalled(st, block, start, end);

        if (rc == 0)
                blockcache_add(st->cache, block, (size_t)(end - start));
        return rc;
}

int stream_retire_tail(struct stream *st, uint64_t end, struct block *next)
{
        /* In the cache first: no reader may find it in neither place. */
        int rc = stream_retire(st, st->tail, st->tail_start, end);

        if (rc == 0)
                stream_set_tail(st, next, end);
        return rc;
}

static int stopped(const struct stream *st, struct error *err)
{
        if (st->failure.code && err)
                *err = st->failure;
        return -st->failure.code;
}

static int stream_look_ahead(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        struct stream *st = (struct stream *)s;

        st->scanner = pthread_self();
        st->asked = offset;
        while (st->decoded < offset && !st->ended && !st->failure.code)
                stream_advance(st);
        *end = st->decoded;
        return st->decoded >= offset ? 0 : stopped(st, err);
}

static int stream_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        struct stream *st = (struct stream *)s;

        st->scanner = pthread_self();
        st->asked = offset;
        while (st->frontier < offset && !st->ended && !st->failure.code)
                stream_advance(st);
        *end = st->frontier;
        return st->frontier >= offset ? 0 : stopped(st, err);
}

static void stream_observe(struct source *s, const struct source_observer *observer)
{
        ((struct stream *)s)->observer = *observer;
}

static int stream_damage(struct source *s, struct error *err)
{
        struct stream *st = (struct stream *)s;
        scoped_lock(&st->damage_lock);

        if (st->damage.code)
                *err = st->damage;
        return -st->damage.code;
}

static void stream_close(struct source *s)
{
        struct stream *st = (struct stream *)s;

        stream_stop_ahead(st);
        if (st->pass)
                st->codec->pass_close(st->pass);
        workers_free(st->workers);
        if (st->cache)
                stream_forget(st, UINT64_MAX);
        while (st->fed.first)
                free(recents_take(&st->fed));
        free(st->seen.bytes);
        free(st->salvage.bytes);
        if (st->growing.block)
                blockcache_put(st->cache, st->growing.block);
        restart_builder_free(st->builder);
        segments_free(st->segments);
        blockcache_leave(st->cache);
        blockcache_leave(st->strays);
        shared_free(st->own);
        restart_table_free(st->table);
        notes_free(st->notes);
        source_close(st->in);
        pthread_mutex_destroy(&st->recalled_lock);
        pthread_mutex_destroy(&st->tail_lock);
        readahead_fini(&st->readahead);
        leftovers_fini(&st->leftovers);
        stream_fini_expected(st);
        lost_ranges_fini(&st->lost);
        pthread_mutex_destroy(&st->damage_lock);
        free(st);
}

static int stream_check(struct source *s, struct error *err)
{
        return source_check(((struct stream *)s)->in, err);
}

static int64_t stream_mtime(const struct source *s)
{
        return source_mtime(((const struct stream *)s)->in);
}

static const struct source_ops stream_ops = {
    .pread = stream_pread,
    .pin = stream_pin,
    .unpin = stream_unpin,
    .note_read = stream_note_read,
    .unit = stream_unit,
    .expect = stream_expect,
    .reach = stream_reach,
    .check = stream_check,
    .mtime = stream_mtime,
    .look_ahead = stream_look_ahead,
    .peek = stream_peek,
    .frontier = stream_frontier,
    .decoded = stream_decoded,
    .suspect = stream_suspect,
    .observe = stream_observe,
    .find_lost = stream_find_lost,
    .damage = stream_damage,
    .close = stream_close,
};

/* Set up for a pass over the whole stream. */
static int start_pass(struct stream *st, const struct codec_limits *limits, struct error *err)
{
        int rc = restart_builder_new(st->table, stream_recall, st, &st->builder);
        struct block *tail = NULL;

        if (rc == 0)
                rc = blockcache_prepare(st->cache, 0, RESTART_SEGMENT_MAX, &tail);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        stream_set_tail(st, tail, 0);
        return st->codec->pass_open(st->in, limits, &st->pass, err);
}

/* A table that is complete already. */
static void adopt_table(struct stream *st, struct restart_table *table)
{
        st->table = table;
        st->frontier = st->decoded = restart_end(table);
        st->base.size = restart_end(table);
        st->ended = st->adopted = true;
}

/* Have a part of what is shared. 0 or -ENOMEM. */
static int join(struct stream *st, const struct stream_options *o)
{
        const struct shared *shared = o->shared;
        int rc = shared ? 0 : shared_new(o->cache_bytes, o->threads, &st->own, NULL);

        if (rc < 0)
                return rc;
        if (!shared)
                shared = st->own;
        st->cache_bytes = blockcache_bound(shared->cache);
        st->fed_max = st->cache_bytes / 8;
        st->threads = worker_pool_threads(shared->pool);
        st->depth = st->threads * 2;
        rc = blockcache_join(shared->cache, o->nested ? CACHE_CLUSTERS : CACHE_STREAM, &st->cache);
        if (rc == 0)
                rc = blockcache_join(shared->cache, CACHE_CLUSTERS, &st->strays);
        return rc < 0 ? rc : workers_new(shared->pool, &st->workers);
}

/* The table, what decodes by it, and the notes. 0 or -ENOMEM. */
static int prepare(struct stream *st, const struct stream_options *o,
                   const struct codec_limits *limits)
{
        int rc = 0;

        if (o->resume && !st->adopted) {
                st->table = steal_ptr(&o->resume->take_table);
                st->notes = steal_ptr(&o->resume->take_notes);
        } else if (o->keep && !st->adopted) {
                st->notes = notes_new();
                rc = st->notes ? 0 : -ENOMEM;
        }
        if (rc == 0 && !st->table)
                rc = restart_table_new(&st->table);
        if (rc == 0)
                rc = segments_new(st->codec, limits, st->in, st->table, st->cache, st->threads,
                                  &st->segments);
        return rc;
}

static int set_up(struct stream *st, const struct stream_options *o,
                  struct restart_table *take_table, struct error *err)
{
        struct codec_limits limits = {.window = o->window ? o->window : STREAM_WINDOW_DEFAULT};
        int rc;

        if (take_table)
                adopt_table(st, take_table);
        st->withheld = o->withheld ? o->withheld : SOURCE_WITHHELD;
        rc = join(st, o);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        limits.workers = st->workers;
        limits.keep = max_u64(st->cache_bytes / KEEP_SHARE, KEEP_LEAST);
        st->late_proofs = o->late_proofs;
        st->keep = o->keep;
        st->keep_ctx = o->keep_ctx;
        st->skips = o->skip && st->codec->skip;
        stream_init_ahead(st, !st->skips && !o->nested);
        rc = prepare(st, o, &limits);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        if (st->adopted)
                return 0;
        return o->resume ? stream_begin_resumed(st, &limits, o->resume, err)
                         : start_pass(st, &limits, err);
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
        pthread_mutex_init(&st->recalled_lock, NULL);
        pthread_mutex_init(&st->tail_lock, NULL);
        readahead_init(&st->readahead);
        leftovers_init(&st->leftovers);
        stream_init_expected(st);
        lost_ranges_init(&st->lost);
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

        if (st && st->own)
                shared_release(st->own);
}

bool stream_checkpoint(struct source *s, struct stream_checkpoint *out)
{
        struct stream *st = as_stream(s);
        const struct restart_checkpoint *c;

        if (!st || !st->builder || st->ended || st->failure.code || st->suspect > 0 ||
            stream_damage(s, &(struct error){0}) < 0)
                return false;
        c = restart_last_checkpoint(st->builder, st->decoded);
        if (!c)
                return false;
        *out = (struct stream_checkpoint){
            .segments = c->index, .frontier = st->frontier, .state = c->state};
        return true;
}

void stream_finish_proofs(struct source *s)
{
        struct stream *st = as_stream(s);

        if (st)
                workers_drain(st->workers);
}

void stream_take_notes(struct source *s, void **out, size_t *len)
{
        struct stream *st = as_stream(s);

        *out = NULL;
        *len = 0;
        if (st && st->notes)
                notes_take(st->notes, out, len);
}

bool stream_decodes_all(struct source *s)
{
        const struct stream *st = as_stream(s);

        return st && !st->adopted && !st->skips;
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

uint64_t stream_work(struct source *s)
{
        struct stream *st = as_stream(s);

        return st ? segments_decoded(st->segments) : 0;
}

struct restart_table *stream_table(struct source *s)
{
        struct stream *st = as_stream(s);

        return st ? st->table : NULL;
}
