/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Section numbers are those of RFC 8878.
 *
 * A compressed block:
 *
 *   | literals section          | sequences section                                         |
 *   | header | tree? | streams  | count | modes | tables? | bitstream, read from its end    |
 *     sizes    only whether       all of it, for offsets and lengths
 *              there is one
 */
#include "archive/stream/zstd/zstd_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/stream/zstd/zstd_fse.h"

struct zstd_parse {
        uint64_t window;
        enum zstd_verdict verdict;
        uint64_t position; /* bytes of output after the boundary */
        bool tree_defined; /* a Huffman table of literals */
        bool tables_defined;
        struct zstd_fse literal_lengths, offsets, match_lengths;
        /* The three repeat offsets, 3.1.1.5; 0 while it is the one from before the boundary. */
        uint32_t repeat[3];
        /* Bit i: the byte i + 1 before the boundary is referred to. */
        uint64_t *needed;
        uint32_t reach;
        uint64_t reach_max;
};

/* 3.1.1.3.2.1.1, codes to lengths: a baseline, and how many bits of the stream are added. */
struct length_code {
        uint32_t base;
        uint8_t bits;
};

static const struct length_code literal_length_codes[ZSTD_FSE_LITERAL_LENGTHS] = {
    {0, 0},     {1, 0},      {2, 0},      {3, 0},      {4, 0},   {5, 0},     {6, 0},     {7, 0},
    {8, 0},     {9, 0},      {10, 0},     {11, 0},     {12, 0},  {13, 0},    {14, 0},    {15, 0},
    {16, 1},    {18, 1},     {20, 1},     {22, 1},     {24, 2},  {28, 2},    {32, 3},    {40, 3},
    {48, 4},    {64, 6},     {128, 7},    {256, 8},    {512, 9}, {1024, 10}, {2048, 11}, {4096, 12},
    {8192, 13}, {16384, 14}, {32768, 15}, {65536, 16},
};

static const struct length_code match_length_codes[ZSTD_FSE_MATCH_LENGTHS] = {
    {3, 0},     {4, 0},     {5, 0},      {6, 0},      {7, 0},      {8, 0},   {9, 0},     {10, 0},
    {11, 0},    {12, 0},    {13, 0},     {14, 0},     {15, 0},     {16, 0},  {17, 0},    {18, 0},
    {19, 0},    {20, 0},    {21, 0},     {22, 0},     {23, 0},     {24, 0},  {25, 0},    {26, 0},
    {27, 0},    {28, 0},    {29, 0},     {30, 0},     {31, 0},     {32, 0},  {33, 0},    {34, 0},
    {35, 1},    {37, 1},    {39, 1},     {41, 1},     {43, 2},     {47, 2},  {51, 3},    {59, 3},
    {67, 4},    {83, 4},    {99, 5},     {131, 7},    {259, 8},    {515, 9}, {1027, 10}, {2051, 11},
    {4099, 12}, {8195, 13}, {16387, 14}, {32771, 15}, {65539, 16},
};

struct zstd_block_header zstd_block_header(const uint8_t *bytes)
{
        uint32_t word = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
        struct zstd_block_header h = {
            .last = word & 1,
            .type = (enum zstd_block_type)(word >> 1 & 3),
            .size = word >> 3,
        };

        h.content = h.type == ZSTD_BLOCK_RLE ? 1 : h.size;
        return h;
}

int zstd_parse_new(uint64_t window, struct zstd_parse **out)
{
        struct zstd_parse *p;

        if (window > UINT64_C(1) << 31)
                return -EOVERFLOW;
        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;
        p->window = window;
        p->needed = calloc((size_t)(window / 64 + 1), sizeof *p->needed);
        if (!p->needed) {
                free(p);
                return -ENOMEM;
        }
        *out = p;
        return 0;
}

void zstd_parse_free(struct zstd_parse *p)
{
        if (!p)
                return;
        free(p->needed);
        free(p);
}

uint64_t zstd_parse_window(const struct zstd_parse *p)
{
        return p->window;
}

void zstd_parse_start(struct zstd_parse *p, uint64_t reach_max)
{
        p->reach_max = reach_max;
        memset(p->needed, 0, ((size_t)p->reach / 64 + 1) * sizeof *p->needed);
        p->reach = 0;
        p->verdict = ZSTD_PENDING;
        p->position = 0;
        p->tree_defined = false;
        p->tables_defined = false;
        memset(p->repeat, 0, sizeof p->repeat);
}

/* The bytes FROM … TO before the boundary are referred to, 1 being the nearest. */
static void need(struct zstd_parse *p, uint32_t from, uint32_t to)
{
        uint32_t first = from - 1, last = to - 1;
        uint64_t head = ~UINT64_C(0) << (first % 64);
        uint64_t tail = ~UINT64_C(0) >> (63 - last % 64);

        if (first / 64 == last / 64) {
                p->needed[first / 64] |= head & tail;
        } else {
                p->needed[first / 64] |= head;
                for (uint32_t w = first / 64 + 1; w < last / 64; w++)
                        p->needed[w] = ~UINT64_C(0);
                p->needed[last / 64] |= tail;
        }
        if (to > p->reach)
                p->reach = to;
}

