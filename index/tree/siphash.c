/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/siphash.h"

#include <sys/auxv.h>
#include <sys/random.h>

#include "archive/bytes.h"

struct state {
        uint64_t v[4];
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
        return x << bits | x >> (64 - bits);
}

static void mix(struct state *s, unsigned rounds)
{
        uint64_t *v = s->v;

        while (rounds--) {
                v[0] += v[1];
                v[2] += v[3];
                v[1] = rotate(v[1], 13) ^ v[0];
                v[3] = rotate(v[3], 16) ^ v[2];
                v[0] = rotate(v[0], 32);
                v[2] += v[1];
                v[0] += v[3];
                v[1] = rotate(v[1], 17) ^ v[2];
                v[3] = rotate(v[3], 21) ^ v[0];
                v[2] = rotate(v[2], 32);
        }
}

static void take_word(struct state *s, uint64_t word)
{
        s->v[3] ^= word;
        mix(s, 2);
        s->v[0] ^= word;
}

uint64_t siphash(const uint64_t key[2], uint64_t word, const void *data, size_t len)
{
        struct state s = {
            {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
             key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)}};
        const unsigned char *p = data;
        uint64_t last = (uint64_t)(len + sizeof word) << 56;

        take_word(&s, word);
        for (; len >= 8; len -= 8, p += 8)
                take_word(&s, load_le64(p));
        for (size_t i = 0; i < len; i++)
                last |= (uint64_t)p[i] << 8 * i;
        take_word(&s, last);
        s.v[2] ^= 0xff;
        mix(&s, 4);
        return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

void siphash_key(uint64_t key[2])
{
        const void *start = (const void *)getauxval(AT_RANDOM); /* 16 bytes of the kernel's */
        const size_t len = 2 * sizeof *key;

        if (getrandom(key, len, GRND_NONBLOCK) == (ssize_t)len)
                return;
        key[0] = key[1] = 0;
        if (start)
                memcpy(key, start, len);
}
