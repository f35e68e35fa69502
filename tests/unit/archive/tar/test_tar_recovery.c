/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tars with a header that is damaged, moved or overwritten: what is lost, and what is not. */
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
#include "tests/fixtures/tar_fixture.h"

enum { PAGE = 4096, LEN = 5 * PAGE };

/* Three disks of LEN bytes each: 'a', 'b' and 'c'. */
static void three_disks(void)
{
        static const char *const names[] = {"a.raw", "b.raw", "c.raw"};
        uint8_t data[LEN];

        for (size_t i = 0; i < 3; i++) {
                memset(data, (int)('a' + i), sizeof data);
                tarball_member(names[i], data, sizeof data);
        }
        tarball_finish();
}

enum { MEMBER = TARBALL_BLOCK + LEN }; /* bytes of each, with its header */

static void expect_disk(const struct image *o, const char *name)
{
        struct disk *d = image_disk_named(o, name);

        assert_int_equal(d->size, LEN);
        for (uint64_t pos = 0; pos < LEN; pos += PAGE)
                disk_expect_bytes(d, pos, name[0], PAGE);
}

static void expect_all_lost(const struct image *o, const char *name)
{
        for (uint64_t pos = 0; pos < LEN; pos += PAGE)
                disk_expect_lost(image_disk_named(o, name), pos);
}

static void test_a_damaged_header_costs_its_member_alone(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        tarball.data[MEMBER] ^= 1;
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 2);
        expect_disk(&o, "a.raw");
        expect_disk(&o, "c.raw");
        assert_int_equal(index_damage_count(o.index), 1);
        assert_true(image_damage_says(&o, "checksum is wrong"));
        image_end(&o);
}

static void test_a_header_whose_size_is_damaged_is_searched_past(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        memcpy(tarball.data + MEMBER + 124, "7777", 4);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 2);
        expect_disk(&o, "a.raw");
        expect_disk(&o, "c.raw");
        image_end(&o);
}

static void test_a_header_of_zeros_is_not_the_end(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        memset(tarball.data + MEMBER, 0, TARBALL_BLOCK);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 2);
        expect_disk(&o, "a.raw");
        expect_disk(&o, "c.raw");
        assert_true(image_damage_says(&o, "zeros are here"));
        image_end(&o);
}

static void test_headers_of_a_tar_in_a_disk_are_not_the_archives(void **state)
{
        struct bytes inner;
        struct image o;
        uint8_t *b;

        (void)state;
        three_disks();
        inner = tarball;
        tarball = (struct bytes){0};
        tarball_member("first", "1", 1);
        b = tarball_append(NULL, TARBALL_BLOCK);
        b[0] = 'x'; /* no header */
        tarball_append(inner.data, inner.len);
        memset(tarball_append(NULL, LEN), 'y', LEN);
        tarball_member("last", "2", 1);
        tarball_finish();
        free(inner.data);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 1);
        assert_string_equal(index_disk(o.index, 0)->name, "first");
        assert_int_equal(index_file_count(o.index), 1);
        image_expect_file(&o, 0, "last", "2");
        image_end(&o);
}

/* What was a tar once leads past where the archive goes on, and nowhere. */
static void test_what_is_left_of_a_tar_in_a_disk_hides_nothing(void **state)
{
        uint8_t left[TARBALL_BLOCK];
        struct image o;

        (void)state;
        tarball_header("deleted", '0', 3 * MEMBER);
        memcpy(left, tarball.data, sizeof left);
        tarball_reset(NULL);
        three_disks();
        memcpy(tarball.data + MEMBER + TARBALL_BLOCK, left, sizeof left);
        memcpy(tarball.data + MEMBER + 124, "7777", 4);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 2);
        expect_disk(&o, "a.raw");
        expect_disk(&o, "c.raw");
        image_end(&o);
}

