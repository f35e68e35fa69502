/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDX images made by hand: what is read, refused, replayed, and lost. */
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
#include "tests/fixtures/vhdx_writer.h"

enum {
        BLOCK = VHDX_MIB,
        BLOCKS = 6,
        PAGE = 4096,
        FIRST = 4 * VHDX_MIB, /* of the file: block 0's */
        ITEMS = VHDX_METADATA + (64 << 10),
        RING = VHDX_MIB / VHDX_LOG_SECTOR,
};

static uint8_t disk[BLOCKS * BLOCK];
static struct bytes file;

/* Blocks 0, 1 and 4 hold their number plus 1; the others are not there. */
static int start(void **state)
{
        (void)state;
        memset(disk, 0, sizeof disk);
        memset(disk, 1, BLOCK);
        memset(disk + BLOCK, 2, BLOCK);
        memset(disk + (size_t)4 * BLOCK, 5, BLOCK);
        file = vhdx_write((struct bytes){.data = disk, .len = sizeof disk}, &(struct vhdx_wish){0});
        return 0;
}

static int end(void **state)
{
        (void)state;
        free(file.data);
        return 0;
}

static void expect(struct disk *d, unsigned number, int value)
{
        for (uint64_t at = (uint64_t)number * BLOCK; at < (uint64_t)(number + 1) * BLOCK;
             at += BLOCK - PAGE)
                image_expect_filled(d, at, PAGE, value);
}

static void set_entry(unsigned number, uint64_t entry)
{
        store_le64(file.data + VHDX_TABLE + 8 * (size_t)number, entry);
}

static void test_a_dynamic_image_is_read(void **state)
{
        struct image m = image_scanned(file.data, file.len);

        (void)state;
        assert_string_equal(index_format(m.index), "vhdx");
        for (unsigned i = 0; i < BLOCKS; i++)
                expect(m.disk, i, disk[i * BLOCK]);
        assert_int_equal(index_damage_count(m.index), 0);
        assert_int_equal(m.disk->totals.stored, 3 * BLOCK);
        image_end(&m);
}

static void test_states_of_blocks(void **state)
{
        struct image m;

        (void)state;
        /* Undefined, zeros, unmapped, which may name a place that is in use again. */
        set_entry(1, FIRST | 1);
        set_entry(2, 2);
        set_entry(3, (FIRST + BLOCK) | 3);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 0, 1);
        for (unsigned i = 1; i < 4; i++)
                expect(m.disk, i, 0);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
        set_entry(2, FIRST | 4);
        set_entry(3, FIRST | 7);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 3, -EIO);
        assert_true(image_damage_says(&m, "a state that there is not"));
        image_end(&m);
}

static void test_either_header_is_enough_and_verify_says_so(void **state)
{
        static const size_t places[] = {VHDX_HEADER_1, VHDX_HEADER_2, VHDX_REGIONS_1,
                                        VHDX_REGIONS_2};

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                struct image m;

                file.data[places[i] + 1000] ^= 4;
                m = image_scanned(file.data, file.len);
                expect(m.disk, 4, 5);
                assert_true(image_damage_says(&m, "is damaged"));
                image_end(&m);
                if (i % 2)
                        continue;
                file.data[places[i + 1] + 9] ^= 4;
                image_expect_refused(file.data, file.len, EIO, i ? "regions" : "both are damaged");
                file.data[places[i + 1] + 9] ^= 4;
                file.data[places[i] + 1000] ^= 4;
        }
}

static void test_headers_that_contradict_each_other(void **state)
{
        (void)state;
        store_le64(file.data + VHDX_HEADER_1 + 8, 8);
        file.data[VHDX_HEADER_1 + 40] ^= 1;
        vhdx_sum(file.data + VHDX_HEADER_1, VHDX_HEADER_LEN);
        image_expect_refused(file.data, file.len, EIO, "contradict each other");
        end(state);
        start(state);
        file.data[VHDX_REGIONS_2 + 40 + 2] ^= 0x10;
        vhdx_sum(file.data + VHDX_REGIONS_2, VHDX_REGIONS_LEN);
        image_expect_refused(file.data, file.len, EIO, "contradict each other");
}

