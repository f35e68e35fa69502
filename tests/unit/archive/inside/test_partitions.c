/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Partition tables: what is read of them, and what hostile ones come to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/error.h"
#include "archive/inside/partitions.h"
#include "tests/fixtures/disk_fixture.h"

enum { SIZE = 4 << 20, SECTORS = SIZE / 512 };

static struct partition_table table;
static struct memory_disk *disk;
static struct error err;

static int start(void **state)
{
        (void)state;
        disk = memory_disk_new(SIZE);
        err = (struct error){0};
        table = (struct partition_table){0};
        return 0;
}

static int stop(void **state)
{
        (void)state;
        partition_table_free(&table);
        memory_disk_free(disk);
        return 0;
}

static void read_table(void)
{
        partition_table_free(&table);
        if (partition_table_read(&disk->base, &table, &err) < 0)
                fail_msg("%s", err.text);
}

static void expect_part(size_t i, unsigned number, uint64_t start_sector, uint64_t sectors)
{
        const struct partition *p = array_at(&table.list, i);

        assert_int_equal(p->number, number);
        assert_int_equal(p->start, start_sector * table.sector);
        assert_int_equal(p->len, sectors * table.sector);
}

/* ---- MBR ---- */

static void test_mbr_has_its_primary_partitions(void **state)
{
        (void)state;
        store_le32(disk->bytes + 440, 0x12ab34cd);
        disk_put_mbr(disk, 0, 0, 0x83, 64, 100);
        disk_put_mbr(disk, 0, 2, 0x07, 200, 300);
        disk->bytes[446] = 0x80;
        read_table();
        assert_int_equal(table.label, PARTITIONS_MBR);
        assert_string_equal(table.id, "0x12ab34cd");
        assert_int_equal(table.list.count, 2);
        expect_part(0, 1, 64, 100);
        expect_part(1, 3, 200, 300);
        assert_true(table.list.items[0].bootable);
        assert_false(table.list.items[1].bootable);
        assert_string_equal(table.list.items[0].type, "83");
        assert_string_equal(table.list.items[1].uuid, "12ab34cd-03");
        assert_null(table.problem);
}

static void test_logical_partitions_are_counted_from_five(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x05, 1000, 3000);
        disk_put_mbr(disk, 1000 * 512, 0, 0x83, 8, 100);
        disk_put_mbr(disk, 1000 * 512, 1, 0x05, 500, 200);
        disk_put_mbr(disk, 1500 * 512, 0, 0x82, 16, 50);
        read_table();
        assert_int_equal(table.list.count, 3);
        assert_true(table.list.items[0].extended);
        expect_part(1, 5, 1008, 100);
        expect_part(2, 6, 1516, 50);
        assert_int_equal(table.list.items[1].overlaps, 0);
}

static void test_an_empty_link_takes_no_number(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x0f, 1000, 3000);
        disk_put_mbr(disk, 1000 * 512, 1, 0x05, 500, 200);
        disk_put_mbr(disk, 1500 * 512, 0, 0x82, 16, 50);
        read_table();
        assert_int_equal(table.list.count, 2);
        expect_part(1, 5, 1516, 50);
}

static void test_a_loop_of_links_ends(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x05, 1000, 3000);
        disk_put_mbr(disk, 1000 * 512, 0, 0x83, 8, 100);
        disk_put_mbr(disk, 1000 * 512, 1, 0x05, 500, 200);
        disk_put_mbr(disk, 1500 * 512, 0, 0x83, 8, 100);
        disk_put_mbr(disk, 1500 * 512, 1, 0x05, 0, 200);
        read_table();
        assert_int_equal(table.list.count, 3);
        assert_string_equal(table.problem, "its logical partitions form a loop");
}

static void test_a_long_chain_ends(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x05, 1, SECTORS - 1);
        for (uint32_t i = 1; i < 1000; i++) {
                disk_put_mbr(disk, (uint64_t)i * 512, 0, 0x83, 1, 1);
                disk_put_mbr(disk, (uint64_t)i * 512, 1, 0x05, i, 1);
        }
        read_table();
        assert_int_equal(table.list.count + table.left_out, 257);
        assert_int_equal(table.list.count, PARTITIONS_MAX);
        assert_string_equal(table.problem, "its chain of logical partitions is too long");
}

static void test_a_link_past_the_end_breaks_the_chain(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x05, 1000, 3000);
        disk_put_mbr(disk, 1000 * 512, 0, 0x83, 8, 100);
        disk_put_mbr(disk, 1000 * 512, 1, 0x05, UINT32_MAX, 200);
        read_table();
        assert_int_equal(table.list.count, 2);
        assert_string_equal(table.problem, "its chain of logical partitions is broken");
}

