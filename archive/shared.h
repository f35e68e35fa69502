/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all archives of a process share: memory for decoded data, and threads. The program creates
 * it and passes it to each archive that it opens.
 */
#ifndef VMAFS_SHARED_H
#define VMAFS_SHARED_H

#include <stddef.h>

struct blockcache;
struct error;
struct worker_pool;

#define SHARED_CACHE_DEFAULT ((size_t)256 << 20)

struct shared {
        struct blockcache *cache;
        struct worker_pool *pool;
};

/*
 * At most CACHE_BYTES of decoded data, not counting what is in use (0: SHARED_CACHE_DEFAULT), and
 * THREADS decoding threads (0: one for each processor). Sets *OUT, which shared_free frees. 0, or
 * -ENOMEM with the reason in ERR.
 */
int shared_new(size_t cache_bytes, unsigned threads, struct shared **out, struct error *err);

/* Threads may be started from now on: the process will not fork any more. */
void shared_release(struct shared *s);

/* All its users must be closed. NULL is allowed. */
void shared_free(struct shared *s);

#endif
