/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Do the tables of a VMDK account for its data? Where they do not, nothing reads as zeros. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vmdk_fixture.h"

/* Where table NUMBER of the directory at byte GD of V is. */
static size_t table_at(const struct vmdk_image *v, size_t gd, size_t number)
{
        return (size_t)load_le32(v->file.data + gd + 4 * number) * VMDK_SECTOR;
}

/* The entry of grain NUMBER in the table, or its copy. */
static uint8_t *entry_of(const struct vmdk_image *v, bool copy, size_t number)
{
        return v->file.data + table_at(v, copy ? v->rgd : v->gd, number / 512) + 4 * (number % 512);
}

static void set_entries(const struct vmdk_image *v, size_t number, uint32_t sector)
{
        store_le32(entry_of(v, false, number), sector);
        store_le32(entry_of(v, true, number), sector);
}

/* Put LEN bytes of what DATA says, or zeros, at AT of V's file. */
static void insert(struct vmdk_image *v, size_t at, const void *data, size_t len)
{
        v->file.data = realloc(v->file.data, v->file.len + len);
        assert_non_null(v->file.data);
        memmove(v->file.data + at + len, v->file.data + at, v->file.len - at);
        if (data)
                memcpy(v->file.data + at, data, len);
        else
                memset(v->file.data + at, 0, len);
        v->file.len += len;
}

static void cut(struct vmdk_image *v, size_t at, size_t len)
{
        memmove(v->file.data + at, v->file.data + at + len, v->file.len - at - len);
        v->file.len -= len;
}

static void expect_all_lost(const struct image *o)
{
        vmdk_expect_lost(o, 0);
        vmdk_expect_lost(o, 2);
        vmdk_expect_lost(o, 599);
        vmdk_expect_lost(o, 600);
        assert_true(index_damage_count(o->index) > 0);
}

/* ---- compressed grains ---- */

static void expect_marked(const struct image *o)
{
        vmdk_expect_grain(o, 0);
        vmdk_expect_grain(o, 1);
        vmdk_expect_grain(o, 3);
        vmdk_expect_grain(o, 600);
        vmdk_expect_lost(o, 2);
        vmdk_expect_lost(o, 599);
        assert_true(image_damage_says(o, "does not fit the grains"));
}

