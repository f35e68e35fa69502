/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bzip2 and pbzip2 write: whole, damaged and cut off, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fixtures/standins/codec_checks.h"

#ifdef VMAFS_BZIP2

#define MIB ((size_t)1 << 20)

static size_t check_bzip2(const struct bytes *data, const char *command, uint64_t spacing)
{
        need_program("bzip2");
        return check_command(&bzip2_codec, data, command, spacing);
}

static void test_each_level(void **state)
{
        char command[32];

        (void)state;
        for (int level = 1; level <= 9; level += 4) {
                snprintf(command, sizeof command, "bzip2 -%d", level);
                assert_true(check_bzip2(&disk, command, 1) >= 2);
        }
}

/* Points cost nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_true(check_bzip2(&disk, "bzip2 -9", UINT64_MAX) >= 3);
}

/* A block of these may hold 46 MB. */
static void test_runs(void **state)
{
        struct bytes zeros = {.data = calloc(1, 20 * MIB), .len = 20 * MIB};

        (void)state;
        assert_int_equal(check_bzip2(&zeros, "bzip2 -9", 1), 1);
        assert_true(check_bzip2(&zeros, "bzip2 -1", 1) >= 3);
        bytes_free(&zeros);
}

static void test_pbzip2(void **state)
{
        (void)state;
        need_program("pbzip2");
        assert_true(check_bzip2(&disk, "pbzip2 -c -p2 -b5", 1) >= 6);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_bzip2(&none, "bzip2", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_bzip2(&one, "bzip2", 1), 1);
        bytes_free(&one);
}

/* Streams of other levels, empty ones among them: segments span them. */
static void test_streams(void **state)
{
        static const char *const commands[] = {"bzip2 -1", "bzip2 -9", "bzip2 -3"};
        struct bytes all;

        (void)state;
        need_program("bzip2");
        all = disk_in_members(20, commands, 3);
        check_round_trip(&bzip2_codec, &all, &disk, 1);
        check_round_trip(&bzip2_codec, &all, &disk, MIB / 2);
        check_round_trip(&bzip2_codec, &all, &disk, MIB * 4);
        bytes_free(&all);
}

/* Blocks that end at each bit of a byte. */
static void test_each_bit(void **state)
{
        unsigned seen = 0;

        (void)state;
        need_program("bzip2");
        for (size_t len = 250001; seen != 0xff && len < 250200; len++) {
                struct bytes data = bytes_text(len, len);
                struct bytes packed = bytes_through(&data, "bzip2 -1");
                struct source *in = memory_source(packed.data, packed.len);
                struct record r;

                record_pass(&r, &bzip2_codec, in, 1, MIB, SIZE_MAX);
                assert_int_equal(r.rc, 0);
                for (size_t i = 1; i < r.count; i++)
                        seen |= 1u << r.points[i].point.in_bit % 8;
                record_free(&r);
                source_close(in);
                check_round_trip(&bzip2_codec, &packed, &data, 1);
                bytes_free(&packed);
                bytes_free(&data);
        }
        assert_int_equal(seen, 0xff);
}

/* What a block begins with, in the middle of one: it is data, and no boundary. */
static void test_magic_in_data(void **state)
{
        struct bytes data = {0}, twice;

        (void)state;
        need_program("bzip2");
        for (size_t i = 0; i < 300; i++) {
                struct bytes inner = bytes_through(&content, "bzip2 -1");

                bytes_append(&data, inner.data, inner.len);
                bytes_free(&inner);
        }
        twice = bytes_through(&data, "bzip2 -1");
        check_round_trip(&bzip2_codec, &twice, &data, 1);
        bytes_free(&twice);
        bytes_free(&data);
}

static struct bytes with_between(const char *after, size_t len)
{
        struct bytes one = bytes_through(&content, "bzip2"), all = {0};

        bytes_append(&all, one.data, one.len);
        bytes_append(&all, after, len);
        bytes_append(&all, one.data, one.len);
        bytes_free(&one);
        return all;
}

static void test_zeros_between(void **state)
{
        struct bytes twice = {0}, all;

        (void)state;
        need_program("bzip2");
        bytes_append(&twice, content.data, content.len);
        bytes_append(&twice, content.data, content.len);
        all = with_between("\0\0\0", 3);
        bytes_append(&all, "\0\0", 2);
        check_round_trip(&bzip2_codec, &all, &twice, 1);
        bytes_free(&all);
        bytes_free(&twice);
}

static void test_garbage_after_a_stream(void **state)
{
        struct bytes one, all;

        (void)state;
        need_program("bzip2");
        one = bytes_through(&content, "bzip2");
        all = with_between("\0\0abcd", 6);
        check_failure(&bzip2_codec, &all, EIO, one.len + 2, content.len);
        bytes_free(&all);
        bytes_free(&one);
}

/* The blocks are right, and their stream's checksum is not. */
static void test_stream_checksum(void **state)
{
        struct bytes one;

        (void)state;
        need_program("bzip2");
        one = bytes_through(&content, "bzip2");
        one.data[one.len - 3] ^= 1;
        check_failure(&bzip2_codec, &one, EIO, one.len - 11, content.len);
        bytes_free(&one);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(300000, 7), compressed;

        (void)state;
        need_program("bzip2");
        compressed = bytes_through(&data, "bzip2 -1");
        check_bit_flips(&bzip2_codec, &compressed, &data, 200, false);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(300000, 7), compressed;

        (void)state;
        need_program("bzip2");
        compressed = bytes_through(&data, "bzip2 -1");
        check_truncation(&bzip2_codec, &compressed, &data, 100);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(bzip2_codec.probe("BZh91AY&SY\0\0\0\0", 14));
        assert_true(bzip2_codec.probe("BZh1\x17\x72\x45\x38\x50\x90\0\0\0\0", 14));
        assert_false(bzip2_codec.probe("BZh01AY&SY\0\0\0\0", 14));
        assert_false(bzip2_codec.probe("BZh91AY&SY\0\0\0\0", 13));
        assert_false(bzip2_codec.probe("BZh9 is a text", 14));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_level),
            cmocka_unit_test(test_points_without_being_wanted),
            cmocka_unit_test(test_runs),
            cmocka_unit_test(test_pbzip2),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_streams),
            cmocka_unit_test(test_each_bit),
            cmocka_unit_test(test_magic_in_data),
            cmocka_unit_test(test_zeros_between),
            cmocka_unit_test(test_garbage_after_a_stream),
            cmocka_unit_test(test_stream_checksum),
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_probe),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}

#else

/* There is nothing to test without libbz2, which has to be said. */
static void test_bzip2_is_not_built_in(void **state)
{
        (void)state;
        skip();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_bzip2_is_not_built_in)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
