/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of all blocks: accounting, and eviction. */
#include "archive/bytes.h"
#include "archive/cache/blockcache_internal.h"
#include "archive/cleanup.h"

/*
 * Spent blocks may take one part in so many of the bound. A load reuses the oldest one's memory. So
 * a sequential reader cycles through a few buffers, which are not new and may be in the processor's
 * cache, and leaves the rest of the memory to blocks that others come back for.
 */
#define SPENT_SHARE 4
/* One part in so many of the bound is reserved for tables … */
#define TABLE_SHARE 4
/* … and one in so many is divided evenly among the owners. */
#define OWNER_SHARE 2
/*
 * Where something has to go, unused buffers that take more than one part in so many of the bound go
 * first. A pass over a stream goes through a few buffers of up to 32 MiB, and would get each of
 * them new if only one could be kept.
 */
#define SPARE_KEPT 8
/* A buffer may be up to so many times as large as needed. */
#define REUSE_RATIO 4

/* ---- accounting ---- */

static void add(struct cache_owner *o, size_t bytes)
{
        atomic_fetch_add(&o->cache->bytes, bytes);
        atomic_fetch_add(&o->bytes, bytes);
        if (o->kind == CACHE_TABLES)
                atomic_fetch_add(&o->cache->table_bytes, bytes);
}

void blockcache_charge(struct cache_owner *o, struct block *b, size_t len)
{
        b->buffer.touched = max_u64(b->buffer.touched, buffer_memory(&b->buffer, len));
        add(o, b->buffer.touched);
}

void blockcache_uncharge(struct cache_owner *o, struct block *b)
{
        add(o, -b->buffer.touched);
}

void blockcache_discard(struct blockcache *c, struct block *b)
{
        bufpool_put(&c->bufpool, &b->buffer);
        free(b);
}

/* ---- choosing a block to evict ---- */

/* Which blocks to spare. */
struct sparing {
        const struct cache_owner *last_of; /* the last one of this owner */
        bool last_of_streams;              /* and of each stream */
};

static bool is_spared(const struct sparing *s, const struct cache_owner *o)
{
        return o->idle == 1 && (o == s->last_of || (s->last_of_streams && o->kind == CACHE_STREAM));
}

/* Caller holds the cache's lock. Is O within its share? */
static bool is_within_share(const struct cache_owner *o)
{
        const struct blockcache *c = o->cache;

        if (o->kind == CACHE_TABLES && atomic_load(&c->table_bytes) <= c->bound / TABLE_SHARE)
                return true;
        return atomic_load(&o->bytes) <= c->bound / OWNER_SHARE / c->owner_count;
}

/* Caller holds the cache's lock. The owner whose block in QUEUE is evicted next; NULL: none. */
static struct cache_owner *find_loser(struct blockcache *c, int queue, const struct sparing *s)
{
        struct cache_owner *o = NULL, *loser = NULL;
        uint64_t oldest = UINT64_MAX;
        bool kept = true; /* the loser is within its share */

        LIST_FOREACH(o, &c->owners, others)
        {
                bool within = queue == USED && is_within_share(o);
                scoped_lock(&o->lock);
                const struct block *b = o->queues[queue].oldest;

                if (!b || is_spared(s, o) || within > kept || (within == kept && b->tick > oldest))
                        continue;
                loser = o;
                oldest = b->tick;
                kept = within;
        }
        return loser;
}

/* Remove O's oldest block from QUEUE; NULL: it has none any more. */
static struct block *take_oldest(struct cache_owner *o, int queue)
{
        struct block *b;
        scoped_lock(&o->lock);

        b = o->queues[queue].oldest;
        if (b) {
                blockcache_dequeue(o, b);
                blockcache_unlist(o, b);
                blockcache_uncharge(o, b);
        }
        return b;
}

/* Remove a block from QUEUE. False: there is none. *VICTIM NULL: another thread was faster. */
static bool take_from(struct blockcache *c, int queue, const struct sparing *s,
                      struct block **victim)
{
        struct cache_owner *o;
        scoped_lock(&c->lock);

        o = find_loser(c, queue, s);
        *victim = o ? take_oldest(o, queue) : NULL;
        return o != NULL;
}

/* Free a block of QUEUE. False: there is none. */
static bool evict_from(struct blockcache *c, int queue, const struct sparing *s)
{
        struct block *victim;

        if (!take_from(c, queue, s, &victim))
                return false;
        if (victim)
                blockcache_discard(c, victim);
        return true;
}

/* Of the spent blocks, keep the last one and a little more. */
static void evict_spent(struct blockcache *c)
{
        const struct sparing nothing = {0};

        while (atomic_load(&c->spent) > 1 && atomic_load(&c->spent_bytes) > c->bound / SPENT_SHARE)
                if (!evict_from(c, SPENT, &nothing))
                        return;
}

/* Evict until INCOMING more bytes fit. False: nothing is left to evict. */
static bool make_room(struct blockcache *c, size_t incoming, const struct sparing *s)
{
        evict_spent(c);
        while (atomic_load(&c->bytes) + atomic_load(&c->bufpool.bytes) + incoming > c->bound)
                if (!bufpool_shrink(&c->bufpool, c->bound / SPARE_KEPT) &&
                    !evict_from(c, SPENT, s) && !evict_from(c, USED, s))
                        return false;
        return true;
}