/*
 * 3.1.1.5. OFFSET_VALUE is what the stream says; the distance it means, or 0 where that cannot
 * be known after the boundary or is not allowed.
 */
static inline uint32_t resolve_offset(struct zstd_parse *p, uint32_t offset_value,
                                      uint32_t literal_length)
{
        uint32_t *r = p->repeat;
        uint32_t which, distance;

        if (offset_value > 3) {
                distance = offset_value - 3;
                r[2] = r[1];
                r[1] = r[0];
                r[0] = distance;
                return distance;
        }
        which = offset_value - (literal_length != 0);
        if (which == 0)
                return r[0];
        if (which == 3)
                distance = r[0] ? r[0] - 1 : 0;
        else
                distance = r[which];
        if (which != 1)
                r[2] = r[1];
        r[1] = r[0];
        r[0] = distance;
        return distance;
}

/* A copy of LENGTH bytes from DISTANCE back, POSITION bytes after the boundary. */
static inline bool copy_allowed(struct zstd_parse *p, uint64_t position, uint32_t distance,
                                uint32_t length)
{
        uint64_t back, nearest;

        if (distance == 0 || distance > p->window)
                return false;
        if (distance <= position)
                return true;
        back = distance - position;
        if (back > p->reach_max)
                return false;
        nearest = back > length ? back - length + 1 : 1;
        need(p, (uint32_t)nearest, (uint32_t)back);
        return true;
}

/* 3.1.1.3.2.1.2: COUNT sequences from the bitstream, with LITERALS bytes of literals to place. */
static bool walk_sequences(struct zstd_parse *p, struct zstd_bits *bits, uint32_t count,
                           uint32_t literals, uint64_t *regenerated)
{
        uint32_t ll_state = zstd_bits_read(bits, p->literal_lengths.log);
        uint32_t of_state = zstd_bits_read(bits, p->offsets.log);
        uint32_t ml_state = zstd_bits_read(bits, p->match_lengths.log);
        uint64_t produced = 0;
        uint32_t placed = 0;

        for (uint32_t i = 0; i < count; i++) {
                const struct zstd_fse_cell *of = &p->offsets.cells[of_state];
                const struct zstd_fse_cell *ml = &p->match_lengths.cells[ml_state];
                const struct zstd_fse_cell *ll = &p->literal_lengths.cells[ll_state];
                const struct length_code *ml_code = &match_length_codes[ml->symbol];
                const struct length_code *ll_code = &literal_length_codes[ll->symbol];
                uint32_t offset_value = (UINT32_C(1) << of->symbol);
                uint32_t match_length, literal_length, distance;

                offset_value += zstd_bits_read(bits, of->symbol);
                match_length = ml_code->base + zstd_bits_read(bits, ml_code->bits);
                literal_length = ll_code->base + zstd_bits_read(bits, ll_code->bits);
                if (zstd_bits_overrun(bits) || literal_length > literals - placed)
                        return false;
                placed += literal_length;
                produced += literal_length;
                distance = resolve_offset(p, offset_value, literal_length);
                if (!copy_allowed(p, p->position + produced, distance, match_length))
                        return false;
                produced += match_length;
                if (produced > ZSTD_PARSE_BLOCK_MAX)
                        return false;
                if (i + 1 == count)
                        break;
                zstd_bits_refill(bits);
                ll_state = ll->base + zstd_bits_take(bits, ll->bits);
                ml_state = ml->base + zstd_bits_take(bits, ml->bits);
                of_state = of->base + zstd_bits_take(bits, of->bits);
        }
        *regenerated = produced + (literals - placed);
        return zstd_bits_finished(bits);
}

/* 3.1.1.3.1.1. Sets *LITERALS, their count; the section's size, or 0 if it is malformed. */
static size_t skip_literals(struct zstd_parse *p, const uint8_t *in, size_t size,
                            uint32_t *literals)
{
        enum { RAW, RLE, COMPRESSED, TREELESS } type;
        uint8_t head[8] = {0};
        uint64_t word;
        size_t header, content;
        unsigned format, width;

        if (size < 1)
                return 0;
        memcpy(head, in, min_u64(size, 5));
        word = load_le64(head);
        type = in[0] & 3;
        format = in[0] >> 2 & 3;
        if (type == RAW || type == RLE) {
                static const uint8_t headers[4] = {1, 2, 1, 3};

                header = headers[format];
                *literals = (uint32_t)((word & ((UINT64_C(1) << (8 * header)) - 1)) >>
                                       (header == 1 ? 3 : 4));
                content = type == RLE ? 1 : *literals;
        } else {
                static const uint8_t headers[4] = {3, 3, 4, 5};
                static const uint8_t widths[4] = {10, 10, 14, 18};

                header = headers[format];
                width = widths[format];
                *literals = (uint32_t)(word >> 4 & ((UINT64_C(1) << width) - 1));
                content = (size_t)(word >> (4 + width) & ((UINT64_C(1) << width) - 1));
        }
        if (*literals > ZSTD_PARSE_BLOCK_MAX || !range_within(header, content, size))
                return 0;
        if (type == TREELESS && !p->tree_defined)
                return 0;
        if (type == COMPRESSED)
                p->tree_defined = true;
        return header + content;
}

