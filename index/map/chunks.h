/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk's spans. Only those exist to which something was added.
 *
 *   table   | chunk | chunk |   | chunk | ...      a slot for each chunk of the disk, if a third or
 *             |                                    more of them exist; else open addressing
 *             +-- chunk: 64 spans, 4 GiB
 *                   open      a bit a span: it exists
 *                   unloaded  a bit a span: see map.h
 *                   spans     those that exist, in order
 *
 * Only map.c uses this. Not locked, see map.h.
 */
#ifndef VMAFS_CHUNKS_H
#define VMAFS_CHUNKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/map/span.h"

enum { CHUNK_SPANS = 64 };

struct chunk {
        uint64_t open;
        _Atomic uint64_t unloaded; /* cleared with release once the span is filled */
        uint32_t number;
        uint16_t capacity; /* spans it has room for */
        uint16_t straight; /* how many exist in a row, from the first on */
        struct span spans[];
};

/* All zeros is empty. */
struct chunks {
        struct chunk **table; /* NULL: a free slot */
        size_t direct;        /* it has a slot for each of so many chunks, from the first on … */
        unsigned bits;        /* … unless this is not 0: then it is a hash with 1 << bits slots */
        size_t count;
        uint64_t last; /* the highest chunk that exists */
};

void chunks_fini(struct chunks *c);

/* The same, but creates a missing span; then other spans may move. NULL: out of memory. */
struct span *chunks_open(struct chunks *c, uint64_t number);

/* Nothing more will be added: free spare memory. */
void chunks_trim(struct chunks *c);

/*
 * Span NUMBER is missing. Returns how many in a row from it on are missing, as far as is quickly
 * known.
 */
uint64_t chunks_missing(const struct chunks *c, uint64_t number);

/* Chunk NUMBER of a hashed table, or NULL. */
struct chunk *chunks_hashed(const struct chunks *c, uint64_t number);

/* Chunk NUMBER, or NULL. */
static inline struct chunk *chunks_at(const struct chunks *c, uint64_t number)
{
        if (number < c->direct)
                return c->table[number];
        return c->bits ? chunks_hashed(c, number) : NULL;
}

static inline bool chunk_is_unloaded(const struct chunk *c, uint64_t span)
{
        uint64_t unloaded = atomic_load_explicit(&c->unloaded, memory_order_acquire);

        return unloaded >> span % CHUNK_SPANS & 1;
}

/* Span AT of the chunk's 64, which exists. */
struct span *chunk_counted(struct chunk *c, unsigned at);

/* Span NUMBER of C, to which it belongs, or NULL. */
static inline struct span *chunk_span(struct chunk *c, uint64_t number)
{
        unsigned at = (unsigned)(number % CHUNK_SPANS);
        uint64_t bit = UINT64_C(1) << at;

        if (!c)
                return NULL;
        if (__builtin_expect(at < c->straight, 1))
                return &c->spans[at];
        return c->open & bit ? chunk_counted(c, at) : NULL;
}

/* Span NUMBER, or NULL. */
static inline struct span *chunks_span(const struct chunks *c, uint64_t number)
{
        return chunk_span(chunks_at(c, number / CHUNK_SPANS), number);
}

#endif
