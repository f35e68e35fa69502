/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/gzip/deflate_find.h"

#include "archive/bytes.h"

enum {
        NOT_LAST_DYNAMIC = 4, /* the first three bits, in stream order */
        AT_LITERALS = 3,
        AT_DISTANCES = 8,
        AT_LENGTHS = 13,
        AT_CODE = 17,   /* 3 bits for each length that follows */
        COUNT_MAX = 29, /* more literals or distances than possible: not a header */
        FULL = 128,     /* a complete code, in units of its longest word, 7 bits */
};

struct deflate_header deflate_header(const uint8_t *p, unsigned bit)
{
        unsigned v = (unsigned)load_le16(p) >> bit;

        return (struct deflate_header){.last = v & 1, .kind = (enum deflate_kind)(v >> 1 & 3)};
}

bool deflate_is_stored(const uint8_t *p)
{
        /* Three zero bits of the header, or of the padding after it. */
        return p[-1] >> 5 == 0 && (load_le16(p) ^ load_le16(p + 2)) == 0xffff;
}

/* Is the code of the code lengths complete? zlib accepts no other. */
static bool has_code(const uint8_t *p, unsigned bit, unsigned count)
{
        unsigned at = bit + AT_CODE, sum = 0;
        uint64_t lengths = load_le64(p + at / 8) >> at % 8;

        for (; count > 0; count--, lengths >>= 3) {
                unsigned len = lengths & 7;

                sum += len ? (unsigned)FULL >> len : 0;
        }
        return sum == FULL;
}

static bool is_dynamic(const uint8_t *p, uint64_t word, unsigned bit)
{
        uint64_t v = word >> bit;

        return (v & 7) == NOT_LAST_DYNAMIC && (v >> AT_LITERALS & 31) <= COUNT_MAX &&
               (v >> AT_DISTANCES & 31) <= COUNT_MAX &&
               has_code(p, bit, 4 + (unsigned)(v >> AT_LENGTHS & 15));
}

uint64_t deflate_find(const uint8_t *p, size_t n, uint64_t from)
{
        unsigned bit = from % 8;

        for (size_t i = (size_t)(from / 8); i + DEFLATE_NEED <= n; i++, bit = 0) {
                uint64_t word = load_le64(p + i);

                for (; bit < 8; bit++) {
                        if (is_dynamic(p + i, word, bit))
                                return (uint64_t)i * 8 + bit;
                        if (bit == 8 - DEFLATE_BITS && deflate_is_stored(p + i + 1))
                                return (uint64_t)i * 8 + bit;
                }
        }
        return UINT64_MAX;
}
