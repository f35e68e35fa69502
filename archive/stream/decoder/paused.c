/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread gets room for what it decodes before it makes a decoder busy, and never waits for room
 * while it has one: whoever loads the whole segment has room, and waits for the decoder.
 */
#include "archive/stream/decoder/paused.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/decoder/oneshot.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"

/* All decoders together may take one part in so many of the cache. */
#define CACHE_SHARE 8

/* So much more input than it needs a decoder takes at a time, bytes. */
#define INPUT_SLACK (UINT64_C(512) << 10)

void paused_init(struct paused *p, struct decoding *d)
{
        p->d = d;
        p->bound = blockcache_owner_bound(d->cache) / CACHE_SHARE;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->idle, NULL);
}

/* ---- one decoder: the caller holds the lock, or has made it busy ---- */

/*
 * What it has decoded is left to the cache as something that was read: it goes first, or a reader
 * whose strays were evicted would evict those of others.
 */
static void retire(struct paused *p, struct paused_decoder *e)
{
        cursor_close(p->d, &e->cursor);
        if (e->done > 0)
                blockcache_add(p->d->cache, e->block, (size_t)e->done);
        blockcache_put_read(p->d->cache, e->block, (size_t)e->done);
        *e = (struct paused_decoder){0};
}

static void drop(struct paused *p, struct paused_decoder *e)
{
        e->done = 0;
        retire(p, e);
}

void paused_fini(struct paused *p)
{
        for (size_t i = 0; i < PAUSED_MAX; i++)
                if (p->decoders[i].block)
                        drop(p, &p->decoders[i]);
        pthread_mutex_destroy(&p->lock);
        pthread_cond_destroy(&p->idle);
}

bool paused_suits(const struct paused *p, const struct restart_segment *segment)
{
        uint64_t none;

        return segment->point_held && segment->proven && !segment->point.by_sums &&
               segment->end - segment->point.out > PART_SIZE && oneshot_fits(segment) &&
               (p->d->codec->pass_recover || p->d->codec->stops) &&
               restart_part(p->d->table, segment->index, 0, &none);
}

/* Are the parts of DATA from byte FROM, where one begins, to byte END right? */
static bool check_parts(const struct paused *p, size_t index, const uint8_t *data, uint64_t from,
                        uint64_t end)
{
        for (; from < end; from += PART_SIZE) {
                size_t len = (size_t)min_u64(PART_SIZE, end - from);
                uint64_t hash;

                if (!restart_part(p->d->table, index, (size_t)(from / PART_SIZE), &hash) ||
                    part_hash(data + from, len) != hash)
                        return false;
        }
        return true;
}

static int decode_once(struct paused *p, const struct restart_segment *segment, uint8_t *data,
                       uint64_t upto)
{
        cleanup_free void *history = NULL;
        int rc = restart_history(p->d->table, segment->index, &history);

        return rc < 0 ? rc
                      : oneshot_decode(p->d, &segment->point, history, segment->in_end, data,
                                       (size_t)upto, NULL);
}

static int decode_on(struct paused *p, struct paused_decoder *e,
                     const struct restart_segment *segment, uint8_t *data, uint64_t upto)
{
        int rc = 0;

        if (!e->cursor.pass)
                rc = cursor_open(p->d, &e->cursor, segment, NULL);
        return rc < 0 ? rc : cursor_read(p->d, &e->cursor, data + e->done, upto - e->done, NULL);
}

/*
 * Have a server send what decoding SEGMENT from byte DONE to byte UPTO takes, all of it at once. It is
 * estimated, as if all of the segment were compressed alike.
 */
static void announce(const struct paused *p, const struct restart_segment *segment, uint64_t done,
                     uint64_t upto)
{
        uint64_t len = segment->end - segment->point.out, start = segment->point.in_bit / 8;
        uint64_t size = oneshot_input(&segment->point, segment->in_end);
        uint64_t from = start + size * done / len;
        uint64_t end = start + min_u64(size * upto / len + INPUT_SLACK, size);

        if (source_is_far(p->d->in) && from < end)
                source_will_need(p->d->in, from, end - from);
}

/* Decode E's segment up to byte UPTO, where a part ends. It is busy. */
static int advance(struct paused *p, struct paused_decoder *e,
                   const struct restart_segment *segment, uint64_t upto)
{
        uint8_t *data = block_data(e->block);
        uint64_t done = e->done, end;
        int rc;

        announce(p, segment, done, upto);
        rc = p->d->codec->pass_recover ? decode_on(p, e, segment, data, upto)
                                       : decode_once(p, segment, data, upto);
        end = rc == 0 ? upto : done;
        /* What is right before the damage stays. */
        if (rc < 0 && e->cursor.pass)
                end = e->cursor.out - e->start - (e->cursor.out - e->start) % PART_SIZE;
        while (done < end && check_parts(p, e->index, data, done, min_u64(done + PART_SIZE, end)))
                done = min_u64(done + PART_SIZE, end);
        e->done = done;
        blockcache_fill(p->d->cache, e->block, (size_t)done);
        return rc < 0 || done == upto ? rc : -EIO;
}

/* ---- all of them: the caller holds the lock ---- */

/* The decoder of segment INDEX, once it is idle; NULL: there is none. */
static struct paused_decoder *find_idle(struct paused *p, size_t index, bool *waited)
{
        size_t i = 0;

        while (i < PAUSED_MAX) {
                struct paused_decoder *e = &p->decoders[i++];

                if (!e->block || e->index != index)
                        continue;
                if (!e->busy)
                        return e;
                *waited = true;
                pthread_cond_wait(&p->idle, &p->lock);
                i = 0;
        }
        return NULL;
}

