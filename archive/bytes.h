/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only way from bytes on disk to numbers, and arithmetic on numbers that came from there.
 *
 * Loads and stores take any alignment. The checked_ functions return true when the result fits and
 * leave *out alone when it does not; every sum or product of untrusted numbers goes through them.
 */
#ifndef VMAFS_BYTES_H
#define VMAFS_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const void *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof v);
        return be16toh(v);
}

static inline uint32_t load_be32(const void *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof v);
        return be32toh(v);
}

static inline uint64_t load_be64(const void *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof v);
        return be64toh(v);
}

static inline uint16_t load_le16(const void *p)
{
        uint16_t v;

        memcpy(&v, p, sizeof v);
        return le16toh(v);
}

static inline uint32_t load_le32(const void *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof v);
        return le32toh(v);
}

static inline uint64_t load_le64(const void *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof v);
        return le64toh(v);
}

static inline void store_le32(void *p, uint32_t v)
{
        v = htole32(v);
        memcpy(p, &v, sizeof v);
}

static inline void store_le64(void *p, uint64_t v)
{
        v = htole64(v);
        memcpy(p, &v, sizeof v);
}

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
        uint64_t sum;

        if (__builtin_add_overflow(a, b, &sum))
                return false;
        *out = sum;
        return true;
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
        uint64_t product;

        if (__builtin_mul_overflow(a, b, &product))
                return false;
        *out = product;
        return true;
}

/* True when [start, start + len) lies inside [0, size). */
static inline bool range_within(uint64_t start, uint64_t len, uint64_t size)
{
        return start <= size && len <= size - start;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Rounded up to a multiple of UNIT, which is not 0. N is at most UINT64_MAX - UNIT. */
static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
        return (n + unit - 1) / unit * unit;
}

#endif
