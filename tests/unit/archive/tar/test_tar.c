/* SPDX-License-Identifier: GPL-2.0-or-later */
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
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"
#include "tests/fixtures/tar_fixture.h"
#include "tests/fixtures/vmdk_writer.h"

enum { PAGE = 4096 };

/* ---- members ---- */

static void test_small_members_are_files(void **state)
{
        struct image o;

        (void)state;
        tarball_member("./a.ovf", "one", 3);
        tarball_header("dir/", '5', 0);
        tarball_header("link", '2', 0);
        tarball_member("dir/b", "two", 3);
        tarball_member("empty", "", 0);
        tarball_finish();
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 3);
        image_expect_file(&o, 0, "a.ovf", "one");
        image_expect_file(&o, 1, "dir%2Fb", "two");
        image_expect_file(&o, 2, "empty", "");
        assert_int_equal(index_disk_count(o.index), 0);
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(index_info(o.index)->ctime, TARBALL_MTIME);
        image_end(&o);
}

/* Nor has it any before it is known what is in it. */
static void test_a_disk_of_no_bytes_has_no_blocks(void **state)
{
        struct image o = image_new();
        const struct disk *d;

        (void)state;
        tarball_member("a.img", "", 0);
        tarball_finish();
        assert_int_equal(image_open(&o, tarball.data, tarball.len), 0);
        assert_int_equal(index_disk_count(o.index), 1);
        d = index_disk(o.index, 0);
        assert_false(index_sealed(o.index));
        assert_int_equal(d->size, 0);
        assert_int_equal(disk_allocated(d), 0);
        image_end(&o);
}

static void test_long_names_of_every_kind(void **state)
{
        char name[300], records[400];
        struct image o;
        uint8_t *h;

        (void)state;
        memset(name, 'n', 120);
        name[120] = '\0';
        tarball_header("././@LongLink", 'L', 121);
        tarball_append(name, 121);
        tarball_member("cut", "gnu", 3);
        snprintf(records, sizeof records, "%d path=%s\n", 10 + 120, name);
        records[3 + 1 + 5 + 119] = 'p';
        tarball_pax(records);
        tarball_member("cut", "pax", 3);
        h = tarball_header("name", '0', 1);
        memcpy(h + 345, "prefix", 6);
        tarball_sign(h);
        tarball_append("u", 1);
        tarball_finish();
        o = tarball_scan();
        image_expect_file(&o, 0, name, "gnu");
        name[119] = 'p';
        image_expect_file(&o, 1, name, "pax");
        image_expect_file(&o, 2, "prefix%2Fname", "u");
        image_end(&o);
}

static void test_sizes_in_base_256_and_in_pax(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        h = tarball_header("binary", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        h[135] = 5;
        tarball_sign(h);
        tarball_append("12345", 5);
        tarball_pax("10 size=4\n");
        tarball_header("pax", '0', 0);
        tarball_append("1234", 4);
        tarball_member("after", "x", 1);
        tarball_finish();
        o = tarball_scan();
        image_expect_file(&o, 0, "binary", "12345");
        image_expect_file(&o, 1, "pax", "1234");
        image_expect_file(&o, 2, "after", "x");
        image_end(&o);
}

static void test_large_members_and_raw_images_are_disks(void **state)
{
        size_t len = 3 << 20;
        uint8_t *data = calloc(1, len);
        uint8_t back[100];
        struct image o;

        (void)state;
        assert_non_null(data);
        memset(data + len - 100, 'e', 100);
        tarball_member("large", data, len);
        tarball_member("small.raw", data, 100);
        tarball_finish();
        free(data);
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 0);
        assert_int_equal(image_disk_named(&o, "large")->size, len);
        assert_int_equal(disk_read(image_disk_named(&o, "large"), back, 100, len - 100), 100);
        assert_int_equal(back[0], 'e');
        assert_int_equal(image_disk_named(&o, "small.raw")->size, 100);
        image_end(&o);
}

