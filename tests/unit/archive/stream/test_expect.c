/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of a stream that somebody says will be read (source_expect). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/parts.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/kept_fixture.h"

#define CLUSTER (UINT64_C(64) << 10)

/* Bytes AT to AT + CLUSTER of the wide segment. */
static struct source_range cluster(const struct kept *k, uint64_t at)
{
        uint64_t start = k->wide.point.out + at;

        return (struct source_range){start, start + CLUSTER};
}

/* Wait until BYTES were decoded in all: another thread does it. */
static void wait_for_work(struct kept *k, uint64_t bytes)
{
        for (int i = 0; i < 60000 && stream_work(k->s) < bytes; i++)
                usleep(1000);
        assert_true(stream_work(k->s) >= bytes);
}

static void expect_clusters(struct kept *k, uint64_t a, uint64_t b)
{
        struct source_range ranges[] = {cluster(k, a), cluster(k, b)};

        source_expect(k->s, ranges, 2);
}

static void test_unit_is_a_segment(void **state)
{
        struct source_range unit;
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        assert_true(source_can_expect(k.s));
        assert_true(source_unit(k.s, k.wide.point.out + 5, &unit));
        assert_int_equal(unit.start, k.wide.point.out);
        assert_int_equal(unit.end, k.wide.end);
        assert_false(source_unit(k.s, k.plain.len, &unit));
        kept_close(&k);
}

/* The segment is decoded once, as far as it is wanted, and the ranges are kept without it. */
static void test_ranges_are_decoded_once(void **state)
{
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        expect_clusters(&k, 5000, MIB + 7 * CLUSTER + 300);
        wait_for_work(&k, round_up(MIB + 8 * CLUSTER + 300, PART_SIZE));
        /* It may still be copying them: whoever reads waits for that. */
        kept_cost(&k, 5000);
        assert_true(stream_work(k.s) < 4 * MIB);
        decoded_expect(k.s, k.plain, k.wide.point.out + 5000, CLUSTER);
        decoded_expect(k.s, k.plain, k.wide.point.out + MIB + 7 * CLUSTER + 300, CLUSTER);
        assert_true(stream_work(k.s) < 4 * MIB);
        expect_clusters(&k, 5000, MIB + 7 * CLUSTER + 300);
        decoded_expect(k.s, k.plain, k.wide.point.out + 5000, CLUSTER);
        kept_close(&k);
}

static void test_whole_segment(void **state)
{
        struct source_range unit;
        struct kept k;
        uint64_t len;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        assert_true(source_unit(k.s, k.wide.point.out, &unit));
        len = unit.end - unit.start;
        source_expect(k.s, &unit, 1);
        wait_for_work(&k, len);
        decoded_expect(k.s, k.plain, unit.start, (size_t)len);
        assert_int_equal(stream_work(k.s), len);
        kept_close(&k);
}

/* What is kept takes little, and costs a segment to decode again: segments must not push it out. */
static void test_segments_do_not_push_them_out(void **state)
{
        struct bytes plain = fixture_mixture(72 * MIB, 1);
        struct kept k;
        uint64_t work;
        (void)state;

        kept_open(&k, &zstd_codec, fixture_compress(plain, 3, 0, 1, 1), plain, 48 * MIB, SIZE_MAX);
        expect_clusters(&k, 5000, MIB + 7 * CLUSTER + 300);
        wait_for_work(&k, round_up(MIB + 8 * CLUSTER + 300, PART_SIZE));
        kept_cost(&k, 5000);
        for (uint64_t at = 0; at + 16 < k.plain.len; at += MIB / 4)
                if (at + 16 < k.wide.point.out || at >= k.wide.end)
                        decoded_expect(k.s, k.plain, at, 16);
        work = stream_work(k.s);
        decoded_expect(k.s, k.plain, k.wide.point.out + MIB + 7 * CLUSTER + 300, CLUSTER);
        assert_int_equal(stream_work(k.s), work);
        kept_close(&k);
}

/* To the segment's last byte, so that all of it is decoded. */
static void test_end_of_a_segment(void **state)
{
        struct kept k;
        uint64_t len;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        len = k.wide.end - k.wide.point.out;
        expect_clusters(&k, 0, len - CLUSTER / 2);
        wait_for_work(&k, len);
        decoded_expect(k.s, k.plain, k.wide.end - CLUSTER / 2, CLUSTER / 2);
        assert_int_equal(stream_work(k.s), len);
        kept_close(&k);
}

/* What does not match the index is neither kept nor served. */
static void test_ranges_that_do_not_match(void **state)
{
        uint8_t buf[16];
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, 1);
        expect_clusters(&k, 5000, PART_SIZE + CLUSTER);
        wait_for_work(&k, 2 * PART_SIZE);
        assert_int_equal(source_pread(k.s, buf, sizeof buf, k.wide.point.out + PART_SIZE + CLUSTER),
                         -EIO);
        kept_cost(&k, 5000);
        kept_close(&k);
}

/* Nothing comes of what is nowhere, empty or backwards. */
static void test_nonsense(void **state)
{
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        for (size_t i = 0; i < 3; i++) {
                const struct source_range bad[] = {{k.plain.len, k.plain.len + 5},
                                                   {k.wide.end - 5, k.wide.end - 5},
                                                   {k.wide.end - 5, k.wide.point.out}};

                source_expect(k.s, &bad[i], 1);
        }
        assert_int_equal(kept_cost(&k, 100) / PART_SIZE, 1);
        assert_true(stream_work(k.s) < 2 * PART_SIZE);
        kept_close(&k);
}

/* More is expected than there is memory for, and the stream is closed while some of it waits. */
static void test_too_much(void **state)
{
        struct kept k;
        (void)state;

        kept_open_zstd(&k, MIB, SIZE_MAX);
        for (uint64_t round = 0; round < 1000; round++)
                expect_clusters(&k, round % 64 * CLUSTER / 2, round % 16 * CLUSTER);
        for (uint64_t at = 0; at < 3 * MIB; at += MIB / 4)
                kept_cost(&k, at);
        for (uint64_t round = 0; round < 100; round++)
                expect_clusters(&k, round % 64 * CLUSTER / 2, round % 16 * CLUSTER);
        kept_close(&k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_unit_is_a_segment),
            cmocka_unit_test(test_ranges_are_decoded_once),
            cmocka_unit_test(test_segments_do_not_push_them_out),
            cmocka_unit_test(test_whole_segment),
            cmocka_unit_test(test_end_of_a_segment),
            cmocka_unit_test(test_ranges_that_do_not_match),
            cmocka_unit_test(test_nonsense),
            cmocka_unit_test(test_too_much),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
