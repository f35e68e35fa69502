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
#include "tests/fixtures/vmdk_writer.h"

enum { BLOCK = 512, PAGE = 4096, MTIME = 1700000000 };

/* ---- a tar in memory ---- */

static struct bytes tar;

static uint8_t *append(const void *data, size_t len)
{
        size_t padded = (len + BLOCK - 1) / BLOCK * BLOCK;
        uint8_t *at;

        tar.data = realloc(tar.data, tar.len + padded + 1);
        assert_non_null(tar.data);
        at = tar.data + tar.len;
        memset(at, 0, padded);
        if (data)
                memcpy(at, data, len);
        tar.len += padded;
        return at;
}

static void put_octal(uint8_t *at, uint64_t v)
{
        for (int i = 10; i >= 0; i--, v >>= 3)
                at[i] = (uint8_t)('0' + v % 8);
        at[11] = '\0';
}

static void sign(uint8_t *h)
{
        unsigned sum = 0;

        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < BLOCK; i++)
                sum += h[i];
        for (int i = 5; i >= 0; i--, sum >>= 3)
                h[148 + i] = (uint8_t)('0' + sum % 8);
        h[154] = '\0';
}

/* A header that the caller may change, and must sign then. */
static uint8_t *header(const char *name, char type, uint64_t size)
{
        uint8_t *h = append(NULL, BLOCK);

        strncpy((char *)h, name, 100);
        put_octal(h + 124, size);
        put_octal(h + 136, MTIME);
        h[156] = (uint8_t)type;
        memcpy(h + 257, "ustar\00000", 8);
        sign(h);
        return h;
}

static void member(const char *name, const void *data, size_t len)
{
        header(name, '0', len);
        append(data, len);
}

static void pax(const char *records)
{
        header("pax", 'x', strlen(records));
        append(records, strlen(records));
}

static void finish(void)
{
        append(NULL, (size_t)2 * BLOCK);
}

static struct image scan_tar(void)
{
        return image_scanned(tar.data, tar.len);
}

static int reset(void **state)
{
        (void)state;
        free(tar.data);
        tar = (struct bytes){0};
        return 0;
}

static void assert_refused(int code, const char *word)
{
        image_expect_refused(tar.data, tar.len, code, word);
}

static struct disk *disk_named(const struct image *o, const char *name)
{
        for (size_t i = 0; i < index_disk_count(o->index); i++)
                if (strcmp(index_disk(o->index, i)->name, name) == 0)
                        return index_disk(o->index, i);
        fail_msg("no disk %s", name);
        return NULL;
}

static void assert_file(const struct image *o, size_t i, const char *name, const char *text)
{
        const struct index_file *f = index_file(o->index, i);

        assert_string_equal(f->name, name);
        assert_int_equal(f->len, strlen(text));
        assert_memory_equal(f->data, text, f->len);
}

/* ---- members ---- */

static void test_small_members_are_files(void **state)
{
        struct image o;

        (void)state;
        member("./a.ovf", "one", 3);
        header("dir/", '5', 0);
        header("link", '2', 0);
        member("dir/b", "two", 3);
        member("empty", "", 0);
        finish();
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 3);
        assert_file(&o, 0, "a.ovf", "one");
        assert_file(&o, 1, "dir%2Fb", "two");
        assert_file(&o, 2, "empty", "");
        assert_int_equal(index_disk_count(o.index), 0);
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(index_info(o.index)->ctime, MTIME);
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
        header("././@LongLink", 'L', 121);
        append(name, 121);
        member("cut", "gnu", 3);
        snprintf(records, sizeof records, "%d path=%s\n", 10 + 120, name);
        records[3 + 1 + 5 + 119] = 'p';
        pax(records);
        member("cut", "pax", 3);
        h = header("name", '0', 1);
        memcpy(h + 345, "prefix", 6);
        sign(h);
        append("u", 1);
        finish();
        o = scan_tar();
        assert_file(&o, 0, name, "gnu");
        name[119] = 'p';
        assert_file(&o, 1, name, "pax");
        assert_file(&o, 2, "prefix%2Fname", "u");
        image_end(&o);
}