static void test_a_stream_whose_directory_is_zeros_goes_by_its_markers(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        memset(v.file.data + v.gd, 0, 8);
        o = vmdk_scanned(&v);
        expect_marked(&o);
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_stream_whose_table_is_zeros_goes_by_its_markers(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct image o;

        (void)state;
        memset(v.file.data + table_at(&v, v.gd, 1), 0, 512 * 4);
        o = vmdk_scanned(&v);
        expect_marked(&o);
        image_end(&o);
        vmdk_free(&v);
}

/* One grain, whatever there is before and after it. */
static void test_an_entry_that_was_made_zero_is_found_out(void **state)
{
        static const size_t numbers[] = {0, 1, 3, 600};

        (void)state;
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                for (uint32_t zero = 0; zero < 2; zero++) {
                        struct vmdk_image v = vmdk_small(true);
                        struct image o;

                        store_le32(entry_of(&v, false, numbers[i]), zero);
                        o = vmdk_scanned(&v);
                        expect_marked(&o);
                        image_end(&o);
                        vmdk_free(&v);
                }
}

static void test_a_stream_with_a_piece_inserted_or_cut_out(void **state)
{
        (void)state;
        for (int turn = 0; turn < 4; turn++) {
                struct vmdk_image v = vmdk_small(true);
                size_t at = (size_t)v.grains[3] * VMDK_SECTOR;
                struct image o;

                if (turn == 0)
                        insert(&v, at, NULL, VMDK_SECTOR);
                else if (turn == 1)
                        insert(&v, at, vmdk_pattern(9), 3 * VMDK_SECTOR);
                else if (turn == 2)
                        cut(&v, at, (v.grains[1] - v.grains[3]) * (size_t)VMDK_SECTOR);
                else
                        cut(&v, 21 * VMDK_SECTOR - 512, 512);
                o = vmdk_scanned(&v);
                /* Its marker is where tables should be. */
                if (turn == 3)
                        vmdk_expect_lost(&o, 0);
                else
                        vmdk_expect_grain(&o, 0);
                vmdk_expect_grain(&o, 1);
                if (turn == 2)
                        vmdk_expect_lost(&o, 3);
                else
                        vmdk_expect_grain(&o, 3);
                vmdk_expect_grain(&o, 600);
                vmdk_expect_lost(&o, 2);
                image_end(&o);
                vmdk_free(&v);
        }
}

/* Zeros where a marker should be look like the end of the stream. */
static void test_zeros_are_not_the_end_before_the_end(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        size_t at = (size_t)v.grains[600] * VMDK_SECTOR;
        struct image o;

        (void)state;
        store_le32(entry_of(&v, false, 600), 0);
        insert(&v, at, NULL, VMDK_SECTOR);
        o = vmdk_scanned(&v);
        vmdk_expect_grain(&o, 600);
        vmdk_expect_lost(&o, 599);
        image_end(&o);
        vmdk_free(&v);
}

/* The same grain twice: which is right cannot be known. */
static void test_a_grain_with_two_markers_is_lost(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        size_t at = (size_t)v.grains[3] * VMDK_SECTOR;
        size_t len = (v.grains[1] - v.grains[3]) * (size_t)VMDK_SECTOR;
        void *grain = malloc(len);
        struct image o;

        (void)state;
        assert_non_null(grain);
        memcpy(grain, v.file.data + at, len);
        insert(&v, at, grain, len);
        free(grain);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 3);
        vmdk_expect_grain(&o, 1);
        image_end(&o);
        vmdk_free(&v);
}

/* ---- grains that lie as they are ---- */

static void test_directories_of_zeros_do_not_become_zeros(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        memset(v.file.data + v.gd, 0, 8);
        memset(v.file.data + v.rgd, 0, 8);
        o = vmdk_scanned(&v);
        expect_all_lost(&o);
        image_end(&o);
        vmdk_free(&v);
}

static void test_data_that_no_table_names_take_the_trust_from_zeros(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        /* Two, since the grain of zeros explains one. */
        set_entries(&v, 3, 0);
        set_entries(&v, 1, 0);
        o = vmdk_scanned(&v);
        vmdk_expect_grain(&o, 0);
        vmdk_expect_lost(&o, 1);
        vmdk_expect_grain(&o, 600);
        vmdk_expect_lost(&o, 2);
        vmdk_expect_lost(&o, 3);
        vmdk_expect_lost(&o, 599);
        assert_true(image_damage_says(&o, "no table names the data"));
        image_end(&o);
        vmdk_free(&v);
}

/* A grain that was made one of zeros keeps its data in the file. */
static void test_grains_of_zeros_explain_data_without_an_entry(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        set_entries(&v, 3, 1);
        o = vmdk_scanned(&v);
        vmdk_expect_zeros(&o, 3);
        vmdk_expect_zeros(&o, 2);
        assert_int_equal(index_damage_count(o.index), 0);
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_grain_that_two_entries_name_is_lost(void **state)
{
        static const int aside[] = {0, 1, -127};

        (void)state;
        for (size_t i = 0; i < sizeof aside / sizeof *aside; i++) {
                struct vmdk_image v = vmdk_small(false);
                struct image o;

                set_entries(&v, 7, v.grains[3] + (uint32_t)aside[i]);
                o = vmdk_scanned(&v);
                vmdk_expect_lost(&o, 3);
                vmdk_expect_lost(&o, 7);
                vmdk_expect_grain(&o, 600);
                vmdk_expect_zeros(&o, 2);
                assert_true(image_damage_says(&o, "belong to others"));
                image_end(&o);
                vmdk_free(&v);
        }
}

static void test_a_grain_over_tables_is_lost(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        const uint32_t places[] = {2, (uint32_t)(v.gd / VMDK_SECTOR),
                                   (uint32_t)(table_at(&v, v.rgd, 1) / VMDK_SECTOR)};
        struct image o;

        (void)state;
        vmdk_free(&v);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                v = vmdk_small(false);
                set_entries(&v, 7, places[i]);
                o = vmdk_scanned(&v);
                vmdk_expect_lost(&o, 7);
                vmdk_expect_zeros(&o, 2);
                vmdk_expect_grain(&o, 600);
                image_end(&o);
                vmdk_free(&v);
        }
}

