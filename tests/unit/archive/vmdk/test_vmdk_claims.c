/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who gets which sectors of a sparse VMDK. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/vmdk/vmdk_claims.h"
#include "tests/fixtures/stream_fixture.h"

enum { GRAIN = 128 };

static void claim(struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector, uint64_t count)
{
        assert_int_equal(vmdk_claims_add(c, who, sector, count), 0);
}

static void expect_won(const struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector,
                       uint64_t count, bool won)
{
        if (vmdk_claims_won(c, who, sector, count) != won)
                fail_msg("claimant %d, sector %llu", who, (unsigned long long)sector);
}

/* A disk that was written to all over: many grains, but no more memory than for a few. */
static void test_grains_in_any_order_join(void **state)
{
        static uint32_t order[1 << 17];
        const uint32_t n = sizeof order / sizeof *order;
        struct vmdk_claims c = {0};
        uint64_t seed = 5;
        size_t most = 0;

        (void)state;
        for (uint32_t i = 0; i < n; i++)
                order[i] = i;
        for (uint32_t i = n - 1; i > 0; i--) {
                uint32_t k = (uint32_t)(fixture_random(&seed) % (i + 1)), swap = order[i];

                order[i] = order[k];
                order[k] = swap;
        }
        for (uint32_t i = 0; i < n; i++) {
                claim(&c, CLAIM_GRAIN, (uint64_t)order[i] * GRAIN, GRAIN);
                most = c.room > most ? c.room : most;
        }
        vmdk_claims_sort(&c);
        assert_int_equal(c.count, 1);
        assert_true(most <= n / 2);
        vmdk_claims_fini(&c);
}

/* What wins and what is claimed by nobody must not depend on where claims are kept. */
static void test_grains_in_slots_are_as_those_in_the_list(void **state)
{
        enum { FILE_END = 40 * GRAIN };
        uint64_t seed = 8;

        (void)state;
        for (unsigned turn = 0; turn < 300; turn++) {
                struct vmdk_claims_walk w[2] = {0};
                struct vmdk_claims c[2] = {0};
                struct vmdk_range gap[2];
                uint64_t at[2] = {0, 0};
                bool more = true;

                vmdk_claims_start(&c[1], GRAIN, FILE_END);
                for (unsigned i = 0; i < turn % 40; i++) {
                        uint64_t sector = fixture_random(&seed) % 40 * GRAIN + turn % GRAIN;
                        enum vmdk_claimant who = fixture_random(&seed) % CLAIMANTS;

                        sector += fixture_random(&seed) % 8 == 0;
                        for (int k = 0; k < 2; k++)
                                claim(&c[k], who, sector, who < CLAIM_GRAIN ? 4 : GRAIN);
                }
                for (int k = 0; k < 2; k++) {
                        vmdk_claims_sort(&c[k]);
                        assert_int_equal(vmdk_claims_settle(&c[k], CLAIMS_OF_ALL), 0);
                }
                for (uint64_t sector = 0; sector < FILE_END; sector += 3)
                        for (unsigned who = 0; who < CLAIMANTS; who++)
                                expect_won(&c[1], who, sector, GRAIN,
                                           vmdk_claims_won(&c[0], who, sector, GRAIN));
                while (more) {
                        more = vmdk_claims_gap(&c[0], &w[0], &at[0], FILE_END, &gap[0]);
                        assert_int_equal(vmdk_claims_gap(&c[1], &w[1], &at[1], FILE_END, &gap[1]),
                                         more);
                        if (more)
                                assert_memory_equal(&gap[0], &gap[1], sizeof gap[0]);
                }
                vmdk_claims_fini(&c[0]);
                vmdk_claims_fini(&c[1]);
        }
}

/* So many that are nowhere near one another: a hostile file must not take what memory it wants. */
static void test_there_is_an_end_to_claims_in_the_list(void **state)
{
        struct vmdk_claims c = {0};
        int rc = 0;

        (void)state;
        for (uint64_t i = 0; i <= CLAIMS_MAX && rc == 0; i++)
                rc = vmdk_claims_add(&c, CLAIM_GRAIN, 1 + i * 200, GRAIN);
        assert_int_equal(rc, -E2BIG);
        vmdk_claims_fini(&c);
}