/* Nobody can tell where in the member: all of it is lost, and nothing of the others. */
static void test_what_a_cut_displaces_is_lost(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        tarball_cut(MEMBER + TARBALL_BLOCK + 6000, 100);
        o = tarball_scan();
        expect_disk(&o, "a.raw");
        expect_all_lost(&o, "b.raw");
        expect_disk(&o, "c.raw");
        assert_true(image_damage_says(&o, "not where it should be"));
        image_end(&o);
}

static void test_what_an_insertion_displaces_is_lost(void **state)
{
        static const size_t lens[] = {100, TARBALL_BLOCK, 3 * TARBALL_BLOCK};

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                uint8_t junk[3 * TARBALL_BLOCK];
                struct image o;

                memset(junk, 'j', sizeof junk);
                three_disks();
                tarball_insert(MEMBER + TARBALL_BLOCK + 6000, junk, lens[i]);
                o = tarball_scan();
                expect_disk(&o, "a.raw");
                expect_all_lost(&o, "b.raw");
                expect_disk(&o, "c.raw");
                image_end(&o);
                tarball_reset(NULL);
        }
}

static void test_a_cut_in_the_last_member_is_found_by_what_follows(void **state)
{
        uint8_t junk[700];
        struct image o;

        (void)state;
        memset(junk, 'j', sizeof junk);
        three_disks();
        tarball_insert(2 * MEMBER + TARBALL_BLOCK + 6000, junk, sizeof junk);
        o = tarball_scan();
        expect_disk(&o, "b.raw");
        expect_all_lost(&o, "c.raw");
        image_end(&o);
}

static void test_a_damaged_pax_header_makes_its_member_doubtful(void **state)
{
        static const char records[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
                                      "25 GNU.sparse.name=d.img\n29 GNU.sparse.realsize=81920\n";
        /* A byte of its header, of a record's length, and of its key. */
        static const size_t damaged[] = {2 * TARBALL_BLOCK + 3, 3 * TARBALL_BLOCK,
                                         3 * TARBALL_BLOCK + 5};
        static const char *const says[] = {"header before this file", "header before this file",
                                           "sparse map"};

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                struct image o;

                tarball_member("first", "1", 1);
                tarball_pax(records);
                tarball_header("GNUSparseFile.1/d.img", '0', TARBALL_BLOCK + PAGE);
                tarball_append("1\n8192\n4096\n", 12);
                memset(tarball_append(NULL, PAGE), 'p', PAGE);
                tarball_member("last", "2", 1);
                tarball_finish();
                tarball.data[damaged[i]] ^= 0x40;
                o = tarball_scan();
                assert_int_equal(index_file_count(o.index), 2);
                assert_int_equal(index_disk_count(o.index), 1);
                disk_expect_lost(index_disk(o.index, 0), 0);
                assert_true(image_damage_says(&o, says[i]));
                image_end(&o);
                tarball_reset(NULL);
        }
}

static void test_two_damaged_headers_cost_two_members(void **state)
{
        struct image o;
        uint8_t data[LEN];

        (void)state;
        memset(data, 'd', sizeof data);
        for (char name[] = "0.raw"; name[0] < '6'; name[0]++)
                tarball_member(name, data, sizeof data);
        tarball_finish();
        tarball.data[MEMBER] ^= 1;
        tarball.data[3 * MEMBER] ^= 1;
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 4);
        assert_int_equal(index_damage_count(o.index), 2);
        image_end(&o);
}

/* What stands after the end mark is another tar's, or nobody's: it is no damage. */
static void test_what_follows_the_end_mark_is_no_damage(void **state)
{
        struct image o;
        size_t end;

        (void)state;
        three_disks();
        end = tarball.len;
        tarball_member("other", "2", 1);
        tarball_finish();
        o = tarball_scan();
        assert_int_equal(index_file_count(o.index), 0);
        assert_int_equal(index_damage_count(o.index), 0);
        image_end(&o);
        tarball.len = end;
        memset(tarball_append(NULL, LEN), 'j', LEN);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 3);
        assert_int_equal(index_damage_count(o.index), 0);
        image_end(&o);
}