/* What one table alone has, and what collides with nothing: a write that did not reach the copy. */
static void test_a_grain_that_one_table_names_is_its(void **state)
{
        (void)state;
        for (int copy = 0; copy < 2; copy++) {
                struct vmdk_image v = vmdk_small(false);
                struct image o;

                store_le32(entry_of(&v, copy, 3), 0);
                o = vmdk_scanned(&v);
                vmdk_expect_small(&o);
                assert_true(image_damage_says(&o, "differ"));
                image_end(&o);
                vmdk_free(&v);
        }
}

/* Both say something else, and both can be. */
static void test_tables_that_name_two_grains_for_one_lose_it(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        store_le32(entry_of(&v, false, 2), v.grains[3]);
        store_le32(entry_of(&v, true, 3), 0);
        store_le32(entry_of(&v, true, 2), v.grains[1]);
        store_le32(entry_of(&v, false, 1), 0);
        o = vmdk_scanned(&v);
        vmdk_expect_lost(&o, 1);
        vmdk_expect_lost(&o, 2);
        vmdk_expect_lost(&o, 3);
        vmdk_expect_grain(&o, 0);
        image_end(&o);
        vmdk_free(&v);
}

/* A table that is displaced by an entry names all grains for the wrong place. */
static void test_of_two_tables_the_one_that_contradicts_itself_is_not_used(void **state)
{
        (void)state;
        for (int copy = 0; copy < 2; copy++) {
                struct vmdk_image v = vmdk_small(false);
                uint8_t *table = entry_of(&v, copy, 0);
                struct image o;

                memmove(table + 4, table, 511 * 4);
                o = vmdk_scanned(&v);
                vmdk_expect_small(&o);
                assert_true(image_damage_says(&o, "contradicts itself"));
                image_end(&o);
                vmdk_free(&v);
        }
}

static void test_a_table_that_two_entries_name_is_lost(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        for (int copy = 0; copy < 2; copy++) {
                uint8_t *gd = v.file.data + (copy ? v.rgd : v.gd);

                memcpy(gd + 4, gd, 4);
        }
        o = vmdk_scanned(&v);
        expect_all_lost(&o);
        image_end(&o);
        vmdk_free(&v);
}

/* All that was displaced would be read from the wrong place. */
static void test_a_file_with_a_piece_inserted_is_not_believed(void **state)
{
        static const size_t sizes[] = {8, 512, 5000};

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct vmdk_image v = vmdk_small_front();
                struct image o;

                insert(&v, (size_t)v.grains[3] * VMDK_SECTOR + 100, vmdk_pattern(9), sizes[i]);
                o = vmdk_scanned(&v);
                expect_all_lost(&o);
                image_end(&o);
                vmdk_free(&v);
        }
}

/* Zeros are where the directory should be, and after it. */
static void test_a_directory_that_was_displaced_does_not_become_zeros(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        insert(&v, (size_t)v.grains[3] * VMDK_SECTOR + 100, vmdk_pattern(9), 490);
        o = vmdk_scanned(&v);
        expect_all_lost(&o);
        image_end(&o);
        vmdk_free(&v);
}