static void test_the_disk_in_a_vmdk_is_shown_besides(void **state)
{
        struct vmdk_image v = vmdk_start(true, 2 * VMDK_GRAIN);
        uint8_t grain[VMDK_GRAIN], back[VMDK_GRAIN];
        struct image o;
        struct disk *d;

        (void)state;
        memset(grain, 'g', sizeof grain);
        vmdk_grain(&v, 1, grain);
        vmdk_finish(&v);
        tarball_member("x.ovf", "ovf", 3);
        tarball_member("sub/web.vmdk", v.file.data, v.file.len);
        tarball_member("web.vmdk", v.file.data, v.file.len);
        tarball_finish();
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 3);
        assert_int_equal(index_damage_count(o.index), 0);
        image_disk_named(&o, "disk-web.raw");
        d = image_disk_named(&o, "disk-web.raw~2");
        assert_int_equal(disk_read(d, back, sizeof back, VMDK_GRAIN), VMDK_GRAIN);
        assert_memory_equal(back, grain, sizeof grain);
        assert_int_equal(d->totals.stored, VMDK_GRAIN);
        image_end(&o);
        vmdk_free(&v);
}

static void test_a_vmdk_that_cannot_be_opened_is_named(void **state)
{
        struct vmdk_image v = vmdk_start(true, VMDK_GRAIN);
        struct image o;

        (void)state;
        vmdk_finish(&v);
        store_le32(v.file.data + 4, 77);
        tarball_member("web.vmdk", v.file.data, v.file.len);
        tarball_finish();
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 1);
        assert_int_equal(index_disk_count(o.index), 0);
        assert_int_equal(index_damage_count(o.index), 0);
        assert_non_null(strstr(index_info(o.index)->note, "web.vmdk is VMDK version 77"));
        image_end(&o);
        vmdk_free(&v);
}

/* ---- sparse members ---- */

/* Runs that begin and end inside a block of 4 KiB, the last ones in a block of their own. */
static void test_gnu_sparse_with_runs_of_any_alignment(void **state)
{
        uint8_t *h, *more;
        struct image o;
        struct disk *d;
        uint64_t pos;

        (void)state;
        h = tarball_gnu_sparse("d.raw", 100000, 3 * TARBALL_BLOCK, true);
        tarball_pair(h + 386, 512, TARBALL_BLOCK);
        tarball_pair(h + 410, 2048, TARBALL_BLOCK);
        tarball_sign(h);
        more = tarball_append(NULL, TARBALL_BLOCK);
        tarball_pair(more, 50176, TARBALL_BLOCK);
        tarball_pair(more + 24, 100000, 0);
        memset(tarball_append(NULL, TARBALL_BLOCK), 'a', TARBALL_BLOCK);
        memset(tarball_append(NULL, TARBALL_BLOCK), 'b', TARBALL_BLOCK);
        memset(tarball_append(NULL, TARBALL_BLOCK), 'c', TARBALL_BLOCK);
        tarball_finish();
        o = tarball_scan();
        d = image_disk_named(&o, "d.raw");
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(d->size, 100000);
        disk_expect_bytes(d, 0, 0, 512);
        disk_expect_bytes(d, 512, 'a', 512);
        disk_expect_bytes(d, 1024, 0, 1024);
        disk_expect_bytes(d, 2048, 'b', 512);
        disk_expect_bytes(d, 50176, 'c', 512);
        disk_expect_bytes(d, 50688, 0, 512);
        disk_expect_bytes(d, 100000 - 512, 0, 512);
        assert_int_equal(d->totals.stored, 2 * PAGE);
        assert_int_equal(disk_next_data(d, PAGE, &pos), 0);
        assert_int_equal(pos, 49152);
        image_end(&o);
}

static void test_pax_sparse_with_its_map_in_front_of_the_data(void **state)
{
        struct image o;
        struct disk *d;

        (void)state;
        tarball_pax("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.name=d.img\n"
                    "29 GNU.sparse.realsize=81920\n");
        tarball_header("GNUSparseFile.1/d.img", '0', TARBALL_BLOCK + PAGE);
        tarball_append("2\n8192\n4096\n81920\n0\n", 20);
        memset(tarball_append(NULL, PAGE), 'p', PAGE);
        tarball_finish();
        o = tarball_scan();
        d = image_disk_named(&o, "d.img");
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(d->size, 81920);
        disk_expect_bytes(d, 8192, 'p', PAGE);
        disk_expect_bytes(d, 4096, 0, PAGE);
        assert_int_equal(d->totals.stored, PAGE);
        image_end(&o);
}