/* Of what has no checksum: NUMBER at AT of the metadata. */
static void test_metadata_that_cannot_be_are_refused(void **state)
{
        static const struct {
                size_t at;
                uint32_t value;
                int code;
                const char *says;
        } bad[] = {
            {VHDX_METADATA, 0, EIO, "damaged metadata"},
            {VHDX_METADATA + 8, 0xffff0000, EIO, "damaged metadata"},
            {VHDX_METADATA + 8, 0x00010000, EIO, "lacks the size of the disk"},
            {VHDX_METADATA + 32, 7, ENOTSUP, "are required"},
            {VHDX_METADATA + 48, 100, EIO, "cannot be where"},
            {VHDX_METADATA + 48, 0xfffffff0, EIO, "cannot be where"},
            {VHDX_METADATA + 52, 9, EIO, "cannot be where"},
            {ITEMS, 0, EIO, "blocks of 0"},
            {ITEMS, 3 << 20, EIO, "blocks of"},
            {ITEMS, 1 << 30, EIO, "blocks of"},
            {ITEMS + 4, 2, EIO, "does not say its name"},
            {ITEMS + 8, 100, EIO, "a disk of 100"},
            {ITEMS + 12, 0x00ffffff, EFBIG, "128 TiB"},
            {ITEMS + 12, 0x100, EIO, "too small"},
            {ITEMS + 16, 1000, EIO, "sectors of 1000"},
        };

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                end(state);
                start(state);
                store_le32(file.data + bad[i].at, bad[i].value);
                image_expect_refused(file.data, file.len, bad[i].code, bad[i].says);
        }
}

static void test_regions_that_cannot_be_are_refused(void **state)
{
        static const struct {
                size_t at;
                uint32_t value;
                int code;
                const char *says;
        } bad[] = {
            {8, 3000, EIO, "3000 regions"},
            {8, 1, EIO, "lacks the region"},
            {32, 0, EIO, "cannot be"},
            {32, VHDX_LOG, EIO, "overlap"},
            {32, VHDX_METADATA + 512, EIO, "cannot be"},
            {36, 0x7fffffff, EIO, "cannot be"},
            {40, 0, EIO, "cannot be"},
            {48, 5, ENOTSUP, "is required"},
        };

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                end(state);
                start(state);
                for (size_t at = VHDX_REGIONS_1; at <= VHDX_REGIONS_2; at += VHDX_REGIONS_LEN) {
                        store_le32(file.data + at + bad[i].at, bad[i].value);
                        vhdx_sum(file.data + at, VHDX_REGIONS_LEN);
                }
                image_expect_refused(file.data, file.len, bad[i].code, bad[i].says);
        }
}

static void test_blocks_that_cannot_be_are_lost(void **state)
{
        struct image m;

        (void)state;
        set_entry(1, FIRST | 6);
        set_entry(2, VHDX_TABLE | 6);
        set_entry(3, UINT64_C(0xfffffffffff00006));
        set_entry(5, 6);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 5, -EIO);
        expect(m.disk, 4, 5);
        image_end(&m);
}

static void test_an_entry_that_was_lost_leaves_no_zeros(void **state)
{
        struct image m;

        (void)state;
        set_entry(0, 0);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 1, 2);
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

/* ---- the log ---- */

/* A sector of the table as it is, but for entry NUMBER. */
static const uint8_t *table_with(unsigned number, uint64_t entry)
{
        static uint8_t sector[VHDX_LOG_SECTOR];

        memcpy(sector, file.data + VHDX_TABLE, sizeof sector);
        store_le64(sector + 8 * (size_t)number, entry);
        return sector;
}

/* The file has lost block 4's entry, and the log has it: three entries, from AT on. */
static void lose_and_log(size_t at)
{
        uint64_t entry = load_le64(file.data + VHDX_TABLE + 32);

        vhdx_use_log(file);
        set_entry(4, 0);
        vhdx_log(file, at, 41, at, VHDX_TABLE, table_with(4, FIRST | 6));
        vhdx_log(file, (at + 2) % RING, 42, at, VHDX_TABLE, table_with(4, entry));
}

