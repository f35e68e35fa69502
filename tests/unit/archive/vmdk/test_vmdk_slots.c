/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often each of many things of one size is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/vmdk/vmdk_slots.h"

enum { COUNT = 1000 };

static void expect_run(const struct vmdk_slots *s, uint64_t from, uint64_t first, uint64_t count,
                       bool twice)
{
        struct vmdk_slot_run run;

        assert_true(vmdk_slots_next(s, from, &run));
        assert_int_equal(run.first, first);
        assert_int_equal(run.count, count);
        assert_int_equal(run.twice, twice);
}

static void add(struct vmdk_slots *s, uint64_t from, uint64_t to)
{
        for (uint64_t i = from; i < to; i++)
                assert_int_equal(vmdk_slots_add(s, COUNT, i), 0);
}

static void test_nothing_is_named_at_first(void **state)
{
        struct vmdk_slots s = {0};
        struct vmdk_slot_run run;

        (void)state;
        assert_false(vmdk_slots_next(&s, 0, &run));
        vmdk_slots_fini(&s);
}

static void test_runs_end_where_it_becomes_other(void **state)
{
        struct vmdk_slots s = {0};
        struct vmdk_slot_run run;

        (void)state;
        add(&s, 3, 200);
        add(&s, 64, 128);
        add(&s, 127, 128);
        add(&s, COUNT - 1, COUNT);
        expect_run(&s, 0, 3, 61, false);
        expect_run(&s, 5, 5, 59, false);
        expect_run(&s, 64, 64, 64, true);
        expect_run(&s, 128, 128, 72, false);
        expect_run(&s, 200, COUNT - 1, 1, false);
        assert_false(vmdk_slots_next(&s, COUNT, &run));
        vmdk_slots_fini(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing_is_named_at_first),
            cmocka_unit_test(test_runs_end_where_it_becomes_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
