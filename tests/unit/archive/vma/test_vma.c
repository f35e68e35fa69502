/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vma_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum { BLOCK = BACKUP_BLOCK, CLUSTER = BACKUP_CLUSTER, CTIME = BACKUP_CTIME };

/* ---- what is right ---- */

static void test_masks_and_order(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "drive-scsi0", 4 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 3, 0x0001);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 2, 0x0000);
        backup_cluster(&f, 1, 1, 0x8421);
        d = backup_scan(&f);
        for (unsigned i = 0; i < 16; i++) {
                backup_expect_pattern(d, 1, i * BLOCK);
                if (0x8421 >> i & 1)
                        backup_expect_pattern(d, 1, CLUSTER + i * BLOCK);
                else
                        backup_expect_zero(d, CLUSTER + i * BLOCK);
                backup_expect_zero(d, 2 * CLUSTER + i * BLOCK);
        }
        backup_expect_pattern(d, 1, 3 * CLUSTER);
        backup_expect_zero(d, 3 * CLUSTER + BLOCK);
        assert_int_equal(d->totals.stored, (16 + 4 + 1) * BLOCK);
        assert_int_equal(d->totals.lost, 0);
        assert_int_equal(index_damage_count(f.index), 0);
        backup_end(&f);
}

static void test_read_crosses_everything(void **state)
{
        struct backup f = backup_start();
        static uint8_t got[4 * CLUSTER], want[4 * CLUSTER];
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", 4 * CLUSTER - 512);
        backup_header(&f);
        backup_cluster(&f, 1, 1, 0xff00);
        backup_cluster(&f, 1, 0, 0x00ff);
        backup_cluster(&f, 1, 3, 0xffff);
        backup_cluster(&f, 1, 2, 0x5555);
        d = backup_scan(&f);
        for (uint32_t c = 0; c < 4; c++) {
                static const uint16_t masks[] = {0x00ff, 0xff00, 0x5555, 0xffff};

                vma_pattern(1, c, want + c * CLUSTER);
                for (unsigned i = 0; i < 16; i++)
                        if (!(masks[c] >> i & 1))
                                memset(want + c * CLUSTER + i * BLOCK, 0, BLOCK);
        }
        assert_int_equal(disk_read(d, got, sizeof got, 0), 4 * CLUSTER - 512);
        assert_memory_equal(got, want, 4 * CLUSTER - 512);
        assert_int_equal(disk_read(d, got, 100001, 65537), 100001);
        assert_memory_equal(got, want + 65537, 100001);
        assert_int_equal(disk_read(d, got, 10, 4 * CLUSTER - 512), 0);
        backup_end(&f);
}

static void test_59_slots_and_holes_between_them(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", 61 * CLUSTER);
        backup_header(&f);
        assert_int_equal(vma_writer_set_slots(f.w, VMA_SLOTS), 0);
        for (uint32_t i = 0; i < 59; i++)
                backup_cluster(&f, 1, i, 0x0101);
        for (uint32_t i = 59; i < 61; i++) {
                assert_int_equal(vma_writer_slot(f.w, 0, NULL, 0), 0);
                backup_cluster(&f, 1, i, 0x0101);
                assert_int_equal(vma_writer_slot(f.w, 0, NULL, 0), 0);
        }
        d = backup_scan(&f);
        for (uint64_t i = 0; i < 61; i++)
                backup_expect_pattern(d, 1, i * CLUSTER + 8 * BLOCK);
        assert_int_equal(d->totals.lost, 0);
        backup_end(&f);
}

/* Genuine readers skip an empty slot whatever its mask says. */
static void test_empty_slot_with_a_mask_has_no_data(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", CLUSTER);
        backup_header(&f);
        assert_int_equal(vma_writer_slot(f.w, UINT64_C(0xffff) << 48 | 5, NULL, 0), 0);
        backup_cluster(&f, 1, 0, 0xffff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, 0);
        assert_int_equal(index_damage_count(f.index), 0);
        backup_end(&f);
}

static void test_empty_extents(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        assert_int_equal(vma_writer_flush(f.w), 0);
        backup_cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        assert_int_equal(vma_writer_flush(f.w), 0);
        backup_cluster(&f, 1, 1, 0xffff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, CLUSTER);
        assert_int_equal(d->totals.lost, 0);
        backup_end(&f);
}

