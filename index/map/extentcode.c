/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/extentcode.h"

#include <errno.h>

#include "archive/bytes.h"
#include "index/map/map.h"

enum kind { KIND_ZERO, KIND_NEXT, KIND_DATA, KIND_LOST };

static void write_varint(uint64_t v, FILE *out)
{
        while (v >= 0x80) {
                putc_unlocked((int)(v & 0x7f) | 0x80, out);
                v >>= 7;
        }
        putc_unlocked((int)v, out);
}

static int read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
                uint8_t byte = *(*at)++;

                v |= (uint64_t)(byte & 0x7f) << shift;
                if (shift == 63 && byte > 1)
                        return -EINVAL;
                if (!(byte & 0x80)) {
                        *out = v;
                        return 0;
                }
        }
        return -EINVAL;
}

static uint64_t zigzag(uint64_t from, uint64_t to)
{
        uint64_t delta = to - from;

        return delta << 1 ^ (0 - (delta >> 63));
}

static uint64_t unzigzag(uint64_t from, uint64_t v)
{
        return from + (v >> 1 ^ (0 - (v & 1)));
}

static enum kind kind_of(const struct extentcode *c, uint64_t addr)
{
        if (addr == EXTENT_ZERO)
                return KIND_ZERO;
        if (addr == EXTENT_LOST)
                return KIND_LOST;
        return addr == c->end ? KIND_NEXT : KIND_DATA;
}

void extentcode_write(struct extentcode *c, const struct extent *e, FILE *out)
{
        enum kind kind = kind_of(c, e->addr);
        uint64_t blocks = round_up(e->len, MAP_BLOCK) / MAP_BLOCK;

        write_varint(blocks << 2 | kind, out);
        if (kind == KIND_DATA)
                write_varint(zigzag(c->end, e->addr), out);
        if (kind == KIND_DATA || kind == KIND_NEXT)
                c->end = e->addr + blocks * MAP_BLOCK;
}

int extentcode_read(struct extentcode *c, uint64_t start, const uint8_t **at, const uint8_t *end,
                    struct extent *e)
{
        uint64_t word, delta = 0;

        if (read_varint(at, end, &word) < 0 || word >> 2 == 0 ||
            word >> 2 > MAP_SIZE_MAX / MAP_BLOCK)
                return -EINVAL;
        e->start = start;
        e->len = (word >> 2) * MAP_BLOCK;
        switch ((enum kind)(word & 3)) {
        case KIND_ZERO:
                e->addr = EXTENT_ZERO;
                return 0;
        case KIND_LOST:
                e->addr = EXTENT_LOST;
                return 0;
        case KIND_DATA:
                if (read_varint(at, end, &delta) < 0)
                        return -EINVAL;
                break;
        case KIND_NEXT:
                break;
        }
        e->addr = unzigzag(c->end, delta);
        if (!range_within(e->addr, e->len, EXTENT_ADDR_MAX))
                return -EINVAL;
        c->end = e->addr + e->len;
        return 0;
}
