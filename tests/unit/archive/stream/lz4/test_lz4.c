/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lz4 writes: whole, damaged and cut off, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fixtures/standins/codec_checks.h"

#ifdef VMAFS_LZ4

#define MIB ((size_t)1 << 20)

static size_t check_lz4(const struct bytes *data, const char *command, uint64_t spacing)
{
        need_program("lz4");
        return check_command(&lz4_codec, data, command, spacing);
}

static void test_default(void **state)
{
        (void)state;
        assert_int_equal(check_lz4(&disk, "lz4 -q -c", 1), 2);
}

static void test_each_block_size(void **state)
{
        char command[32];

        (void)state;
        for (int size = 4; size <= 7; size++) {
                snprintf(command, sizeof command, "lz4 -q -c -B%d -BI", size);
                assert_int_equal(check_lz4(&disk, command, 4 * MIB), size == 7 ? 2 : 6);
                snprintf(command, sizeof command, "lz4 -q -9 -c -B%d -BD", size);
                assert_int_equal(check_lz4(&disk, command, 4 * MIB), 2);
                check_lz4(&disk, command, 1);
        }
}

static void test_checksums(void **state)
{
        (void)state;
        check_lz4(&disk, "lz4 -q -c -B4 -BX", 1);
        check_lz4(&disk, "lz4 -q -c -B4 -BX --no-frame-crc", 1);
        check_lz4(&disk, "lz4 -q -c -B4 --no-frame-crc", 1);
        check_lz4(&disk, "lz4 -q -c -B4 -BD -BX", 1);
}

/* The header has the size where the file is known. */
static void test_content_size(void **state)
{
        (void)state;
        check_lz4(&disk,
                  "d=$(mktemp -d) && cat > $d/disk && lz4 -q --content-size -c $d/disk && "
                  "rm -r $d",
                  1);
}

/* Points that need no history cost nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_lz4(&disk, "lz4 -q -c -B5 -BI", UINT64_MAX), 6);
        assert_int_equal(check_lz4(&disk, "lz4 -q -c -B5 -BD", UINT64_MAX), 1);
}

static void test_legacy(void **state)
{
        struct bytes data = bytes_mixed(20 * MIB, 3);

        (void)state;
        assert_int_equal(check_lz4(&data, "lz4 -q -l -c", 1), 3);
        bytes_free(&data);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_lz4(&none, "lz4 -q -c", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_lz4(&one, "lz4 -q -c", 1), 1);
        bytes_free(&one);
}

static void test_stored_blocks(void **state)
{
        struct bytes data = bytes_random(3 * MIB + 5, 2);

        (void)state;
        assert_true(check_lz4(&data, "lz4 -q -c -B4", MIB / 2) >= 6);
        assert_true(check_lz4(&data, "lz4 -q -c -B4 -BD", MIB / 2) >= 6);
        bytes_free(&data);
}

/* Frames of every kind, empty ones among them: segments span them. */
static void test_frames(void **state)
{
        static const char *const commands[] = {"lz4 -q -c -B4 -BD", "lz4 -q -c", "lz4 -q -l -c",
                                               "lz4 -q -c -B5 -BX --no-frame-crc",
                                               "printf 'P*M\\030\\005\\0\\0\\0abcde'; lz4 -q -c"};
        struct bytes all;

        (void)state;
        need_program("lz4");
        all = disk_in_members(20, commands, 5);
        check_round_trip(&lz4_codec, &all, &disk, 1);
        check_round_trip(&lz4_codec, &all, &disk, MIB / 2);
        check_round_trip(&lz4_codec, &all, &disk, MIB * 4);
        bytes_free(&all);
}

static struct bytes with_between(const char *after, size_t len)
{
        struct bytes one = bytes_through(&content, "lz4 -q -c"), all = {0};

        bytes_append(&all, one.data, one.len);
        bytes_append(&all, after, len);
        bytes_append(&all, one.data, one.len);
        bytes_free(&one);
        return all;
}

