/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHD images made by hand: what is read, what is refused, what is lost and nothing else. */
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
#include "tests/fixtures/vhd_writer.h"

enum {
        BLOCK = 4096,
        BLOCKS = 12,
        EACH = BLOCK + 512,
        FIRST = VHD_TABLE + 512 + 512, /* what vhd_write puts there */
        AT_DATA = 16,
        AT_CREATOR = 28,
        AT_SIZE = 48,
        AT_GEOMETRY = 56,
        AT_TYPE = 60,
        SUM = 64,
        HEADER_SUM = 36,
};

static uint8_t disk[BLOCKS * BLOCK];
static struct bytes file;

static struct bytes raw(void)
{
        return (struct bytes){.data = disk, .len = sizeof disk};
}

static void put32(size_t at, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                file.data[at + (size_t)i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Blocks 0, 1, 2, 5 and 11 hold their number plus 1; the others are not there. */
static int start(void **state)
{
        static const unsigned stored[] = {0, 1, 2, 5, 11};

        (void)state;
        memset(disk, 0, sizeof disk);
        for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
                memset(disk + (size_t)stored[i] * BLOCK, (int)stored[i] + 1, BLOCK);
        file = vhd_write(raw(), &(struct vhd_wish){.block = BLOCK});
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
        image_expect_filled(d, (uint64_t)number * BLOCK, BLOCK, value);
}

static void expect_all(const struct image *m)
{
        for (unsigned i = 0; i < BLOCKS; i++)
                expect(m->disk, i, disk[i * BLOCK]);
}

static void test_a_dynamic_image_is_read(void **state)
{
        struct image m = image_scanned(file.data, file.len);

        (void)state;
        assert_string_equal(index_format(m.index), "vhd");
        assert_int_equal(m.disk->size, sizeof disk);
        expect_all(&m);
        assert_int_equal(index_damage_count(m.index), 0);
        assert_int_equal(m.disk->totals.stored, 5 * BLOCK);
        image_end(&m);
}

static void test_either_footer_is_enough_and_verify_says_so(void **state)
{
        struct image m;

        (void)state;
        file.data[100] ^= 1;
        m = image_scanned(file.data, file.len);
        expect_all(&m);
        assert_true(image_damage_says(&m, "copy of the footer"));
        image_end(&m);
        file.data[100] ^= 1;
        m = image_scanned(file.data, file.len - 512);
        expect_all(&m);
        assert_true(image_damage_says(&m, "footer at the end is missing"));
        image_end(&m);
        file.data[100] ^= 1;
        image_expect_refused(file.data, file.len - 100, EIO, "no footer whose checksum is right");
}

static void test_footers_that_contradict_each_other(void **state)
{
        uint8_t *tail = file.data + file.len - VHD_FOOTER;
        struct image m;

        (void)state;
        tail[AT_SIZE + 6] ^= 2;
        vhd_sum(tail, VHD_FOOTER, SUM);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 3, -EIO);
        assert_true(image_damage_says(&m, "contradicts"));
        image_end(&m);
}

static void test_a_fixed_image_has_its_footer_at_the_end(void **state)
{
        uint8_t *fixed = malloc(sizeof disk + 512 + VHD_FOOTER);
        struct image m;

        (void)state;
        assert_non_null(fixed);
        memcpy(fixed, disk, sizeof disk);
        memcpy(fixed + sizeof disk, file.data, VHD_FOOTER);
        fixed[sizeof disk + AT_TYPE + 3] = 2;
        vhd_sum(fixed + sizeof disk, VHD_FOOTER, SUM);
        m = image_scanned(fixed, sizeof disk + VHD_FOOTER);
        expect_all(&m);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
        /* Of early versions it has a byte less. */
        m = image_scanned(fixed, sizeof disk + VHD_FOOTER - 1);
        expect_all(&m);
        image_end(&m);
        memmove(fixed + sizeof disk + 512, fixed + sizeof disk, VHD_FOOTER);
        image_expect_refused(fixed, sizeof disk + 512 + VHD_FOOTER, EIO, "inserted");
        memmove(fixed + sizeof disk - 512, fixed + sizeof disk + 512, VHD_FOOTER);
        image_expect_refused(fixed, sizeof disk - 512 + VHD_FOOTER, EIO, "cut out");
        free(fixed);
}

/* Virtual PC means the geometry, which is smaller; others mean the size. */
static void test_who_made_it_says_what_the_size_is(void **state)
{
        struct image m;

        (void)state;
        /* 9 cylinders, 1 head, 10 sectors: 90. */
        memcpy(file.data + AT_GEOMETRY, "\0\11\1\12", 4);
        for (int i = 0; i < 2; i++) {
                memcpy(file.data + AT_CREATOR, i ? "vpc " : "win ", 4);
                vhd_sum(file.data, VHD_FOOTER, SUM);
                memcpy(file.data + file.len - VHD_FOOTER, file.data, VHD_FOOTER);
                m = image_scanned(file.data, file.len);
                assert_int_equal(m.disk->size, i ? 90 * 512 : sizeof disk);
                assert_int_equal(index_damage_count(m.index), 0);
                image_end(&m);
        }
}

static void test_what_cannot_be_is_refused(void **state)
{
        static const struct {
                bool in_header;
                size_t at;
                uint32_t value;
                int code;
                const char *says;
        } bad[] = {
            {false, AT_TYPE, 7, ENOTSUP, "unknown type 7"},
            {false, AT_TYPE, 2, EIO, "at its end alone"},
            {false, AT_SIZE, 0xffffffff, EFBIG, "up to 128 TiB"},
            {false, AT_SIZE, 1, EIO, "and a table for"},
            {false, AT_DATA, 0xffffffff, EIO, "past the end"},
            {false, AT_DATA + 4, 0x10000000, EIO, "the header"},
            {false, AT_DATA + 4, 1024, EIO, "checksum"},
            {true, 24, 0x20000, ENOTSUP, "version 2.0"},
            {true, 32, 0, EIO, "blocks of 0"},
            {true, 32, 5000, EIO, "blocks of 5000"},
            {true, 32, 1U << 31, EIO, "blocks of"},
            {true, 28, 11, EIO, "and a table for"},
            {true, 28, 0xffffffff, EFBIG, "up to 1 GiB"},
            {true, 16, 0xffffffff, EIO, "its table cannot be"},
            {true, 20, 0x7fffff00, EIO, "the end of its table"},
            {true, 20, 0x601, EIO, "its table cannot be"},
        };

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                size_t from = bad[i].in_header ? VHD_FOOTER : 0;

                end(state);
                start(state);
                put32(from + bad[i].at, bad[i].value);
                if (bad[i].in_header)
                        vhd_sum(file.data + from, VHD_HEADER, HEADER_SUM);
                else
                        vhd_sum(file.data, VHD_FOOTER, SUM);
                image_expect_refused(file.data, file.len, bad[i].code, bad[i].says);
        }
        end(state);
        start(state);
        file.data[VHD_FOOTER + 70] ^= 1;
        image_expect_refused(file.data, file.len, EIO, "checksum is wrong");
}