static void test_what_one_claims_is_its(void **state)
{
        struct vmdk_claims c = {0};
        uint64_t tables, copy;

        (void)state;
        claim(&c, CLAIM_FIXED, 0, 1);
        claim(&c, CLAIM_GRAIN, 300, GRAIN);
        claim(&c, CLAIM_TABLES, 1, 4);
        claim(&c, CLAIM_TABLE_GRAIN, 300 + GRAIN, GRAIN);
        vmdk_claims_sort(&c);
        vmdk_claims_weigh(&c, &tables, &copy);
        assert_int_equal(tables, 0);
        assert_int_equal(copy, 0);
        assert_int_equal(vmdk_claims_settle(&c, CLAIMS_OF_ALL), 0);
        expect_won(&c, CLAIM_TABLES, 1, 4, true);
        expect_won(&c, CLAIM_GRAIN, 300, GRAIN, true);
        expect_won(&c, CLAIM_TABLE_GRAIN, 300 + GRAIN, GRAIN, true);
        vmdk_claims_fini(&c);
}

static void test_the_better_claim_wins_and_equal_ones_lose(void **state)
{
        struct vmdk_claims c = {0};

        (void)state;
        claim(&c, CLAIM_TABLES, 100, 4);
        claim(&c, CLAIM_GRAIN, 103, GRAIN); /* over a table */
        claim(&c, CLAIM_GRAIN, 1000, GRAIN);
        claim(&c, CLAIM_COPY_GRAIN, 1001, GRAIN); /* over what both name */
        claim(&c, CLAIM_GRAIN, 2000, GRAIN);
        claim(&c, CLAIM_GRAIN, 2000 + GRAIN - 1, GRAIN); /* of one kind */
        claim(&c, CLAIM_TABLES, 3000, 4);
        claim(&c, CLAIM_COPY_TABLES, 3003, 4);
        vmdk_claims_sort(&c);
        assert_int_equal(vmdk_claims_settle(&c, CLAIMS_OF_ALL), 0);
        expect_won(&c, CLAIM_TABLES, 100, 4, true);
        expect_won(&c, CLAIM_GRAIN, 103, GRAIN, false);
        expect_won(&c, CLAIM_GRAIN, 1000, GRAIN, true);
        expect_won(&c, CLAIM_COPY_GRAIN, 1001, GRAIN, false);
        expect_won(&c, CLAIM_GRAIN, 2000, GRAIN, false);
        expect_won(&c, CLAIM_GRAIN, 2000 + GRAIN - 1, GRAIN, false);
        expect_won(&c, CLAIM_TABLES, 3000, 4, false);
        expect_won(&c, CLAIM_COPY_TABLES, 3003, 4, false);
        /* The copy is out of use: what it claims counts no more. */
        assert_int_equal(vmdk_claims_settle(&c, CLAIMS_OF_ALL & ~CLAIMS_OF_COPY), 0);
        expect_won(&c, CLAIM_TABLES, 3000, 4, true);
        vmdk_claims_fini(&c);
}

static void test_contradictions_are_those_of_one_side(void **state)
{
        struct vmdk_claims c = {0};
        uint64_t tables, copy;

        (void)state;
        claim(&c, CLAIM_GRAIN, 1000, GRAIN);
        claim(&c, CLAIM_COPY_GRAIN, 1001, GRAIN);
        claim(&c, CLAIM_TABLE_GRAIN, 1000 + 2 * GRAIN, GRAIN);
        vmdk_claims_sort(&c);
        vmdk_claims_weigh(&c, &tables, &copy);
        assert_int_equal(tables, 0);
        assert_int_equal(copy, 1);
        vmdk_claims_fini(&c);
}

static void test_gaps_are_what_nobody_claims(void **state)
{
        static const struct vmdk_range expected[] = {{10, 100}, {228, 300}, {428, 500}};
        struct vmdk_claims c = {0};
        struct vmdk_range gap;
        uint64_t at = 10;
        struct vmdk_claims_walk w = {0};
        size_t n = 0;

        (void)state;
        claim(&c, CLAIM_GRAIN, 300, GRAIN);
        claim(&c, CLAIM_FIXED, 0, 5);
        claim(&c, CLAIM_GRAIN, 100, GRAIN);
        claim(&c, CLAIM_COPY_GRAIN, 110, 10);
        vmdk_claims_sort(&c);
        for (; vmdk_claims_gap(&c, &w, &at, 500, &gap); n++) {
                assert_true(n < 3);
                assert_int_equal(gap.start, expected[n].start);
                assert_int_equal(gap.end, expected[n].end);
        }
        assert_int_equal(n, 3);
        vmdk_claims_fini(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_grains_in_any_order_join),
            cmocka_unit_test(test_grains_in_slots_are_as_those_in_the_list),
            cmocka_unit_test(test_there_is_an_end_to_claims_in_the_list),
            cmocka_unit_test(test_what_one_claims_is_its),
            cmocka_unit_test(test_the_better_claim_wins_and_equal_ones_lose),
            cmocka_unit_test(test_contradictions_are_those_of_one_side),
            cmocka_unit_test(test_gaps_are_what_nobody_claims),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
