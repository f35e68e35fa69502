/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/cache/blockcache.h"

#include <pthread.h>
#include <stdatomic.h>

#include "archive/bytes.h"
#include "archive/cache/bufpool.h"
#include "archive/cleanup.h"

#define SHARDS  8
#define BUCKETS 128 /* a shard; blocks are megabytes, so there are few */

/* Buffers that no block uses have one part in so many of the bound. */
#define SPARE_SHARE 8
/*
 * Spent blocks have one part in so many of the bound. Whoever loads takes the oldest one's memory,
 * so that a sequential reader goes round in few buffers, which are not new and which the
 * processor's cache may hold, and leaves the rest to what others come back for.
 */
#define SPENT_SHARE 4
/* Memory of up to so many times the size that is wanted is taken for it. */
#define REUSE_RATIO 4
/* Of a spent block, one byte in so many is unread: nobody asks for what lies between the data. */
#define UNREAD_SHARE 1024

enum block_state { LOADING, READY, FAILED };

struct block {
        uint64_t key;
        struct buffer buffer; /* what it touches is what the block is charged for */

        /* Guarded by the shard's lock. */
        enum block_state state;
        int error;
        unsigned holders;
        bool listed;                 /* get finds it */
        bool asked_for;              /* get has found it, or made it */
        bool spent;                  /* in that queue, or in the other one */
        size_t len;                  /* 0 until it is READY or added */
        uint64_t read;               /* bytes, since it was last found spent */
        struct block *chain;         /* next in its bucket */
        struct block *older, *newer; /* while nobody holds it */
        uint64_t tick;               /* when it was last put */
};

/* Blocks that nobody holds. */
struct queue {
        struct block *oldest, *newest;
};

enum { USED, SPENT, QUEUES };

struct shard {
        pthread_mutex_t lock; /* guards everything below, and its blocks' fields above */
        pthread_cond_t loaded;
        struct block *buckets[BUCKETS];
        struct queue queues[QUEUES];
};

struct blockcache {
        struct shard shards[SHARDS];
        size_t bound;
        _Atomic size_t bytes;
        _Atomic size_t spent, spent_bytes; /* blocks in that queue, and what they take */
        _Atomic uint64_t tick;

        pthread_mutex_t load_lock; /* guards loading; taken before a shard's */
        pthread_cond_t load_ended;
        unsigned loading; /* load() runs, and its block's memory is accounted for */

        struct spares spares; /* its lock is taken last */
};

static uint64_t mix(uint64_t key)
{
        key *= UINT64_C(0x9E3779B97F4A7C15);
        return key ^ key >> 32;
}

static struct shard *shard_of(struct blockcache *c, uint64_t key)
{
        return &c->shards[mix(key) % SHARDS];
}

static struct block **bucket_of(struct shard *s, uint64_t key)
{
        return &s->buckets[mix(key) / SHARDS % BUCKETS];
}

int blockcache_new(size_t bytes, struct blockcache **out)
{
        struct blockcache *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        c->bound = bytes;
        spares_init(&c->spares, bytes / SPARE_SHARE);
        pthread_mutex_init(&c->load_lock, NULL);
        pthread_cond_init(&c->load_ended, NULL);
        for (size_t i = 0; i < SHARDS; i++) {
                pthread_mutex_init(&c->shards[i].lock, NULL);
                pthread_cond_init(&c->shards[i].loaded, NULL);
        }
        *out = c;
        return 0;
}

/* Account for LEN bytes of B's buffer being in use. */
static void charge(struct blockcache *c, struct block *b, size_t len)
{
        b->buffer.touched = max_u64(b->buffer.touched, len);
        atomic_fetch_add(&c->bytes, b->buffer.touched);
}

/* Caller holds the shard's lock. */
static struct block *find(struct shard *s, uint64_t key)
{
        struct block *b = *bucket_of(s, key);

        while (b && b->key != key)
                b = b->chain;
        return b;
}

/* Caller holds the shard's lock. */
static void list(struct shard *s, struct block *b)
{
        struct block **bucket = bucket_of(s, b->key);

        b->chain = *bucket;
        *bucket = b;
        b->listed = true;
}

/* Caller holds the shard's lock. */
static void unlist(struct shard *s, struct block *b)
{
        struct block **link = bucket_of(s, b->key);

        while (*link != b)
                link = &(*link)->chain;
        *link = b->chain;
        b->listed = false;
}

/* Caller holds the shard's lock; nobody holds B. */
static void enqueue(struct blockcache *c, struct shard *s, struct block *b)
{
        struct queue *q = &s->queues[b->spent ? SPENT : USED];

        b->tick = atomic_fetch_add(&c->tick, 1);
        b->older = q->newest;
        b->newer = NULL;
        *(q->newest ? &q->newest->newer : &q->oldest) = b;
        q->newest = b;
        if (b->spent) {
                atomic_fetch_add(&c->spent, 1);
                atomic_fetch_add(&c->spent_bytes, b->buffer.touched);
        }
}

