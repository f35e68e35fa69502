/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/cache/blockcache.h"

#include "archive/bytes.h"
#include "archive/cache/blockcache_internal.h"
#include "archive/cleanup.h"

#define BUCKETS_MIN 64

/*
 * Unused buffers may take one part in so many of the bound while nothing has to be evicted: see
 * SPARE_KEPT.
 */
#define SPARE_SHARE 4
/*
 * A block counts as read if at most one byte in so many is unread, since nobody reads what lies
 * between the data.
 */
#define UNREAD_SHARE 1024

/* ---- the cache and its owners ---- */

int blockcache_new(size_t bytes, struct blockcache **out)
{
        struct blockcache *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        c->bound = bytes;
        bufpool_init(&c->bufpool, bytes / SPARE_SHARE);
        pthread_mutex_init(&c->lock, NULL);
        pthread_mutex_init(&c->load_lock, NULL);
        pthread_cond_init(&c->load_ended, NULL);
        *out = c;
        return 0;
}

void blockcache_free(struct blockcache *c)
{
        if (!c)
                return;
        bufpool_fini(&c->bufpool);
        pthread_mutex_destroy(&c->lock);
        pthread_mutex_destroy(&c->load_lock);
        pthread_cond_destroy(&c->load_ended);
        free(c);
}

int blockcache_join(struct blockcache *c, enum cache_kind kind, struct cache_owner **out)
{
        struct cache_owner *o = calloc(1, sizeof *o);
        struct block **buckets = calloc(BUCKETS_MIN, sizeof *buckets);

        if (!o || !buckets) {
                free(o);
                free(buckets);
                return -ENOMEM;
        }
        o->cache = c;
        o->kind = kind;
        o->buckets = buckets;
        o->bucket_count = BUCKETS_MIN;
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->loaded, NULL);
        scoped_lock(&c->lock);
        LIST_INSERT_HEAD(&c->owners, o, others);
        c->owner_count++;
        *out = o;
        return 0;
}

void blockcache_leave(struct cache_owner *o)
{
        struct blockcache *c;

        if (!o)
                return;
        c = o->cache;
        pthread_mutex_lock(&c->lock);
        LIST_REMOVE(o, others);
        c->owner_count--;
        pthread_mutex_unlock(&c->lock);
        /* Nobody else knows it any more. */
        for (int i = 0; i < QUEUES; i++) {
                struct block *b;

                while ((b = o->queues[i].oldest)) {
                        blockcache_dequeue(o, b);
                        blockcache_uncharge(o, b);
                        blockcache_discard(c, b);
                }
        }
        pthread_mutex_destroy(&o->lock);
        pthread_cond_destroy(&o->loaded);
        free(o->buckets);
        free(o);
}

/* ---- finding: the caller holds the owner's lock ---- */

static struct block **bucket_of(const struct cache_owner *o, uint64_t key)
{
        key *= UINT64_C(0x9E3779B97F4A7C15);
        return &o->buckets[(key ^ key >> 32) & (o->bucket_count - 1)];
}

static struct block *find(struct cache_owner *o, uint64_t key)
{
        struct block *b = *bucket_of(o, key);

        while (b && b->key != key)
                b = b->chain;
        return b;
}

static void chain(struct cache_owner *o, struct block *b)
{
        struct block **bucket = bucket_of(o, b->key);

        b->chain = *bucket;
        *bucket = b;
}

/* Double the buckets. If there is no memory for that, look-ups take longer. */
static void grow(struct cache_owner *o)
{
        struct block **old = o->buckets;
        size_t count = o->bucket_count;
        struct block **buckets = calloc(count * 2, sizeof *buckets);

        if (!buckets)
                return;
        o->buckets = buckets;
        o->bucket_count = count * 2;
        for (size_t i = 0; i < count; i++) {
                struct block *next;

                for (struct block *b = old[i]; b; b = next) {
                        next = b->chain;
                        chain(o, b);
                }
        }
        free(old);
}

static void list(struct cache_owner *o, struct block *b)
{
        if (o->listed == o->bucket_count)
                grow(o);
        chain(o, b);
        o->listed++;
        b->listed = true;
}