static void test_what_is_past_the_end_is_cut(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x83, SECTORS - 10, 100);
        disk_put_mbr(disk, 0, 1, 0x83, SECTORS, 100);
        disk_put_mbr(disk, 0, 2, 0x83, UINT32_MAX, UINT32_MAX);
        read_table();
        expect_part(0, 1, SECTORS - 10, 10);
        expect_part(1, 2, SECTORS, 0);
        expect_part(2, 3, UINT32_MAX, 0);
        assert_string_equal(table.list.items[0].problem,
                            "ends past the end of the disk, and is cut there");
        assert_string_equal(table.list.items[1].problem, "begins past the end of the disk");
        assert_int_equal(table.list.items[1].overlaps, 0);
}

static void test_overlaps_are_named(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x83, 100, 100);
        disk_put_mbr(disk, 0, 1, 0x83, 200, 100);
        disk_put_mbr(disk, 0, 2, 0x83, 250, 100);
        read_table();
        assert_int_equal(table.list.items[0].overlaps, 0);
        assert_int_equal(table.list.items[1].overlaps, 3);
        assert_int_equal(table.list.items[2].overlaps, 2);
        expect_part(2, 3, 250, 100);
}

static void test_a_boot_sector_of_a_file_system_is_no_table(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x83, 100, 100);
        memcpy(disk->bytes + 3, "NTFS    ", 8);
        read_table();
        assert_int_equal(table.label, PARTITIONS_NONE);
        memcpy(disk->bytes + 3, "mkfs.fat", 8);
        memcpy(disk->bytes + 82, "FAT32   ", 8);
        read_table();
        assert_int_equal(table.label, PARTITIONS_NONE);
}

static void test_flags_that_are_none_make_it_no_table(void **state)
{
        (void)state;
        disk_put_mbr(disk, 0, 0, 0x83, 100, 100);
        disk->bytes[446] = 0x33;
        read_table();
        assert_int_equal(table.label, PARTITIONS_NONE);
}

static void test_a_disk_of_less_than_a_sector_has_no_table(void **state)
{
        struct memory_disk *small = memory_disk_new(511);

        (void)state;
        assert_int_equal(partition_table_read(&small->base, &table, &err), 0);
        assert_int_equal(table.label, PARTITIONS_NONE);
        memory_disk_free(small);
}

/* ---- GPT ---- */

static const struct gpt_part two[] = {{64, 127, "EFI system"}, {128, 255, "root"}};

static void test_gpt_of_512(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        read_table();
        assert_int_equal(table.label, PARTITIONS_GPT);
        assert_int_equal(table.sector, 512);
        assert_false(table.from_backup);
        assert_string_equal(table.id, "C3C3C3C3-C3C3-C3C3-C3C3-C3C3C3C3C300");
        assert_int_equal(table.list.count, 2);
        expect_part(0, 1, 64, 64);
        expect_part(1, 2, 128, 128);
        assert_string_equal(table.list.items[0].type, "A1A1A1A1-A1A1-A1A1-A1A1-A1A1A1A1A100");
        assert_string_equal(table.list.items[1].uuid, "B2B2B2B2-B2B2-B2B2-B2B2-B2B2B2B2B202");
        assert_string_equal(table.list.items[0].name, "EFI system");
}

static void test_gpt_of_4096(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){.sector = 4096}, two, 2);
        read_table();
        assert_int_equal(table.sector, 4096);
        expect_part(0, 1, 64, 64);
        expect_part(1, 2, 128, 128);
}

static void test_gpt_with_long_entries(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){.entry_size = 256}, two, 2);
        read_table();
        assert_int_equal(table.list.count, 2);
        expect_part(1, 2, 128, 128);
}

static void expect_backup(void)
{
        read_table();
        assert_true(table.from_backup);
        assert_int_equal(table.list.count, 2);
        expect_part(1, 2, 128, 128);
}

static void test_a_damaged_header_gives_way_to_the_backup(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->bytes[512 + 80]++;
        expect_backup();
}

static void test_damaged_entries_give_way_to_the_backup(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->bytes[1024 + 40]++;
        expect_backup();
}

static void test_a_lost_header_gives_way_to_the_backup(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->lost = 512;
        disk->lost_end = 4096;
        expect_backup();
}

static void test_a_damaged_4096_header_gives_way_to_the_backup(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){.sector = 4096}, two, 2);
        memset(disk->bytes + 4096, 0, 4096);
        expect_backup();
        assert_int_equal(table.sector, 4096);
}

static void test_two_damaged_copies_are_said(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->bytes[512]++;
        disk->bytes[SIZE - 512]++;
        read_table();
        assert_int_equal(table.label, PARTITIONS_GPT);
        assert_int_equal(table.list.count, 0);
        assert_string_equal(table.problem, "neither copy of its GPT is sound");
}

static void test_a_million_entries_are_refused(void **state)
{
        uint8_t *h = disk->bytes + 512;

        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        memset(disk->bytes + SIZE - 512, 0, 512);
        store_le32(h + 80, 1000000);
        store_le32(h + 16, 0);
        store_le32(h + 16, checksum_crc32(h, 92));
        read_table();
        assert_int_equal(table.list.count, 0);
        assert_non_null(table.problem);
}

