/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of clusters: once, twice, by what is compressed, past the file's end; and L2 tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/qcow2/qcow2_claims.h"

enum { FILE_CLUSTERS = 100000 };

static struct qcow2_claims start(void)
{
        struct qcow2_claims c;

        assert_true(qcow2_claims_init(&c, FILE_CLUSTERS));
        return c;
}

static void expect(const struct qcow2_claims *c, enum qcow2_plane plane, uint64_t first,
                   uint64_t count)
{
        for (uint64_t i = 0; i < FILE_CLUSTERS; i++)
                if (qcow2_planes_get(&c->planes, plane, i) != (i >= first && i < first + count))
                        fail_msg("plane %d, cluster %llu", (int)plane, (unsigned long long)i);
}

static void test_ranges_of_any_length_are_named(void **state)
{
        static const uint64_t ranges[][2] = {{0, 1},   {63, 1},  {63, 2},      {64, 64},
                                             {1, 300}, {7, 121}, {32700, 200}, {99990, 10}};

        (void)state;
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
                struct qcow2_claims c = start();

                qcow2_claim(&c, ranges[i][0], ranges[i][1]);
                expect(&c, PLANE_NAMED, ranges[i][0], ranges[i][1]);
                expect(&c, PLANE_TWICE, 0, 0);
                assert_int_equal(c.bad, 0);
                qcow2_claims_fini(&c);
        }
}

static void test_what_is_named_again_is_noted(void **state)
{
        struct qcow2_claims c = start();

        (void)state;
        qcow2_claim(&c, 10, 100);
        qcow2_claim(&c, 100, 100);
        expect(&c, PLANE_NAMED, 10, 190);
        expect(&c, PLANE_TWICE, 100, 10);
        assert_int_equal(c.bad, 0); /* the reference counts decide */
        qcow2_claims_fini(&c);
}

static void test_compressed_clusters_share_with_each_other_alone(void **state)
{
        struct qcow2_claims c = start();

        (void)state;
        qcow2_claim_coded(&c, 10, 2);
        qcow2_claim_coded(&c, 11, 2);
        expect(&c, PLANE_CODED, 10, 3);
        expect(&c, PLANE_TWICE, 0, 0);
        assert_int_equal(c.bad, 0);
        qcow2_claim(&c, 12, 1);
        expect(&c, PLANE_BAD, 12, 1);
        expect(&c, PLANE_CODED, 10, 2);
        qcow2_claim(&c, 500, 1);
        qcow2_claim_coded(&c, 499, 2);
        assert_int_equal(c.bad, 2);
        assert_true(qcow2_planes_get(&c.planes, PLANE_BAD, 500));
        assert_false(qcow2_planes_get(&c.planes, PLANE_BAD, 499));
        qcow2_claims_fini(&c);
}

static void test_names_past_the_end_are_counted(void **state)
{
        struct qcow2_claims c = start();

        (void)state;
        qcow2_claim(&c, FILE_CLUSTERS - 3, 10);
        assert_int_equal(c.past, 7);
        expect(&c, PLANE_NAMED, FILE_CLUSTERS - 3, 3);
        qcow2_claim(&c, UINT64_MAX / 2, 5);
        qcow2_claim_coded(&c, FILE_CLUSTERS, 1);
        assert_int_equal(c.past, 13);
        qcow2_mark_bad(&c, FILE_CLUSTERS);
        assert_int_equal(c.bad, 1);
        assert_false(c.bad_lost);
        qcow2_claims_fini(&c);
}

static void test_what_is_beside_lies_on_nothing(void **state)
{
        struct qcow2_claims c = start();

        (void)state;
        qcow2_claim(&c, 10, 1);
        assert_true(qcow2_claim_beside(&c, 11, 3));
        assert_false(qcow2_claim_beside(&c, 13, 1));
        assert_false(qcow2_claim_beside(&c, 8, 5));
        assert_false(qcow2_is_claimed(&c, 11));
        qcow2_claims_fini(&c);
}

static void test_tables_are_seen_by_each_disk(void **state)
{
        struct qcow2_claims c = start();
        struct qcow2_seen *seen;

        (void)state;
        for (uint32_t disk = 1; disk <= 3; disk++)
                for (uint64_t i = 0; i < 20000; i++)
                        assert_int_equal(qcow2_see_table(&c, 3 * i, disk, &seen),
                                         disk == 1 ? QCOW2_FIRST_SEEN : QCOW2_SEEN_IN_OTHER);
        assert_int_equal(qcow2_see_table(&c, 3, 3, &seen), QCOW2_SEEN_HERE);
        assert_int_equal(qcow2_see_table(&c, 4, 3, &seen), QCOW2_FIRST_SEEN);
        assert_false(c.full);
        qcow2_claims_fini(&c);
}

/* Hostile tables are without end; what is noted of them is not. */
static void test_more_tables_than_there_is_room_for(void **state)
{
        struct qcow2_claims c;
        struct qcow2_seen *seen;
        uint64_t i = 0;

        (void)state;
        assert_true(qcow2_claims_init(&c, UINT64_C(1) << 31));
        while (i < UINT64_C(1) << 24 && qcow2_see_table(&c, i, 1, &seen) == QCOW2_FIRST_SEEN)
                i++;
        assert_true(c.full);
        assert_true(i < UINT64_C(1) << 23);
        assert_true(c.seen_size * sizeof *c.seen <= (size_t)48 << 20);
        qcow2_claims_fini(&c);
}

static void test_more_clusters_than_there_is_room_for(void **state)
{
        struct qcow2_claims c;

        (void)state;
        assert_true(qcow2_claims_init(&c, UINT64_C(1) << 31));
        for (uint64_t i = 0; i < UINT64_C(1) << 31; i += 1 << QCOW2_CHUNK_BITS)
                qcow2_claim(&c, i, 1);
        assert_true(c.full);
        assert_true(c.planes.chunks * 4096 <= (size_t)48 << 20);
        /* What is bad, and cannot be noted, must not be forgotten. */
        qcow2_mark_bad(&c, 0);
        assert_true(c.bad_lost);
        qcow2_claims_fini(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ranges_of_any_length_are_named),
            cmocka_unit_test(test_what_is_named_again_is_noted),
            cmocka_unit_test(test_compressed_clusters_share_with_each_other_alone),
            cmocka_unit_test(test_names_past_the_end_are_counted),
            cmocka_unit_test(test_what_is_beside_lies_on_nothing),
            cmocka_unit_test(test_tables_are_seen_by_each_disk),
            cmocka_unit_test(test_more_tables_than_there_is_room_for),
            cmocka_unit_test(test_more_clusters_than_there_is_room_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
