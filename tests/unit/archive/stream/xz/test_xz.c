/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What xz and pixz write: whole, damaged and cut off, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fixtures/standins/codec_checks.h"

#ifdef VMAFS_XZ

#define MIB ((size_t)1 << 20)

static size_t check_xz(const struct bytes *data, const char *command, uint64_t spacing)
{
        need_program("xz");
        return check_command(&xz_codec, data, command, spacing);
}

static void test_one_block(void **state)
{
        (void)state;
        assert_int_equal(check_xz(&disk, "xz -1 -T1", MIB), 1);
}

static void test_each_check(void **state)
{
        static const char *const checks[] = {"none", "crc32", "crc64", "sha256"};
        char command[64];

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                snprintf(command, sizeof command, "xz -0 -C %s --block-size=1MiB", checks[i]);
                assert_int_equal(check_xz(&disk, command, 1), 6);
        }
}

static void test_threads(void **state)
{
        (void)state;
        assert_int_equal(check_xz(&disk, "xz -1 -T2 --block-size=1MiB", 1), 6);
}

/* Points cost nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_xz(&disk, "xz -0 --block-size=512KiB", UINT64_MAX), 6);
}

/* Many a segment. */
static void test_small_blocks(void **state)
{
        (void)state;
        assert_true(check_xz(&disk, "xz -0 --block-size=5000", MIB) >= 4);
        check_xz(&disk, "xz -0 --block-size=5000", 1);
}

static void test_pixz(void **state)
{
        (void)state;
        need_program("pixz");
        assert_true(check_xz(&disk, "pixz -t -0 -p 2", 1) >= 3);
}

static void test_filters(void **state)
{
        (void)state;
        check_xz(&disk, "xz --x86 --lzma2=preset=0 --block-size=1MiB", 1);
        check_xz(&disk, "xz --delta=dist=4 --lzma2=preset=0 --block-size=1MiB", 1);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_xz(&none, "xz", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_xz(&one, "xz", 1), 1);
        bytes_free(&one);
}

/* Streams with other checks, empty ones among them: segments span them. */
static void test_streams(void **state)
{
        static const char *const commands[] = {"xz -0", "xz -0 -C sha256", "xz -0 -C none",
                                               "xz -0 --block-size=20000"};
        struct bytes all;

        (void)state;
        need_program("xz");
        all = disk_in_members(20, commands, 4);
        check_round_trip(&xz_codec, &all, &disk, 1);
        check_round_trip(&xz_codec, &all, &disk, MIB / 2);
        check_round_trip(&xz_codec, &all, &disk, MIB * 4);
        bytes_free(&all);
}

/* CONTENT compressed, LEN bytes of AFTER, and CONTENT again. */
static struct bytes with_between(const char *after, size_t len)
{
        struct bytes one = bytes_through(&content, "xz -0"), all = {0};

        bytes_append(&all, one.data, one.len);
        bytes_append(&all, after, len);
        bytes_append(&all, one.data, one.len);
        bytes_free(&one);
        return all;
}

static void test_padding(void **state)
{
        struct bytes twice = {0}, all;

        (void)state;
        need_program("xz");
        bytes_append(&twice, content.data, content.len);
        bytes_append(&twice, content.data, content.len);
        all = with_between("\0\0\0\0\0\0\0\0", 8);
        bytes_append(&all, "\0\0\0\0", 4);
        check_round_trip(&xz_codec, &all, &twice, 1);
        bytes_free(&all);
        bytes_free(&twice);
}

static void test_garbage_after_a_stream(void **state)
{
        struct bytes one, all;

        (void)state;
        need_program("xz");
        one = bytes_through(&content, "xz -0");
        all = with_between("\0\0\0\0abcd", 8);
        check_failure(&xz_codec, &all, EIO, one.len + 4, content.len);
        bytes_free(&all);
        bytes_free(&one);
}

/* A block that is gone, with all that is left of it in order, shows in the index alone. */
static void test_missing_block(void **state)
{
        struct bytes data = bytes_random(3 * 4096, 1), all, cut = {0};
        size_t block;

        (void)state;
        need_program("xz");
        all = bytes_through(&data, "xz -0 -C crc32 --block-size=4096");
        /* header 12, three blocks of one size, index and footer */
        block = (all.len - 12 - 12 - 20) / 3 & ~(size_t)3;
        bytes_append(&cut, all.data, 12);
        bytes_append(&cut, all.data + 12 + block, all.len - 12 - block);
        check_failure(&xz_codec, &cut, EIO, 12 + 2 * block + 2, 2 * 4096);
        bytes_free(&cut);
        bytes_free(&all);
        bytes_free(&data);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(300000, 7), compressed;

        (void)state;
        need_program("xz");
        compressed = bytes_through(&data, "xz -0 --block-size=60000");
        check_bit_flips(&xz_codec, &compressed, &data, 300, false);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(300000, 7), compressed;

        (void)state;
        need_program("xz");
        compressed = bytes_through(&data, "xz -0 --block-size=60000");
        check_truncation(&xz_codec, &compressed, &data, 150);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* The tests allow 128 MiB. */
static void test_large_dictionary(void **state)
{
        struct bytes all;

        (void)state;
        need_program("xz");
        all = bytes_through(&content, "xz --lzma2=preset=0,dict=192MiB");
        check_failure(&xz_codec, &all, ENOTSUP, 12, 0);
        bytes_free(&all);
}

/* Of a kind that does not exist yet, in a header whose own checksum is right. */
static void test_unknown_check(void **state)
{
        static const uint8_t header[] = {0xfd, '7', 'z', 'X', 'Z', 0, 0, 2, 0xd3, 0x73, 0xd7, 0xaf};
        struct bytes all = bytes_copy(header, sizeof header);

        (void)state;
        check_failure(&xz_codec, &all, ENOTSUP, 0, 0);
        bytes_free(&all);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(xz_codec.probe("\xfd"
                                   "7zXZ\0",
                                   6));
        assert_false(xz_codec.probe("\xfd"
                                    "7zXZ\0",
                                    5));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_one_block),
            cmocka_unit_test(test_each_check),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_points_without_being_wanted),
            cmocka_unit_test(test_small_blocks),
            cmocka_unit_test(test_pixz),
            cmocka_unit_test(test_filters),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_streams),
            cmocka_unit_test(test_padding),
            cmocka_unit_test(test_garbage_after_a_stream),
            cmocka_unit_test(test_missing_block),
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_large_dictionary),
            cmocka_unit_test(test_unknown_check),
            cmocka_unit_test(test_probe),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}

#else

/* There is nothing to test without liblzma, which has to be said. */
static void test_xz_is_not_built_in(void **state)
{
        (void)state;
        skip();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_xz_is_not_built_in)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
