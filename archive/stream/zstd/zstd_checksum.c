/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_checksum.h"

#include <string.h>

#include "archive/bytes.h"

#define PRIME_1 UINT64_C(0x9e3779b185ebca87)
#define PRIME_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME_3 UINT64_C(0x165667b19e3779f9)
#define PRIME_4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME_5 UINT64_C(0x27d4eb2f165667c5)

static uint64_t rotate(uint64_t v, int bits)
{
        return v << bits | v >> (64 - bits);
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
        return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

void zstd_checksum_reset(struct zstd_checksum *c)
{
        *c = (struct zstd_checksum){.lanes = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1}};
}

/* COUNT whole stripes. */
static void take_stripes(struct zstd_checksum *c, const uint8_t *at, size_t count)
{
        uint64_t a = c->lanes[0], b = c->lanes[1], d = c->lanes[2], e = c->lanes[3];

        for (; count > 0; count--, at += ZSTD_CHECKSUM_STRIPE) {
                a = mix(a, load_le64(at));
                b = mix(b, load_le64(at + 8));
                d = mix(d, load_le64(at + 16));
                e = mix(e, load_le64(at + 24));
        }
        c->lanes[0] = a;
        c->lanes[1] = b;
        c->lanes[2] = d;
        c->lanes[3] = e;
}

void zstd_checksum_update(struct zstd_checksum *c, const void *bytes, size_t len)
{
        const uint8_t *at = bytes;
        size_t have = c->len % ZSTD_CHECKSUM_STRIPE;
        size_t n = have ? (size_t)min_u64(len, ZSTD_CHECKSUM_STRIPE - have) : 0;

        c->len += len;
        if (n > 0)
                memcpy(c->rest + have, at, n);
        if (have + n == ZSTD_CHECKSUM_STRIPE)
                take_stripes(c, c->rest, 1);
        at += n;
        len -= n;
        take_stripes(c, at, len / ZSTD_CHECKSUM_STRIPE);
        at += len - len % ZSTD_CHECKSUM_STRIPE;
        if (len % ZSTD_CHECKSUM_STRIPE > 0)
                memcpy(c->rest, at, len % ZSTD_CHECKSUM_STRIPE);
}

static uint64_t join_lanes(const struct zstd_checksum *c)
{
        const uint64_t *l = c->lanes;
        uint64_t h = rotate(l[0], 1) + rotate(l[1], 7) + rotate(l[2], 12) + rotate(l[3], 18);

        for (int i = 0; i < 4; i++)
                h = (h ^ mix(0, l[i])) * PRIME_1 + PRIME_4;
        return h;
}

static uint64_t take_rest(uint64_t h, const uint8_t *at, size_t len)
{
        for (; len >= 8; len -= 8, at += 8)
                h = rotate(h ^ mix(0, load_le64(at)), 27) * PRIME_1 + PRIME_4;
        for (; len >= 4; len -= 4, at += 4)
                h = rotate(h ^ load_le32(at) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        for (; len > 0; len--, at++)
                h = rotate(h ^ *at * PRIME_5, 11) * PRIME_1;
        return h;
}

uint64_t zstd_checksum_digest(const struct zstd_checksum *c)
{
        uint64_t h = c->len >= ZSTD_CHECKSUM_STRIPE ? join_lanes(c) : PRIME_5;

        h = take_rest(h + c->len, c->rest, c->len % ZSTD_CHECKSUM_STRIPE);
        h = (h ^ h >> 33) * PRIME_2;
        h = (h ^ h >> 29) * PRIME_3;
        return h ^ h >> 32;
}