static void test_blocks_that_overlap_are_neither_s(void **state)
{
        struct image m;

        (void)state;
        /* A sector before that of block 1: on the last one of block 0. */
        put32(VHD_TABLE + 4, FIRST / 512 + EACH / 512 - 1);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 2, 3);
        expect(m.disk, 5, 6);
        assert_true(image_damage_says(&m, "two blocks"));
        image_end(&m);
}

static void test_blocks_on_the_table_or_past_the_end_are_lost(void **state)
{
        struct image m;

        (void)state;
        put32(VHD_TABLE + 12, VHD_TABLE / 512);
        put32(VHD_TABLE + 16, 0);
        put32(VHD_TABLE + 24, 0x00ffffff);
        put32(VHD_TABLE + 28, 0xfffffffe);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 4, -EIO);
        expect(m.disk, 6, -EIO);
        expect(m.disk, 7, -EIO);
        expect(m.disk, 0, 1);
        expect(m.disk, 8, 0);
        image_end(&m);
}

static void test_an_entry_that_was_lost_leaves_no_zeros(void **state)
{
        struct image m;

        (void)state;
        put32(VHD_TABLE + 4, 0xffffffff);
        m = image_scanned(file.data, file.len);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 0, 1);
        assert_true(image_damage_says(&m, "does not name"));
        image_end(&m);
}

static void test_an_insertion_is_noticed(void **state)
{
        uint8_t *more = malloc(file.len + 512);
        struct image m;

        (void)state;
        assert_non_null(more);
        memcpy(more, file.data, FIRST + EACH);
        memset(more + FIRST + EACH, 0x5a, 512);
        memcpy(more + FIRST + EACH + 512, file.data + FIRST + EACH, file.len - FIRST - EACH);
        m = image_scanned(more, file.len + 512);
        expect(m.disk, 0, -EIO);
        expect(m.disk, 11, -EIO);
        assert_true(image_damage_says(&m, "inserted"));
        image_end(&m);
        free(more);
}

static void test_a_parent_is_refused_by_its_name(void **state)
{
        static uint8_t zeros[sizeof disk];

        end(state);
        file = vhd_write(raw(), &(struct vhd_wish){.block = BLOCK,
                                                   .parent = "dir/b\xe4se.vhd",
                                                   .base = {.data = zeros, .len = sizeof zeros}});
        image_expect_refused(file.data, file.len, EPERM, "dir/b\xc3\xa4se.vhd");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_a_dynamic_image_is_read),
            TEST(test_either_footer_is_enough_and_verify_says_so),
            TEST(test_footers_that_contradict_each_other),
            TEST(test_a_fixed_image_has_its_footer_at_the_end),
            TEST(test_who_made_it_says_what_the_size_is),
            TEST(test_what_cannot_be_is_refused),
            TEST(test_blocks_that_overlap_are_neither_s),
            TEST(test_blocks_on_the_table_or_past_the_end_are_lost),
            TEST(test_an_entry_that_was_lost_leaves_no_zeros),
            TEST(test_an_insertion_is_noticed),
            TEST(test_a_parent_is_refused_by_its_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
