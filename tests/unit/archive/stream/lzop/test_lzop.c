/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lzop itself writes: whole, damaged and cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/fixtures/standins/codec_checks.h"

#define MIB ((size_t)1 << 20)

static size_t check_lzop(const struct bytes *data, const char *command, uint64_t spacing)
{
        need_program("lzop");
        return check_command(&lzop_codec, data, command, spacing);
}

static void check_disk(const char *command)
{
        assert_true(check_lzop(&disk, command, MIB / 2) >= 5);
}

static void test_fast(void **state)
{
        (void)state;
        check_disk("lzop -1");
}

static void test_default(void **state)
{
        (void)state;
        check_disk("lzop -3");
}

static void test_best(void **state)
{
        (void)state;
        check_disk("lzop -9");
}

static void test_crc32(void **state)
{
        (void)state;
        check_disk("lzop --crc32");
}

static void test_no_checksum(void **state)
{
        (void)state;
        check_disk("lzop -F");
}

static void test_no_checksum_best(void **state)
{
        (void)state;
        check_disk("lzop -F -8 --crc32");
}

static void test_real_filters(void **state)
{
        struct bytes data = bytes_mixed(600000, 3);
        char command[64];

        (void)state;
        for (int filter = 1; filter <= 16; filter++) {
                snprintf(command, sizeof command, "lzop --filter=%d", filter);
                check_lzop(&data, command, 1);
        }
        bytes_free(&data);
}

static void test_every_block(void **state)
{
        (void)state;
        assert_int_equal(check_lzop(&disk, "lzop", 1), disk.len / (256 << 10) + 1);
}

/* Points cost next to nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_lzop(&disk, "lzop", UINT64_MAX), 6);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_lzop(&none, "lzop", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_lzop(&one, "lzop", 1), 1);
        bytes_free(&one);
}

static void test_stored_blocks(void **state)
{
        struct bytes data = bytes_random(3 * MIB + 5, 2);

        (void)state;
        assert_true(check_lzop(&data, "lzop", MIB / 2) >= 6);
        assert_true(check_lzop(&data, "lzop -F", MIB / 2) >= 6);
        bytes_free(&data);
}

static void test_file_name_in_header(void **state)
{
        (void)state;
        check_disk("cd /tmp && d=$(mktemp -d) && cat > $d/disk.vma && lzop -c $d/disk.vma && "
                   "rm -r $d");
}

/* Members with other flags, empty ones among them: segments span them. */
static void test_members(void **state)
{
        static const char *const commands[] = {"lzop", "lzop -F", "lzop --crc32 -9",
                                               "lzop --filter=3"};
        struct bytes all;

        (void)state;
        need_program("lzop");
        all = disk_in_members(20, commands, 4);
        check_round_trip(&lzop_codec, &all, &disk, 1);
        check_round_trip(&lzop_codec, &all, &disk, MIB / 2);
        check_round_trip(&lzop_codec, &all, &disk, MIB * 4);
        bytes_free(&all);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(900000, 7), compressed;

        (void)state;
        need_program("lzop");
        compressed = bytes_through(&data, "lzop");
        check_bit_flips(&lzop_codec, &compressed, &data, 400, true);
        bytes_free(&compressed);
        compressed = bytes_through(&data, "lzop --crc32 -7");
        check_bit_flips(&lzop_codec, &compressed, &data, 400, true);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(900000, 7), compressed;

        (void)state;
        need_program("lzop");
        compressed = bytes_through(&data, "lzop");
        check_truncation(&lzop_codec, &compressed, &data, 200);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(lzop_codec.probe("\x89LZO\0\r\n\x1a\n", 9));
        assert_false(lzop_codec.probe("\x89LZO\0\r\n\x1a\n", 8));
        assert_false(lzop_codec.probe("\x89LZO\0\r\n\x1a\r", 9));
}

static void test_reference_tiny(void **state)
{
        (void)state;
        check_reference(&lzop_codec, "tiny.vma", ".lzo");
}

static void test_reference_small(void **state)
{
        (void)state;
        check_reference(&lzop_codec, "small.vma", ".lzo");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fast),
            cmocka_unit_test(test_default),
            cmocka_unit_test(test_best),
            cmocka_unit_test(test_crc32),
            cmocka_unit_test(test_no_checksum),
            cmocka_unit_test(test_no_checksum_best),
            cmocka_unit_test(test_real_filters),
            cmocka_unit_test(test_every_block),
            cmocka_unit_test(test_points_without_being_wanted),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_stored_blocks),
            cmocka_unit_test(test_file_name_in_header),
            cmocka_unit_test(test_members),
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_probe),
            cmocka_unit_test(test_reference_tiny),
            cmocka_unit_test(test_reference_small),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}
