/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ESX's own sparse files, COWD and SESparse, sound and not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/esx_writer.h"
#include "tests/fixtures/folder_fixture.h"

enum {
        BLOCK = 4096,
        /* Two tables of COWD with grains of a sector, and one of SESparse. */
        SIZE = 2 * ESX_ENTRIES * ESX_SECTOR + 3 * ESX_SECTOR,
        HOLE = 40 * BLOCK,  /* zeros from here … */
        DATA = 100 * BLOCK, /* … to here */
};

static uint8_t buffer[SIZE];

static struct bytes make_disk(void)
{
        struct bytes disk = fixture_noise(SIZE, 5);

        memset(disk.data + HOLE, 0, DATA - HOLE);
        return disk;
}

static struct esx_file make_delta(bool sesparse, uint32_t grain)
{
        const struct esx_wish wish = {.sesparse = sesparse, .grain = grain, .seed = 3};
        struct bytes disk = make_disk();
        struct esx_file file = esx_write(disk, &wish);

        free(disk.data);
        return file;
}

/* FILE as the only part, of SECTORS, of a disk without a parent. */
static void put_disk(const struct folder *f, const struct esx_file *file, uint64_t sectors)
{
        char text[200];

        folder_put(f, "part.vmdk", file->bytes.data, file->bytes.len);
        snprintf(
            text, sizeof text,
            "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\nRW %llu SESPARSE \"part.vmdk\"\n",
            (unsigned long long)sectors);
        folder_put_text(f, "d.vmdk", text);
}

static struct image scan_disk(const struct folder *f, const struct esx_file *file)
{
        put_disk(f, file, SIZE / ESX_SECTOR);
        return folder_scanned(f, "d.vmdk", NEIGHBOUR_BESIDE);
}

static void expect_refused(const struct folder *f, const struct esx_file *file, int code,
                           const char *word)
{
        put_disk(f, file, SIZE / ESX_SECTOR);
        folder_expect_refused(f, "d.vmdk", NEIGHBOUR_BESIDE, code, word);
}

static void expect_disk(const struct image *m)
{
        struct bytes disk = make_disk();

        assert_int_equal(m->disk->size, SIZE);
        assert_int_equal(disk_read(m->disk, buffer, SIZE, 0), SIZE);
        assert_memory_equal(buffer, disk.data, SIZE);
        assert_int_equal(m->disk->totals.lost, 0);
        free(disk.data);
}

/* A block is what it was, or an error. */
static void expect_nothing_wrong(const struct image *m)
{
        struct bytes disk = make_disk();

        for (uint64_t at = 0; at + BLOCK <= SIZE; at += BLOCK)
                if (disk_read(m->disk, buffer, BLOCK, at) == BLOCK)
                        assert_memory_equal(buffer, disk.data + at, BLOCK);
        free(disk.data);
}

/* The same, and byte POS is lost. */
static void expect_lost(const struct image *m, uint64_t pos)
{
        assert_int_equal(disk_read(m->disk, buffer, 1, pos), -EIO);
        expect_nothing_wrong(m);
}

/* ---- sound ones ---- */

static void test_cowd_of_grains_of_any_size(void **state)
{
        static const uint32_t grains[] = {1, 3, 8, 128};

        for (size_t i = 0; i < sizeof grains / sizeof *grains; i++) {
                struct esx_file file = make_delta(false, grains[i]);
                struct image m = scan_disk(*state, &file);
                const struct index_damage *list;

                expect_disk(&m);
                assert_int_equal(index_damages(m.index, &list), 0);
                index_close(m.index);
                free(file.bytes.data);
        }
}

