/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pieces stay in memory, and which go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/source/remote/range_cache.h"

enum { MAX = 4 };

static struct range_cache *new_cache(void)
{
        struct range_cache *c;

        assert_int_equal(range_cache_new(MAX, &c), 0);
        return c;
}

static void add_ready(struct range_cache *c, uint32_t object, uint64_t number)
{
        struct range_piece *p = range_cache_add(c, object, number);

        assert_non_null(p);
        p->state = RANGE_READY;
        range_cache_let_go(c, p);
}

static void test_the_one_used_longest_ago_goes(void **state)
{
        struct range_cache *c = new_cache();
        struct range_piece *p;

        (void)state;
        for (uint64_t i = 0; i < MAX; i++)
                add_ready(c, 0, i);
        p = range_cache_find(c, 0, 0);
        range_cache_hold(c, p);
        range_cache_let_go(c, p);
        add_ready(c, 0, 10);
        assert_non_null(range_cache_find(c, 0, 0));
        assert_null(range_cache_find(c, 0, 1));
        assert_non_null(range_cache_find(c, 0, 2));
        range_cache_free(c);
}

static void test_objects_are_apart(void **state)
{
        struct range_cache *c = new_cache();

        (void)state;
        add_ready(c, 0, 7);
        assert_null(range_cache_find(c, 1, 7));
        add_ready(c, 1, 7);
        assert_ptr_not_equal(range_cache_find(c, 0, 7), range_cache_find(c, 1, 7));
        range_cache_free(c);
}

static void test_what_is_held_stays(void **state)
{
        struct range_cache *c = new_cache();

        (void)state;
        for (uint64_t i = 0; i < MAX; i++)
                assert_non_null(range_cache_add(c, 0, i));
        assert_int_equal(range_cache_room(c), 0);
        assert_null(range_cache_add(c, 0, MAX));
        range_cache_find(c, 0, 2)->state = RANGE_READY;
        range_cache_let_go(c, range_cache_find(c, 0, 2));
        assert_int_equal(range_cache_room(c), 1);
        assert_non_null(range_cache_add(c, 0, MAX));
        assert_null(range_cache_find(c, 0, 2));
        range_cache_free(c);
}

static void test_what_failed_goes_with_the_last_that_holds_it(void **state)
{
        struct range_cache *c = new_cache();
        struct range_piece *p = range_cache_add(c, 0, 1);

        (void)state;
        range_cache_hold(c, p);
        p->state = RANGE_FAILED;
        range_cache_let_go(c, p);
        assert_ptr_equal(range_cache_find(c, 0, 1), p);
        range_cache_let_go(c, p);
        assert_null(range_cache_find(c, 0, 1));
        assert_int_equal(range_cache_room(c), MAX);
        range_cache_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_the_one_used_longest_ago_goes),
            cmocka_unit_test(test_objects_are_apart),
            cmocka_unit_test(test_what_is_held_stays),
            cmocka_unit_test(test_what_failed_goes_with_the_last_that_holds_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