static void test_zeros_after(void **state)
{
        struct bytes all;

        (void)state;
        need_program("lz4");
        all = bytes_through(&content, "lz4 -q -c");
        bytes_append(&all, "\0\0\0\0\0", 5);
        check_round_trip(&lz4_codec, &all, &content, 1);
        bytes_free(&all);
}

static void test_garbage_after_a_frame(void **state)
{
        struct bytes one, all;

        (void)state;
        need_program("lz4");
        one = bytes_through(&content, "lz4 -q -c");
        all = with_between("\0\0abcd", 6);
        check_failure(&lz4_codec, &all, EIO, one.len + 2, content.len);
        bytes_free(&all);
        bytes_free(&one);
}

/* Whatever it is compressed with, a frame's checksum is of what comes out. */
static void test_frame_checksum(void **state)
{
        struct bytes one;

        (void)state;
        need_program("lz4");
        one = bytes_through(&content, "lz4 -q -c");
        one.data[one.len - 1] ^= 1;
        check_failure(&lz4_codec, &one, EIO, one.len - 8, content.len);
        bytes_free(&one);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(500000, 7), compressed;

        (void)state;
        need_program("lz4");
        compressed = bytes_through(&data, "lz4 -q -c -B4 -BX");
        check_bit_flips(&lz4_codec, &compressed, &data, 300, true);
        bytes_free(&compressed);
        compressed = bytes_through(&data, "lz4 -q -c -B4 -BD");
        check_bit_flips(&lz4_codec, &compressed, &data, 300, false);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(500000, 7), compressed;

        (void)state;
        need_program("lz4");
        compressed = bytes_through(&data, "lz4 -q -c -B4");
        check_truncation(&lz4_codec, &compressed, &data, 200);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* A header with FLAGS and SIZES, of which the checksum is SUM. */
static void check_refused(uint8_t flags, uint8_t sizes, uint8_t sum)
{
        const uint8_t head[] = {4, 0x22, 0x4d, 0x18, flags, sizes, sum, 0, 0, 0, 0, 0, 0, 0, 0};
        struct bytes all = bytes_copy(head, sizeof head);

        check_failure(&lz4_codec, &all, ENOTSUP, 0, 0);
        bytes_free(&all);
}

static void test_newer_version(void **state)
{
        (void)state;
        check_refused(0xa0, 0x40, 0x0f);
        check_refused(0x62, 0x40, 0xf0);
        check_refused(0x60, 0x30, 0xd4);
}

static void test_dictionary(void **state)
{
        const uint8_t head[] = {4, 0x22, 0x4d, 0x18, 0x61, 0x40, 1, 2, 3, 4, 0xfd, 0, 0, 0, 0};
        struct bytes all = bytes_copy(head, sizeof head);

        (void)state;
        check_failure(&lz4_codec, &all, ENOTSUP, 0, 0);
        bytes_free(&all);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(lz4_codec.probe("\x04\x22\x4d\x18", 4));
        assert_true(lz4_codec.probe("\x02\x21\x4c\x18", 4));
        assert_false(lz4_codec.probe("\x04\x22\x4d\x18", 3));
        assert_false(lz4_codec.probe("\x50\x2a\x4d\x18", 4));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_default),
            cmocka_unit_test(test_each_block_size),
            cmocka_unit_test(test_checksums),
            cmocka_unit_test(test_content_size),
            cmocka_unit_test(test_points_without_being_wanted),
            cmocka_unit_test(test_legacy),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_stored_blocks),
            cmocka_unit_test(test_frames),
            cmocka_unit_test(test_zeros_after),
            cmocka_unit_test(test_garbage_after_a_frame),
            cmocka_unit_test(test_frame_checksum),
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_newer_version),
            cmocka_unit_test(test_dictionary),
            cmocka_unit_test(test_probe),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}

#else

/* There is nothing to test without liblz4, which has to be said. */
static void test_lz4_is_not_built_in(void **state)
{
        (void)state;
        skip();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_lz4_is_not_built_in)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