static void test_cowd_alone_is_a_disk_where_it_has_a_geometry(void **state)
{
        struct esx_file file = make_delta(false, 1);
        struct image m;

        folder_put(*state, "alone.vmdk", file.bytes.data, file.bytes.len);
        m = folder_scanned(*state, "alone.vmdk", NEIGHBOUR_BESIDE);
        expect_disk(&m);
        index_close(m.index);
        folder_put(*state, "alone-delta.vmdk", file.bytes.data, file.bytes.len);
        folder_expect_refused(*state, "alone-delta.vmdk", NEIGHBOUR_ANYWHERE, ENOTSUP,
                              "open the descriptor that names all of them, alone.vmdk");
        /* Of what has none, or the name of a parent there, nobody knows what it was made on. */
        memset(file.bytes.data + 32, 0, 12);
        folder_put(*state, "alone.vmdk", file.bytes.data, file.bytes.len);
        folder_expect_refused(*state, "alone.vmdk", NEIGHBOUR_ANYWHERE, EIO, "no descriptor");
        memcpy(file.bytes.data + 32, "/vmfs/volumes/1/base.vmdk", 25);
        folder_put(*state, "alone.vmdk", file.bytes.data, file.bytes.len);
        folder_expect_refused(*state, "alone.vmdk", NEIGHBOUR_ANYWHERE, EIO, "no descriptor");
        free(file.bytes.data);
}

static void test_cowd_with_a_descriptor_in_its_header(void **state)
{
        struct bytes disk = make_disk();
        char text[200];
        struct esx_wish wish = {.grain = 1, .text = text};
        struct esx_file file;
        struct image m;

        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\nRW %d SPARSE \"x\"\n",
                 SIZE / ESX_SECTOR);
        file = esx_write(disk, &wish);
        folder_put(*state, "text.vmdk", file.bytes.data, file.bytes.len);
        m = folder_scanned(*state, "text.vmdk", NEIGHBOUR_BESIDE);
        expect_disk(&m);
        index_close(m.index);
        free(file.bytes.data);
        free(disk.data);
}

static void test_sesparse(void **state)
{
        struct esx_file file = make_delta(true, 0);
        const struct index_damage *list;
        struct image m;

        /* Room for grains can be larger than a file. */
        store_le64(file.bytes.data + 200, UINT64_C(1) << 36);
        m = scan_disk(*state, &file);
        expect_disk(&m);
        assert_int_equal(index_damages(m.index, &list), 0);
        index_close(m.index);
        free(file.bytes.data);
}

/* Grain 5000's number has bits in both halves of an entry. */
static void test_a_grain_of_sesparse_with_a_large_number(void **state)
{
        struct esx_file file = make_delta(true, 0);
        size_t at = file.grains + (size_t)5000 * SE_GRAIN;
        uint8_t *entry;
        struct image m;

        file.bytes.data = realloc(file.bytes.data, at + SE_GRAIN);
        assert_non_null(file.bytes.data);
        memset(file.bytes.data + file.bytes.len, 0, at + SE_GRAIN - file.bytes.len);
        memset(file.bytes.data + at, 'x', SE_GRAIN);
        file.bytes.len = at + SE_GRAIN;
        entry = file.bytes.data + file.tables;
        store_le64(entry, UINT64_C(0x3388000000000001));
        assert_int_equal(load_le64(entry), esx_grain_entry(5000));
        m = scan_disk(*state, &file);
        assert_int_equal(disk_read(m.disk, buffer, SE_GRAIN, 0), SE_GRAIN);
        for (size_t i = 0; i < SE_GRAIN; i++)
                assert_int_equal(buffer[i], 'x');
        index_close(m.index);
        free(file.bytes.data);
}

static void test_sesparse_alone_is_refused(void **state)
{
        struct esx_file file = make_delta(true, 0);

        folder_put(*state, "web-000001-sesparse.vmdk", file.bytes.data, file.bytes.len);
        folder_expect_refused(*state, "web-000001-sesparse.vmdk", NEIGHBOUR_ANYWHERE, ENOTSUP,
                              "web-000001.vmdk");
        free(file.bytes.data);
}

/* ---- headers that cannot be ---- */

static void test_headers_of_cowd_that_cannot_be(void **state)
{
        static const struct {
                size_t at;
                uint32_t value;
                int code;
                const char *word;
        } wrong[] = {
            {4, 2, ENOTSUP, "version 2"},
            {12, UINT32_MAX, EIO, "a directory of 3 entries"},
            {12, 1, EIO, "smaller"},
            {16, 0, ENOTSUP, "grains of 0 sectors"},
            {16, UINT32_MAX, ENOTSUP, "grains of 4294967295 sectors"},
            {24, 0, EIO, "a directory of 0 entries"},
        };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct esx_file file = make_delta(false, 1);

                store_le32(file.bytes.data + wrong[i].at, wrong[i].value);
                expect_refused(*state, &file, wrong[i].code, wrong[i].word);
                free(file.bytes.data);
        }
}

