/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/cache/bufpool.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* A buffer of LEN bytes, all of them written to. */
static struct buffer used_buffer(struct bufpool *s, size_t len)
{
        struct buffer b;

        assert_int_equal(bufpool_get(s, len, &b), 0);
        assert_true(b.capacity >= len);
        memset(b.data, 0x5a, len);
        if (b.touched < len)
                b.touched = len;
        return b;
}

static void test_what_was_put_is_used_again(void **state)
{
        struct bufpool s;
        struct buffer first, second;
        (void)state;

        bufpool_init(&s, MIB);
        first = used_buffer(&s, 100 * KIB);
        bufpool_put(&s, &first);
        assert_int_equal(s.bytes, 100 * KIB);
        second = used_buffer(&s, 128 * KIB);
        assert_ptr_equal(second.data, first.data);
        assert_int_equal(s.bytes, 0);
        bufpool_put(&s, &second);
        bufpool_fini(&s);
}

static void test_shrinking_frees_the_largest_first(void **state)
{
        struct bufpool s;
        struct buffer small, large;
        (void)state;

        bufpool_init(&s, 8 * MIB);
        small = used_buffer(&s, 100 * KIB);
        large = used_buffer(&s, 3 * MIB);
        bufpool_put(&s, &small);
        bufpool_put(&s, &large);
        assert_false(bufpool_shrink(&s, 4 * MIB));
        assert_int_equal(s.bytes, 3 * MIB + 100 * KIB);
        assert_true(bufpool_shrink(&s, 1 * MIB));
        assert_int_equal(s.bytes, 100 * KIB);
        assert_false(bufpool_shrink(&s, 1 * MIB));
        assert_true(bufpool_shrink(&s, 0));
        assert_false(bufpool_shrink(&s, 0));
        assert_int_equal(s.bytes, 0);
        bufpool_fini(&s);
}

/* A huge page of which one byte is used is 2 MiB of memory. */
static void test_large_buffers_take_whole_pages(void **state)
{
        struct bufpool s;
        struct buffer small, large;
        (void)state;

        bufpool_init(&s, MIB);
        assert_int_equal(bufpool_get(&s, 64 * KIB, &small), 0);
        assert_int_equal(bufpool_get(&s, 16 * MIB, &large), 0);
        assert_int_equal(buffer_memory(&small, 1), 1);
        assert_int_equal(buffer_memory(&large, 1), 2 * MIB);
        assert_int_equal(buffer_memory(&large, 4 * MIB), 4 * MIB);
        bufpool_put(&s, &small);
        bufpool_put(&s, &large);
        bufpool_fini(&s);
}

static void test_who_wants_more_gets_another(void **state)
{
        struct bufpool s;
        struct buffer small, large;
        (void)state;

        bufpool_init(&s, MIB);
        small = used_buffer(&s, 64 * KIB);
        bufpool_put(&s, &small);
        large = used_buffer(&s, 64 * KIB + 1);
        assert_ptr_not_equal(large.data, small.data);
        bufpool_put(&s, &large);
        bufpool_fini(&s);
}

/* Segments and what they are compressed to are of any size: they go round in the same buffers. */
static void test_large_ones_are_for_all_that_is_large(void **state)
{
        struct buffer b, again;
        struct bufpool s;
        (void)state;

        bufpool_init(&s, 32 * MIB);
        b = used_buffer(&s, 12 * MIB);
        bufpool_put(&s, &b);
        again = used_buffer(&s, 3 * MIB);
        assert_ptr_equal(again.data, b.data);
        assert_int_equal(again.touched, 12 * MIB);
        bufpool_put(&s, &again);
        again = used_buffer(&s, 16 * MIB);
        assert_ptr_equal(again.data, b.data);
        bufpool_put(&s, &again);
        bufpool_fini(&s);
}

static void test_least_that_is_enough_is_taken(void **state)
{
        struct buffer b[3], again;
        struct bufpool s;
        (void)state;

        bufpool_init(&s, 32 * MIB);
        for (size_t i = 0; i < 3; i++)
                b[i] = used_buffer(&s, (2 + i) * MIB);
        for (size_t i = 0; i < 3; i++)
                bufpool_put(&s, &b[i]);
        again = used_buffer(&s, 3 * MIB);
        assert_ptr_equal(again.data, b[1].data);
        bufpool_put(&s, &again);
        /* None is enough: the one that lacks least. */
        again = used_buffer(&s, 8 * MIB);
        assert_ptr_equal(again.data, b[2].data);
        bufpool_put(&s, &again);
        bufpool_fini(&s);
}

static void test_bound_holds(void **state)
{
        struct buffer b[5];
        struct bufpool s;
        (void)state;

        bufpool_init(&s, 300 * KIB);
        for (size_t i = 0; i < 5; i++)
                b[i] = used_buffer(&s, 128 * KIB);
        for (size_t i = 0; i < 5; i++) {
                bufpool_put(&s, &b[i]);
                assert_true(s.bytes <= 300 * KIB);
        }
        assert_int_equal(s.bytes, 256 * KIB);
        bufpool_fini(&s);
}

/* Else the pool fills with sizes that nobody wants any more, and none is ever used again. */
static void test_other_sizes_make_room(void **state)
{
        struct buffer old[4], b, again;
        struct bufpool s;
        (void)state;

        bufpool_init(&s, MIB);
        for (size_t i = 0; i < 4; i++)
                old[i] = used_buffer(&s, 256 * KIB);
        b = used_buffer(&s, 512 * KIB);
        for (size_t i = 0; i < 4; i++)
                bufpool_put(&s, &old[i]);
        assert_int_equal(s.bytes, MIB);
        bufpool_put(&s, &b);
        assert_int_equal(s.bytes, MIB);
        again = used_buffer(&s, 400 * KIB);
        assert_ptr_equal(again.data, b.data);
        bufpool_put(&s, &again);
        bufpool_fini(&s);
}

static void test_what_is_over_the_bound_is_not_kept(void **state)
{
        struct buffer small, huge;
        struct bufpool s;
        (void)state;

        bufpool_init(&s, MIB);
        small = used_buffer(&s, 64 * KIB);
        bufpool_put(&s, &small);
        huge = used_buffer(&s, 2 * MIB);
        bufpool_put(&s, &huge);
        assert_int_equal(s.bytes, 64 * KIB);
        bufpool_fini(&s);
}

/* Those are malloc's, of their own size, and nothing is kept of them here. */
static void test_small_buffers_are_not_pages(void **state)
{
        struct bufpool s;
        struct buffer b;
        (void)state;

        bufpool_init(&s, MIB);
        for (size_t len = 0; len < 64 * KIB; len += 5000) {
                b = used_buffer(&s, len);
                assert_int_equal(b.capacity, len);
                bufpool_put(&s, &b);
                assert_int_equal(s.bytes, 0);
        }
        bufpool_fini(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_was_put_is_used_again),
            cmocka_unit_test(test_shrinking_frees_the_largest_first),
            cmocka_unit_test(test_large_buffers_take_whole_pages),
            cmocka_unit_test(test_who_wants_more_gets_another),
            cmocka_unit_test(test_large_ones_are_for_all_that_is_large),
            cmocka_unit_test(test_least_that_is_enough_is_taken),
            cmocka_unit_test(test_bound_holds),
            cmocka_unit_test(test_other_sizes_make_room),
            cmocka_unit_test(test_what_is_over_the_bound_is_not_kept),
            cmocka_unit_test(test_small_buffers_are_not_pages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