/* The idle one that was used longest ago; NULL: none. */
static struct paused_decoder *find_oldest(struct paused *p)
{
        struct paused_decoder *oldest = NULL;

        for (size_t i = 0; i < PAUSED_MAX; i++) {
                struct paused_decoder *e = &p->decoders[i];

                if (e->block && !e->busy && (!oldest || e->tick < oldest->tick))
                        oldest = e;
        }
        return oldest;
}

static struct paused_decoder *find_unused(struct paused *p)
{
        for (size_t i = 0; i < PAUSED_MAX; i++)
                if (!p->decoders[i].block)
                        return &p->decoders[i];
        return NULL;
}

/* One for SEGMENT, which has not begun. 0, -EBUSY, -ENOMEM. */
static int claim(struct paused *p, const struct restart_segment *segment,
                 struct paused_decoder **out)
{
        struct paused_decoder *e = find_unused(p);
        int rc;

        if (!e) {
                e = find_oldest(p);
                if (!e)
                        return -EBUSY;
                retire(p, e);
        }
        rc = blockcache_prepare(p->d->cache, segment->point.out | PAUSED_KEY,
                                (size_t)(segment->end - segment->point.out), &e->block);
        if (rc < 0)
                return rc;
        e->index = segment->index;
        e->start = segment->point.out;
        *out = e;
        return 0;
}

static uint64_t memory(const struct paused *p)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < PAUSED_MAX; i++)
                if (p->decoders[i].block && !p->decoders[i].busy)
                        sum += p->decoders[i].done + p->decoders[i].cursor.memory;
        return sum;
}

/* Keep no more than may be kept. */
static void trim(struct paused *p)
{
        while (memory(p) > p->bound)
                retire(p, find_oldest(p));
}

/* ---- for readers ---- */

struct block *paused_find(struct paused *p, uint64_t start, uint64_t at, uint64_t *done)
{
        scoped_lock(&p->lock);

        for (size_t i = 0; i < PAUSED_MAX; i++) {
                struct paused_decoder *e = &p->decoders[i];

                /* A busy one changes how much is done. */
                if (!e->block || e->start != start || e->busy || at >= e->done)
                        continue;
                e->tick = ++p->tick;
                *done = e->done;
                blockcache_hold(p->d->cache, e->block);
                return e->block;
        }
        return NULL;
}

/* Decode with E, and let USE have it. Called with the lock, and returns with it. */
static int work(struct paused *p, struct paused_decoder *e, const struct restart_segment *segment,
                uint64_t upto, paused_use_fn use, void *ctx)
{
        int rc = 0;

        e->busy = true;
        pthread_mutex_unlock(&p->lock);
        if (e->done < upto)
                rc = advance(p, e, segment, upto);
        if (rc == 0 && use)
                use(ctx, block_data(e->block), e->done);
        pthread_mutex_lock(&p->lock);
        e->busy = false;
        e->tick = ++p->tick;
        pthread_cond_broadcast(&p->idle);
        return rc;
}

static int reach(struct paused *p, const struct restart_segment *segment, uint64_t upto,
                 paused_use_fn use, void *ctx, struct block **block, uint64_t *done)
{
        bool waited = false, fresh;
        scoped_lock(&p->lock);
        struct paused_decoder *e = find_idle(p, segment->index, &waited);
        int rc = 0;

        if (!e && waited)
                return -EAGAIN;
        fresh = !e;
        if (fresh)
                rc = claim(p, segment, &e);
        if (rc < 0)
                return rc;
        rc = work(p, e, segment, upto, use, ctx);
        if (rc == 0 && !use) {
                *done = e->done;
                *block = e->block;
                blockcache_hold(p->d->cache, e->block);
        }
        if (fresh && use)
                drop(p, e);
        else if (rc < 0 || !p->d->codec->pass_recover)
                retire(p, e);
        trim(p);
        return rc;
}

/* What decoding in one go takes beyond its output. */
static size_t input_memory(const struct paused *p, const struct restart_segment *segment)
{
        return oneshot_memory(p->d->codec, segment) + segment->point.history_len;
}

int paused_reach(struct paused *p, const struct restart_segment *segment, uint64_t upto,
                 paused_use_fn use, void *ctx, struct block **block, uint64_t *done)
{
        uint64_t len = segment->end - segment->point.out;
        size_t room;
        int rc;

        upto = min_u64(round_up(upto, PART_SIZE), len);
        room = (size_t)upto + (p->d->codec->pass_recover ? 0 : input_memory(p, segment));
        blockcache_begin_work(p->d->cache, room);
        rc = reach(p, segment, upto, use, ctx, block, done);
        blockcache_end_work(p->d->cache, room);
        return rc;
}

void paused_wait(struct paused *p)
{
        scoped_lock(&p->lock);

        while (!find_unused(p) && !find_oldest(p))
                pthread_cond_wait(&p->idle, &p->lock);
}

/* Take the decoder of segment INDEX out. False: there is none. */
static bool take(struct paused *p, size_t index, struct paused_decoder *out)
{
        bool waited;
        struct paused_decoder *e;
        scoped_lock(&p->lock);

        e = find_idle(p, index, &waited);
        if (!e)
                return false;
        *out = *e;
        *e = (struct paused_decoder){0};
        return true;
}

bool paused_finish(struct paused *p, const struct restart_segment *segment, uint8_t *out)
{
        uint64_t len = segment->end - segment->point.out;
        struct paused_decoder e;
        int rc;

        if (!take(p, segment->index, &e))
                return false;
        memcpy(out, block_data(e.block), (size_t)e.done);
        rc = decode_on(p, &e, segment, out, len);
        cursor_close(p->d, &e.cursor);
        blockcache_put(p->d->cache, e.block);
        return rc == 0 && check_parts(p, segment->index, out, e.done, len);
}