static void test_more_partitions_than_are_taken_are_counted(void **state)
{
        static struct gpt_part many[300];

        (void)state;
        for (unsigned i = 0; i < 300; i++)
                many[i] = (struct gpt_part){2000 + i, 2000 + i, NULL};
        disk_put_gpt(disk, &(struct gpt_shape){.count = 512}, many, 300);
        read_table();
        assert_int_equal(table.list.count, PARTITIONS_MAX);
        assert_int_equal(table.left_out, 300 - PARTITIONS_MAX);
}

static void test_gpt_entries_that_make_no_sense_are_empty(void **state)
{
        static const struct gpt_part odd[] = {{UINT64_MAX, UINT64_MAX, NULL},
                                              {100, 50, NULL},
                                              {100, UINT64_MAX, NULL},
                                              {UINT64_MAX / 512 + 1, UINT64_MAX, NULL}};

        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, odd, 4);
        read_table();
        assert_int_equal(table.list.count, 4);
        assert_int_equal(table.list.items[0].len, 0);
        assert_int_equal(table.list.items[1].len, 0);
        assert_int_equal(table.list.items[3].len, 0);
        expect_part(2, 3, 100, SECTORS - 100);
        assert_string_equal(table.list.items[1].problem, "ends before it begins");
}

static void test_gpt_entries_past_the_end_are_no_table(void **state)
{
        uint8_t *h = disk->bytes + 512;

        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        memset(disk->bytes + SIZE - 512, 0, 512);
        store_le64(h + 72, UINT64_MAX / 4);
        store_le32(h + 16, 0);
        store_le32(h + 16, checksum_crc32(h, 92));
        read_table();
        assert_int_equal(table.list.count, 0);
        assert_non_null(table.problem);
}

static void test_names_are_utf8(void **state)
{
        static const uint8_t units[] = {0xe9, 0x00, 0xac, 0x20, 0x3d, 0xd8,
                                        0x00, 0xde, 0x3d, 0xd8, 0x41, 0x00};
        uint8_t *h = disk->bytes + 512;

        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        memset(disk->bytes + 1024 + 56, 0, 72);
        memcpy(disk->bytes + 1024 + 56, units, sizeof units);
        store_le32(h + 88, checksum_crc32(disk->bytes + 1024, 128 * 128));
        store_le32(h + 16, 0);
        store_le32(h + 16, checksum_crc32(h, 92));
        read_table();
        assert_false(table.from_backup);
        assert_string_equal(table.list.items[0].name, "é€😀\xef\xbf\xbd"
                                                      "A");
}

static void test_an_old_gpt_without_its_mbr_is_no_table(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        memset(disk->bytes, 0, 512);
        read_table();
        assert_int_equal(table.label, PARTITIONS_NONE);
}

/* ---- what is not there ---- */

static void test_a_lost_first_sector_is_an_error(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->lost_end = 4096;
        assert_int_equal(partition_table_read(&disk->base, &table, &err), -EIO);
        assert_string_equal(err.text, "the partition table at byte 0 of the disk cannot be read: "
                                      "Input/output error");
}

static void test_what_is_unknown_is_to_be_waited_for(void **state)
{
        (void)state;
        disk_put_gpt(disk, &(struct gpt_shape){0}, two, 2);
        disk->unknown = 1024;
        disk->unknown_end = SIZE;
        assert_int_equal(partition_table_read(&disk->base, &table, &err), -EAGAIN);
        partition_table_free(&table);
        disk->unknown = 1024 + 128 * 128;
        assert_int_equal(partition_table_read(&disk->base, &table, &err), 0);
        assert_int_equal(table.list.count, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
            TEST(mbr_has_its_primary_partitions),
            TEST(logical_partitions_are_counted_from_five),
            TEST(an_empty_link_takes_no_number),
            TEST(a_loop_of_links_ends),
            TEST(a_long_chain_ends),
            TEST(a_link_past_the_end_breaks_the_chain),
            TEST(what_is_past_the_end_is_cut),
            TEST(overlaps_are_named),
            TEST(a_boot_sector_of_a_file_system_is_no_table),
            TEST(flags_that_are_none_make_it_no_table),
            TEST(a_disk_of_less_than_a_sector_has_no_table),
            TEST(gpt_of_512),
            TEST(gpt_of_4096),
            TEST(gpt_with_long_entries),
            TEST(a_damaged_header_gives_way_to_the_backup),
            TEST(damaged_entries_give_way_to_the_backup),
            TEST(a_lost_header_gives_way_to_the_backup),
            TEST(a_damaged_4096_header_gives_way_to_the_backup),
            TEST(two_damaged_copies_are_said),
            TEST(a_million_entries_are_refused),
            TEST(more_partitions_than_are_taken_are_counted),
            TEST(gpt_entries_that_make_no_sense_are_empty),
            TEST(gpt_entries_past_the_end_are_no_table),
            TEST(names_are_utf8),
            TEST(an_old_gpt_without_its_mbr_is_no_table),
            TEST(a_lost_first_sector_is_an_error),
            TEST(what_is_unknown_is_to_be_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
