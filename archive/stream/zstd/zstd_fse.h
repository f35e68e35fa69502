/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FSE tables and the backward bitstream of zstd's sequences section (RFC 8878, 4.1). Every
 * function takes hostile bytes and stays within them.
 */
#ifndef VMAFS_ZSTD_FSE_H
#define VMAFS_ZSTD_FSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/bytes.h"

/* How many codes there are of each kind: 3.1.1.3.2.1.1. */
#define ZSTD_FSE_LITERAL_LENGTHS 36
#define ZSTD_FSE_MATCH_LENGTHS   53
#define ZSTD_FSE_OFFSETS         32 /* code 31 is the most a 32-bit offset value can have */

#define ZSTD_FSE_LOG_MAX 9

enum zstd_fse_kind { /* in the order of the sequences section */
                     ZSTD_FSE_KIND_LITERAL_LENGTH,
                     ZSTD_FSE_KIND_OFFSET,
                     ZSTD_FSE_KIND_MATCH_LENGTH,
};

enum zstd_fse_mode {
        ZSTD_FSE_PREDEFINED,
        ZSTD_FSE_RLE,
        ZSTD_FSE_COMPRESSED,
        ZSTD_FSE_REPEAT,
};

/* In state s: emit cells[s].symbol, then go to cells[s].base + the next cells[s].bits bits. */
struct zstd_fse_cell {
        uint16_t base;
        uint8_t bits;
        uint8_t symbol;
};

struct zstd_fse {
        uint8_t log; /* there are 1 << log cells */
        struct zstd_fse_cell cells[1 << ZSTD_FSE_LOG_MAX];
};

/*
 * Set T according to MODE from the bytes at IN. Returns how many of them it took, or -EINVAL.
 * REPEAT leaves T unchanged.
 */
ssize_t zstd_fse_define(struct zstd_fse *t, enum zstd_fse_kind kind, enum zstd_fse_mode mode,
                        const uint8_t *in, size_t size);

/*
 * Bits from the end of the bytes towards their start. Reads before the start give zeros and
 * set overrun, which the caller checks once in a while.
 *
 *   in                                    in + size
 *   | ... not yet read ... | word | read |
 *                          ^ left bits from the start
 */
struct zstd_bits {
        const uint8_t *in;
        size_t size;
        int64_t left;  /* bits not yet read, those in word included; negative: overrun */
        uint64_t word; /* the next bits, from the top */
        unsigned have; /* how many of them are valid */
};

/* False when there is no end mark, which the highest set bit of the last byte is. */
bool zstd_bits_init(struct zstd_bits *b, const uint8_t *in, size_t size);

/* For the last seven bytes before the start. */
void zstd_bits_refill_slow(struct zstd_bits *b);

/* At least 56 bits are in the word afterwards. */
static inline void zstd_bits_refill(struct zstd_bits *b)
{
        if (b->left >= 64) {
                /* The 64 bits that end at the byte boundary at or above the read position. */
                uint64_t end = ((uint64_t)b->left + 7) / 8;
                unsigned above = (unsigned)(end * 8 - (uint64_t)b->left);

                b->word = load_le64(b->in + end - 8) << above;
                b->have = 64 - above;
        } else {
                zstd_bits_refill_slow(b);
        }
}

/* N bits, at most 32, that a refill has made sure of. */
static inline uint32_t zstd_bits_take(struct zstd_bits *b, unsigned n)
{
        uint32_t value = (uint32_t)(b->word >> 1 >> (63 - n));

        b->word <<= n;
        b->have -= n;
        b->left -= n;
        return value;
}

/* N bits, at most 32. */
static inline uint32_t zstd_bits_read(struct zstd_bits *b, unsigned n)
{
        if (b->have < n)
                zstd_bits_refill(b);
        return zstd_bits_take(b, n);
}

static inline bool zstd_bits_overrun(const struct zstd_bits *b)
{
        return b->left < 0;
}

/* All was read, and no more. */
static inline bool zstd_bits_finished(const struct zstd_bits *b)
{
        return b->left == 0;
}

#endif