static void check_broken_map(void)
{
        struct image o;
        uint8_t byte;

        tarball_finish();
        o = tarball_scan();
        assert_true(image_damage_says(&o, "sparse map"));
        assert_int_equal(disk_read(image_disk_named(&o, "d.raw"), &byte, 1, 0), -EIO);
        image_end(&o);
        tarball_reset(NULL);
}

static void test_maps_that_cannot_be_are_not_believed(void **state)
{
        static const uint64_t pairs[][4] = {
            {0, 1024, 512, 512},                /* overlap */
            {4096, 512, 0, 512},                /* backwards */
            {99840, 512, 0, 0},                 /* over the end */
            {0, 4096, 0, 0},                    /* more than is stored */
            {077777777777, 1, 0, 0},            /* far away */
            {077777777777, 077777777777, 0, 0}, /* and longer than anything */
        };

        (void)state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                uint8_t *h = tarball_gnu_sparse("d.raw", 100000, 2 * TARBALL_BLOCK, false);

                tarball_pair(h + 386, pairs[i][0], pairs[i][1]);
                if (pairs[i][3])
                        tarball_pair(h + 410, pairs[i][2], pairs[i][3]);
                tarball_sign(h);
                tarball_append(NULL, (size_t)2 * TARBALL_BLOCK);
                check_broken_map();
        }
}

static void test_text_maps_that_cannot_be_are_not_believed(void **state)
{
        static const char *const maps[] = {"99999999999\n0\n", "x\n", "1\n-1\n5\n",
                                           "1\n18446744073709551616\n1\n", ""};

        (void)state;
        for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
                tarball_pax("22 GNU.sparse.major=1\n25 GNU.sparse.name=d.raw\n"
                            "29 GNU.sparse.realsize=81920\n");
                tarball_header("d", '0', TARBALL_BLOCK);
                tarball_append(maps[i], strlen(maps[i]));
                if (!maps[i][0])
                        tarball_append(NULL, TARBALL_BLOCK);
                check_broken_map();
        }
}

/* ---- damage ---- */

static void test_a_tar_that_is_cut_off_gives_what_is_there(void **state)
{
        static uint8_t data[3 << 20];
        struct image o;
        struct disk *d;
        uint8_t byte;

        (void)state;
        memset(data, 'd', sizeof data);
        tarball_member("d.raw", data, sizeof data);
        tarball.len = TARBALL_BLOCK + (1 << 20) + 100;
        o = tarball_scan();
        d = image_disk_named(&o, "d.raw");
        disk_expect_bytes(d, (1 << 20) - PAGE, 'd', PAGE);
        /* A block is lost as a whole. */
        assert_int_equal(disk_read(d, &byte, 1, 1 << 20), -EIO);
        assert_int_equal(d->totals.stored, 1 << 20);
        assert_int_equal(d->totals.lost, 2 << 20);
        assert_int_equal(disk_read(d, &byte, 1, sizeof data - 1), -EIO);
        assert_true(image_damage_says(&o, "cut off"));
        image_end(&o);
}

static void test_holes_stay_holes_in_a_sparse_file_that_is_cut_off(void **state)
{
        struct image o;
        struct disk *d;
        uint8_t *h, byte;

        (void)state;
        h = tarball_gnu_sparse("d.raw", 1 << 20, 3 * PAGE, false);
        tarball_pair(h + 386, 65536, PAGE);
        tarball_pair(h + 410, 131072, 2 * PAGE);
        tarball_sign(h);
        memset(tarball_append(NULL, PAGE), 'a', PAGE);
        memset(tarball_append(NULL, PAGE), 'b', PAGE);
        o = tarball_scan();
        d = image_disk_named(&o, "d.raw");
        disk_expect_bytes(d, 0, 0, PAGE);
        disk_expect_bytes(d, 65536, 'a', PAGE);
        disk_expect_bytes(d, 131072, 'b', PAGE);
        assert_int_equal(disk_read(d, &byte, 1, 131072 + PAGE), -EIO);
        disk_expect_bytes(d, 131072 + 2 * PAGE, 0, PAGE);
        assert_int_equal(d->totals.lost, PAGE);
        image_end(&o);
}