static void test_sizes_in_base_256_and_in_pax(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        h = header("binary", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        h[135] = 5;
        sign(h);
        append("12345", 5);
        pax("10 size=4\n");
        header("pax", '0', 0);
        append("1234", 4);
        member("behind", "x", 1);
        finish();
        o = scan_tar();
        assert_file(&o, 0, "binary", "12345");
        assert_file(&o, 1, "pax", "1234");
        assert_file(&o, 2, "behind", "x");
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
        member("large", data, len);
        member("small.raw", data, 100);
        finish();
        free(data);
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 0);
        assert_int_equal(disk_named(&o, "large")->size, len);
        assert_int_equal(disk_read(disk_named(&o, "large"), back, 100, len - 100), 100);
        assert_int_equal(back[0], 'e');
        assert_int_equal(disk_named(&o, "small.raw")->size, 100);
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
        member("x.ovf", "ovf", 3);
        member("sub/web.vmdk", v.file.data, v.file.len);
        member("web.vmdk", v.file.data, v.file.len);
        finish();
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 3);
        assert_int_equal(index_damage_count(o.index), 0);
        disk_named(&o, "disk-web.raw");
        d = disk_named(&o, "disk-web.raw~2");
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
        member("web.vmdk", v.file.data, v.file.len);
        finish();
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 1);
        assert_int_equal(index_disk_count(o.index), 0);
        assert_true(image_damage_says(&o, "web.vmdk is VMDK version 77"));
        image_end(&o);
        vmdk_free(&v);
}

/* ---- sparse members ---- */

static void put_pair(uint8_t *at, uint64_t start, uint64_t len)
{
        put_octal(at, start);
        put_octal(at + 12, len);
}

static uint8_t *gnu_sparse(const char *name, uint64_t real_size, uint64_t stored, bool more)
{
        uint8_t *h = header(name, 'S', stored);

        h[482] = more;
        put_octal(h + 483, real_size);
        sign(h);
        return h;
}

static void assert_bytes(struct disk *d, uint64_t pos, char byte, size_t len)
{
        uint8_t back[PAGE];

        assert_int_equal(disk_read(d, back, len, pos), len);
        for (size_t i = 0; i < len; i++)
                assert_int_equal(back[i], byte);
}

/* Runs that begin and end inside a block of 4 KiB, the last ones in a block of their own. */
static void test_gnu_sparse_with_runs_of_any_alignment(void **state)
{
        uint8_t *h, *more;
        struct image o;
        struct disk *d;
        uint64_t pos;

        (void)state;
        h = gnu_sparse("d.raw", 100000, 3 * BLOCK, true);
        put_pair(h + 386, 512, BLOCK);
        put_pair(h + 410, 2048, BLOCK);
        sign(h);
        more = append(NULL, BLOCK);
        put_pair(more, 50176, BLOCK);
        put_pair(more + 24, 100000, 0);
        memset(append(NULL, BLOCK), 'a', BLOCK);
        memset(append(NULL, BLOCK), 'b', BLOCK);
        memset(append(NULL, BLOCK), 'c', BLOCK);
        finish();
        o = scan_tar();
        d = disk_named(&o, "d.raw");
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(d->size, 100000);
        assert_bytes(d, 0, 0, 512);
        assert_bytes(d, 512, 'a', 512);
        assert_bytes(d, 1024, 0, 1024);
        assert_bytes(d, 2048, 'b', 512);
        assert_bytes(d, 50176, 'c', 512);
        assert_bytes(d, 50688, 0, 512);
        assert_bytes(d, 100000 - 512, 0, 512);
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
        pax("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.name=d.img\n"
            "29 GNU.sparse.realsize=81920\n");
        header("GNUSparseFile.1/d.img", '0', BLOCK + PAGE);
        append("2\n8192\n4096\n81920\n0\n", 20);
        memset(append(NULL, PAGE), 'p', PAGE);
        finish();
        o = scan_tar();
        d = disk_named(&o, "d.img");
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(d->size, 81920);
        assert_bytes(d, 8192, 'p', PAGE);
        assert_bytes(d, 4096, 0, PAGE);
        assert_int_equal(d->totals.stored, PAGE);
        image_end(&o);
}

static void check_broken_map(void)
{
        struct image o;
        uint8_t byte;

        finish();
        o = scan_tar();
        assert_true(image_damage_says(&o, "sparse map"));
        assert_int_equal(disk_read(disk_named(&o, "d.raw"), &byte, 1, 0), -EIO);
        image_end(&o);
        reset(NULL);
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
                uint8_t *h = gnu_sparse("d.raw", 100000, 2 * BLOCK, false);

                put_pair(h + 386, pairs[i][0], pairs[i][1]);
                if (pairs[i][3])
                        put_pair(h + 410, pairs[i][2], pairs[i][3]);
                sign(h);
                append(NULL, (size_t)2 * BLOCK);
                check_broken_map();
        }
}

