/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/stream/readahead.h"

enum { NEAR = 2, DEPTH = 4, REACH = 20 };

static struct readahead readahead;

static int set_up(void **state)
{
        (void)state;
        readahead = (struct readahead){0};
        readahead_init(&readahead);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        readahead_fini(&readahead);
        return 0;
}

/* Segment INDEX is read: [FIRST, END) is asked for; both 0: nothing. */
static void expect(size_t index, size_t first, size_t end)
{
        size_t from, to;

        readahead_note(&readahead, index, NEAR, DEPTH, &from, &to);
        if (from < to || end > 0) {
                assert_int_equal(from, first);
                assert_int_equal(to, end);
        }
}

static void read_through(size_t from, size_t to)
{
        size_t first, end;

        for (size_t i = from; i < to; i++)
                readahead_note(&readahead, i, NEAR, DEPTH, &first, &end);
}

static void test_who_moves_on_has_more_decoded(void **state)
{
        (void)state;
        expect(7, 0, 0);
        expect(7, 0, 0);
        expect(8, 9, 13);
        expect(8, 0, 0);
        expect(9, 13, 14);
}

static void test_who_jumps_has_nothing_decoded(void **state)
{
        (void)state;
        expect(7, 0, 0);
        expect(100, 0, 0);
        expect(50, 0, 0);
}

/* A reader's requests overtake each other. */
static void test_order_of_requests_does_not_matter(void **state)
{
        (void)state;
        expect(7, 0, 0);
        expect(9, 10, 14);
        expect(8, 0, 0);
        expect(10, 14, 15);
        assert_false(readahead_followed(&readahead, 10, NEAR, REACH));
}

static void test_two_readers_are_told_apart(void **state)
{
        (void)state;
        expect(7, 0, 0);
        expect(30, 0, 0);
        expect(8, 9, 13);
        expect(31, 32, 36);
        expect(9, 13, 14);
        expect(32, 36, 37);
}

static void test_who_is_alone_is_not_followed(void **state)
{
        (void)state;
        for (size_t i = 0; i < 50; i++) {
                read_through(i, i + 1);
                assert_false(readahead_followed(&readahead, i, NEAR, REACH));
        }
}

static void test_who_has_somebody_behind_is_followed(void **state)
{
        (void)state;
        read_through(0, 3);
        read_through(10, 15);
        assert_true(readahead_followed(&readahead, 14, NEAR, REACH));
        assert_false(readahead_followed(&readahead, 2, NEAR, REACH));
}

/* What lies between would not fit the cache. */
/* Or what was read ahead of its turn would have its reader follow himself. */
static void test_who_catches_up_follows_no_more(void **state)
{
        (void)state;
        read_through(10, 12);
        read_through(0, 20);
        assert_false(readahead_followed(&readahead, 19, NEAR, REACH));
}

static void test_who_is_far_behind_does_not_count(void **state)
{
        (void)state;
        read_through(0, 3);
        read_through(30, 33);
        assert_false(readahead_followed(&readahead, 32, NEAR, REACH));
}

static void test_who_reads_at_random_does_not_follow(void **state)
{
        (void)state;
        read_through(5, 6);
        read_through(10, 15);
        assert_false(readahead_followed(&readahead, 14, NEAR, REACH));
}

static void test_who_has_stopped_does_not_follow(void **state)
{
        (void)state;
        read_through(0, 3);
        read_through(10, 15);
        for (size_t i = 0; i < 300; i++)
                read_through(14, 15);
        assert_false(readahead_followed(&readahead, 14, NEAR, REACH));
}

static void test_more_readers_than_tracks(void **state)
{
        (void)state;
        for (size_t i = 0; i < 3 * (size_t)READAHEAD_TRACKS; i++)
                expect(i * 100, 0, 0);
        /* The last one's is still there. */
        expect((3 * (size_t)READAHEAD_TRACKS - 1) * 100 + 1,
               (3 * (size_t)READAHEAD_TRACKS - 1) * 100 + 2,
               (3 * (size_t)READAHEAD_TRACKS - 1) * 100 + 2 + DEPTH);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_who_moves_on_has_more_decoded, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_who_jumps_has_nothing_decoded, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_order_of_requests_does_not_matter, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_two_readers_are_told_apart, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_who_is_alone_is_not_followed, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_who_has_somebody_behind_is_followed, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_who_catches_up_follows_no_more, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_who_is_far_behind_does_not_count, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_who_reads_at_random_does_not_follow, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_who_has_stopped_does_not_follow, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_more_readers_than_tracks, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
