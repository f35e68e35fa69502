/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/order.h"

#define CLUSTER (UINT64_C(64) << 10)
#define MIB     (UINT64_C(1) << 20)

/* What is called a stray in the end, bytes. */
struct count {
        struct order o;
        uint64_t strays;
};

static void add(struct count *c, uint64_t addr, uint64_t len)
{
        uint64_t back;

        if (order_add(&c->o, addr, len, &back))
                c->strays += len;
        assert_true(back <= c->strays);
        c->strays -= back;
}

static void add_run(struct count *c, uint64_t addr, uint64_t len)
{
        for (uint64_t at = 0; at < len; at += CLUSTER)
                add(c, addr + at, CLUSTER);
}

static void test_archive_order(void **state)
{
        struct count c = {0};
        (void)state;

        add_run(&c, 500 * MIB, 300 * MIB);
        assert_int_equal(c.strays, 0);
}

static void test_single_clusters_far_away(void **state)
{
        struct count c = {0};
        (void)state;

        for (uint64_t i = 0; i < 20; i++) {
                add_run(&c, 500 * MIB + i * 10 * MIB, 10 * MIB);
                add(&c, i * 7 * MIB, CLUSTER);
        }
        assert_int_equal(c.strays, 20 * CLUSTER);
}

/* A guest writes near where it reads: what is near is decoded for the same reader. */
static void test_near_is_in_order(void **state)
{
        struct count c = {0};
        (void)state;

        add_run(&c, 500 * MIB, 10 * MIB);
        add(&c, 503 * MIB, CLUSTER);
        add(&c, 540 * MIB, CLUSTER);
        add_run(&c, 541 * MIB, 10 * MIB);
        assert_int_equal(c.strays, 0);
}

/* The disk goes on after another disk's data, and in the middle of that there is a stray. */
static void test_order_that_continues_elsewhere(void **state)
{
        struct count c = {0};
        (void)state;

        add_run(&c, 500 * MIB, 50 * MIB);
        add_run(&c, 900 * MIB, 2 * MIB);
        add(&c, 100 * MIB, CLUSTER);
        assert_true(c.strays > CLUSTER);
        add_run(&c, 902 * MIB, 50 * MIB);
        /* What was seen of it before the stray stays one. */
        assert_in_range(c.strays, CLUSTER, 3 * MIB);
        add_run(&c, 200 * MIB, 50 * MIB);
        assert_in_range(c.strays, CLUSTER, 3 * MIB);
}

/* A stray that comes before so much is in order that there is a line yet. */
static void test_strays_at_the_beginning(void **state)
{
        struct count c = {0};
        (void)state;

        for (uint64_t i = 0; i < 20; i++) {
                add_run(&c, 500 * MIB + i * MIB, MIB);
                add(&c, i * 97 % 20 * 200 * MIB + 2000 * MIB, CLUSTER);
        }
        assert_int_equal(c.strays, 20 * CLUSTER);
}

static void test_every_cluster_elsewhere(void **state)
{
        struct count c = {0};
        (void)state;

        for (uint64_t i = 0; i < 1000; i++)
                add(&c, i * 7919 % 1000 * 100 * MIB, CLUSTER);
        assert_true(c.strays >= 990 * CLUSTER);
}

/* Hostile: the largest addresses there are. */
static void test_large_addresses(void **state)
{
        struct count c = {0};
        (void)state;

        for (uint64_t i = 0; i < 100; i++)
                add(&c, (UINT64_C(1) << 62) - i * CLUSTER, CLUSTER);
        add(&c, 0, CLUSTER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_archive_order),
            cmocka_unit_test(test_single_clusters_far_away),
            cmocka_unit_test(test_near_is_in_order),
            cmocka_unit_test(test_order_that_continues_elsewhere),
            cmocka_unit_test(test_strays_at_the_beginning),
            cmocka_unit_test(test_every_cluster_elsewhere),
            cmocka_unit_test(test_large_addresses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
