/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/map/extentcode.h"
#include "index/map/map.h"
#include "tests/fixtures/stream_fixture.h"

enum { BLOCK = MAP_BLOCK, MANY = 20000 };

#define BLOCKS_MAX (MAP_SIZE_MAX / MAP_BLOCK)

static struct bytes encode(const struct extent *extents, size_t n)
{
        struct extentcode code = {0};
        struct bytes b = {0};
        char *data;
        FILE *out = open_memstream(&data, &b.len);

        assert_non_null(out);
        for (size_t i = 0; i < n; i++)
                extentcode_write(&code, &extents[i], out);
        assert_int_equal(fclose(out), 0);
        b.data = (uint8_t *)data;
        return b;
}

/* What BYTES decode to is EXTENTS, and nothing is left. */
static void expect(struct bytes b, const struct extent *extents, size_t n)
{
        struct extentcode code = {0};
        const uint8_t *at = b.data, *end = b.data + b.len;

        for (size_t i = 0; i < n; i++) {
                struct extent e;

                assert_int_equal(extentcode_read(&code, extents[i].start, &at, end, &e), 0);
                assert_true(e.start == extents[i].start);
                assert_true(e.len == extents[i].len);
                assert_true(e.addr == extents[i].addr);
        }
        assert_ptr_equal(at, end);
}

/* The bytes are refused, and nothing at or after their end is touched. */
static void expect_refusal(const uint8_t *bytes, size_t len)
{
        uint8_t *exact = malloc(len + 1); /* a sanitizer sees a read past it: it ends the block */
        uint8_t *start = exact + 1;
        struct extentcode code = {0};
        const uint8_t *at = start;
        struct extent e;

        memcpy(start, bytes, len);
        assert_int_equal(extentcode_read(&code, 0, &at, start + len, &e), -EINVAL);
        assert_true(at <= start + len);
        free(exact);
}

