/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoded blocks in memory, of all archives of a process, bounded by bytes as a whole.
 *
 *   get(owner, key) ── absent ──> LOADING ── load() without a lock ──> READY ──> held by who asked
 *      \── LOADING: wait for that one ──────────────────────────────────^          │ put
 *       \─ READY ───────────────────────────────────────────> held      unheld: evicted, see below
 *
 * A block belongs to an owner (a stream, the tables of an image …), and has a key that the owner
 * chooses. It is decoded once, however many threads ask for it at the same time. Held blocks are
 * never evicted, so they can exceed the bound; but a thread that finds no room to load waits while
 * others load. Other memory that decoding takes counts, too. A block larger than the bound is freed
 * as soon as nobody holds it.
 *
 * Fully read blocks are evicted first, and then the oldest of all owners. But half the bound is
 * divided evenly among the owners, and an owner within its share keeps its blocks while others
 * exceed theirs. A quarter of the bound is reserved for tables.
 *
 * Thread-safe, except for new, free, join and leave of the same owner.
 */
#ifndef VMAFS_BLOCKCACHE_H
#define VMAFS_BLOCKCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block;
struct blockcache;
struct buffer;
struct cache_owner;

enum cache_kind {
        CACHE_STREAM, /* large blocks; loading one does not read through another owner */
        /*
         * Small blocks, up to a few MiB, or those of a stream in a stream. Loading one may read
         * through a stream. A thread that does that must not wait for room, since others may wait
         * for it, so it may exceed the bound.
         */
        CACHE_CLUSTERS,
        CACHE_TABLES, /* as clusters: tables that say where the data are */
};

/*
 * Fill the LEN bytes of block KEY. 0 or -errno, which every waiter gets and which is not
 * remembered.
 */
typedef int (*blockcache_load_fn)(void *ctx, uint64_t key, void *buf, size_t len);

int blockcache_new(size_t bytes, struct blockcache **out);
void blockcache_free(struct blockcache *c); /* every owner has left; NULL is allowed */

/* Create an owner of blocks in C, which must outlive it. 0 or -ENOMEM. */
int blockcache_join(struct blockcache *c, enum cache_kind kind, struct cache_owner **out);

/* Free O and all its blocks. None may be held or loading. NULL is allowed. */
void blockcache_leave(struct cache_owner *o);

/* Hold block KEY, of LEN bytes; load it if needed. 0 with *OUT, or -errno. */
int blockcache_get(struct cache_owner *o, uint64_t key, size_t len, blockcache_load_fn load,
                   void *ctx, struct block **out);

/* The same, if LOAD needs BESIDE more bytes of memory while it runs. */
int blockcache_get_beside(struct cache_owner *o, uint64_t key, size_t len, size_t beside,
                          blockcache_load_fn load, void *ctx, struct block **out);

/* Hold block KEY if it is in the cache, or return NULL. */
struct block *blockcache_get_ready(struct cache_owner *o, uint64_t key);

/* The same, but it does not count as asked for: see blockcache_drop_unread. */
struct block *blockcache_peek_ready(struct cache_owner *o, uint64_t key);

/* Is it in the cache, or being loaded? */
bool blockcache_contains(struct cache_owner *o, uint64_t key);

/*
 * Create a held block for KEY of up to CAPACITY bytes, which the caller fills. get does not find it
 * until it is added with its final LEN, which makes it READY. It stays held. Of two with one key the
 * longer one is found, unless the other is held.
 */
int blockcache_prepare(struct cache_owner *o, uint64_t key, size_t capacity, struct block **out);

/* The caller has filled LEN bytes of B, which is prepared: account for them. */
void blockcache_fill(struct cache_owner *o, struct block *b, size_t len);
void blockcache_add(struct cache_owner *o, struct block *b, size_t len);

/* Free block KEY, which was added, if nobody has asked for it yet. */
void blockcache_drop_unread(struct cache_owner *o, uint64_t key);

void blockcache_hold(struct cache_owner *o, struct block *b); /* once more; it is held already */
void blockcache_put(struct cache_owner *o, struct block *b);

/*
 * The same, after READ bytes of it were read. Once as many bytes were read as it has, a block is
 * spent, until somebody asks for it again. Spent blocks are evicted first: the next load reuses
 * their memory, and only a few stay.
 */
void blockcache_put_read(struct cache_owner *o, struct block *b, size_t read);

void *block_data(struct block *b);
size_t block_len(const struct block *b); /* of one that was loaded or added */

/*
 * Work that takes BYTES of memory, but is not a load. It gets room as O's loads do, and keeps it
 * until it ends.
 */
void blockcache_begin_work(struct cache_owner *o, size_t bytes);
void blockcache_end_work(struct cache_owner *o, size_t bytes);

/*
 * Something that outlasts a load took WAS bytes of memory, and takes IS bytes now. At most half the
 * bound is counted, since blocks need room, too.
 */
void blockcache_account(struct cache_owner *o, size_t was, size_t is);

/* Get LEN bytes of memory for work or a load, which already accounts for them. 0 or -ENOMEM. */
int blockcache_pin_memory(struct cache_owner *o, size_t len, struct buffer *out);
void blockcache_unpin_memory(struct cache_owner *o, const struct buffer *buffer);

/* How many bytes of memory blocks take now, and may take. */
size_t blockcache_bytes(const struct blockcache *c);
size_t blockcache_bound(const struct blockcache *c);
size_t blockcache_owner_bound(const struct cache_owner *o); /* of O's cache */

#endif
