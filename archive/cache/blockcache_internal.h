/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by blockcache.c and blockcache_room.c; nobody else includes this.
 *
 *   blockcache.c       an owner's blocks: found, loaded, held and put
 *   blockcache_room.c  the memory of all of them: what goes to make room for what comes
 *
 * Locks are taken in this order: load_lock, the cache's lock, an owner's, the bufpool's.
 */
#ifndef VMAFS_BLOCKCACHE_INTERNAL_H
#define VMAFS_BLOCKCACHE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"

enum block_state { LOADING, READY, FAILED };

struct block {
        uint64_t key;
        struct buffer buffer; /* the block is charged for what this touches */

        /* Guarded by the owner's lock. */
        enum block_state state;
        int error;
        unsigned holders;
        bool listed;                 /* get finds it */
        bool asked_for;              /* get has found it, or made it */
        bool spent;                  /* which queue it is in */
        size_t len;                  /* 0 until it is READY or added */
        uint64_t read;               /* bytes read since it was last spent */
        struct block *chain;         /* next in its bucket */
        struct block *older, *newer; /* while nobody holds it */
        uint64_t tick;               /* when it was last put */
};

/* Blocks that nobody holds. */
struct block_queue {
        struct block *oldest, *newest;
};

enum { USED, SPENT, QUEUES };

struct cache_owner {
        struct blockcache *cache;
        enum cache_kind kind;
        LIST_ENTRY(cache_owner) others; /* guarded by the cache's lock */
        _Atomic size_t bytes;           /* that its blocks take */

        pthread_mutex_t lock; /* guards everything below, and its blocks' fields above */
        pthread_cond_t loaded;
        struct block **buckets;
        size_t bucket_count; /* a power of two */
        size_t listed;       /* blocks */
        size_t idle;         /* blocks that nobody holds */
        struct block_queue queues[QUEUES];
};

struct blockcache {
        size_t bound;
        _Atomic size_t bytes;
        _Atomic size_t table_bytes;        /* of these, bytes of tables */
        _Atomic size_t spent, spent_bytes; /* blocks in the queue SPENT, and their bytes */
        _Atomic uint64_t tick;

        pthread_mutex_t lock; /* guards the two below */
        LIST_HEAD(cache_owners, cache_owner) owners;
        size_t owner_count;

        pthread_mutex_t load_lock; /* guards loading */
        pthread_cond_t load_ended;
        unsigned loading; /* running loads and work, whose memory is accounted for */

        struct bufpool bufpool;
};

/* ---- blockcache.c: the caller holds the owner's lock ---- */

void blockcache_unlist(struct cache_owner *o, struct block *b);
void blockcache_dequeue(struct cache_owner *o, struct block *b);

/* ---- blockcache_room.c ---- */

/* Account for LEN bytes of B's buffer. */
void blockcache_charge(struct cache_owner *o, struct block *b, size_t len);

/* Stop accounting for B's bytes. */
void blockcache_uncharge(struct cache_owner *o, struct block *b);

/* Free B, which is uncharged. */
void blockcache_discard(struct blockcache *c, struct block *b);

/*
 * Memory for LEN bytes that the caller accounts for, used before if possible: a spare buffer, or a
 * spent block's. 0 or -ENOMEM.
 */
int blockcache_memory(struct blockcache *c, size_t len, struct buffer *out);

/* Get room and memory for loading B, and room for BESIDE more bytes. 0 or -ENOMEM. */
int blockcache_begin_load(struct cache_owner *o, struct block *b, size_t len, size_t beside);
void blockcache_end_load(struct cache_owner *o, size_t beside);

/*
 * Evict until the bound holds, but not O's last unheld block: its reader has read only a part of
 * it, and would otherwise have it decoded again for each part.
 */
void blockcache_trim(struct cache_owner *o);

#endif
