/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When more is fetched than was asked for, and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/source/remote/range_ahead.h"

enum { MIB = 1 << 20 };

static uint64_t note(struct range_ahead *a, uint64_t offset, uint64_t len)
{
        uint64_t first, end;

        range_ahead_note(a, offset, len, &first, &end);
        if (end > first)
                assert_true(first >= offset + len);
        return end - first;
}

static void test_reads_at_random_fetch_nothing_more(void **state)
{
        struct range_ahead a = {0};
        uint64_t at = 1;

        (void)state;
        for (int i = 0; i < 1000; i++) {
                at = at * 6364136223846793005U + 1442695040888963407U;
                assert_int_equal(note(&a, at >> 20 << 12, 4096), 0);
        }
}

static void test_a_reader_in_sequence_is_ahead_ever_more(void **state)
{
        struct range_ahead a = {0};
        uint64_t ahead = 0, most = 0, at = 0;

        (void)state;
        assert_int_equal(note(&a, 0, 65536), 0);
        assert_int_equal(note(&a, 65536, 65536), 0);
        for (at = 131072; at < 256 * (uint64_t)MIB; at += 65536) {
                uint64_t more = note(&a, at, 65536);

                ahead += more;
                most = more > most ? more : most;
                /* All that was read, and at most two windows. */
                assert_true(131072 + ahead <= at + 65536 + 2 * (uint64_t)RANGE_AHEAD_MAX);
        }
        assert_true(ahead + 131072 >= at);
        assert_in_range(most, RANGE_AHEAD_MAX / 2, RANGE_AHEAD_MAX);
}

static void test_two_readers_do_not_disturb_each_other(void **state)
{
        struct range_ahead a = {0};
        uint64_t one = 0, other = 0;

        (void)state;
        for (uint64_t at = 0; at < 16 * (uint64_t)MIB; at += 65536) {
                one += note(&a, at, 65536);
                other += note(&a, at + 1000 * (uint64_t)MIB, 65536);
        }
        assert_true(one >= 15 * MIB && other >= 15 * MIB);
}

static void test_reading_again_is_no_sequence(void **state)
{
        struct range_ahead a = {0};

        (void)state;
        for (uint64_t len = 4096; len <= MIB; len *= 2)
                assert_int_equal(note(&a, 0, len), 0);
}

static void test_what_was_announced_is_not_guessed_about(void **state)
{
        struct range_ahead a = {0};

        (void)state;
        range_ahead_announce(&a, 10 * MIB, 4 * MIB);
        for (uint64_t at = 10 * MIB; at < 14 * (uint64_t)MIB; at += 65536)
                assert_int_equal(note(&a, at, 65536), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_reads_at_random_fetch_nothing_more),
            cmocka_unit_test(test_a_reader_in_sequence_is_ahead_ever_more),
            cmocka_unit_test(test_two_readers_do_not_disturb_each_other),
            cmocka_unit_test(test_reading_again_is_no_sequence),
            cmocka_unit_test(test_what_was_announced_is_not_guessed_about),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