/* Caller holds the shard's lock. */
static void dequeue(struct blockcache *c, struct shard *s, struct block *b)
{
        struct queue *q = &s->queues[b->spent ? SPENT : USED];

        *(b->older ? &b->older->newer : &q->oldest) = b->newer;
        *(b->newer ? &b->newer->older : &q->newest) = b->older;
        if (b->spent) {
                atomic_fetch_sub(&c->spent, 1);
                atomic_fetch_sub(&c->spent_bytes, b->buffer.touched);
        }
        b->spent = false;
}

/* Caller holds the shard's lock. */
static void take_hold(struct blockcache *c, struct shard *s, struct block *b)
{
        if (b->holders++ == 0)
                dequeue(c, s, b);
}

static void discard(struct blockcache *c, struct block *b)
{
        atomic_fetch_sub(&c->bytes, b->buffer.touched);
        spares_put(&c->spares, &b->buffer);
        free(b);
}

static struct shard *shard_with_oldest(struct blockcache *c, int queue)
{
        struct shard *best = NULL;
        uint64_t tick = UINT64_MAX;

        for (size_t i = 0; i < SHARDS; i++) {
                struct shard *s = &c->shards[i];
                scoped_lock(&s->lock);
                const struct block *oldest = s->queues[queue].oldest;

                if (oldest && oldest->tick < tick) {
                        tick = oldest->tick;
                        best = s;
                }
        }
        return best;
}

/* Take the oldest block of QUEUE out. False: there is none. *VICTIM NULL: others were faster. */
static bool take_oldest(struct blockcache *c, int queue, struct block **victim)
{
        struct shard *s = shard_with_oldest(c, queue);

        *victim = NULL;
        if (!s)
                return false;
        scoped_lock(&s->lock);
        *victim = s->queues[queue].oldest;
        if (*victim) {
                dequeue(c, s, *victim);
                unlist(s, *victim);
        }
        return true;
}

/* Free the oldest block of QUEUE. False: there is none. */
static bool evict_from(struct blockcache *c, int queue)
{
        struct block *victim;

        if (!take_oldest(c, queue, &victim))
                return false;
        if (victim)
                discard(c, victim);
        return true;
}

/* Free a block that nobody holds. False: there is none. */
static bool evict(struct blockcache *c)
{
        return evict_from(c, SPENT) || evict_from(c, USED);
}

/*
 * The memory of the oldest spent block but the last, where that suits LEN bytes. It stays accounted
 * for.
 */
static bool reuse_spent(struct blockcache *c, size_t len, struct buffer *out)
{
        struct block *victim;

        if (atomic_load(&c->spent) < 2 || !take_oldest(c, SPENT, &victim) || !victim)
                return false;
        if (victim->buffer.capacity < len || victim->buffer.touched / REUSE_RATIO > len) {
                discard(c, victim);
                return false;
        }
        *out = victim->buffer;
        free(victim);
        return true;
}

/* Of what has all been read, the last block stays, and a little more. */
static void evict_spent(struct blockcache *c)
{
        while (atomic_load(&c->spent) > 1 && atomic_load(&c->spent_bytes) > c->bound / SPENT_SHARE)
                if (!evict_from(c, SPENT))
                        return;
}

/* Evict until INCOMING more bytes fit. False: nothing is left that nobody holds. */
static bool make_room(struct blockcache *c, size_t incoming)
{
        evict_spent(c);
        while (atomic_load(&c->bytes) + atomic_load(&c->spares.bytes) + incoming > c->bound) {
                if (!evict(c))
                        return false;
        }
        return true;
}

void blockcache_free(struct blockcache *c)
{
        if (!c)
                return;
        while (evict(c))
                ;
        for (size_t i = 0; i < SHARDS; i++) {
                pthread_mutex_destroy(&c->shards[i].lock);
                pthread_cond_destroy(&c->shards[i].loaded);
        }
        spares_fini(&c->spares);
        pthread_mutex_destroy(&c->load_lock);
        pthread_cond_destroy(&c->load_ended);
        free(c);
}

/*
 * Memory for B, which is to be loaded. However many load at the same time, the bound holds: who
 * finds no room waits for another load to end, and only who loads alone may pass it.
 */
static int begin_load(struct blockcache *c, struct block *b, size_t len)
{
        scoped_lock(&c->load_lock);
        bool reused = reuse_spent(c, len, &b->buffer);
        size_t had = b->buffer.touched;
        int rc = 0;

        while (!make_room(c, len - min_u64(len, had)) && c->loading > 0)
                pthread_cond_wait(&c->load_ended, &c->load_lock);
        if (!reused)
                rc = spares_get(&c->spares, len, &b->buffer);
        if (rc < 0)
                return rc;
        charge(c, b, len);
        atomic_fetch_sub(&c->bytes, had);
        c->loading++;
        return 0;
}

static void end_load(struct blockcache *c)
{
        scoped_lock(&c->load_lock);

        c->loading--;
        pthread_cond_broadcast(&c->load_ended);
}

