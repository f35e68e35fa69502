/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known about one cluster of 64 KiB, in 64 bits:
 *
 *   address << 16 | mask   the blocks of the mask are stored, one after the other from the address
 *                          on; the others are zeros (all of them if the mask is 0)
 *   LOST << 16 | mask      the blocks of the mask are lost; the others are zeros
 *   all bits               nothing is known
 */
#ifndef VMAFS_WORD_H
#define VMAFS_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/extent.h"

enum { WORD_BLOCKS = 16, WORD_FULL = 0xffff, WORD_BYTES = 65536 };

#define WORD_ADDR_LOST ((UINT64_C(1) << 48) - 2)
#define WORD_ABSENT    UINT64_MAX
#define WORD_ALL_LOST  (WORD_ADDR_LOST << 16 | WORD_FULL)

static inline uint32_t word_mask(uint64_t word)
{
        return (uint32_t)(word & WORD_FULL);
}

static inline bool word_is_lost(uint64_t word)
{
        return word >> 16 == WORD_ADDR_LOST;
}

/* The word of a whole cluster at ADDR, an address or a word of extent.h. */
static inline uint64_t word_whole(uint64_t addr)
{
        if (addr == EXTENT_ZERO)
                return 0;
        return addr == EXTENT_LOST ? WORD_ALL_LOST : addr << 16 | WORD_FULL;
}

/* Are some blocks of the cluster stored or lost, and others zeros? */
static inline bool word_is_ragged(uint64_t word)
{
        return word_mask(word) != 0 && word_mask(word) != WORD_FULL;
}

/* The word of the Nth cluster after one that is WORD, in a run of clusters that continue it. */
static inline uint64_t word_plus(uint64_t word, uint64_t n)
{
        if (word_mask(word) == 0 || word_is_lost(word))
                return word;
        return word + (n * WORD_BYTES << 16);
}

/*
 * Does NEXT continue a run of N clusters that begins with WORD? Nothing continues a ragged cluster.
 */
static inline bool word_continues(uint64_t word, uint64_t n, uint64_t next)
{
        if (word_is_ragged(word) && !word_is_lost(word))
                return false;
        return word_plus(word, n) == next;
}

/* A uniform range of the cluster's blocks. */
struct word_range {
        uint32_t first, blocks;
        uint64_t addr; /* of the first one, EXTENT_ZERO or EXTENT_LOST */
};

/* The range of WORD, which is not WORD_ABSENT, that begins with block BIT. */
static inline struct word_range word_range(uint64_t word, uint32_t bit)
{
        uint32_t mask = word_mask(word), alike = mask >> bit & 1 ? mask : ~mask;
        struct word_range r = {0, WORD_BLOCKS, EXTENT_ZERO};
        uint32_t rest;

        if (word_is_ragged(word)) {
                rest = ~(alike >> bit) | 1u << (WORD_BLOCKS - bit);
                r.first = bit;
                r.blocks = (uint32_t)__builtin_ctz(rest);
        }
        if (!(mask >> bit & 1))
                return r;
        r.addr = EXTENT_LOST;
        if (!word_is_lost(word))
                r.addr = (word >> 16) + (uint64_t)__builtin_popcount(mask & ((1u << r.first) - 1)) *
                                            (WORD_BYTES / WORD_BLOCKS);
        return r;
}

#endif
