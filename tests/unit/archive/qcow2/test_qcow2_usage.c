/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 and QED images whose clusters are in use for two things, for none, or not where they were.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/qcow2_fixture.h"

static bool says(const struct cluster_image *f, const char *word)
{
        return image_damage_says(&f->image, word);
}

/* ---- in use twice ---- */

static void test_a_cluster_that_is_counted_once_and_named_twice(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 1, DATA + CLUSTER);
        qcow2_map(f, 2, DATA);
        qcow2_count(f, DATA / CLUSTER, -1);
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect(d, 1, 4);
        cluster_expect_lost(d, 2);
        assert_true(says(f, "named for two things"));
        cluster_image_free(f);
}

static void test_a_cluster_that_is_shared_by_its_count(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 2, DATA);
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 3);
        cluster_expect(d, 2, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

static void test_clusters_that_lie_on_tables(void **state)
{
        static const uint64_t tables[] = {0x1000, 0x2000, QCOW2_REFTABLE, QCOW2_REFBLOCK};

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                struct cluster_image *f = qcow2_start();

                qcow2_put64(f, L2 + 8, tables[i]);
                cluster_expect_lost(cluster_image_scan(f), 1);
                cluster_image_free(f);
        }
}

static void test_compressed_clusters_share_what_no_other_may(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_deflate(f->bytes + DATA, 512, CLUSTER);
        qcow2_deflate(f->bytes + DATA + 512, 512, CLUSTER);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        qcow2_map(f, 1, qcow2_compressed(DATA + 512, 1));
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 0);
        cluster_expect(d, 1, 0);
        assert_int_equal(index_damage_count(f->image.index), 0);
        index_close(f->image.index);
        qcow2_map(f, 2, DATA);
        d = cluster_image_scan(f);
        for (unsigned i = 0; i < 3; i++)
                cluster_expect_lost(d, i);
        cluster_image_free(f);
}

/* Whatever the counts say: no program writes that, and the work it costs would have no bound. */
static void test_a_table_at_two_places_of_one_disk(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_put64(f, 24, (uint64_t)ENTRIES * SPAN);
        qcow2_put32(f, 36, ENTRIES);
        for (size_t i = 0; i < ENTRIES; i++)
                qcow2_put64(f, L1 + 8 * i, L2);
        qcow2_count(f, L2 / CLUSTER, ENTRIES - 1);
        for (unsigned i = 0; i < ENTRIES; i += 2)
                qcow2_map(f, i, DATA);
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.stored, 0);
        assert_int_equal(d->totals.lost, (uint64_t)ENTRIES * SPAN);
        assert_true(index_damage_count(f->image.index) <= 2);
        cluster_image_free(f);
}

/* A file of more clusters than there are bits for, nearly all of it a hole. */
static void test_a_file_that_is_too_large_to_be_compared_is_read(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 2, DATA);
        qcow2_count(f, DATA / CLUSTER, -1);
        assert_int_equal(ftruncate(f->image.fd, (off_t)CLUSTER << 32), 0);
        cluster_expect(cluster_image_scan(f), 2, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        assert_non_null(strstr(index_info(f->image.index)->note, "too large for vmafs to look"));
        cluster_image_free(f);
}

/* Even where every count allows it. */
static void test_a_cluster_that_all_of_a_disk_shares(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        for (unsigned i = 0; i < ENTRIES; i++)
                qcow2_map(f, i, DATA);
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.stored, 0);
        assert_true(says(f, "more is mapped than a sound image"));
        cluster_image_free(f);
}

/* ---- counts ---- */

static void test_a_cluster_that_is_named_and_not_counted(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 1, DATA + CLUSTER);
        qcow2_count(f, DATA / CLUSTER, -1);
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect(d, 1, 4);
        cluster_image_free(f);
}