static void test_vmstate_longer_than_declared(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "vmstate", CLUSTER);
        backup_header(&f);
        for (uint32_t i = 0; i < 5; i++)
                backup_cluster(&f, 1, i, i == 4 ? 0x0003 : 0xfff0);
        d = backup_scan(&f);
        assert_string_equal(d->name, "vmstate.bin");
        assert_int_equal(d->size, 5 * CLUSTER);
        backup_expect_zero(d, 2 * CLUSTER);
        backup_expect_pattern(d, 1, 2 * CLUSTER + 4 * BLOCK);
        backup_expect_pattern(d, 1, 4 * CLUSTER + BLOCK);
        assert_int_equal(index_damage_count(f.index), 0);
        backup_end(&f);
}

static void test_vmstate_as_declared(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "vmstate", CLUSTER + 700);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 1, 0xffff);
        d = backup_scan(&f);
        assert_int_equal(d->size, CLUSTER + 700);
        assert_int_equal(d->totals.lost, 0);
        backup_end(&f);
}

/* One that does not is whole clusters. */
static int stays_in_its_cluster(void *ctx, struct disk *d, uint64_t pos,
                                const struct volume_extent *e)
{
        uint64_t *bytes = ctx;
        uint64_t first = pos / CLUSTER, last = (pos + e->len - 1) / CLUSTER;

        (void)d;
        assert_true(first == last || (pos | e->len) % CLUSTER == 0);
        *bytes += e->len;
        return 0;
}

/* A map has 8 bytes for a cluster of any mask, but only where it comes alone. */
static void test_parts_of_clusters_are_not_merged(void **state)
{
        static const uint16_t masks[] = {0x0ff0, 0x0001, 0x8000, 0x8001, 0,
                                         0,      0x0001, 0xffff, 0xffff, 0x7fff,
                                         0xffff, 0xfffe, 0xffff, 0x8000, 0};
        enum { COUNT = sizeof masks / sizeof *masks };
        struct backup f = backup_start();
        uint64_t bytes = 0;
        const struct index_observer observer = {.ctx = &bytes, .extent = stays_in_its_cluster};

        (void)state;
        backup_device(&f, 1, "a", COUNT * CLUSTER);
        backup_header(&f);
        for (uint32_t i = 0; i < COUNT; i++)
                backup_cluster(&f, 1, i, masks[i]);
        assert_int_equal(backup_open(&f, false), 0);
        assert_int_equal(index_scan(f.index, &observer, &f.err), 0);
        assert_int_equal(bytes, COUNT * CLUSTER);
        backup_end(&f);
}

/* ---- what is wrong ---- */

static void test_missing_cluster_is_lost(void **state)
{
        struct backup f = backup_start();
        struct disk *d;
        uint8_t two[2 * BLOCK];

        (void)state;
        backup_device(&f, 1, "a", 3 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 2, 0xffff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, 0);
        backup_expect_lost(d, CLUSTER);
        backup_expect_lost(d, 2 * CLUSTER - BLOCK);
        backup_expect_pattern(d, 1, 2 * CLUSTER);
        assert_int_equal(d->totals.lost, CLUSTER);
        /* A read gives what is before the loss. */
        assert_int_equal(disk_read(d, two, sizeof two, CLUSTER - BLOCK), BLOCK);
        backup_end(&f);
}

static void test_recover_zero(void **state)
{
        struct backup f = backup_start();
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        assert_int_equal(backup_open(&f, true), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
        d = index_disk(f.index, 0);
        backup_expect_pattern(d, 1, 0);
        backup_expect_zero(d, CLUSTER);
        assert_int_equal(d->totals.lost, CLUSTER);
        backup_end(&f);
}

/* What was not even looked for must not become zeros. */
static void test_recover_zero_of_an_unfinished_scan(void **state)
{
        struct backup f = backup_start();

        (void)state;
        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        backup_cluster(&f, 1, 1, 0xffff);
        assert_int_equal(backup_open(&f, true), 0);
        index_stop(f.index);
        assert_int_equal(index_scan(f.index, NULL, &f.err), -ECANCELED);
        backup_expect_lost(index_disk(f.index, 0), CLUSTER);
        backup_end(&f);
}

/* Each place may cost memory: an archive that stores everything twice is given up. */
static void test_too_much_stored_twice(void **state)
{
        struct backup f = backup_start();

        (void)state;
        backup_device(&f, 1, "a", (UINT64_C(1) << 48));
        backup_header(&f);
        for (uint32_t i = 0; i < 70000; i++) {
                assert_int_equal(vma_writer_cluster(f.w, 1, i * 1024, 0, NULL), 0);
                assert_int_equal(vma_writer_cluster(f.w, 1, i * 1024, 0, NULL), 0);
        }
        assert_int_equal(backup_open(&f, false), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), -E2BIG);
        assert_non_null(strstr(f.err.text, "a second time"));
        backup_end(&f);
}

