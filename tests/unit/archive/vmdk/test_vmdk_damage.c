/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDK images that are damaged or cut off: what is found again, and what is lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vmdk_fixture.h"

static void test_without_the_footer_the_directory_is_found(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        memset(v.file.data + v.file.len - 1024, 0x55, VMDK_SECTOR);
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        assert_true(image_damage_says(&o, "footer"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_stream_that_is_cut_off_gives_what_is_there(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        o = vmdk_scanned_bytes(v.file.data, (size_t)v.grains[600] * VMDK_SECTOR + 100);
        vmdk_expect_grain(&o, 0);
        vmdk_expect_grain(&o, 1);
        vmdk_expect_grain(&o, 3);
        vmdk_expect_lost(&o, 2);
        vmdk_expect_lost(&o, 600);
        assert_int_equal(o.disk->totals.lost, v.size - 3 * VMDK_GRAIN);
        assert_true(image_damage_says(&o, "footer"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_markers_are_found_again_behind_damage(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        memset(v.file.data + (size_t)v.grains[3] * VMDK_SECTOR, 0x55, VMDK_SECTOR);
        o = vmdk_scanned_bytes(v.file.data, v.gd - 3 * VMDK_SECTOR);
        vmdk_expect_grain(&o, 0);
        vmdk_expect_grain(&o, 1);
        vmdk_expect_grain(&o, 600);
        vmdk_expect_lost(&o, 3);
        assert_true(image_damage_says(&o, "marker"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_damaged_grain_is_an_error(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        memset(v.file.data + (size_t)v.grains[3] * VMDK_SECTOR + 40, 0x55, 100);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 3);
        vmdk_expect_grain(&o, 1);
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_grain_of_another_place_is_an_error(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        store_le64(v.file.data + (size_t)v.grains[3] * VMDK_SECTOR, 128);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 3);
        image_end(&o);
        vmdk_free(&v);
}

/* A grain that would inflate to more than a grain is. */
static void test_a_grain_that_is_a_bomb_is_an_error(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        static uint8_t zeros[64 * VMDK_GRAIN];
        uint8_t out[8192];
        uLongf len = sizeof out;
        struct image o;

        (void)state;
        assert_int_equal(compress(out, &len, zeros, sizeof zeros), Z_OK);
        store_le32(v.file.data + (size_t)v.grains[3] * VMDK_SECTOR + 8, (uint32_t)len);
        memcpy(v.file.data + (size_t)v.grains[3] * VMDK_SECTOR + 12, out, len);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 3);
        image_end(&o);
        vmdk_free(&v);
}

static void test_the_copy_of_a_damaged_directory_is_used(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        store_le64(v.file.data + 56, UINT64_C(1) << 50);
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        assert_true(image_damage_says(&o, "its copy is used"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_zeroed_directory_does_not_become_zeros(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        memset(v.file.data + v.gd, 0, 8);
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        assert_true(image_damage_says(&o, "copy"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_damaged_table_is_mended_from_its_copy(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;
        size_t table;

        (void)state;
        table = (size_t)load_le32(v.file.data + v.gd) * VMDK_SECTOR;
        store_le32(v.file.data + table, 0xffffff00);
        store_le32(v.file.data + table + 4, 0);
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        assert_true(image_damage_says(&o, "its copy is used"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_grains_past_the_end_are_lost(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;
        size_t table;

        (void)state;
        for (int copy = 0; copy < 2; copy++) {
                table = (size_t)load_le32(v.file.data + (copy ? v.rgd : v.gd)) * VMDK_SECTOR;
                store_le32(v.file.data + table + 12, 0x7fffffff);
        }
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 3);
        vmdk_expect_grain(&o, 1);
        vmdk_expect_zeros(&o, 2);
        assert_true(image_damage_says(&o, "past the file's end"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_without_any_directory_all_is_lost(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        store_le64(v.file.data + 48, 0);
        store_le64(v.file.data + 56, 0);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 0);
        vmdk_expect_lost(&o, 599);
        assert_int_equal(o.disk->totals.lost, v.size);
        image_end(&o);
        vmdk_free(&v);
}

/* One table for all of 128 GiB: believing it would take more memory than there is. */
static void test_tables_that_are_one_are_not_believed(void **state)
{
        const size_t tables = 4096;
        struct vmdk_image v = vmdk_start_front(tables * (uint64_t)VMDK_SPAN);
        struct image o;

        (void)state;
        for (size_t i = 0; i < 512; i++)
                v.grains[i] = 128;
        vmdk_finish(&v);
        for (size_t i = 1; i < tables; i++) {
                memcpy(v.file.data + v.gd + i * 4, v.file.data + v.gd, 4);
                memcpy(v.file.data + v.rgd + i * 4, v.file.data + v.rgd, 4);
        }
        o = vmdk_scanned(&v);
        assert_int_equal(o.disk->totals.stored, 0);
        vmdk_expect_lost(&o, 0);
        vmdk_expect_lost(&o, 512 * 4000);
        assert_true(image_damage_says(&o, "grain table cannot be read"));
        image_end(&o);
        vmdk_free(&v);
}

/* A table of each, and all entries name one grain. */
static void test_entries_that_name_one_grain_are_not_believed(void **state)
{
        struct vmdk_image v = vmdk_start_front(64 * (uint64_t)VMDK_SPAN);
        struct image o;

        (void)state;
        vmdk_grain(&v, 0, vmdk_pattern(0));
        for (size_t i = 1; i < v.count; i++)
                v.grains[i] = v.grains[0];
        vmdk_finish(&v);
        o = vmdk_scanned(&v);
        assert_int_equal(o.disk->totals.stored, 0);
        assert_int_equal(o.disk->totals.lost, v.size);
        image_end(&o);
        vmdk_free(&v);
}

static struct bytes part_of(const struct vmdk_image *v, size_t from, size_t to)
{
        struct bytes b = {.data = malloc(to - from), .len = to - from};

        assert_non_null(b.data);
        memcpy(b.data, v->file.data + from, b.len);
        return b;
}

/*
 * A flat disk after its descriptor, in three members of gzip: nobody knows how long the second was.
 */
static void test_after_a_gap_of_unknown_length_a_flat_disk_is_lost(void **state)
{
        const size_t grains = 120, first = 21 * VMDK_SECTOR, cuts[] = {0, 3, 6, grains};
        struct vmdk_image v = vmdk_start(false, grains * VMDK_GRAIN);
        struct bytes z = {0};
        struct image o;
        char *line;

        (void)state;
        for (size_t i = 0; i < grains; i++)
                vmdk_grain(&v, i, vmdk_pattern(i + 1));
        store_le64(v.file.data + 12, 0);
        line = strstr((char *)v.file.data + VMDK_SECTOR, "SPARSE \"disk.vmdk\"\n\n");
        assert_non_null(line);
        memcpy(line, "FLAT \"d.vmdk\" 21   \n", 21);
        for (size_t i = 0; i < 3; i++) {
                struct bytes plain = part_of(&v, i ? first + cuts[i] * VMDK_GRAIN : 0,
                                             first + cuts[i + 1] * VMDK_GRAIN);
                struct bytes member = fixture_pipe(plain, "gzip -1c");

                free(plain.data);
                if (i == 1)
                        memset(member.data + member.len / 2, 0xff, 100);
                z = i ? fixture_join(z, member) : member;
        }
        o = vmdk_scanned_bytes(z.data, z.len);
        for (size_t i = 0; i < grains; i++) {
                uint8_t buffer[VMDK_BLOCK];
                ssize_t n = disk_read(o.disk, buffer, VMDK_BLOCK, i * VMDK_GRAIN);

                assert_int_equal(n, i < 2 ? VMDK_BLOCK : i > 2 ? -EIO : n);
                if (n > 0)
                        assert_memory_equal(buffer, vmdk_pattern(i + 1), VMDK_BLOCK);
        }
        assert_true(image_damage_says(&o, "cut off"));
        image_end(&o);
        free(z.data);
        vmdk_free(&v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_without_the_footer_the_directory_is_found),
            cmocka_unit_test(test_a_stream_that_is_cut_off_gives_what_is_there),
            cmocka_unit_test(test_markers_are_found_again_behind_damage),
            cmocka_unit_test(test_a_damaged_grain_is_an_error),
            cmocka_unit_test(test_a_grain_of_another_place_is_an_error),
            cmocka_unit_test(test_a_grain_that_is_a_bomb_is_an_error),
            cmocka_unit_test(test_the_copy_of_a_damaged_directory_is_used),
            cmocka_unit_test(test_a_zeroed_directory_does_not_become_zeros),
            cmocka_unit_test(test_a_damaged_table_is_mended_from_its_copy),
            cmocka_unit_test(test_grains_past_the_end_are_lost),
            cmocka_unit_test(test_without_any_directory_all_is_lost),
            cmocka_unit_test(test_tables_that_are_one_are_not_believed),
            cmocka_unit_test(test_entries_that_name_one_grain_are_not_believed),
            cmocka_unit_test(test_after_a_gap_of_unknown_length_a_flat_disk_is_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