void blockcache_trim(struct cache_owner *o)
{
        const struct sparing s = {.last_of = o, .last_of_streams = o->kind != CACHE_STREAM};

        make_room(o->cache, 0, &s);
}

/* ---- loads and work ---- */

/*
 * Make room for LEN bytes, and count one more load. The bound holds however many load at the same
 * time: a thread that finds no room waits for another load to end, and only a single load may
 * exceed the bound. Caller holds load_lock.
 */
static void begin(struct blockcache *c, size_t len)
{
        const struct sparing nothing = {0};

        while (!make_room(c, len, &nothing) && c->loading > 0)
                pthread_cond_wait(&c->load_ended, &c->load_lock);
        c->loading++;
}

static void end(struct blockcache *c)
{
        c->loading--;
        pthread_cond_broadcast(&c->load_ended);
}

/* Make room for BYTES, as far as that can be done without waiting. */
static void make_some_room(struct cache_owner *o, size_t bytes)
{
        const struct sparing s = {.last_of_streams = true};

        make_room(o->cache, bytes, &s);
}

static bool may_wait(const struct cache_owner *o)
{
        return o->kind == CACHE_STREAM;
}

void blockcache_begin_work(struct cache_owner *o, size_t bytes)
{
        struct blockcache *c = o->cache;

        if (may_wait(o)) {
                scoped_lock(&c->load_lock);
                begin(c, bytes);
                atomic_fetch_add(&c->bytes, bytes);
        } else {
                make_some_room(o, bytes);
                atomic_fetch_add(&c->bytes, bytes);
        }
}

void blockcache_end_work(struct cache_owner *o, size_t bytes)
{
        struct blockcache *c = o->cache;

        if (may_wait(o)) {
                scoped_lock(&c->load_lock);
                atomic_fetch_sub(&c->bytes, bytes);
                end(c);
        } else {
                atomic_fetch_sub(&c->bytes, bytes);
        }
}

/*
 * Reuse the memory of the oldest spent block, except the last one, if it suits LEN bytes. Smaller
 * ones before it are freed: a stray cluster that was read must not cost a segment new memory.
 */
static bool reuse_spent(struct blockcache *c, size_t len, struct buffer *out)
{
        const struct sparing nothing = {0};
        struct block *victim;

        while (atomic_load(&c->spent) > 1 && take_from(c, SPENT, &nothing, &victim)) {
                if (!victim)
                        continue;
                if (victim->buffer.touched / REUSE_RATIO > len) {
                        blockcache_discard(c, victim);
                        return false;
                }
                if (victim->buffer.capacity >= len) {
                        *out = victim->buffer;
                        free(victim);
                        return true;
                }
                blockcache_discard(c, victim);
        }
        return false;
}

/* A spent block's memory would be too much for less. */
#define REUSE_LEAST ((size_t)1 << 20)

int blockcache_memory(struct blockcache *c, size_t len, struct buffer *out)
{
        if (bufpool_take(&c->bufpool, len, out) || (len >= REUSE_LEAST && reuse_spent(c, len, out)))
                return 0;
        return bufpool_get(&c->bufpool, len, out);
}

static int begin_stream_load(struct cache_owner *o, struct block *b, size_t len, size_t beside)
{
        struct blockcache *c = o->cache;
        scoped_lock(&c->load_lock);
        bool reused = reuse_spent(c, len, &b->buffer);
        int rc = 0;

        begin(c, max_u64(len, b->buffer.touched) + beside);
        if (!reused)
                rc = bufpool_get(&c->bufpool, len, &b->buffer);
        if (rc < 0) {
                end(c);
                return rc;
        }
        blockcache_charge(o, b, len);
        atomic_fetch_add(&c->bytes, beside);
        return 0;
}

int blockcache_begin_load(struct cache_owner *o, struct block *b, size_t len, size_t beside)
{
        int rc;

        if (may_wait(o))
                return begin_stream_load(o, b, len, beside);
        make_some_room(o, len + beside);
        rc = bufpool_get(&o->cache->bufpool, len, &b->buffer);
        if (rc < 0)
                return rc;
        blockcache_charge(o, b, len);
        atomic_fetch_add(&o->cache->bytes, beside);
        return 0;
}

void blockcache_end_load(struct cache_owner *o, size_t beside)
{
        blockcache_end_work(o, beside);
}

void blockcache_account(struct cache_owner *o, size_t was, size_t is)
{
        struct blockcache *c = o->cache;

        was = min_u64(was, c->bound / 2);
        is = min_u64(is, c->bound / 2);
        atomic_fetch_add(&c->bytes, is - was);
        if (is > was)
                blockcache_trim(o);
}

int blockcache_pin_memory(struct cache_owner *o, size_t len, struct buffer *out)
{
        int rc = blockcache_memory(o->cache, len, out);

        if (rc == 0)
                out->touched = max_u64(out->touched, buffer_memory(out, len));
        return rc;
}

void blockcache_unpin_memory(struct cache_owner *o, const struct buffer *buffer)
{
        bufpool_put(&o->cache->bufpool, buffer);
}