void blockcache_unlist(struct cache_owner *o, struct block *b)
{
        struct block **link = bucket_of(o, b->key);

        while (*link != b)
                link = &(*link)->chain;
        *link = b->chain;
        o->listed--;
        b->listed = false;
}

/* B is not held. */
static void enqueue(struct cache_owner *o, struct block *b)
{
        struct block_queue *q = &o->queues[b->spent ? SPENT : USED];
        struct blockcache *c = o->cache;

        b->tick = atomic_fetch_add(&c->tick, 1);
        b->older = q->newest;
        b->newer = NULL;
        *(q->newest ? &q->newest->newer : &q->oldest) = b;
        q->newest = b;
        o->idle++;
        if (b->spent) {
                atomic_fetch_add(&c->spent, 1);
                atomic_fetch_add(&c->spent_bytes, b->buffer.touched);
        }
}

void blockcache_dequeue(struct cache_owner *o, struct block *b)
{
        struct block_queue *q = &o->queues[b->spent ? SPENT : USED];
        struct blockcache *c = o->cache;

        *(b->older ? &b->older->newer : &q->oldest) = b->newer;
        *(b->newer ? &b->newer->older : &q->newest) = b->older;
        o->idle--;
        if (b->spent) {
                atomic_fetch_sub(&c->spent, 1);
                atomic_fetch_sub(&c->spent_bytes, b->buffer.touched);
        }
        b->spent = false;
}

static void take_hold(struct cache_owner *o, struct block *b)
{
        if (b->holders++ == 0)
                blockcache_dequeue(o, b);
}

/* ---- getting ---- */

/* Fill B, which is listed and LOADING, and wake its waiters. */
static int load_block(struct cache_owner *o, struct block *b, size_t len, size_t beside,
                      blockcache_load_fn load, void *ctx)
{
        int rc = blockcache_begin_load(o, b, len, beside);

        if (rc == 0) {
                rc = load(ctx, b->key, b->buffer.data, len);
                blockcache_end_load(o, beside);
        }
        pthread_mutex_lock(&o->lock);
        b->state = rc < 0 ? FAILED : READY;
        b->error = rc;
        b->len = len;
        if (rc < 0)
                blockcache_unlist(o, b);
        pthread_cond_broadcast(&o->loaded);
        pthread_mutex_unlock(&o->lock);
        return rc;
}

int blockcache_get_beside(struct cache_owner *o, uint64_t key, size_t len, size_t beside,
                          blockcache_load_fn load, void *ctx, struct block **out)
{
        struct block *b;
        int rc = 0;

        pthread_mutex_lock(&o->lock);
        b = find(o, key);
        if (b) {
                take_hold(o, b);
                b->asked_for = true;
                while (b->state == LOADING)
                        pthread_cond_wait(&o->loaded, &o->lock);
                rc = b->error;
                pthread_mutex_unlock(&o->lock);
        } else {
                b = calloc(1, sizeof *b);
                if (b) {
                        b->key = key;
                        b->holders = 1;
                        b->state = LOADING;
                        b->asked_for = true;
                        list(o, b);
                }
                pthread_mutex_unlock(&o->lock);
                if (!b)
                        return -ENOMEM;
                rc = load_block(o, b, len, beside, load, ctx);
        }
        if (rc < 0) {
                blockcache_put(o, b);
                return rc;
        }
        *out = b;
        return 0;
}

int blockcache_get(struct cache_owner *o, uint64_t key, size_t len, blockcache_load_fn load,
                   void *ctx, struct block **out)
{
        return blockcache_get_beside(o, key, len, 0, load, ctx, out);
}

static struct block *hold_ready(struct cache_owner *o, uint64_t key, bool asked_for)
{
        struct block *b;
        scoped_lock(&o->lock);

        b = find(o, key);
        if (!b || b->state != READY)
                return NULL;
        take_hold(o, b);
        b->asked_for |= asked_for;
        return b;
}

struct block *blockcache_get_ready(struct cache_owner *o, uint64_t key)
{
        return hold_ready(o, key, true);
}