/* What is there then looks like a header whose sum alone is wrong, and leads to the end as well. */
static void test_the_last_header_that_is_one_byte_away_is_displaced(void **state)
{
        static const uint8_t zeros[5 * TARBALL_BLOCK];
        uint8_t data[LEN];
        struct image o;

        (void)state;
        memset(data, 'a', sizeof data);
        tarball_member("a.raw", data, sizeof data);
        tarball_member("b.raw", zeros, sizeof zeros);
        tarball_finish();
        tarball_cut(TARBALL_BLOCK + 6000, 1);
        o = tarball_scan();
        expect_all_lost(&o, "a.raw");
        image_end(&o);
}

/* Half an end mark may be what the last member has as its end, which was moved. */
static void test_half_an_end_mark_and_something_else_cost_the_last_member(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        tarball.len -= TARBALL_BLOCK;
        memset(tarball_append(NULL, LEN), 'j', LEN);
        o = tarball_scan();
        expect_disk(&o, "b.raw");
        expect_all_lost(&o, "c.raw");
        assert_true(image_damage_says(&o, "zeros and something else"));
        image_end(&o);
}

/* Where the first one should end its own zeros are, and the header of the second leads nowhere. */
static void test_zeros_of_a_displaced_member_are_no_end(void **state)
{
        uint8_t junk[2 * TARBALL_BLOCK];
        struct image o;

        (void)state;
        memset(junk, 'j', sizeof junk);
        three_disks();
        memset(tarball.data + MEMBER - 2 * TARBALL_BLOCK, 0, TARBALL_BLOCK);
        tarball_cut(MEMBER + TARBALL_BLOCK + 6000, TARBALL_BLOCK);
        tarball_insert(TARBALL_BLOCK + 6000, junk, sizeof junk);
        o = tarball_scan();
        expect_all_lost(&o, "a.raw");
        expect_disk(&o, "c.raw");
        assert_true(index_damage_count(o.index) > 0);
        image_end(&o);
}

/* It is a header as far as a search can tell, which found it for ever. */
static void test_a_header_that_is_of_no_use_is_found_once(void **state)
{
        struct image o;

        (void)state;
        three_disks();
        tarball.len -= (size_t)2 * TARBALL_BLOCK;
        tarball_v7_header("header", 'x', UINT64_C(1) << 30);
        o = tarball_scan();
        assert_int_equal(index_disk_count(o.index), 3);
        expect_disk(&o, "a.raw");
        expect_disk(&o, "b.raw");
        assert_true(image_damage_says(&o, "absurdly long"));
        image_end(&o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_a_damaged_header_costs_its_member_alone, tarball_reset),
            cmocka_unit_test_teardown(test_a_header_whose_size_is_damaged_is_searched_past,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_header_of_zeros_is_not_the_end, tarball_reset),
            cmocka_unit_test_teardown(test_headers_of_a_tar_in_a_disk_are_not_the_archives,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_what_is_left_of_a_tar_in_a_disk_hides_nothing,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_what_a_cut_displaces_is_lost, tarball_reset),
            cmocka_unit_test_teardown(test_what_an_insertion_displaces_is_lost, tarball_reset),
            cmocka_unit_test_teardown(test_a_cut_in_the_last_member_is_found_by_what_follows,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_damaged_pax_header_makes_its_member_doubtful,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_two_damaged_headers_cost_two_members, tarball_reset),
            cmocka_unit_test_teardown(test_what_follows_the_end_mark_is_no_damage, tarball_reset),
            cmocka_unit_test_teardown(test_the_last_header_that_is_one_byte_away_is_displaced,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_half_an_end_mark_and_something_else_cost_the_last_member,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_zeros_of_a_displaced_member_are_no_end, tarball_reset),
            cmocka_unit_test_teardown(test_a_header_that_is_of_no_use_is_found_once, tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