static void test_duplicate_cluster_is_lost(void **state)
{
        struct backup f = backup_start();
        struct disk *d;
        uint64_t second;

        (void)state;
        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 1, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        second = vma_writer_offset(f.w);
        backup_cluster(&f, 1, 0, 0xffff);
        d = backup_scan(&f);
        backup_expect_lost(d, 0);
        backup_expect_pattern(d, 1, CLUSTER);
        backup_expect_damage(&f, second, "second time");
        backup_end(&f);
}

static void test_cluster_beyond_the_end(void **state)
{
        struct backup f = backup_start();
        struct disk *d;
        uint64_t at;

        (void)state;
        backup_device(&f, 1, "a", CLUSTER + 512);
        backup_header(&f);
        at = vma_writer_offset(f.w);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 2, 0x00ff); /* after the end, with data */
        backup_cluster(&f, 1, 1, 0xffff); /* reached only if that data is skipped */
        backup_cluster(&f, 1, 3, 0x0000); /* after the end, zero: tolerated */
        d = backup_scan(&f);
        assert_int_equal(d->totals.lost, 0);
        backup_expect_damage(&f, at, "beyond");
        assert_int_equal(index_damage_count(f.index), 1);
        {
                uint8_t got[512];
                static uint8_t want[CLUSTER];

                vma_pattern(1, 1, want);
                assert_int_equal(disk_read(d, got, 512, CLUSTER), 512);
                assert_memory_equal(got, want, 512);
        }
        backup_end(&f);
}

/* They are taken in together, as far as the device has them. */
static void test_a_run_of_clusters_over_the_end(void **state)
{
        struct backup f = backup_start();
        const struct index_damage *list;
        struct disk *d;

        (void)state;
        backup_device(&f, 1, "a", 3 * CLUSTER + 512);
        backup_device(&f, 2, "b", 2 * CLUSTER);
        backup_header(&f);
        for (uint32_t i = 0; i < 6; i++)
                backup_cluster(&f, 1, i, 0xffff);
        for (uint32_t i = 0; i < 2; i++)
                backup_cluster(&f, 2, i, 0xffff);
        d = backup_scan(&f);
        for (uint64_t pos = 0; pos < 3 * CLUSTER; pos += BLOCK)
                backup_expect_pattern(d, 1, pos);
        for (uint64_t pos = 0; pos < 2 * CLUSTER; pos += BLOCK)
                backup_expect_pattern(index_disk(f.index, 1), 2, pos);
        assert_int_equal(d->totals.lost, 0);
        assert_int_equal(index_damages(f.index, &list), 2);
        assert_int_equal(list[0].start, 4 * CLUSTER);
        assert_int_equal(list[1].start, 5 * CLUSTER);
        backup_end(&f);
}

static void check_unknown_device(uint8_t id)
{
        struct backup f = backup_start();
        struct disk *d;
        static uint8_t data[CLUSTER];
        uint64_t at;

        backup_device(&f, 1, "a", CLUSTER);
        backup_header(&f);
        at = vma_writer_offset(f.w);
        assert_int_equal(
            vma_writer_slot(f.w, UINT64_C(0xffff) << 48 | (uint64_t)id << 32, data, 16), 0);
        backup_cluster(&f, 1, 0, 0xffff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, 0);
        backup_expect_damage(&f, at, "no device");
        backup_end(&f);
}

static void test_cluster_of_no_device(void **state)
{
        (void)state;
        check_unknown_device(2);
        check_unknown_device(255);
}

static void check_extent_damage(unsigned damage, const char *word)
{
        struct backup f = backup_start();
        struct disk *d;
        uint64_t at;

        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        at = vma_writer_offset(f.w);
        vma_writer_damage(f.w, damage);
        backup_cluster(&f, 1, 1, 0x0fff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, 0);
        backup_expect_lost(d, CLUSTER);
        backup_expect_damage(&f, at, word);
        backup_end(&f);
}

static void test_damaged_extent_headers(void **state)
{
        (void)state;
        check_extent_damage(VMA_WRONG_MAGIC, "magic");
        check_extent_damage(VMA_WRONG_UUID, "uuid");
        check_extent_damage(VMA_WRONG_MD5, "MD5");
        check_extent_damage(VMA_WRONG_RESERVED, "reserved");
        check_extent_damage(VMA_WRONG_COUNT_MORE, "block count");
        check_extent_damage(VMA_WRONG_COUNT_LESS, "block count");
}

