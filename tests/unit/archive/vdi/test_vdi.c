/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VDI images made by hand: what is read, what is refused, what is lost and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"

enum {
        BLOCK = 4096,
        BLOCKS = 16, /* of the disk */
        STORED = 5,  /* of them, in the file */
        MAP = 512,
        DATA = 1024,
        SIZE = DATA + STORED * BLOCK,

        AT_VERSION = 0x44,
        AT_TYPE = 0x4c,
        AT_MAP = 0x154,
        AT_DATA = 0x158,
        AT_SECTOR = 0x168,
        AT_SIZE = 0x170,
        AT_BLOCK = 0x178,
        AT_EXTRA = 0x17c,
        AT_BLOCKS = 0x180,
        AT_ALLOCATED = 0x184,
        AT_LINK = 0x1a8,
};

static uint8_t image[SIZE + BLOCK];

static void map_block(unsigned number, uint32_t entry)
{
        store_le32(image + MAP + (size_t)number * 4, entry);
}

/* Blocks 0 to 3 and 15 are stored, in the reverse order; 7 is zeros; the others are not there. */
static void start(void)
{
        memset(image, 0, sizeof image);
        store_le32(image + 0x40, 0xbeda107f);
        store_le32(image + AT_VERSION, 0x10001);
        store_le32(image + AT_TYPE, 1);
        store_le32(image + AT_MAP, MAP);
        store_le32(image + AT_DATA, DATA);
        store_le32(image + AT_SECTOR, 512);
        store_le64(image + AT_SIZE, BLOCKS * BLOCK);
        store_le32(image + AT_BLOCK, BLOCK);
        store_le32(image + AT_BLOCKS, BLOCKS);
        store_le32(image + AT_ALLOCATED, STORED);
        for (unsigned i = 0; i < BLOCKS; i++)
                map_block(i, 0xffffffff);
        for (unsigned i = 0; i < 4; i++)
                map_block(i, STORED - 1 - i);
        map_block(7, 0xfffffffe);
        map_block(15, 0);
        for (unsigned i = 0; i < STORED * BLOCK; i++)
                image[DATA + i] = (uint8_t)(i / BLOCK + 1);
}

static void expect(struct disk *d, unsigned number, int value)
{
        image_expect_filled(d, (uint64_t)number * BLOCK, BLOCK, value);
}

static void test_blocks_of_every_kind_are_read(void **state)
{
        struct image m;

        (void)state;
        start();
        m = image_scanned(image, SIZE);
        assert_string_equal(index_format(m.index), "vdi");
        for (unsigned i = 0; i < 4; i++)
                expect(m.disk, i, (int)(STORED - i));
        for (unsigned i = 4; i < 15; i++)
                expect(m.disk, i, 0);
        expect(m.disk, 15, 1);
        assert_int_equal(index_damage_count(m.index), 0);
        assert_int_equal(m.disk->totals.stored, STORED * BLOCK);
        image_end(&m);
}

