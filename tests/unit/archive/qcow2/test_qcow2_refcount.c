/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reference counts of 1 to 64 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/qcow2/qcow2_refcount.h"

/* Count number I of those at P, which have 2^ORDER bits, becomes V, of which these bits fit. */
static void put(uint8_t *p, size_t i, unsigned order, uint64_t v)
{
        unsigned bits = 1U << order;

        for (unsigned b = 0; b < bits; b++) {
                /* Of a byte the lowest bits come first, of a number the highest byte. */
                size_t bit = order < 3 ? i * bits + b : i * bits + (bits - 8 - b / 8 * 8) + b % 8;

                if (v >> b & 1)
                        p[bit / 8] |= (uint8_t)(1U << bit % 8);
                else
                        p[bit / 8] &= (uint8_t) ~(1U << bit % 8);
        }
}

static void test_counts_of_every_width(void **state)
{
        (void)state;
        for (unsigned order = 0; order <= 6; order++) {
                uint64_t most = order == 6 ? UINT64_MAX : (UINT64_C(1) << (1U << order)) - 1;
                uint8_t p[64 * 8] = {0};
                struct qcow2_count_bits bits;

                put(p, 0, order, most);
                put(p, 5, order, 1);
                put(p, 62, order, most);
                put(p, 63, order, 1);
                bits = qcow2_load_counts(p, order);
                assert_true(bits.used == (1 | UINT64_C(1) << 5 | UINT64_C(3) << 62));
                assert_true(bits.shared == (order ? 1 | UINT64_C(1) << 62 : 0));
        }
}

static void test_counts_that_are_all_alike(void **state)
{
        (void)state;
        for (unsigned order = 0; order <= 6; order++) {
                uint8_t p[64 * 8] = {0};
                struct qcow2_count_bits bits = qcow2_load_counts(p, order);

                assert_true(bits.used == 0 && bits.shared == 0);
                for (size_t i = 0; i < 64; i++)
                        put(p, i, order, 1);
                bits = qcow2_load_counts(p, order);
                assert_true(bits.used == UINT64_MAX && bits.shared == 0);
                put(p, 40, order, 0);
                bits = qcow2_load_counts(p, order);
                assert_true(bits.used == ~(UINT64_C(1) << 40) && bits.shared == 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_counts_of_every_width),
            cmocka_unit_test(test_counts_that_are_all_alike),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