/* Cut at every byte: an error with a byte, or right blocks and lost blocks and nothing else. */
static void test_truncated_at_every_byte(void **state)
{
        static const uint16_t masks[] = {0x0003, 0x8001, 0x0000, 0x0002};
        struct backup f = backup_start();
        struct disk *d;
        uint64_t full, header_end;

        (void)state;
        backup_device(&f, 1, "a", 4 * CLUSTER);
        backup_header(&f);
        header_end = vma_writer_offset(f.w);
        assert_int_equal(vma_writer_set_slots(f.w, 2), 0);
        for (uint32_t i = 0; i < 4; i++)
                backup_cluster(&f, 1, i, masks[i]);
        backup_finish(&f);
        full = (uint64_t)lseek(f.fd, 0, SEEK_END);
        for (uint64_t cut = full - 1; cut < full; cut--) {
                assert_int_equal(ftruncate(f.fd, (off_t)cut), 0);
                if (backup_open(&f, false) < 0) {
                        assert_true(cut < header_end);
                        assert_true(f.err.text[0] != '\0');
                        f.index = NULL;
                        continue;
                }
                assert_true(cut >= header_end);
                assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
                d = index_disk(f.index, 0);
                assert_true(d->totals.lost > 0);
                for (uint64_t pos = 0; pos < d->size; pos += BLOCK) {
                        uint8_t got[BLOCK];
                        bool stored = masks[pos / CLUSTER] >> pos % CLUSTER / BLOCK & 1;

                        if (disk_read(d, got, BLOCK, pos) == -EIO)
                                continue;
                        if (stored)
                                backup_expect_pattern(d, 1, pos);
                        else
                                backup_expect_zero(d, pos);
                }
                /* A cut between extents leaves clusters missing; any other is named. */
                if (cut != header_end && cut != header_end + 512 + 4 * BLOCK)
                        assert_true(index_damage_count(f.index) > 0);
                index_close(f.index);
                f.index = NULL;
        }
        backup_end(&f);
}

/* What is whole before the cut is readable, to the block. */
static void test_truncated_inside_a_cluster(void **state)
{
        struct backup f = backup_start();
        struct disk *d;
        uint64_t at;

        (void)state;
        backup_device(&f, 1, "a", 2 * CLUSTER);
        backup_header(&f);
        at = vma_writer_offset(f.w);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 1, 0xf0f0);
        backup_finish(&f);
        assert_int_equal(ftruncate(f.fd, (off_t)(at + 512 + 18 * BLOCK + 1)), 0);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, CLUSTER - BLOCK);
        backup_expect_zero(d, CLUSTER);
        backup_expect_pattern(d, 1, CLUSTER + 5 * BLOCK);
        backup_expect_lost(d, CLUSTER + 6 * BLOCK);
        backup_expect_zero(d, CLUSTER + 8 * BLOCK);
        assert_int_equal(d->totals.lost, 6 * BLOCK);
        backup_expect_damage(&f, at, "cut off");
        backup_end(&f);
}

/* ---- the genuine tool's own ---- */

static void test_genuine_tiny(void **state)
{
        struct index_options options = {.unwatched = true};
        struct index *index;
        struct error err = {0};
        struct disk *d;
        uint64_t pos;

        (void)state;
        assert_int_equal(index_open("tests/data/good/tiny.vma", &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(index_disk_count(index), 1);
        d = index_disk(index, 0);
        assert_string_equal(d->name, "disk-drive-scsi0.raw");
        assert_int_equal(d->size, 1048576);
        assert_int_equal(d->totals.stored, 12288);
        assert_int_equal(disk_next_data(d, 0, &pos), 0);
        assert_int_equal(index_file_count(index), 1);
        assert_int_equal(index_file(index, 0)->volume->size, 116);
        index_close(index);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_masks_and_order),
            cmocka_unit_test(test_read_crosses_everything),
            cmocka_unit_test(test_59_slots_and_holes_between_them),
            cmocka_unit_test(test_empty_slot_with_a_mask_has_no_data),
            cmocka_unit_test(test_empty_extents),
            cmocka_unit_test(test_vmstate_longer_than_declared),
            cmocka_unit_test(test_vmstate_as_declared),
            cmocka_unit_test(test_parts_of_clusters_are_not_merged),
            cmocka_unit_test(test_missing_cluster_is_lost),
            cmocka_unit_test(test_recover_zero),
            cmocka_unit_test(test_recover_zero_of_an_unfinished_scan),
            cmocka_unit_test(test_too_much_stored_twice),
            cmocka_unit_test(test_duplicate_cluster_is_lost),
            cmocka_unit_test(test_cluster_beyond_the_end),
            cmocka_unit_test(test_a_run_of_clusters_over_the_end),
            cmocka_unit_test(test_cluster_of_no_device),
            cmocka_unit_test(test_damaged_extent_headers),
            cmocka_unit_test(test_truncated_at_every_byte),
            cmocka_unit_test(test_truncated_inside_a_cluster),
            cmocka_unit_test(test_genuine_tiny),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