static void test_extra_bytes_of_a_block_are_no_data(void **state)
{
        struct image m;

        (void)state;
        start();
        /* Three blocks, each with 512 bytes before it. */
        store_le32(image + AT_EXTRA, 512);
        store_le32(image + AT_ALLOCATED, 3);
        for (unsigned i = 0; i < BLOCKS; i++)
                map_block(i, i < 3 ? i : 0xffffffff);
        for (unsigned i = 0; i < 3; i++) {
                memset(image + DATA + (size_t)i * (BLOCK + 512), 0xee, 512);
                memset(image + DATA + (size_t)i * (BLOCK + 512) + 512, (int)i + 1, BLOCK);
        }
        m = image_scanned(image, DATA + 3 * (BLOCK + 512));
        for (unsigned i = 0; i < 3; i++)
                expect(m.disk, i, (int)i + 1);
        expect(m.disk, 3, 0);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

static void test_what_cannot_be_is_refused(void **state)
{
        static const struct {
                size_t at;
                uint32_t value;
                int code;
                const char *says;
        } bad[] = {
            {AT_VERSION, 0x20000, ENOTSUP, "version 2.0"},
            {AT_TYPE, 4, ENOTSUP, "is a snapshot"},
            {AT_TYPE, 9, ENOTSUP, "unknown type 9"},
            {AT_LINK, 7, ENOTSUP, "is a snapshot"},
            {AT_SECTOR, 4096, ENOTSUP, "sectors of 4096"},
            {AT_BLOCK, 0, EIO, "blocks of 0"},
            {AT_BLOCK, 12288, EIO, "blocks of 12288"},
            {AT_BLOCK, 1U << 31, EIO, "blocks of"},
            {AT_EXTRA, 5, EIO, "5 more bytes"},
            {AT_EXTRA, 1U << 31, EIO, "more bytes"},
            {AT_BLOCKS, 15, EIO, "one of them is damaged"},
            {AT_BLOCKS, 100, EIO, "one of them is damaged"},
            {AT_SIZE + 4, 0xffffffff, EIO, "one of them is damaged"},
            {AT_ALLOCATED, 17, EIO, "more blocks in use"},
            {AT_MAP, 0, EIO, "which cannot be"},
            {AT_MAP, 0xfffffe00, EIO, "which cannot be"},
            {AT_MAP, 516, EIO, "which cannot be"},
            {AT_DATA, 512, EIO, "which cannot be"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                start();
                store_le32(image + bad[i].at, bad[i].value);
                image_expect_refused(image, SIZE, bad[i].code, bad[i].says);
        }
        start();
        image_expect_refused(image, MAP + 20, EIO, "the end of its table");
        image_expect_refused(image, 200, EIO, "the header");
}

/* 2^32 blocks of 256 MiB: neither the disk nor the table is looked at. */
static void test_hostile_sizes_are_refused(void **state)
{
        (void)state;
        start();
        store_le32(image + AT_BLOCK, 1 << 28);
        store_le32(image + AT_BLOCKS, 0xffffffff);
        store_le32(image + AT_DATA, 0xfffffe00);
        store_le32(image + AT_MAP, 512);
        store_le64(image + AT_SIZE, UINT64_C(0xffffffff) << 28);
        image_expect_refused(image, SIZE, EIO, "which cannot be");
        store_le32(image + AT_BLOCKS, 0x3ffffe00);
        store_le64(image + AT_SIZE, UINT64_C(0x3ffffe00) << 28);
        image_expect_refused(image, SIZE, EFBIG, "up to 128 TiB");
}

static void test_a_place_that_two_blocks_have_is_neither_s(void **state)
{
        struct image m;

        (void)state;
        start();
        map_block(1, 4);
        m = image_scanned(image, SIZE);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 2, 3);
        /* What block 1 had is named by nothing: no hole is believed any more. */
        expect(m.disk, 9, -EIO);
        expect(m.disk, 7, 0);
        assert_true(image_damage_says(&m, "belongs to two"));
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

static void test_an_entry_that_was_lost_leaves_no_zeros(void **state)
{
        struct image m;

        (void)state;
        start();
        map_block(2, 0xffffffff);
        m = image_scanned(image, SIZE);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 9, -EIO);
        expect(m.disk, 0, 5);
        expect(m.disk, 7, 0);
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

static void test_blocks_past_the_end_are_lost(void **state)
{
        struct image m;

        (void)state;
        start();
        map_block(5, 1000);
        map_block(6, 0xfffffffd);
        m = image_scanned(image, SIZE);
        expect(m.disk, 5, -EIO);
        expect(m.disk, 6, -EIO);
        expect(m.disk, 4, 0);
        expect(m.disk, 0, 5);
        assert_true(image_damage_says(&m, "past the end"));
        image_end(&m);
        /* Cut off: what is there is read. */
        start();
        m = image_scanned(image, SIZE - BLOCK - 512);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 2, 3);
        expect(m.disk, 9, 0);
        image_end(&m);
}

static void test_a_count_that_is_too_small_costs_nothing(void **state)
{
        struct image m;

        (void)state;
        start();
        store_le32(image + AT_ALLOCATED, 3);
        m = image_scanned(image, SIZE);
        for (unsigned i = 0; i < 4; i++)
                expect(m.disk, i, (int)(STORED - i));
        expect(m.disk, 9, 0);
        assert_true(image_damage_says(&m, "counts fewer"));
        image_end(&m);
}

/* VirtualBox was killed when it had written a block, and not its entry. */
static void test_one_block_too_many_at_the_end_is_said(void **state)
{
        struct image m;

        (void)state;
        start();
        memset(image + SIZE, 0x77, BLOCK);
        m = image_scanned(image, SIZE + BLOCK);
        expect(m.disk, 0, 5);
        expect(m.disk, 9, 0);
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

static void test_an_insertion_is_noticed(void **state)
{
        struct image m;

        (void)state;
        start();
        memmove(image + DATA + BLOCK + 512, image + DATA + BLOCK, (STORED - 1) * BLOCK);
        m = image_scanned(image, SIZE + 512);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 15, -EIO);
        assert_true(image_damage_says(&m, "inserted"));
        image_end(&m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_blocks_of_every_kind_are_read),
            cmocka_unit_test(test_extra_bytes_of_a_block_are_no_data),
            cmocka_unit_test(test_what_cannot_be_is_refused),
            cmocka_unit_test(test_hostile_sizes_are_refused),
            cmocka_unit_test(test_a_place_that_two_blocks_have_is_neither_s),
            cmocka_unit_test(test_an_entry_that_was_lost_leaves_no_zeros),
            cmocka_unit_test(test_blocks_past_the_end_are_lost),
            cmocka_unit_test(test_a_count_that_is_too_small_costs_nothing),
            cmocka_unit_test(test_one_block_too_many_at_the_end_is_said),
            cmocka_unit_test(test_an_insertion_is_noticed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
