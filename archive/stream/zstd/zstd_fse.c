/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_fse.h"

#include <errno.h>
#include <string.h>

/* What the three kinds differ in. Probabilities as in 3.1.1.3.2.2.1: -1 means "less than one". */
struct kind {
        uint8_t symbols;        /* codes 0 … symbols - 1 exist */
        uint8_t log_max;        /* 3.1.1.3.2.1.1 */
        uint8_t predefined_log; /* of the table below */
        uint8_t predefined_symbols;
        int16_t predefined[ZSTD_FSE_MATCH_LENGTHS];
};

static const struct kind kinds[] = {
    [ZSTD_FSE_KIND_LITERAL_LENGTH] = {ZSTD_FSE_LITERAL_LENGTHS,
                                      9,
                                      6,
                                      36,
                                      {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
                                       2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}},
    [ZSTD_FSE_KIND_OFFSET] = {ZSTD_FSE_OFFSETS, 8, 5, 29, {1, 1, 1, 1, 1,  1,  2,  2,  2, 1,
                                                           1, 1, 1, 1, 1,  1,  1,  1,  1, 1,
                                                           1, 1, 1, 1, -1, -1, -1, -1, -1}},
    [ZSTD_FSE_KIND_MATCH_LENGTH] = {ZSTD_FSE_MATCH_LENGTHS,
                                    9,
                                    6,
                                    53,
                                    {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}},
};

/* Position of the highest set bit of N, which is not 0. */
static unsigned highest_bit(uint32_t n)
{
        return 31 - (unsigned)__builtin_clz(n);
}

/*
 * 4.1.1, from probabilities to cells. They add up to exactly 1 << log, counting -1 as one: the
 * caller has seen to that.
 */
static void build(struct zstd_fse *t, const int16_t *probability, unsigned symbols, unsigned log)
{
        uint32_t size = UINT32_C(1) << log;
        uint32_t high = size; /* cells from here on are taken by less-than-one symbols */
        uint32_t step = (size >> 1) + (size >> 3) + 3;
        uint32_t at = 0;
        uint16_t next[ZSTD_FSE_MATCH_LENGTHS];

        t->log = (uint8_t)log;
        for (unsigned s = 0; s < symbols; s++) {
                if (probability[s] == -1)
                        t->cells[--high].symbol = (uint8_t)s;
                next[s] = (uint16_t)(probability[s] == -1 ? 1 : probability[s]);
        }
        for (unsigned s = 0; s < symbols; s++) {
                for (int i = 0; i < probability[s]; i++) {
                        t->cells[at].symbol = (uint8_t)s;
                        do
                                at = (at + step) & (size - 1);
                        while (at >= high);
                }
        }
        for (uint32_t i = 0; i < size; i++) {
                uint32_t x = next[t->cells[i].symbol]++;

                t->cells[i].bits = (uint8_t)(log - highest_bit(x));
                t->cells[i].base = (uint16_t)((x << t->cells[i].bits) - size);
        }
}

/* Bits from the start of the bytes onwards; beyond the end they are zeros. */
struct forward_bits {
        const uint8_t *in;
        size_t size;
        size_t at; /* in bits */
};

static uint32_t peek(const struct forward_bits *b, unsigned n)
{
        uint8_t bytes[8] = {0};
        size_t byte = b->at / 8;

        if (byte < b->size)
                memcpy(bytes, b->in + byte, min_u64(4, b->size - byte));
        return (uint32_t)(load_le64(bytes) >> (b->at % 8)) & ((UINT32_C(1) << n) - 1);
}

/*
 * 4.1.1, a table description: probabilities until they add up. Sets *LOG and *SYMBOLS; the bytes
 * that it took or -EINVAL.
 */
static ssize_t read_probabilities(const struct kind *kind, const uint8_t *in, size_t size,
                                  int16_t *probability, unsigned *symbols, unsigned *log)
{
        struct forward_bits b = {.in = in, .size = size};
        uint32_t remaining;
        unsigned s = 0;

        *log = peek(&b, 4) + 5;
        b.at = 4;
        if (*log > kind->log_max)
                return -EINVAL;
        remaining = UINT32_C(1) << *log;
        while (remaining > 0 && s < kind->symbols) {
                /* Values 0 … remaining + 1; the lowest of them are one bit shorter. */
                unsigned width = highest_bit(remaining + 1) + 1;
                uint32_t shorter = (UINT32_C(1) << width) - 1 - (remaining + 1);
                uint32_t low = peek(&b, width - 1);
                uint32_t value = peek(&b, width);
                int32_t p;

                if (low < shorter) {
                        value = low;
                        b.at += width - 1;
                } else {
                        if (value >= UINT32_C(1) << (width - 1))
                                value -= shorter;
                        b.at += width;
                }
                p = (int32_t)value - 1;
                probability[s++] = (int16_t)p;
                remaining -= (uint32_t)(p < 0 ? 1 : p);
                if (p != 0)
                        continue;
                for (uint32_t zeros = 3; zeros == 3;) {
                        zeros = peek(&b, 2);
                        b.at += 2;
                        if (s + zeros > kind->symbols)
                                return -EINVAL;
                        for (uint32_t i = 0; i < zeros; i++)
                                probability[s++] = 0;
                }
        }
        *symbols = s;
        if (remaining != 0 || b.at > size * 8)
                return -EINVAL;
        return (ssize_t)((b.at + 7) / 8);
}

/* One symbol, no bits: a table of a single cell. */
static void build_single(struct zstd_fse *t, uint8_t symbol)
{
        t->log = 0;
        t->cells[0] = (struct zstd_fse_cell){.symbol = symbol};
}

ssize_t zstd_fse_define(struct zstd_fse *t, enum zstd_fse_kind kind, enum zstd_fse_mode mode,
                        const uint8_t *in, size_t size)
{
        const struct kind *k = &kinds[kind];
        int16_t probability[ZSTD_FSE_MATCH_LENGTHS];
        unsigned symbols, log;
        ssize_t n;

        switch (mode) {
        case ZSTD_FSE_PREDEFINED:
                build(t, k->predefined, k->predefined_symbols, k->predefined_log);
                return 0;
        case ZSTD_FSE_RLE:
                if (size < 1 || in[0] >= k->symbols)
                        return -EINVAL;
                build_single(t, in[0]);
                return 1;
        case ZSTD_FSE_COMPRESSED:
                n = read_probabilities(k, in, size, probability, &symbols, &log);
                if (n < 0)
                        return n;
                build(t, probability, symbols, log);
                return n;
        case ZSTD_FSE_REPEAT:
                return 0;
        }
        return -EINVAL;
}

bool zstd_bits_init(struct zstd_bits *b, const uint8_t *in, size_t size)
{
        if (size == 0 || in[size - 1] == 0)
                return false;
        b->in = in;
        b->size = size;
        b->left = (int64_t)(size - 1) * 8 + highest_bit(in[size - 1]);
        zstd_bits_refill(b);
        return true;
}

/* As the fast way, with zeros before the first byte. */
void zstd_bits_refill_slow(struct zstd_bits *b)
{
        uint8_t bytes[8] = {0};
        uint64_t end, n;

        b->word = 0;
        b->have = 64;
        if (b->left <= 0)
                return;
        end = ((uint64_t)b->left + 7) / 8;
        n = min_u64(end, 8);
        memcpy(bytes + 8 - n, b->in + end - n, n);
        b->word = load_le64(bytes) << (end * 8 - (uint64_t)b->left);
        b->have = 64 - (unsigned)(end * 8 - (uint64_t)b->left);
}
