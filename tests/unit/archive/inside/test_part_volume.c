/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range of a volume: the same bytes, holes and losses, wherever it begins. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/inside/part_volume.h"
#include "tests/fixtures/disk_fixture.h"

enum { SIZE = 1 << 20, START = 63 * 512, LEN = 100 * 512 };

static struct memory_disk *disk;
static struct part_volume part;

static int start(void **state)
{
        (void)state;
        disk = memory_disk_new(SIZE);
        for (size_t i = 0; i < SIZE; i++)
                disk->bytes[i] = (uint8_t)(i % 251);
        part_volume_init(&part, &disk->base, START, LEN);
        return 0;
}

static int stop(void **state)
{
        (void)state;
        memory_disk_free(disk);
        return 0;
}

static void test_it_reads_its_range(void **state)
{
        uint8_t buf[LEN];

        (void)state;
        assert_int_equal(part.base.size, LEN);
        assert_int_equal(volume_read(&part.base, buf, LEN, 0), 0);
        assert_memory_equal(buf, disk->bytes + START, LEN);
        assert_int_equal(volume_read(&part.base, buf, 1, LEN - 1), 0);
        assert_int_equal(buf[0], disk->bytes[START + LEN - 1]);
}

static void test_what_is_lost_is_lost_where_it_lies(void **state)
{
        struct volume_extent e;

        (void)state;
        disk->lost = START + 700;
        disk->lost_end = START + 800;
        assert_int_equal(volume_find(&part.base, 0, LEN, &e), 0);
        assert_int_equal(e.kind, VOLUME_CODED);
        assert_int_equal(e.len, 700);
        assert_int_equal(volume_find(&part.base, 700, LEN - 700, &e), 0);
        assert_int_equal(e.kind, VOLUME_LOST);
        assert_int_equal(e.len, 100);
}

static int fail_find(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        (void)v;
        (void)pos;
        (void)len;
        (void)out;
        return -EIO;
}

static void test_an_error_is_about_a_block_of_what_is_below(void **state)
{
        static const struct volume_ops failing = {.extent = fail_find};
        struct volume_extent e;

        (void)state;
        disk->base.ops = &failing;
        assert_int_equal(volume_find(&part.base, 0, LEN, &e), -EIO);
        assert_int_equal(e.len, 4096 - START % 4096);
}

/* Raw extents of it are judged as those of the volume below, so it needs that one's anchor. */
static void test_it_has_the_anchor_of_what_is_below(void **state)
{
        (void)state;
        disk->base.anchor = 12345;
        part_volume_init(&part, &disk->base, START, LEN);
        assert_int_equal(part.base.anchor, 12345);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
            TEST(it_reads_its_range),
            TEST(what_is_lost_is_lost_where_it_lies),
            TEST(an_error_is_about_a_block_of_what_is_below),
            TEST(it_has_the_anchor_of_what_is_below),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