static void test_a_log_is_replayed(void **state)
{
        static const size_t places[] = {0, 7, RING - 2, RING - 3, RING - 1};

        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                struct image m;

                end(state);
                start(state);
                lose_and_log(places[i]);
                m = image_scanned(file.data, file.len);
                for (unsigned k = 0; k < BLOCKS; k++)
                        expect(m.disk, k, disk[k * BLOCK]);
                assert_int_equal(index_damage_count(m.index), 0);
                assert_non_null(strstr(index_info(m.index)->note, "log is replayed"));
                image_end(&m);
        }
}

/* Older entries, with lower numbers, do not count, nor do those of another log. */
static void test_only_the_last_run_of_entries_counts(void **state)
{
        struct image m;

        (void)state;
        lose_and_log(10);
        vhdx_log(file, 100, 7, 100, VHDX_TABLE, table_with(4, 2));
        vhdx_log(file, 102, 8, 100, VHDX_TABLE, table_with(4, 2));
        m = image_scanned(file.data, file.len);
        expect(m.disk, 4, 5);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

static void test_a_log_without_entries_changes_nothing(void **state)
{
        struct image m;

        (void)state;
        vhdx_use_log(file);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 4, 5);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

static void test_a_damaged_log_is_refused(void **state)
{
        lose_and_log(0);
        file.data[VHDX_LOG + 2 * VHDX_LOG_SECTOR + 5000] ^= 1;
        file.data[VHDX_LOG + 5000] ^= 1;
        image_expect_refused(file.data, file.len, EIO, "log");
        /* Its tail is not there. */
        end(state);
        start(state);
        vhdx_use_log(file);
        vhdx_log(file, 4, 42, 2, VHDX_TABLE, table_with(4, 2));
        image_expect_refused(file.data, file.len, EIO, "log");
        /* It says that the file was longer. */
        end(state);
        start(state);
        lose_and_log(0);
        image_expect_refused(file.data, file.len - BLOCK, EIO, "was cut off");
}

static void test_a_log_must_not_write_over_headers_nor_data(void **state)
{
        struct image m;

        lose_and_log(0);
        vhdx_log(file, 4, 43, 0, VHDX_HEADER_1, table_with(0, 0));
        image_expect_refused(file.data, file.len, EIO, "over the file's headers");
        end(state);
        start(state);
        lose_and_log(0);
        vhdx_log(file, 4, 43, 0, FIRST + BLOCK, table_with(0, 0));
        m = image_scanned(file.data, file.len);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 0, 1);
        expect(m.disk, 4, 5);
        image_end(&m);
}

/* Entries on every sector, each as long as the ring: they cost no more than a few passes. */
static void test_entries_upon_each_other_are_refused(void **state)
{
        (void)state;
        vhdx_use_log(file);
        for (size_t i = 0; i < RING; i++) {
                uint8_t *e = file.data + VHDX_LOG + i * VHDX_LOG_SECTOR;

                vhdx_log(file, i, i + 1, 0, VHDX_TABLE, table_with(0, 0));
                store_le32(e + 8, VHDX_MIB);
        }
        image_expect_refused(file.data, file.len, EIO, "log");
}

/* ---- differencing ---- */

static void test_a_parent_is_refused_by_its_name(void **state)
{
        static uint8_t zeros[sizeof disk];
        struct vhdx_wish wish = {.parent = "sub/base.vhdx", .base = {zeros, sizeof zeros}};

        end(state);
        file = vhdx_write((struct bytes){.data = disk, .len = sizeof disk}, &wish);
        image_expect_refused(file.data, file.len, EPERM, "sub/base.vhdx");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_a_dynamic_image_is_read),
            TEST(test_states_of_blocks),
            TEST(test_either_header_is_enough_and_verify_says_so),
            TEST(test_headers_that_contradict_each_other),
            TEST(test_metadata_that_cannot_be_are_refused),
            TEST(test_regions_that_cannot_be_are_refused),
            TEST(test_blocks_that_cannot_be_are_lost),
            TEST(test_an_entry_that_was_lost_leaves_no_zeros),
            TEST(test_a_log_is_replayed),
            TEST(test_only_the_last_run_of_entries_counts),
            TEST(test_a_log_without_entries_changes_nothing),
            TEST(test_a_damaged_log_is_refused),
            TEST(test_a_log_must_not_write_over_headers_nor_data),
            TEST(test_entries_upon_each_other_are_refused),
            TEST(test_a_parent_is_refused_by_its_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
