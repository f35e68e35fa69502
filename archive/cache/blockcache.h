/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoded blocks in memory, bounded by bytes.
 *
 *   get(key) ── absent ──> LOADING ── load() without a lock ──> READY ──> held by who asked
 *      \── LOADING: wait for that one ───────────────────────────^          │ put
 *       \─ READY ──────────────────────────────────────> held          unheld: evicted, what is
 *                                                                        spent first, then by age
 *
 * A block is decoded once however many ask for it at the same time. Held blocks are never
 * evicted, so the bound can be passed by what is held; but who finds no room to load waits as long
 * as others load. What is loaded takes the memory of what is spent. A block larger than the bound
 * is freed as soon as nobody holds it. Thread-safe but for new and free.
 */
#ifndef VMAFS_BLOCKCACHE_H
#define VMAFS_BLOCKCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block;
struct blockcache;

/* Fill the LEN bytes of block KEY. 0 or -errno, which every waiter gets and which is not kept. */
typedef int (*blockcache_load_fn)(void *ctx, uint64_t key, void *buf, size_t len);

int blockcache_new(size_t bytes, struct blockcache **out);
void blockcache_free(struct blockcache *c); /* no block is held any more; NULL is allowed */

/* Hold block KEY, of LEN bytes, loading it if need be. 0 and *OUT, or -errno. */
int blockcache_get(struct blockcache *c, uint64_t key, size_t len, blockcache_load_fn load,
                   void *ctx, struct block **out);

/* Hold block KEY, if it is there already; NULL otherwise. */
struct block *blockcache_get_ready(struct blockcache *c, uint64_t key);

/* Is it there, or on its way? */
bool blockcache_contains(struct blockcache *c, uint64_t key);

/*
 * A new block for KEY of up to CAPACITY bytes, held, to be filled by the caller; get does not find
 * it until it is added with its final LEN, which makes it READY. It stays held.
 */
int blockcache_prepare(struct blockcache *c, uint64_t key, size_t capacity, struct block **out);

/* LEN bytes of memory that count as the cache's own: a held block that is never added. */
int blockcache_scratch(struct blockcache *c, size_t len, struct block **out);
void blockcache_add(struct blockcache *c, struct block *b, size_t len);

/* Free block KEY, which was added, if nobody has ever asked for it. */
void blockcache_drop_unread(struct blockcache *c, uint64_t key);

void blockcache_hold(struct blockcache *c, struct block *b); /* once more; it is held already */
void blockcache_put(struct blockcache *c, struct block *b);

/*
 * The same for who has read READ bytes of it. A block of which as many were read as it has is
 * spent, until somebody asks for it again: it is the first to go, to who loads next, and few such
 * stay.
 */
void blockcache_put_read(struct blockcache *c, struct block *b, size_t read);

void *block_data(struct block *b);

/* Bytes of memory that blocks take now. */
size_t blockcache_bytes(const struct blockcache *c);

#endif