static void test_absurd_sizes(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        tarball_member("first", "1", 1);
        h = tarball_header("huge", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        h[128] = 0x7f;
        tarball_sign(h);
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 1);
        assert_true(image_damage_says(&o, "absurdly large"));
        image_end(&o);
        tarball_reset(NULL);
        h = tarball_header("large.raw", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        store_le64(h + 128, htobe64(UINT64_C(1) << 51));
        tarball_sign(h);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 0);
        assert_true(image_damage_says(&o, "large.raw is not shown"));
        image_end(&o);
        tarball_reset(NULL);
        tarball_header("pax", 'x', 1 << 30);
        tarball_expect_refused(EIO, "absurdly long");
}

/* Each of them has its own bytes, though together they are more than would be kept in memory. */
static void test_many_members_are_files_in_their_place(void **state)
{
        enum { MANY = 50000 };
        struct image o;

        (void)state;
        for (unsigned i = 0; i < MANY; i++) {
                char name[32], text[1024];

                snprintf(name, sizeof name, "file-%u.txt", i);
                memset(text, 'a' + (int)i % 26, sizeof text);
                tarball_member(name, text, sizeof text - 1);
        }
        tarball_finish();
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), MANY);
        assert_int_equal(index_disk_count(o.index), 0);
        for (unsigned i = 0; i < MANY; i += 7) {
                const struct index_file *f = index_file(o.index, i);
                char byte;

                assert_int_equal(f->volume->size, 1023);
                assert_int_equal(index_file_read(o.index, f, &byte, 1, 1022), 0);
                assert_int_equal(byte, 'a' + (int)i % 26);
        }
        assert_string_equal(index_file(o.index, MANY - 1)->name, "file-49999.txt");
        assert_ptr_equal(index_file_of(index_find(o.index, "file-49999.txt")),
                         index_file(o.index, MANY - 1));
        assert_null(index_find(o.index, "file-50000.txt"));
        image_end(&o);
}

static void test_a_tar_without_files(void **state)
{
        (void)state;
        tarball_header("./", '5', 0);
        tarball_finish();
        tarball_expect_refused(ENOTSUP, "no file");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_small_members_are_files, tarball_reset),
            cmocka_unit_test_teardown(test_long_names_of_every_kind, tarball_reset),
            cmocka_unit_test_teardown(test_sizes_in_base_256_and_in_pax, tarball_reset),
            cmocka_unit_test_teardown(test_large_members_and_raw_images_are_disks, tarball_reset),
            cmocka_unit_test_teardown(test_the_disk_in_a_vmdk_is_shown_besides, tarball_reset),
            cmocka_unit_test_teardown(test_a_vmdk_that_cannot_be_opened_is_named, tarball_reset),
            cmocka_unit_test_teardown(test_gnu_sparse_with_runs_of_any_alignment, tarball_reset),
            cmocka_unit_test_teardown(test_pax_sparse_with_its_map_in_front_of_the_data,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_maps_that_cannot_be_are_not_believed, tarball_reset),
            cmocka_unit_test_teardown(test_text_maps_that_cannot_be_are_not_believed,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_tar_that_is_cut_off_gives_what_is_there,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_holes_stay_holes_in_a_sparse_file_that_is_cut_off,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_absurd_sizes, tarball_reset),
            cmocka_unit_test_teardown(test_many_members_are_files_in_their_place, tarball_reset),
            cmocka_unit_test_teardown(test_a_tar_without_files, tarball_reset),
            cmocka_unit_test_teardown(test_a_disk_of_no_bytes_has_no_blocks, tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