static void test_the_counts_of_a_dirty_image_are_too_low(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put64(f, 72, 1);
        qcow2_map(f, 0, DATA);
        qcow2_count(f, DATA / CLUSTER, -1);
        cluster_expect(cluster_image_scan(f), 0, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

static void test_a_cluster_that_is_counted_and_not_named(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_count(f, 11, 1);
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 3);
        cluster_expect(d, 1, 0);
        assert_true(says(f, "leaked clusters: 1; QEMU was killed, or a table has lost entries"));
        assert_int_equal(index_damage_count(f->image.index), 1);
        assert_int_equal(index_doubt_count(f->image.index), 1);
        cluster_image_free(f);
}

static void test_a_leaked_cluster_of_zeros_takes_nothing_away(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_count(f, 11, 1);
        memset(f->bytes + 11 * CLUSTER, 0, CLUSTER);
        cluster_expect(cluster_image_scan(f), 0, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        assert_non_null(
            strstr(index_info(f->image.index)->note, "leaked clusters, which are empty"));
        cluster_image_free(f);
}

static void test_one_byte_in_a_leaked_cluster_is_enough_for_doubt(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_count(f, 11, 1);
        qcow2_count(f, 12, 1);
        memset(f->bytes + 11 * CLUSTER, 0, 2 * CLUSTER);
        f->bytes[13 * CLUSTER - 1] = 1;
        cluster_expect(cluster_image_scan(f), 0, 3);
        assert_true(says(f, "leaked clusters: 1;"));
        assert_int_equal(index_doubt_count(f->image.index), 1);
        cluster_image_free(f);
}

/* Its last bytes may be zeros, and lie in the next cluster. */
static void test_zeros_after_compressed_clusters_may_be_the_end_of_one(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_map(f, 0, qcow2_compressed(12 * CLUSTER, 1));
        qcow2_count(f, 13, 1);
        memset(f->bytes + 13 * CLUSTER, 0, CLUSTER);
        cluster_image_scan(f);
        assert_true(says(f, "leaked clusters: 1;"));
        cluster_image_free(f);
}

/* Nothing tells which holes are none. */
static void test_holes_are_lost_where_a_table_was_overwritten(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        for (unsigned i = 0; i < 6; i++)
                qcow2_map(f, i, DATA + i * CLUSTER);
        memset(f->bytes + L2, 0, CLUSTER);
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
        f = qcow2_start();
        for (unsigned i = 0; i < 6; i++)
                qcow2_map(f, i, DATA + i * CLUSTER);
        memset(f->bytes + L1, 0, CLUSTER);
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

static void test_without_its_table_of_counts_an_image_is_read(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_put64(f, 48, CLUSTERS * CLUSTER);
        cluster_expect(cluster_image_scan(f), 0, 3);
        assert_true(says(f, "table of reference counts is not there"));
        cluster_image_free(f);
}

/* ---- the file's end ---- */

enum { LAST = 11 * CLUSTER, CUT = 1536 };

/* Cluster 1 of the disk is the file's last one, and LEN bytes of it are there. */
static struct cluster_image *cut_in_last(size_t len)
{
        struct cluster_image *f = qcow2_start();

        qcow2_map(f, 0, DATA);
        qcow2_map(f, 1, LAST);
        f->len = LAST + len;
        return f;
}

static void test_where_a_disk_ended_that_has_grown_zeros_follow(void **state)
{
        struct cluster_image *f = cut_in_last(CUT);
        struct disk *d = cluster_image_scan(f);
        uint8_t block[CLUSTER];

        (void)state;
        cluster_expect(d, 0, 3);
        assert_int_equal(disk_read(d, block, CLUSTER, CLUSTER), CLUSTER);
        for (size_t i = 0; i < CLUSTER; i++)
                assert_int_equal(block[i], i < CUT ? LAST / CLUSTER : 0);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

static void expect_cut(struct cluster_image *f)
{
        struct disk *d = cluster_image_scan(f);

        cluster_expect(d, 0, 3);
        cluster_expect_lost(d, 1);
        assert_true(index_damage_count(f->image.index) > 0);
        cluster_image_free(f);
}

static void test_a_cluster_that_was_cut_off_is_lost(void **state)
{
        struct cluster_image *f = cut_in_last(CUT + 100);

        (void)state;
        expect_cut(f); /* no whole sectors */
        f = cut_in_last(CUT);
        qcow2_map(f, 7, DATA + CLUSTER);
        expect_cut(f); /* the disk goes on with data */
        f = cut_in_last(CUT);
        qcow2_map(f, 7, LAST + CLUSTER);
        expect_cut(f); /* so does the file */
        f = cut_in_last(CUT);
        qcow2_put64(f, 24, 2 * CLUSTER);
        expect_cut(f); /* the disk ends here, with all of the cluster */
}

static void test_what_was_inserted_displaces_everything(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        f->len = LAST + 100;
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN);
        assert_true(says(f, "something was inserted"));
        cluster_image_free(f);
        /* Zeros after the end are padding. */
        f = qcow2_start();
        qcow2_map(f, 0, DATA);
        f->len = LAST + 100;
        memset(f->bytes + LAST, 0, 100);
        cluster_expect(cluster_image_scan(f), 0, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_cluster_that_is_counted_once_and_named_twice),
            cmocka_unit_test(test_a_cluster_that_is_shared_by_its_count),
            cmocka_unit_test(test_clusters_that_lie_on_tables),
            cmocka_unit_test(test_compressed_clusters_share_what_no_other_may),
            cmocka_unit_test(test_a_table_at_two_places_of_one_disk),
            cmocka_unit_test(test_a_cluster_that_all_of_a_disk_shares),
            cmocka_unit_test(test_a_file_that_is_too_large_to_be_compared_is_read),
            cmocka_unit_test(test_a_cluster_that_is_named_and_not_counted),
            cmocka_unit_test(test_the_counts_of_a_dirty_image_are_too_low),
            cmocka_unit_test(test_a_cluster_that_is_counted_and_not_named),
            cmocka_unit_test(test_a_leaked_cluster_of_zeros_takes_nothing_away),
            cmocka_unit_test(test_one_byte_in_a_leaked_cluster_is_enough_for_doubt),
            cmocka_unit_test(test_zeros_after_compressed_clusters_may_be_the_end_of_one),
            cmocka_unit_test(test_holes_are_lost_where_a_table_was_overwritten),
            cmocka_unit_test(test_without_its_table_of_counts_an_image_is_read),
            cmocka_unit_test(test_where_a_disk_ended_that_has_grown_zeros_follow),
            cmocka_unit_test(test_a_cluster_that_was_cut_off_is_lost),
            cmocka_unit_test(test_what_was_inserted_displaces_everything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