/* One that adds up to grains may be what a machine had not yet named when it was killed. */
static void test_grains_after_the_last_one_take_the_trust_from_zeros(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        struct image o;

        (void)state;
        insert(&v, v.file.len, vmdk_pattern(9), VMDK_GRAIN);
        insert(&v, v.file.len, vmdk_pattern(9), VMDK_GRAIN);
        o = vmdk_scanned(&v);
        vmdk_expect_grain(&o, 600);
        vmdk_expect_lost(&o, 2);
        assert_true(image_damage_says(&o, "no table names the data"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_zeros_after_the_last_grain_are_told(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        struct image o;

        (void)state;
        insert(&v, v.file.len, NULL, 1000);
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        assert_true(image_damage_says(&o, "zeros follow the last grain"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_file_cut_inside_its_last_grain_loses_what_is_gone(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        uint8_t buffer[VMDK_BLOCK];
        struct image o;

        (void)state;
        v.file.len -= 5 * VMDK_BLOCK - 100;
        o = vmdk_scanned(&v);
        for (size_t i = 0; i < 16; i++) {
                ssize_t n =
                    disk_read(o.disk, buffer, VMDK_BLOCK, 600 * VMDK_GRAIN + i * VMDK_BLOCK);

                assert_int_equal(n, i < 11 ? VMDK_BLOCK : -EIO);
                if (n > 0)
                        assert_memory_equal(buffer, vmdk_pattern(600) + i * VMDK_BLOCK, VMDK_BLOCK);
        }
        vmdk_expect_grain(&o, 3);
        vmdk_expect_zeros(&o, 2);
        assert_int_equal(o.disk->totals.lost, 5 * VMDK_BLOCK);
        assert_true(image_damage_says(&o, "past the file's end"));
        image_end(&o);
        vmdk_free(&v);
}

static void test_tables_before_the_grains_are_sound(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        struct image o = vmdk_scanned(&v);

        (void)state;
        vmdk_expect_small(&o);
        assert_int_equal(index_damage_count(o.index), 0);
        image_end(&o);
        vmdk_free(&v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_stream_whose_directory_is_zeros_goes_by_its_markers),
            cmocka_unit_test(test_a_stream_whose_table_is_zeros_goes_by_its_markers),
            cmocka_unit_test(test_an_entry_that_was_made_zero_is_found_out),
            cmocka_unit_test(test_a_stream_with_a_piece_inserted_or_cut_out),
            cmocka_unit_test(test_zeros_are_not_the_end_before_the_end),
            cmocka_unit_test(test_a_grain_with_two_markers_is_lost),
            cmocka_unit_test(test_directories_of_zeros_do_not_become_zeros),
            cmocka_unit_test(test_data_that_no_table_names_take_the_trust_from_zeros),
            cmocka_unit_test(test_grains_of_zeros_explain_data_without_an_entry),
            cmocka_unit_test(test_a_grain_that_two_entries_name_is_lost),
            cmocka_unit_test(test_a_grain_over_tables_is_lost),
            cmocka_unit_test(test_a_grain_that_one_table_names_is_its),
            cmocka_unit_test(test_tables_that_name_two_grains_for_one_lose_it),
            cmocka_unit_test(test_of_two_tables_the_one_that_contradicts_itself_is_not_used),
            cmocka_unit_test(test_a_table_that_two_entries_name_is_lost),
            cmocka_unit_test(test_a_file_with_a_piece_inserted_is_not_believed),
            cmocka_unit_test(test_a_directory_that_was_displaced_does_not_become_zeros),
            cmocka_unit_test(test_grains_after_the_last_one_take_the_trust_from_zeros),
            cmocka_unit_test(test_zeros_after_the_last_grain_are_told),
            cmocka_unit_test(test_a_file_cut_inside_its_last_grain_loses_what_is_gone),
            cmocka_unit_test(test_tables_before_the_grains_are_sound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
