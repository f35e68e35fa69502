/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grains that were found by their markers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/vmdk/vmdk_marked.h"

#define FAR (UINT64_C(3) << 32 | 5) /* in the last list */

static void expect_next(const struct vmdk_marked *m, uint64_t from, uint64_t number,
                        uint32_t sector)
{
        uint64_t at = from;
        uint32_t found;

        assert_true(vmdk_marked_next(m, &at, &found));
        assert_int_equal(at, number);
        assert_int_equal(found, sector);
}

static void test_the_next_grain_is_found(void **state)
{
        struct vmdk_marked m = {0};
        uint64_t none = 0;
        uint32_t sector;

        (void)state;
        assert_false(vmdk_marked_next(&m, &none, &sector));
        assert_int_equal(vmdk_marked_add(&m, 7, 128), 0);
        assert_int_equal(vmdk_marked_add(&m, FAR, 1000), 0);
        assert_int_equal(vmdk_marked_add(&m, UINT32_MAX, 300), 0);
        assert_int_equal(vmdk_marked_add(&m, 2, UINT32_MAX), 0);
        assert_int_equal(vmdk_marked_sort(&m), 0);
        expect_next(&m, 0, 2, UINT32_MAX);
        expect_next(&m, 2, 2, UINT32_MAX);
        expect_next(&m, 3, 7, 128);
        expect_next(&m, 8, UINT32_MAX, 300);
        expect_next(&m, UINT64_C(1) << 32, FAR, 1000);
        expect_next(&m, FAR, FAR, 1000);
        none = FAR + 1;
        assert_false(vmdk_marked_next(&m, &none, &sector));
        vmdk_marked_fini(&m);
}

static void test_what_is_there_twice_is_not_there(void **state)
{
        struct vmdk_marked m = {0};

        (void)state;
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(vmdk_marked_add(&m, 4, 100 + i), 0);
                assert_int_equal(vmdk_marked_add(&m, 9 - i, 200 + i), 0);
                assert_int_equal(vmdk_marked_add(&m, FAR, 300), 0);
        }
        assert_int_equal(vmdk_marked_sort(&m), 2);
        assert_int_equal(m.count, 3);
        expect_next(&m, 0, 7, 202);
        expect_next(&m, 9, 9, 200);
        vmdk_marked_fini(&m);
}

static void test_many_in_any_order(void **state)
{
        enum { MANY = 5000 };
        struct vmdk_marked m = {0};

        (void)state;
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(vmdk_marked_add(&m, i * 1237 % MANY * UINT64_C(2000000), i), 0);
        assert_int_equal(vmdk_marked_sort(&m), 0);
        assert_int_equal(m.count, MANY);
        for (uint32_t i = 0; i < MANY; i++)
                expect_next(&m, i * 1237 % MANY * UINT64_C(2000000), i * 1237 % MANY * 2000000UL,
                            i);
        vmdk_marked_fini(&m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_the_next_grain_is_found),
            cmocka_unit_test(test_what_is_there_twice_is_not_there),
            cmocka_unit_test(test_many_in_any_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
