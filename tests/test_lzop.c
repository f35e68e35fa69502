/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lzop itself writes: whole, damaged and cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/codec_checks.h"

#define MIB ((size_t)1 << 20)

static struct bytes disk; /* 5 MiB of what disks hold */

static int make_disk(void **state)
{
        (void)state;
        disk = bytes_mixed(5 * MIB + 123, 1);
        return 0;
}

static int free_disk(void **state)
{
        (void)state;
        bytes_free(&disk);
        return 0;
}

static size_t check_command(const struct bytes *data, const char *command, uint64_t spacing)
{
        struct bytes compressed;
        size_t points;

        need_program("lzop");
        compressed = bytes_through(data, command);
        points = check_round_trip(&lzop_codec, &compressed, data, spacing);
        bytes_free(&compressed);
        return points;
}

static void check_disk(const char *command)
{
        assert_true(check_command(&disk, command, MIB / 2) >= 5);
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
                check_command(&data, command, 1);
        }
        bytes_free(&data);
}

static void test_every_block(void **state)
{
        (void)state;
        assert_int_equal(check_command(&disk, "lzop", 1), disk.len / (256 << 10) + 1);
}

/* Points cost next to nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_command(&disk, "lzop", UINT64_MAX), 6);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_command(&none, "lzop", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_command(&one, "lzop", 1), 1);
        bytes_free(&one);
}

static void test_stored_blocks(void **state)
{
        struct bytes data = bytes_random(3 * MIB + 5, 2);

        (void)state;
        assert_true(check_command(&data, "lzop", MIB / 2) >= 6);
        assert_true(check_command(&data, "lzop -F", MIB / 2) >= 6);
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
        struct bytes all = {0};
        size_t start = 0;

        (void)state;
        need_program("lzop");
        for (size_t i = 0; i < 20; i++) {
                size_t end = i == 19 ? disk.len : (i % 5 == 2 ? start : (i + 1) * disk.len / 20);
                struct bytes part = bytes_copy(disk.data + start, end - start);
                struct bytes member = bytes_through(&part, commands[i % 4]);

                bytes_append(&all, member.data, member.len);
                bytes_free(&part);
                bytes_free(&member);
                start = end;
        }
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
