/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of an arena are zeros, aligned and apart from each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "index/tree/arena.h"

static void pieces_do_not_overlap(void **state)
{
        enum { PIECES = 1000 };
        struct arena a = {0};
        unsigned char *at[PIECES];

        (void)state;
        for (size_t i = 0; i < PIECES; i++) {
                size_t size = 1 + i * 37 % ARENA_MAX;

                at[i] = arena_get(&a, size);
                assert_non_null(at[i]);
                assert_int_equal((uintptr_t)at[i] % sizeof(void *), 0);
                for (size_t k = 0; k < size; k++)
                        assert_int_equal(at[i][k], 0);
                memset(at[i], (int)(1 + i % 255), size);
        }
        for (size_t i = 0; i < PIECES; i++)
                for (size_t k = 0; k < 1 + i * 37 % ARENA_MAX; k++)
                        assert_int_equal(at[i][k], 1 + i % 255);
        assert_true(a.blocks.count > 1);
        arena_fini(&a);
        assert_int_equal(a.blocks.count, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(pieces_do_not_overlap),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
