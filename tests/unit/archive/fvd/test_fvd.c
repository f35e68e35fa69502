/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FVD images made by hand, since nothing else makes any: what is read, refused and lost. */
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

/* Where the packed header has its fields, counted once more. */
enum {
        AT_SIZE = 12,
        AT_METADATA = 20,
        AT_BASE = 28,
        AT_BITMAP_LEN = 1084,
        AT_DATA_FILE = 1108,
        AT_COMPACT = 2208,
        AT_TABLE = 2212,
        AT_CHUNK = 2220,
        AT_JOURNAL_LEN = 4292,
        AT_CLEAN = 4300,

        CHUNK = 4096,
        CHUNKS = 10,
        TABLE = 4608,
        DATA = 8192,
        STORED = 3,
        SIZE = DATA + STORED * CHUNK,
};

static uint8_t image[DATA + CHUNKS * CHUNK];

/* Chunks 0, 1 and 9 are stored, 1 first. */
static void start(void)
{
        memset(image, 0, sizeof image);
        store_le32(image, 0x5143f5a9);
        store_le32(image + 4, 1);
        store_le32(image + 8, 1);
        store_le64(image + AT_SIZE, CHUNKS * CHUNK);
        store_le64(image + AT_METADATA, DATA);
        store_le32(image + AT_COMPACT, 1);
        store_le64(image + AT_TABLE, TABLE);
        store_le64(image + AT_CHUNK, CHUNK);
        store_le32(image + AT_CLEAN, 1);
        memset(image + TABLE, 0xff, (size_t)CHUNKS * 4);
        store_le32(image + TABLE, 1);
        store_le32(image + TABLE + 4, 0x80000000);
        store_le32(image + TABLE + 36, 2);
        for (size_t i = 0; i < CHUNKS; i++)
                memset(image + DATA + i * CHUNK, (int)i + 1, CHUNK);
}

static void expect(struct disk *d, unsigned number, int value)
{
        image_expect_filled(d, (uint64_t)number * CHUNK, CHUNK, value);
}

static void test_a_compact_image_is_read(void **state)
{
        struct image m;

        (void)state;
        start();
        m = image_scanned(image, SIZE);
        assert_string_equal(index_format(m.index), "fvd");
        expect(m.disk, 0, 2);
        expect(m.disk, 1, 1);
        for (unsigned i = 2; i < 9; i++)
                expect(m.disk, i, 0);
        expect(m.disk, 9, 3);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

static void test_one_that_is_not_lies_in_place(void **state)
{
        struct image m;

        (void)state;
        start();
        store_le32(image + AT_COMPACT, 0);
        m = image_scanned(image, sizeof image);
        for (unsigned i = 0; i < CHUNKS; i++)
                expect(m.disk, i, (int)i + 1);
        image_end(&m);
        m = image_scanned(image, SIZE);
        expect(m.disk, 2, 3);
        expect(m.disk, 3, -EIO);
        image_end(&m);
}

static void test_chunks_that_cannot_be_are_lost(void **state)
{
        struct image m;

        (void)state;
        start();
        store_le32(image + TABLE + 8, 1);
        store_le32(image + TABLE + 12, 0x7fffffff);
        m = image_scanned(image, SIZE);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 1, 1);
        expect(m.disk, 4, 0);
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
            {4, 2, ENOTSUP, "version 2"},
            {AT_BASE, 'b', ENOTSUP, "has the base image b;"},
            {AT_BITMAP_LEN, 512, ENOTSUP, "the bitmap of a base image"},
            {AT_DATA_FILE, 'd', ENOTSUP, "in the file d;"},
            {AT_SIZE, 100, EIO, "which cannot be"},
            {AT_SIZE + 4, 0xffffffff, EFBIG, "128 TiB"},
            {AT_METADATA, 512, EIO, "which cannot be"},
            {AT_METADATA + 4, 0xffffffff, EIO, "which cannot be"},
            {AT_CHUNK, 512, EIO, "chunks of 512"},
            {AT_CHUNK + 4, 1, EIO, "chunks of"},
            {AT_TABLE, 0, EIO, "its table cannot be"},
            {AT_TABLE, DATA - 4, EIO, "its table cannot be"},
            {AT_TABLE + 4, 0xffffffff, EIO, "its table cannot be"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                start();
                store_le32(image + bad[i].at, bad[i].value);
                image_expect_refused(image, SIZE, bad[i].code, bad[i].says);
        }
        start();
        store_le32(image + AT_CLEAN, 0);
        store_le64(image + AT_JOURNAL_LEN, 512);
        image_expect_refused(image, SIZE, ENOTSUP, "journal");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_compact_image_is_read),
            cmocka_unit_test(test_one_that_is_not_lies_in_place),
            cmocka_unit_test(test_chunks_that_cannot_be_are_lost),
            cmocka_unit_test(test_what_cannot_be_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