struct block *blockcache_peek_ready(struct cache_owner *o, uint64_t key)
{
        return hold_ready(o, key, false);
}

bool blockcache_contains(struct cache_owner *o, uint64_t key)
{
        scoped_lock(&o->lock);

        return find(o, key) != NULL;
}

/* ---- filling ---- */

int blockcache_prepare(struct cache_owner *o, uint64_t key, size_t capacity, struct block **out)
{
        struct block *b = calloc(1, sizeof *b);
        int rc;

        if (!b)
                return -ENOMEM;
        b->key = key;
        b->holders = 1;
        b->state = READY;
        rc = blockcache_memory(o->cache, capacity, &b->buffer);
        if (rc < 0) {
                free(b);
                return rc;
        }
        blockcache_charge(o, b, 0);
        *out = b;
        return 0;
}

/* Account for LEN bytes of B. */
static void recharge(struct cache_owner *o, struct block *b, size_t len)
{
        blockcache_uncharge(o, b);
        blockcache_charge(o, b, len);
}

void blockcache_fill(struct cache_owner *o, struct block *b, size_t len)
{
        if (buffer_memory(&b->buffer, len) <= b->buffer.touched)
                return;
        recharge(o, b, len);
        blockcache_trim(o);
}

/* Caller holds the owner's lock. Take B out, for blockcache_discard. */
static struct block *take_out(struct cache_owner *o, struct block *b)
{
        blockcache_dequeue(o, b);
        blockcache_unlist(o, b);
        blockcache_uncharge(o, b);
        return b;
}

void blockcache_add(struct cache_owner *o, struct block *b, size_t len)
{
        struct block *old, *shorter = NULL;

        recharge(o, b, len);
        pthread_mutex_lock(&o->lock);
        b->len = len;
        old = find(o, b->key);
        if (old && old->state == READY && old->holders == 0 && old->len < len)
                shorter = take_out(o, old);
        if (!old || shorter)
                list(o, b);
        pthread_mutex_unlock(&o->lock);
        if (shorter)
                blockcache_discard(o->cache, shorter);
        blockcache_trim(o);
}

void blockcache_drop_unread(struct cache_owner *o, uint64_t key)
{
        struct block *b;

        pthread_mutex_lock(&o->lock);
        b = find(o, key);
        if (b && (b->asked_for || b->holders > 0))
                b = NULL;
        if (b)
                take_out(o, b);
        pthread_mutex_unlock(&o->lock);
        if (b)
                blockcache_discard(o->cache, b);
}

/* ---- holding ---- */

void blockcache_hold(struct cache_owner *o, struct block *b)
{
        scoped_lock(&o->lock);

        take_hold(o, b);
}

/*
 * Caller holds the owner's lock. Has all of B been read? If it is asked for again, it has to be
 * read once more.
 */
static bool is_spent(struct block *b)
{
        if (b->read < b->len - b->len / UNREAD_SHARE)
                return false;
        b->read = 0;
        return true;
}

void blockcache_put_read(struct cache_owner *o, struct block *b, size_t read)
{
        bool gone = false;

        pthread_mutex_lock(&o->lock);
        b->read += read;
        if (--b->holders == 0) {
                gone = !b->listed || b->buffer.touched > o->cache->bound;
                if (gone && b->listed)
                        blockcache_unlist(o, b);
                b->spent = !gone && is_spent(b);
                if (gone)
                        blockcache_uncharge(o, b);
                else
                        enqueue(o, b);
        }
        pthread_mutex_unlock(&o->lock);
        if (gone)
                blockcache_discard(o->cache, b);
        else
                blockcache_trim(o);
}

void blockcache_put(struct cache_owner *o, struct block *b)
{
        blockcache_put_read(o, b, 0);
}

void *block_data(struct block *b)
{
        return b->buffer.data;
}

size_t block_len(const struct block *b)
{
        return b->len;
}

size_t blockcache_bytes(const struct blockcache *c)
{
        return atomic_load(&c->bytes);
}

size_t blockcache_bound(const struct blockcache *c)
{
        return c->bound;
}

size_t blockcache_owner_bound(const struct cache_owner *o)
{
        return o->cache->bound;
}
