/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/mutate_vma.h"

#include <openssl/evp.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz.h"

enum {
        HEADER_MIN = 12288,
        HEADER_SUM = 32,
        EXTENT = 512,
        EXTENT_SUM = 24,
        BLOCK = 4096,
        EXTENTS_MAX = 64,
};

/* A part of an archive that says something. */
struct region {
        size_t at, len;
};

bool is_vma(const uint8_t *data, size_t size)
{
        return size >= HEADER_MIN && memcmp(data, "VMA\0", 4) == 0;
}

static void put_sum(uint8_t *data, size_t len, size_t sum)
{
        memset(data + sum, 0, 16);
        fuzz_require(EVP_Digest(data, len, data + sum, NULL, EVP_md5(), NULL) == 1);
}

static size_t header_size(const uint8_t *data, size_t size)
{
        size_t len = load_be32(data + 56);

        return len >= HEADER_MIN && len <= size ? len : 0;
}

/* Where extent headers are: AT[0 … count - 1]. */
static size_t find_extents(const uint8_t *data, size_t size, size_t at[EXTENTS_MAX])
{
        size_t pos = header_size(data, size), count = 0;

        while (pos && count < EXTENTS_MAX && range_within(pos, EXTENT, size) &&
               memcmp(data + pos, "VMAE", 4) == 0) {
                at[count++] = pos;
                pos += EXTENT + (size_t)load_be16(data + pos + 6) * BLOCK;
        }
        return count;
}

void vma_fix_sums(uint8_t *data, size_t size)
{
        size_t at[EXTENTS_MAX], count;

        if (!is_vma(data, size))
                return;
        count = find_extents(data, size, at);
        for (size_t i = 0; i < count; i++)
                put_sum(data + at[i], EXTENT, EXTENT_SUM);
        if (header_size(data, size))
                put_sum(data, header_size(data, size), HEADER_SUM);
}

/* Have an extent header say as many blocks as its masks do. */
static void fix_count(uint8_t *extent)
{
        unsigned count = 0;

        for (size_t i = 0; i < 59; i++) {
                uint64_t slot = load_be64(extent + 40 + 8 * i);

                if (slot >> 32 & 0xff)
                        count += (unsigned)__builtin_popcountll(slot >> 48);
        }
        extent[6] = (uint8_t)(count >> 8);
        extent[7] = (uint8_t)count;
}

/* One of the parts where a change means something. */
static struct region choose(uint8_t *data, size_t size, unsigned seed, size_t *extent)
{
        size_t at[EXTENTS_MAX], count = find_extents(data, size, at);
        size_t blobs = load_be32(data + 48), blobs_len = load_be32(data + 52);
        struct region r = {0, 64};

        *extent = 0;
        switch (seed % 6) {
        case 0:
                return r;
        case 1: /* the first configurations: names, or data */
                r.at = seed & 64 ? 2044 : 3068;
                r.len = 16;
                return r;
        case 2: /* the first devices */
                r.at = 4096 + 32;
                r.len = 6 * 32;
                return r;
        case 3:
                if (blobs_len && range_within(blobs, blobs_len, size))
                        r = (struct region){blobs, blobs_len};
                return r;
        default:
                if (count == 0)
                        return r;
                *extent = at[seed / 8 % count];
                r = (struct region){*extent + (seed & 128 ? 40 : 0), seed & 128 ? 59 * 8 : 40};
                return r;
        }
}

size_t vma_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        struct region r;
        uint8_t part[65536];
        size_t extent, len;

        if (!is_vma(data, size) || seed % 8 == 0) {
                size = LLVMFuzzerMutate(data, size, max_size);
        } else {
                r = choose(data, size, seed / 8, &extent);
                len = min_u64(r.len, sizeof part);
                memcpy(part, data + r.at, len);
                len = LLVMFuzzerMutate(part, len, len);
                memcpy(data + r.at, part, len);
                if (extent && seed % 64 > 8)
                        fix_count(data + extent);
        }
        if (seed / 64 % 16)
                vma_fix_sums(data, size);
        return size;
}