static void test_headers_of_sesparse_that_cannot_be(void **state)
{
        static const struct {
                size_t at;
                uint64_t value;
                int code;
                const char *word;
        } wrong[] = {
            {8, 1, ENOTSUP, "version 0.1"},
            {16, UINT64_MAX, EFBIG, "64 TiB"},
            {16, UINT64_C(1) << 36, EIO, "too short"},
            {24, 16, ENOTSUP, "grains of 16"},
            {32, 128, ENOTSUP, "tables of 128"},
            {40, 1, ENOTSUP, "does not know"},
            {72, 1, ENOTSUP, "does not know"},
            {500, 1, ENOTSUP, "does not know"},
            {80, UINT64_MAX, EIO, "past the end"},
            {80, 3, EIO, "no volatile"},
            {128, UINT64_MAX, EIO, "past the end"},
            {136, 0, EIO, "too short"},
            {144, 0, EIO, "lie on it"},
            {192, 0, EIO, "lie on it"},
            {512 + 24, 1, ENOTSUP, "journal"},
        };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct esx_file file = make_delta(true, 0);

                store_le64(file.bytes.data + wrong[i].at, wrong[i].value);
                expect_refused(*state, &file, wrong[i].code, wrong[i].word);
                free(file.bytes.data);
        }
}

/* ---- tables that cannot be ---- */

static void test_tables_of_cowd_that_cannot_be(void **state)
{
        static const uint32_t values[] = {
            1,          /* on the header */
            4,          /* on the directory */
            UINT32_MAX, /* past the end */
            UINT32_MAX / 2,
        };

        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                struct esx_file file = make_delta(false, 1);
                uint32_t table = load_le32(file.bytes.data + COWD_DIRECTORY);
                struct image m;

                /* A grain's entry, and then a table's. */
                store_le32(file.bytes.data + (size_t)table * ESX_SECTOR, values[i]);
                m = scan_disk(*state, &file);
                expect_lost(&m, 0);
                assert_true(m.disk->totals.lost > 0);
                index_close(m.index);
                store_le32(file.bytes.data + COWD_DIRECTORY + 4, values[i]);
                m = scan_disk(*state, &file);
                expect_lost(&m, ESX_ENTRIES * ESX_SECTOR);
                index_close(m.index);
                free(file.bytes.data);
        }
}

static void test_entries_of_sesparse_that_cannot_be(void **state)
{
        static const uint64_t values[] = {
            1,                            /* of no type */
            UINT64_C(0x3fffffffffffffff), /* past the end of any file */
            UINT64_C(0x3000000000000100), /* past the end of this one */
            UINT64_C(0x4000000000000000), /* of a type that is not known */
            UINT64_C(0xf000000000000000),
        };

        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                struct esx_file file = make_delta(true, 0);
                struct image m;

                store_le64(file.bytes.data + file.tables, values[i]);
                m = scan_disk(*state, &file);
                expect_lost(&m, 0);
                assert_int_equal(m.disk->totals.lost, BLOCK);
                index_close(m.index);
                free(file.bytes.data);
        }
}

static void test_a_directory_of_sesparse_that_cannot_be(void **state)
{
        static const uint64_t values[] = {1, UINT64_C(0x10000000ffffffff),
                                          UINT64_C(0x1000000100000000), UINT64_MAX};

        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                struct esx_file file = make_delta(true, 0);
                struct image m;

                store_le64(file.bytes.data + SE_DIRECTORY, values[i]);
                m = scan_disk(*state, &file);
                expect_lost(&m, HOLE);
                assert_int_equal(m.disk->totals.lost, SIZE);
                index_close(m.index);
                free(file.bytes.data);
        }
}

