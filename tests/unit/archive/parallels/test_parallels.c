/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of Parallels made by hand: what is read, what is refused, what is lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"

enum {
        BLOCK = 4096,
        BLOCKS = 10,
        STORED = 3,
        TABLE = 64,
        DATA = BLOCK,
        SIZE = DATA + STORED * BLOCK,
        AT_VERSION = 16,
        AT_TRACK = 28,
        AT_ENTRIES = 32,
        AT_SECTORS = 36,
        AT_IN_USE = 44,
        AT_DATA = 48,
};

static uint8_t image[SIZE + BLOCK];

/* Blocks 0, 1 and 9 are stored, 1 first. EXT: as the newer kind. */
static void start(bool ext)
{
        uint32_t unit = ext ? 1 : BLOCK / 512;

        memset(image, 0, sizeof image);
        memcpy(image, ext ? "WithouFreSpacExt" : "WithoutFreeSpace", 16);
        store_le32(image + AT_VERSION, 2);
        store_le32(image + AT_TRACK, BLOCK / 512);
        store_le32(image + AT_ENTRIES, BLOCKS);
        store_le64(image + AT_SECTORS, BLOCKS * BLOCK / 512);
        store_le32(image + AT_DATA, DATA / 512);
        store_le32(image + TABLE, 2 * unit);
        store_le32(image + TABLE + 4, 1 * unit);
        store_le32(image + TABLE + 36, 3 * unit);
        for (unsigned i = 0; i < STORED; i++)
                memset(image + DATA + (size_t)i * BLOCK, (int)i + 1, BLOCK);
}

static void expect(struct disk *d, unsigned number, int value)
{
        image_expect_filled(d, (uint64_t)number * BLOCK, BLOCK, value);
}

static void test_both_kinds_are_read(void **state)
{
        (void)state;
        for (int ext = 0; ext < 2; ext++) {
                struct image m;

                start(ext);
                m = image_scanned(image, SIZE);
                assert_string_equal(index_format(m.index), "hdd");
                expect(m.disk, 0, 2);
                expect(m.disk, 1, 1);
                for (unsigned i = 2; i < 9; i++)
                        expect(m.disk, i, 0);
                expect(m.disk, 9, 3);
                assert_int_equal(index_damage_count(m.index), 0);
                image_end(&m);
        }
}

/* The upper half of the number of sectors is not the older kind's. */
static void test_the_size_of_the_older_kind_has_32_bits(void **state)
{
        struct image m;

        (void)state;
        start(false);
        store_le32(image + AT_SECTORS + 4, 0x1234);
        m = image_scanned(image, SIZE);
        assert_int_equal(m.disk->size, BLOCKS * BLOCK);
        image_end(&m);
        start(true);
        store_le32(image + AT_SECTORS + 4, 0x1234);
        image_expect_refused(image, SIZE, EIO, "a table for");
}

static void test_what_cannot_be_is_refused(void **state)
{
        static const struct {
                size_t at;
                uint32_t value;
                int code;
                const char *says;
        } bad[] = {
            {AT_VERSION, 3, ENOTSUP, "version 3"},
            {AT_TRACK, 0, ENOTSUP, "blocks of 0 sectors"},
            {AT_TRACK, 0xffffffff, ENOTSUP, "blocks of 4294967295"},
            {AT_ENTRIES, 9, EIO, "and a table for"},
            {AT_ENTRIES, 0xffffffff, EIO, "begin in its table"},
            {AT_SECTORS, 0xffffffff, EIO, "and a table for"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                start(true);
                store_le32(image + bad[i].at, bad[i].value);
                image_expect_refused(image, SIZE, bad[i].code, bad[i].says);
        }
        start(true);
        store_le32(image + AT_ENTRIES, 0xffffffff);
        store_le32(image + AT_DATA, 0);
        image_expect_refused(image, SIZE, EFBIG, "up to 1 GiB");
}

static void test_places_that_cannot_be_are_lost(void **state)
{
        struct image m;

        (void)state;
        start(true);
        store_le32(image + TABLE + 8, 2);
        store_le32(image + TABLE + 12, 0xffffffff);
        m = image_scanned(image, SIZE);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 1, 1);
        expect(m.disk, 4, 0);
        image_end(&m);
}

static void test_entries_that_were_lost_leave_no_zeros(void **state)
{
        struct image m;

        (void)state;
        start(false);
        store_le32(image + TABLE + 4, 0);
        m = image_scanned(image, SIZE);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 5, -EIO);
        expect(m.disk, 0, 2);
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

static void test_an_image_in_use_is_read(void **state)
{
        struct image m;

        (void)state;
        start(true);
        store_le32(image + AT_IN_USE, 0x746f6e59);
        m = image_scanned(image, SIZE);
        expect(m.disk, 0, 2);
        assert_non_null(strstr(index_info(m.index)->note, "was not closed"));
        image_end(&m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_both_kinds_are_read),
            cmocka_unit_test(test_the_size_of_the_older_kind_has_32_bits),
            cmocka_unit_test(test_what_cannot_be_is_refused),
            cmocka_unit_test(test_places_that_cannot_be_are_lost),
            cmocka_unit_test(test_entries_that_were_lost_leave_no_zeros),
            cmocka_unit_test(test_an_image_in_use_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