/* Fill B, which is listed and LOADING, and tell who waits for it. */
static int load_block(struct blockcache *c, struct shard *s, struct block *b, size_t len,
                      blockcache_load_fn load, void *ctx)
{
        int rc = begin_load(c, b, len);

        if (rc == 0) {
                rc = load(ctx, b->key, b->buffer.data, len);
                end_load(c);
        }
        pthread_mutex_lock(&s->lock);
        b->state = rc < 0 ? FAILED : READY;
        b->error = rc;
        b->len = len;
        if (rc < 0)
                unlist(s, b);
        pthread_cond_broadcast(&s->loaded);
        pthread_mutex_unlock(&s->lock);
        return rc;
}

int blockcache_get(struct blockcache *c, uint64_t key, size_t len, blockcache_load_fn load,
                   void *ctx, struct block **out)
{
        struct shard *s = shard_of(c, key);
        struct block *b;
        int rc = 0;

        pthread_mutex_lock(&s->lock);
        b = find(s, key);
        if (b) {
                take_hold(c, s, b);
                b->asked_for = true;
                while (b->state == LOADING)
                        pthread_cond_wait(&s->loaded, &s->lock);
                rc = b->error;
                pthread_mutex_unlock(&s->lock);
        } else {
                b = calloc(1, sizeof *b);
                if (b) {
                        b->key = key;
                        b->holders = 1;
                        b->state = LOADING;
                        b->asked_for = true;
                        list(s, b);
                }
                pthread_mutex_unlock(&s->lock);
                if (!b)
                        return -ENOMEM;
                rc = load_block(c, s, b, len, load, ctx);
        }
        if (rc < 0) {
                blockcache_put(c, b);
                return rc;
        }
        *out = b;
        return 0;
}

struct block *blockcache_get_ready(struct blockcache *c, uint64_t key)
{
        struct shard *s = shard_of(c, key);
        struct block *b;
        scoped_lock(&s->lock);

        b = find(s, key);
        if (!b || b->state != READY)
                return NULL;
        take_hold(c, s, b);
        b->asked_for = true;
        return b;
}

bool blockcache_contains(struct blockcache *c, uint64_t key)
{
        struct shard *s = shard_of(c, key);
        scoped_lock(&s->lock);

        return find(s, key) != NULL;
}

int blockcache_prepare(struct blockcache *c, uint64_t key, size_t capacity, struct block **out)
{
        struct block *b = calloc(1, sizeof *b);
        int rc;

        if (!b)
                return -ENOMEM;
        b->key = key;
        b->holders = 1;
        b->state = READY;
        rc = spares_get(&c->spares, capacity, &b->buffer);
        if (rc < 0) {
                free(b);
                return rc;
        }
        charge(c, b, 0);
        *out = b;
        return 0;
}

int blockcache_scratch(struct blockcache *c, size_t len, struct block **out)
{
        int rc;

        make_room(c, len);
        rc = blockcache_prepare(c, 0, len, out);
        if (rc < 0)
                return rc;
        atomic_fetch_sub(&c->bytes, (*out)->buffer.touched);
        charge(c, *out, len);
        return 0;
}

void blockcache_add(struct blockcache *c, struct block *b, size_t len)
{
        struct shard *s = shard_of(c, b->key);

        atomic_fetch_sub(&c->bytes, b->buffer.touched);
        charge(c, b, len);
        pthread_mutex_lock(&s->lock);
        b->len = len;
        if (!find(s, b->key))
                list(s, b);
        pthread_mutex_unlock(&s->lock);
        make_room(c, 0);
}

void blockcache_drop_unread(struct blockcache *c, uint64_t key)
{
        struct shard *s = shard_of(c, key);
        struct block *b;

        pthread_mutex_lock(&s->lock);
        b = find(s, key);
        if (b && (b->asked_for || b->holders > 0))
                b = NULL;
        if (b) {
                dequeue(c, s, b);
                unlist(s, b);
        }
        pthread_mutex_unlock(&s->lock);
        if (b)
                discard(c, b);
}

void blockcache_hold(struct blockcache *c, struct block *b)
{
        struct shard *s = shard_of(c, b->key);
        scoped_lock(&s->lock);

        take_hold(c, s, b);
}

/*
 * Caller holds the shard's lock. Has all of B been read? Who asks for it all the same has it read
 * once more.
 */
static bool is_spent(struct block *b)
{
        if (b->read < b->len - b->len / UNREAD_SHARE)
                return false;
        b->read = 0;
        return true;
}

void blockcache_put_read(struct blockcache *c, struct block *b, size_t read)
{
        struct shard *s = shard_of(c, b->key);
        bool gone = false;

        pthread_mutex_lock(&s->lock);
        b->read += read;
        if (--b->holders == 0) {
                gone = !b->listed || b->buffer.touched > c->bound;
                if (gone && b->listed)
                        unlist(s, b);
                b->spent = !gone && is_spent(b);
                if (!gone)
                        enqueue(c, s, b);
        }
        pthread_mutex_unlock(&s->lock);
        if (gone)
                discard(c, b);
        else
                make_room(c, 0);
}

void blockcache_put(struct blockcache *c, struct block *b)
{
        blockcache_put_read(c, b, 0);
}

void *block_data(struct block *b)
{
        return b->buffer.data;
}

size_t blockcache_bytes(const struct blockcache *c)
{
        return atomic_load(&c->bytes);
}