/* 3.1.1.3.2.1. The bytes that the count took, 0 if there are too few. */
static size_t sequence_count(const uint8_t *in, size_t size, uint32_t *count)
{
        if (size < 1)
                return 0;
        *count = in[0];
        if (in[0] < 128)
                return 1;
        if (size < 2)
                return 0;
        *count = ((uint32_t)(in[0] - 128) << 8) + in[1];
        if (in[0] < 255)
                return 2;
        if (size < 3)
                return 0;
        *count = in[1] + ((uint32_t)in[2] << 8) + 0x7F00;
        return 3;
}

/* The three tables by their modes. The bytes they took, 0 for a violation. */
static size_t define_tables(struct zstd_parse *p, const uint8_t *in, size_t size)
{
        struct zstd_fse *tables[3] = {&p->literal_lengths, &p->offsets, &p->match_lengths};
        size_t at = 1;
        uint8_t modes;

        if (size < 1)
                return 0;
        modes = in[0];
        if (modes & 3)
                return 0;
        for (unsigned i = 0; i < 3; i++) {
                enum zstd_fse_mode mode = (enum zstd_fse_mode)(modes >> (6 - 2 * i) & 3);
                ssize_t n;

                if (mode == ZSTD_FSE_REPEAT && !p->tables_defined)
                        return 0;
                n = zstd_fse_define(tables[i], (enum zstd_fse_kind)i, mode, in + at, size - at);
                if (n < 0)
                        return 0;
                at += (size_t)n;
        }
        p->tables_defined = true;
        return at;
}

/* A compressed block; false for a violation. */
static bool parse_compressed(struct zstd_parse *p, const uint8_t *in, size_t size,
                             uint64_t *regenerated)
{
        struct zstd_bits bits;
        uint32_t literals, count;
        size_t at, n;

        at = skip_literals(p, in, size, &literals);
        if (at == 0)
                return false;
        n = sequence_count(in + at, size - at, &count);
        if (n == 0)
                return false;
        at += n;
        *regenerated = literals;
        if (count == 0)
                return at == size;
        n = define_tables(p, in + at, size - at);
        if (n == 0)
                return false;
        at += n;
        if (!zstd_bits_init(&bits, in + at, size - at))
                return false;
        return walk_sequences(p, &bits, count, literals, regenerated) &&
               *regenerated <= ZSTD_PARSE_BLOCK_MAX;
}

enum zstd_verdict zstd_parse_block(struct zstd_parse *p, const struct zstd_block_header *header,
                                   const uint8_t *content)
{
        uint64_t regenerated = header->size;
        bool holds = header->type != ZSTD_BLOCK_RESERVED && header->size <= ZSTD_PARSE_BLOCK_MAX;

        if (p->verdict != ZSTD_PENDING)
                return p->verdict;
        if (holds && header->type == ZSTD_BLOCK_COMPRESSED)
                holds = parse_compressed(p, content, header->size, &regenerated);
        if (!holds) {
                p->verdict = ZSTD_REFUTED;
                return p->verdict;
        }
        p->position += regenerated;
        if (p->position >= p->window && p->tree_defined && p->tables_defined && p->repeat[0] &&
            p->repeat[1] && p->repeat[2])
                p->verdict = ZSTD_PROVEN;
        return p->verdict;
}

enum zstd_verdict zstd_parse_end(struct zstd_parse *p)
{
        if (p->verdict == ZSTD_PENDING)
                p->verdict = ZSTD_PROVEN;
        return p->verdict;
}

enum zstd_verdict zstd_parse_verdict(const struct zstd_parse *p)
{
        return p->verdict;
}

uint64_t zstd_parse_position(const struct zstd_parse *p)
{
        return p->position;
}

uint32_t zstd_parse_reach(const struct zstd_parse *p)
{
        return p->reach;
}

/* Bits are walked downwards: the furthest byte has the highest bit. */
bool zstd_parse_next(const struct zstd_parse *p, uint32_t *back, uint32_t *len)
{
        uint32_t at = *back; /* bits at - 1 and below are left */
        uint32_t top;

        while (at > 0) {
                uint64_t word = p->needed[(at - 1) / 64] & (~UINT64_C(0) >> (63 - (at - 1) % 64));

                if (word) {
                        at = (at - 1) / 64 * 64 + 64 - (uint32_t)__builtin_clzll(word);
                        break;
                }
                at = (at - 1) / 64 * 64;
        }
        if (at == 0)
                return false;
        top = at;
        while (at > 0) {
                uint64_t clear = ~p->needed[(at - 1) / 64] & (~UINT64_C(0) >> (63 - (at - 1) % 64));

                if (clear) {
                        at = (at - 1) / 64 * 64 + 64 - (uint32_t)__builtin_clzll(clear);
                        break;
                }
                at = (at - 1) / 64 * 64;
        }
        *back = top;
        *len = top - at;
        return true;
}