/* Two entries with one grain: it is neither's. */
static void test_a_grain_that_is_named_twice_is_lost(void **state)
{
        struct esx_file file = make_delta(true, 0);
        struct image m;

        store_le64(file.bytes.data + file.tables, load_le64(file.bytes.data + file.tables + 8));
        m = scan_disk(*state, &file);
        expect_lost(&m, 0);
        expect_lost(&m, BLOCK);
        assert_int_equal(m.disk->totals.lost, 2 * BLOCK);
        index_close(m.index);
        free(file.bytes.data);

        file = make_delta(false, 8);
        store_le32(file.bytes.data +
                       (size_t)load_le32(file.bytes.data + COWD_DIRECTORY) * ESX_SECTOR,
                   load_le32(file.bytes.data +
                             (size_t)load_le32(file.bytes.data + COWD_DIRECTORY) * ESX_SECTOR + 4));
        m = scan_disk(*state, &file);
        expect_lost(&m, 0);
        expect_lost(&m, BLOCK);
        index_close(m.index);
        free(file.bytes.data);
}

/* A grain on the journal, and a table on it. */
static void test_what_lies_on_other_parts_of_sesparse_is_lost(void **state)
{
        struct esx_file file = make_delta(true, 0);
        struct image m;

        store_le64(file.bytes.data + 192, SE_JOURNAL / ESX_SECTOR);
        store_le64(file.bytes.data + file.tables, esx_grain_entry(0));
        m = scan_disk(*state, &file);
        assert_int_equal(disk_read(m.disk, buffer, 1, 0), -EIO);
        index_close(m.index);
        store_le64(file.bytes.data + 192, file.grains / ESX_SECTOR);
        store_le64(file.bytes.data + 144, SE_JOURNAL / ESX_SECTOR);
        m = scan_disk(*state, &file);
        assert_int_equal(disk_read(m.disk, buffer, 1, 0), -EIO);
        index_close(m.index);
        free(file.bytes.data);
}

/* What COWD has as a hole may be what a table lost. */
static void test_data_of_cowd_that_no_table_names(void **state)
{
        struct esx_file file = make_delta(false, 8);
        struct image m;

        store_le32(
            file.bytes.data + (size_t)load_le32(file.bytes.data + COWD_DIRECTORY) * ESX_SECTOR, 0);
        m = scan_disk(*state, &file);
        expect_lost(&m, 0);
        expect_lost(&m, HOLE);
        assert_true(image_damage_says(&m, "no table names"));
        index_close(m.index);
        /* After what the file says to use, there may be anything. */
        free(file.bytes.data);
        file = make_delta(false, 8);
        file.bytes.data = realloc(file.bytes.data, file.bytes.len + BLOCK + 100);
        assert_non_null(file.bytes.data);
        memset(file.bytes.data + file.bytes.len, 'x', BLOCK + 100);
        file.bytes.len += BLOCK + 100;
        m = scan_disk(*state, &file);
        expect_disk(&m);
        index_close(m.index);
        free(file.bytes.data);
}

static void test_files_that_were_cut_off(void **state)
{
        for (int sesparse = 0; sesparse < 2; sesparse++) {
                struct esx_file file = make_delta(sesparse, 1);
                struct image m;

                file.bytes.len = file.bytes.len / 2 + 100;
                m = scan_disk(*state, &file);
                assert_true(m.disk->totals.lost > 0);
                expect_nothing_wrong(&m);
                index_close(m.index);
                free(file.bytes.data);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_cowd_of_grains_of_any_size),
            TEST(test_cowd_alone_is_a_disk_where_it_has_a_geometry),
            TEST(test_cowd_with_a_descriptor_in_its_header),
            TEST(test_sesparse),
            TEST(test_a_grain_of_sesparse_with_a_large_number),
            TEST(test_sesparse_alone_is_refused),
            TEST(test_headers_of_cowd_that_cannot_be),
            TEST(test_headers_of_sesparse_that_cannot_be),
            TEST(test_tables_of_cowd_that_cannot_be),
            TEST(test_entries_of_sesparse_that_cannot_be),
            TEST(test_a_directory_of_sesparse_that_cannot_be),
            TEST(test_a_grain_that_is_named_twice_is_lost),
            TEST(test_what_lies_on_other_parts_of_sesparse_is_lost),
            TEST(test_data_of_cowd_that_no_table_names),
            TEST(test_files_that_were_cut_off),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
