/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is inside of disks that are volumes alone, such as those of a snapshot. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/shared.h"
#include "index/index.h"
#include "index/inside/inside.h"
#include "index/inside/parts.h"
#include "index/tree/node.h"
#include "tests/fixtures/disk_fixture.h"

enum { SIZE = 1 << 20, START = 64 * 512, LEN = 100 * 512 };

static struct memory_disk *disk, *other;
static struct shared *shared;
static struct index *inside;

/* Two disks, the first of which has a partition. */
static int start(void **state)
{
        struct index_given list[2] = {{.name = "disk-a.raw", .device = "a"},
                                      {.name = "disk-b.raw", .device = "b"}};

        (void)state;
        disk = memory_disk_new(SIZE);
        other = memory_disk_new(SIZE);
        memset(disk->bytes, 'x', SIZE);
        memset(disk->bytes, 0, 512);
        disk_put_mbr(disk, 0, 0, 0x83, START / 512, LEN / 512);
        list[0].volume = &disk->base;
        list[1].volume = &other->base;
        assert_int_equal(shared_new(1 << 20, 1, &shared, NULL), 0);
        assert_int_equal(index_of_volumes(list, 2, shared, &inside), 0);
        return 0;
}

static int stop(void **state)
{
        (void)state;
        index_close(inside);
        shared_free(shared);
        memory_disk_free(disk);
        memory_disk_free(other);
        return 0;
}

static void test_it_is_sealed_and_has_the_disks_by_number(void **state)
{
        (void)state;
        assert_true(index_sealed(inside));
        assert_int_equal(index_disk_count(inside), 2);
        assert_string_equal(index_disk(inside, 1)->name, "disk-b.raw");
        assert_ptr_equal(index_disk(inside, 1)->volume, &other->base);
        assert_string_equal(index_parted(inside, 0)->folder->name, "disk-a.parts");
}

static void test_a_partition_is_its_range(void **state)
{
        struct node *n;
        uint8_t byte;

        (void)state;
        assert_int_equal(index_look_up(inside, "disk-a.parts/1.raw", &n), 0);
        assert_int_equal(index_disk_of(n)->size, LEN);
        assert_int_equal(volume_read(index_disk_of(n)->volume, &byte, 1, LEN - 1), 0);
        assert_int_equal(byte, 'x');
        assert_int_equal(index_look_up(inside, "disk-a.parts/2.raw", &n), -ENOENT);
        assert_int_equal(index_look_up(inside, "disk-b.parts/1.raw", &n), -ENOENT);
        assert_int_equal(index_look_up(inside, "disk-a.raw/x", &n), -ENOTDIR);
}

static void test_a_table_that_is_lost_is_an_error_for_its_disk_alone(void **state)
{
        struct node *n;
        char why[128];

        (void)state;
        disk->lost_end = 512;
        assert_int_equal(index_look_up(inside, "disk-a.parts/1.raw", &n), -EIO);
        assert_true(parted_why(index_parted(inside, 0), why, sizeof why));
        assert_int_equal(index_look_up(inside, "disk-b.parts", &n), 0);
        assert_false(parted_why(index_parted(inside, 1), why, sizeof why));
}

static void test_a_part_is_found_by_name_once_it_was_looked_at(void **state)
{
        struct node *n;

        (void)state;
        assert_null(inside_find(inside, "disk-a.parts/1.raw"));
        assert_true(inside_is_ready(inside, "disk-a.parts/1.raw"));
        assert_int_equal(index_look_up(inside, "disk-a.parts/1.raw", &n), 0);
        assert_ptr_equal(&inside_find(inside, "disk-a.parts/1.raw")->disk, index_disk_of(n));
        assert_null(inside_find(inside, "disk-a.parts/3.raw"));
        assert_null(inside_find(inside, "disk-a.part"));
        assert_null(inside_find(inside, "lvm/vg/root.raw"));
        assert_true(inside_has(inside, index_find(inside, "lvm")));
        assert_true(inside_has(inside, index_find(inside, "disk-b.parts")));
        assert_false(inside_has(inside, index_find(inside, "disk-b.raw")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_it_is_sealed_and_has_the_disks_by_number, start,
                                            stop),
            cmocka_unit_test_setup_teardown(test_a_partition_is_its_range, start, stop),
            cmocka_unit_test_setup_teardown(
                test_a_table_that_is_lost_is_an_error_for_its_disk_alone, start, stop),
            cmocka_unit_test_setup_teardown(test_a_part_is_found_by_name_once_it_was_looked_at,
                                            start, stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