#define REFUSED(...)                                                                               \
        expect_refusal((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void test_each_kind_has_its_bytes(void **state)
{
        const struct extent extents[] = {
            {0, BLOCK, EXTENT_ZERO},         {BLOCK, 2 * BLOCK, 0},
            {3 * BLOCK, BLOCK, 2 * BLOCK},   {4 * BLOCK, BLOCK, 3 * BLOCK + 1},
            {5 * BLOCK, BLOCK, EXTENT_LOST}, {6 * BLOCK, 100 * BLOCK, 4 * BLOCK},
        };
        /* 1 << 2 | 0, 2 << 2 | 1, 1 << 2 | 1, 1 << 2 | 2 and +1, 1 << 2 | 3, 100 << 2 | 2 and -1 */
        const uint8_t want[] = {0x04, 0x09, 0x05, 0x06, 0x02, 0x07, 0x92, 0x03, 0x01};
        struct bytes b = encode(extents, 6);
        (void)state;

        assert_int_equal(b.len, sizeof want);
        assert_memory_equal(b.data, want, sizeof want);
        expect(b, extents, 6);
        free(b.data);
}

static uint64_t any_length(uint64_t *random)
{
        unsigned bits = (unsigned)(fixture_random(random) % 30);

        return ((fixture_random(random) & ((UINT64_C(1) << bits) - 1)) + 1) * BLOCK;
}

static struct extent any_extent(uint64_t *random, uint64_t start, uint64_t data_end)
{
        struct extent e = {start, any_length(random), data_end};

        switch (fixture_random(random) % 5) {
        case 0:
                e.addr = EXTENT_ZERO;
                break;
        case 1:
                e.addr = EXTENT_LOST;
                break;
        case 2:
                break;
        default:
                e.addr = fixture_random(random) % (EXTENT_ADDR_MAX - e.len);
        }
        if (e.addr < EXTENT_LOST && e.addr > EXTENT_ADDR_MAX - e.len)
                e.addr = 0;
        return e;
}

static void test_round_trip_of_anything(void **state)
{
        struct extent *extents = calloc(MANY, sizeof *extents);
        (void)state;

        for (uint64_t seed = 1; seed <= 10; seed++) {
                uint64_t random = seed, start = 0, data_end = 0;
                struct bytes b;

                for (size_t i = 0; i < MANY; i++) {
                        extents[i] = any_extent(&random, start, data_end);
                        start += extents[i].len;
                        if (extents[i].addr < EXTENT_LOST)
                                data_end = extents[i].addr + extents[i].len;
                }
                b = encode(extents, MANY);
                expect(b, extents, MANY);
                free(b.data);
        }
        free(extents);
}

static void test_largest_values_pass(void **state)
{
        const struct extent extents[] = {
            {0, MAP_SIZE_MAX, EXTENT_ZERO},
            {MAP_SIZE_MAX, BLOCK, EXTENT_ADDR_MAX - BLOCK},
            {MAP_SIZE_MAX + BLOCK, BLOCK, 0},
        };
        struct bytes b = encode(extents, 3);
        (void)state;

        expect(b, extents, 3);
        free(b.data);
}

static void test_last_extent_covers_its_whole_block(void **state)
{
        const struct extent cut = {0, BLOCK + 512, 100}, whole = {0, 2 * BLOCK, 100};
        struct bytes b = encode(&cut, 1);
        (void)state;

        expect(b, &whole, 1);
        free(b.data);
}

static void test_truncated_at_every_byte(void **state)
{
        const struct extent far = {0, UINT64_C(1) << 40, UINT64_C(1) << 46};
        struct bytes b = encode(&far, 1);
        (void)state;

        assert_true(b.len > 8);
        for (size_t len = 0; len < b.len; len++)
                expect_refusal(b.data, len);
        expect(b, &far, 1);
        free(b.data);
}

static void test_zero_length_is_refused(void **state)
{
        (void)state;
        REFUSED(0x00);
        REFUSED(0x01);
        REFUSED(0x02, 0x02);
        REFUSED(0x03);
}

static void test_length_over_the_largest_disk_is_refused(void **state)
{
        uint64_t word = (BLOCKS_MAX + 1) << 2;
        uint8_t bytes[10];
        size_t n = 0;
        (void)state;

        for (; word >= 0x80; word >>= 7)
                bytes[n++] = (uint8_t)(word | 0x80);
        bytes[n++] = (uint8_t)word;
        expect_refusal(bytes, n);
}

static void test_varint_over_64_bits_is_refused(void **state)
{
        (void)state;
        /* bit 64; an eleventh byte; no end */
        REFUSED(0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02);
        REFUSED(0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
        REFUSED(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
        REFUSED(0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f);
}

static void test_address_out_of_range_is_refused(void **state)
{
        (void)state;
        /* one block from address -1, from 2^63, from where the words of extent.h are, from 2^48 */
        REFUSED(0x06, 0x01);
        REFUSED(0x06, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
        REFUSED(0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
        REFUSED(0x06, 0x03);
        REFUSED(0x06, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01);
}

static void test_data_that_goes_on_over_the_last_address_is_refused(void **state)
{
        const struct extent last = {0, BLOCK, EXTENT_ADDR_MAX - BLOCK};
        struct extentcode code = {0};
        struct bytes b = encode(&last, 1);
        const uint8_t next = 1 << 2 | 1, *at = b.data;
        struct extent e;
        (void)state;

        assert_int_equal(extentcode_read(&code, 0, &at, b.data + b.len, &e), 0);
        at = &next;
        assert_int_equal(extentcode_read(&code, BLOCK, &at, &next + 1, &e), -EINVAL);
        free(b.data);
}

/* Whatever the bytes are: nothing after them is read, and what comes out is within bounds. */
static void test_random_bytes_stay_in_bounds(void **state)
{
        uint64_t random = 3;
        (void)state;

        for (int i = 0; i < 200000; i++) {
                size_t len = fixture_random(&random) % 24;
                uint8_t *bytes = malloc(len + 1);
                struct extentcode code = {0};
                const uint8_t *at = bytes + 1, *end = at + len;
                struct extent e;

                for (size_t k = 0; k <= len; k++)
                        bytes[k] = (uint8_t)(fixture_random(&random) >> (random & 3 ? 0 : 7));
                while (extentcode_read(&code, 0, &at, end, &e) == 0) {
                        assert_true(at <= end);
                        assert_true(e.len > 0 && e.len <= MAP_SIZE_MAX && e.len % BLOCK == 0);
                        assert_true(e.addr >= EXTENT_LOST ||
                                    range_within(e.addr, e.len, EXTENT_ADDR_MAX));
                }
                free(bytes);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_kind_has_its_bytes),
            cmocka_unit_test(test_round_trip_of_anything),
            cmocka_unit_test(test_largest_values_pass),
            cmocka_unit_test(test_last_extent_covers_its_whole_block),
            cmocka_unit_test(test_truncated_at_every_byte),
            cmocka_unit_test(test_zero_length_is_refused),
            cmocka_unit_test(test_length_over_the_largest_disk_is_refused),
            cmocka_unit_test(test_varint_over_64_bits_is_refused),
            cmocka_unit_test(test_address_out_of_range_is_refused),
            cmocka_unit_test(test_data_that_goes_on_over_the_last_address_is_refused),
            cmocka_unit_test(test_random_bytes_stay_in_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
