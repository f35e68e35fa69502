/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file system that a volume's first blocks show. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/inside/filesystem.h"
#include "tests/fixtures/disk_fixture.h"

enum { SIZE = 1 << 20 };

static struct memory_disk *disk;

static int start(void **state)
{
        (void)state;
        disk = memory_disk_new(SIZE);
        return 0;
}

static int stop(void **state)
{
        (void)state;
        memory_disk_free(disk);
        return 0;
}

static const char *look(void)
{
        const char *name;

        assert_int_equal(filesystem_look(&disk->base, &name), 0);
        return name;
}

#define put(at, text) memcpy(disk->bytes + (at), text, sizeof(text) - 1)

static void test_zeros_are_none(void **state)
{
        (void)state;
        assert_null(look());
}

static void test_a_mark_names_it(void **state)
{
        (void)state;
        put(65536 + 64, "_BHRfS_M");
        assert_string_equal(look(), "btrfs");
        put(4096 - 10, "SWAPSPACE2");
        assert_string_equal(look(), "swap");
        put(0, "XFSB");
        assert_string_equal(look(), "xfs");
        put(512, "LABELONE");
        put(512 + 24, "LVM2 001");
        assert_string_equal(look(), "LVM2_member");
        put(0, "LUKS\xba\xbe");
        assert_string_equal(look(), "crypto_LUKS");
}

static void test_ext_is_told_by_its_features(void **state)
{
        (void)state;
        put(1024 + 56, "\x53\xef");
        assert_string_equal(look(), "ext2");
        disk->bytes[1024 + 92] = 4;
        assert_string_equal(look(), "ext3");
        disk->bytes[1024 + 96] = 0x40;
        assert_string_equal(look(), "ext4");
        disk->bytes[1024 + 96] = 8;
        assert_string_equal(look(), "jbd");
}

static void test_zfs_is_found_by_an_uberblock(void **state)
{
        (void)state;
        put(131072 + 7 * 1024, "\x0c\xb1\xba\x00\x00\x00\x00\x00");
        assert_string_equal(look(), "zfs_member");
}

static void test_a_short_volume_is_none(void **state)
{
        struct memory_disk *tiny = memory_disk_new(3);
        const char *name;

        (void)state;
        assert_int_equal(filesystem_look(&tiny->base, &name), 0);
        assert_null(name);
        memory_disk_free(tiny);
}

static void test_a_mark_counts_although_others_are_lost(void **state)
{
        const char *name;

        (void)state;
        put(0, "XFSB");
        disk->lost = 4096;
        disk->lost_end = SIZE;
        assert_string_equal(look(), "xfs");
        memset(disk->bytes, 0, 4);
        assert_int_equal(filesystem_look(&disk->base, &name), -EIO);
}

static void test_what_is_unknown_is_to_be_waited_for(void **state)
{
        const char *name;

        (void)state;
        put(65536 + 64, "_BHRfS_M");
        disk->unknown = 4096;
        disk->unknown_end = SIZE;
        assert_int_equal(filesystem_look(&disk->base, &name), -EAGAIN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
            TEST(zeros_are_none),
            TEST(a_mark_names_it),
            TEST(ext_is_told_by_its_features),
            TEST(zfs_is_found_by_an_uberblock),
            TEST(a_short_volume_is_none),
            TEST(a_mark_counts_although_others_are_lost),
            TEST(what_is_unknown_is_to_be_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