static void test_text_maps_that_cannot_be_are_not_believed(void **state)
{
        static const char *const maps[] = {"99999999999\n0\n", "x\n", "1\n-1\n5\n",
                                           "1\n18446744073709551616\n1\n", ""};

        (void)state;
        for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
                pax("22 GNU.sparse.major=1\n25 GNU.sparse.name=d.raw\n"
                    "29 GNU.sparse.realsize=81920\n");
                header("d", '0', BLOCK);
                append(maps[i], strlen(maps[i]));
                if (!maps[i][0])
                        append(NULL, BLOCK);
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
        member("d.raw", data, sizeof data);
        tar.len = BLOCK + (1 << 20) + 100;
        o = scan_tar();
        d = disk_named(&o, "d.raw");
        assert_bytes(d, (1 << 20) - PAGE, 'd', PAGE);
        assert_int_equal(disk_read(d, &byte, 1, 1 << 20), -EIO);
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
        h = gnu_sparse("d.raw", 1 << 20, 3 * PAGE, false);
        put_pair(h + 386, 65536, PAGE);
        put_pair(h + 410, 131072, 2 * PAGE);
        sign(h);
        memset(append(NULL, PAGE), 'a', PAGE);
        memset(append(NULL, PAGE), 'b', PAGE);
        o = scan_tar();
        d = disk_named(&o, "d.raw");
        assert_bytes(d, 0, 0, PAGE);
        assert_bytes(d, 65536, 'a', PAGE);
        assert_bytes(d, 131072, 'b', PAGE);
        assert_int_equal(disk_read(d, &byte, 1, 131072 + PAGE), -EIO);
        assert_bytes(d, 131072 + 2 * PAGE, 0, PAGE);
        assert_int_equal(d->totals.lost, PAGE);
        image_end(&o);
}

static void test_a_damaged_header_is_named_and_ends_it(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        member("first", "1", 1);
        h = header("second", '0', 1);
        h[0] ^= 1;
        append("2", 1);
        finish();
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 1);
        assert_true(image_damage_says(&o, "checksum"));
        image_end(&o);
}

static void test_absurd_sizes(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        member("first", "1", 1);
        h = header("huge", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        h[128] = 0x7f;
        sign(h);
        o = scan_tar();
        assert_int_equal(index_file_count(o.index), 1);
        assert_true(image_damage_says(&o, "absurdly large"));
        image_end(&o);
        reset(NULL);
        h = header("large.raw", '0', 0);
        memset(h + 124, 0, 12);
        h[124] = 0x80;
        store_le64(h + 128, htobe64(UINT64_C(1) << 51));
        sign(h);
        assert_refused(EFBIG, "large.raw");
        reset(NULL);
        header("pax", 'x', 1 << 30);
        assert_refused(EIO, "absurdly long");
}

static void test_more_members_than_a_machine_has(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 5000; i++)
                header("x", '0', 0);
        assert_refused(E2BIG, "more than 4096");
}

static void test_a_tar_without_files(void **state)
{
        (void)state;
        header("dir/", '5', 0);
        finish();
        assert_refused(ENOTSUP, "no file");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_small_members_are_files, reset),
            cmocka_unit_test_teardown(test_long_names_of_every_kind, reset),
            cmocka_unit_test_teardown(test_sizes_in_base_256_and_in_pax, reset),
            cmocka_unit_test_teardown(test_large_members_and_raw_images_are_disks, reset),
            cmocka_unit_test_teardown(test_the_disk_in_a_vmdk_is_shown_besides, reset),
            cmocka_unit_test_teardown(test_a_vmdk_that_cannot_be_opened_is_named, reset),
            cmocka_unit_test_teardown(test_gnu_sparse_with_runs_of_any_alignment, reset),
            cmocka_unit_test_teardown(test_pax_sparse_with_its_map_in_front_of_the_data, reset),
            cmocka_unit_test_teardown(test_maps_that_cannot_be_are_not_believed, reset),
            cmocka_unit_test_teardown(test_text_maps_that_cannot_be_are_not_believed, reset),
            cmocka_unit_test_teardown(test_a_tar_that_is_cut_off_gives_what_is_there, reset),
            cmocka_unit_test_teardown(test_holes_stay_holes_in_a_sparse_file_that_is_cut_off,
                                      reset),
            cmocka_unit_test_teardown(test_a_damaged_header_is_named_and_ends_it, reset),
            cmocka_unit_test_teardown(test_absurd_sizes, reset),
            cmocka_unit_test_teardown(test_more_members_than_a_machine_has, reset),
            cmocka_unit_test_teardown(test_a_tar_without_files, reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
