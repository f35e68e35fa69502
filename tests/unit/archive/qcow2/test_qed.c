/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QED images made by hand: what is refused, what is lost, and that nothing hostile costs much. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/cluster_fixture.h"

enum {
        AT_CLUSTER_SIZE = 4,
        AT_TABLE_SIZE = 8,
        AT_HEADER_SIZE = 12,
        AT_FEATURES = 16,
        AT_L1_OFFSET = 40,
        AT_SIZE = 48,
        AT_BACKING_OFFSET = 56,
        AT_BACKING_LEN = 60,
};

/* An image with a disk of one L2 table, which maps nothing yet. */
static struct cluster_image *start(void)
{
        struct cluster_image *f = cluster_image_new();

        memcpy(f->bytes, "QED", 4);
        store_le32(f->bytes + AT_CLUSTER_SIZE, CLUSTER);
        store_le32(f->bytes + AT_TABLE_SIZE, 1);
        store_le32(f->bytes + AT_HEADER_SIZE, 1);
        store_le64(f->bytes + AT_L1_OFFSET, L1);
        store_le64(f->bytes + AT_SIZE, SPAN);
        store_le64(f->bytes + L1, L2);
        return f;
}

static void map_cluster(struct cluster_image *f, unsigned number, uint64_t entry)
{
        store_le64(f->bytes + L2 + 8 * (size_t)number, entry);
}

/* The image whose 32 bits at AT are V is refused with ERROR, and words. */
static void assert_refused(size_t at, uint32_t v, int error, const char *says)
{
        struct cluster_image *f = start();

        store_le32(f->bytes + at, v);
        cluster_image_expect_refused(f, error, says);
}

static void test_clusters_of_every_kind_are_read(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        map_cluster(f, 0, DATA + CLUSTER);
        map_cluster(f, 1, DATA);
        map_cluster(f, 2, 1);
        map_cluster(f, 511, DATA + 2 * CLUSTER);
        f->len = DATA + 3 * CLUSTER;
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 4);
        cluster_expect(d, 1, 3);
        cluster_expect(d, 2, 0);
        cluster_expect(d, 3, 0);
        cluster_expect(d, 511, 5);
        assert_int_equal(d->totals.stored, 3 * CLUSTER);
        assert_int_equal(index_damage_count(f->image.index), 0);
        assert_string_equal(index_format(f->image.index), "qed");
        cluster_image_free(f);
}

static void test_impossible_geometries_are_refused(void **state)
{
        (void)state;
        assert_refused(AT_CLUSTER_SIZE, 0, EIO, "clusters of 0 bytes");
        assert_refused(AT_CLUSTER_SIZE, 2048, EIO, "clusters of 2048 bytes");
        assert_refused(AT_CLUSTER_SIZE, 12288, EIO, "clusters of 12288 bytes");
        assert_refused(AT_CLUSTER_SIZE, 1 << 27, EIO, "clusters of 134217728 bytes");
        assert_refused(AT_TABLE_SIZE, 0, EIO, "tables of 0 clusters");
        assert_refused(AT_TABLE_SIZE, 3, EIO, "tables of 3 clusters");
        assert_refused(AT_TABLE_SIZE, 32, EIO, "tables of 32 clusters");
        assert_refused(AT_HEADER_SIZE, 0, EIO, "header of 0 bytes");
        assert_refused(AT_HEADER_SIZE, UINT32_MAX, EIO, "a header of");
}

static void test_impossible_sizes_are_refused(void **state)
{
        (void)state;
        assert_refused(AT_SIZE, 1000, EIO, "cannot have a disk of 1000 bytes");
        /* Two tables of 512 entries map 1 GiB. */
        assert_refused(AT_SIZE, (1 << 30) + 512, EIO, "cannot have a disk");
        assert_refused(AT_SIZE + 4, UINT32_MAX, EFBIG, "128 TiB");
}

static void test_an_l1_table_that_cannot_be_there_is_refused(void **state)
{
        (void)state;
        assert_refused(AT_L1_OFFSET, 0, EIO, "lies in the header");
        assert_refused(AT_L1_OFFSET, L1 + 512, EIO, "L1 table");
        assert_refused(AT_L1_OFFSET, CLUSTERS * CLUSTER, EIO, "L1 table");
        assert_refused(AT_L1_OFFSET + 4, UINT32_MAX, EIO, "L1 table");
}

static void test_unknown_features_are_refused(void **state)
{
        (void)state;
        assert_refused(AT_FEATURES, 8, ENOTSUP, "bit 3");
        assert_refused(AT_FEATURES + 4, 1U << 31, ENOTSUP, "bit 63");
}

static void test_a_backing_files_name_that_cannot_be_is_refused(void **state)
{
        static const struct {
                uint32_t offset, len;
        } bad[] = {{64, 0}, {64, 1024}, {CLUSTER - 3, 4}, {UINT32_MAX, 4}, {CLUSTER, 4}};

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct cluster_image *f = start();

                f->bytes[AT_FEATURES] = 1;
                store_le32(f->bytes + AT_BACKING_OFFSET, bad[i].offset);
                store_le32(f->bytes + AT_BACKING_LEN, bad[i].len);
                cluster_image_expect_refused(f, EIO, "outside of the header");
        }
}

static void test_a_backing_file_is_refused_by_its_name(void **state)
{
        struct cluster_image *f = start();

        (void)state;
        f->bytes[AT_FEATURES] = 1;
        store_le32(f->bytes + AT_BACKING_OFFSET, 100);
        store_le32(f->bytes + AT_BACKING_LEN, 11);
        memcpy(f->bytes + 100, "/etc/shadow", 11);
        cluster_image_expect_refused(f, EPERM, "/etc/shadow");
}

static void test_clusters_that_cannot_be_are_lost_and_no_others(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        map_cluster(f, 0, DATA);
        map_cluster(f, 1, CLUSTERS * CLUSTER); /* after the file's end */
        map_cluster(f, 2, DATA + 2 * CLUSTER);
        map_cluster(f, 3, DATA + 512);
        map_cluster(f, 4, UINT64_MAX);
        map_cluster(f, 5, UINT64_MAX - CLUSTER + 1);
        map_cluster(f, 6, 2);
        map_cluster(f, 7, DATA + CLUSTER);
        f->len = DATA + 3 * CLUSTER;
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 3);
        cluster_expect_lost(d, 1);
        cluster_expect(d, 2, 5);
        for (unsigned i = 3; i < 7; i++)
                cluster_expect_lost(d, i);
        cluster_expect(d, 7, 4);
        assert_int_equal(d->totals.lost, 5 * CLUSTER);
        cluster_image_free(f);
}

static void test_a_cluster_in_the_header_is_lost(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        /* A header of two clusters: the first one that may be used is number 2. */
        memmove(f->bytes + DATA, f->bytes + L1, 8);
        store_le32(f->bytes + AT_HEADER_SIZE, 2);
        store_le64(f->bytes + AT_L1_OFFSET, DATA);
        map_cluster(f, 0, CLUSTER);
        map_cluster(f, 1, DATA + CLUSTER);
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect(d, 1, 4);
        cluster_image_free(f);
}

static void test_without_its_l2_table_a_span_is_lost(void **state)
{
        static const uint64_t bad[] = {1, 512, L2 + 8, CLUSTERS * CLUSTER,
                                       UINT64_MAX - CLUSTER + 1};

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct cluster_image *f = start();
                struct disk *d;

                store_le64(f->bytes + L1, bad[i]);
                d = cluster_image_scan(f);
                cluster_expect_lost(d, 0);
                assert_int_equal(d->totals.lost, SPAN);
                cluster_image_free(f);
        }
}

/* Tables of 16 clusters of which the last is not there. */
static void test_a_table_that_the_end_cuts_is_lost(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        store_le32(f->bytes + AT_TABLE_SIZE, 16);
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

static void test_tables_that_point_to_themselves_end(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        /* The L1 table is its own L2 table, which maps itself. */
        store_le64(f->bytes + L1, L1);
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

static void test_a_cluster_that_is_named_twice_is_lost(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        map_cluster(f, 0, DATA);
        map_cluster(f, 1, DATA + CLUSTER);
        map_cluster(f, 2, DATA);
        map_cluster(f, 3, L2);
        f->len = DATA + 2 * CLUSTER;
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN); /* the table, too */
        cluster_image_free(f);
        f = start();
        map_cluster(f, 0, DATA);
        map_cluster(f, 1, DATA + CLUSTER);
        map_cluster(f, 2, DATA);
        f->len = DATA + 2 * CLUSTER;
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect(d, 1, 4);
        cluster_expect_lost(d, 2);
        cluster_image_free(f);
}

/* All of a file is in use. */
static void test_clusters_that_nothing_names_are_damage(void **state)
{
        struct cluster_image *f = start();
        struct disk *d;

        (void)state;
        for (unsigned i = 0; i < 4; i++)
                map_cluster(f, i, DATA + i * CLUSTER);
        f->len = DATA + 5 * CLUSTER;
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 3);
        cluster_expect(d, 9, 0);
        assert_true(image_damage_says(&f->image, "leaked clusters: 1;"));
        cluster_image_free(f);
        /* Most of it: the table was overwritten, and holes are none. */
        f = start();
        d = cluster_image_scan(f);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

static void test_one_table_used_without_end_takes_little_memory(void **state)
{
        struct cluster_image *f = start();
        size_t before = mallinfo2().uordblks;

        (void)state;
        store_le64(f->bytes + AT_SIZE, (uint64_t)ENTRIES * SPAN);
        for (size_t i = 0; i < ENTRIES; i++) {
                store_le64(f->bytes + L1 + 8 * i, L2);
                map_cluster(f, (unsigned)i, i % 2 ? DATA : 0);
        }
        cluster_image_scan(f);
        assert_true(mallinfo2().uordblks - before < 64 << 20);
        cluster_image_free(f);
}

static void test_a_file_that_ends_in_its_header_is_refused(void **state)
{
        (void)state;
        for (size_t len = 4; len < 64; len += 7) {
                struct cluster_image *f = start();

                f->len = len;
                cluster_image_expect_refused(f, EIO, "the header");
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_clusters_of_every_kind_are_read),
            cmocka_unit_test(test_impossible_geometries_are_refused),
            cmocka_unit_test(test_impossible_sizes_are_refused),
            cmocka_unit_test(test_an_l1_table_that_cannot_be_there_is_refused),
            cmocka_unit_test(test_unknown_features_are_refused),
            cmocka_unit_test(test_a_backing_files_name_that_cannot_be_is_refused),
            cmocka_unit_test(test_a_backing_file_is_refused_by_its_name),
            cmocka_unit_test(test_clusters_that_cannot_be_are_lost_and_no_others),
            cmocka_unit_test(test_a_cluster_in_the_header_is_lost),
            cmocka_unit_test(test_without_its_l2_table_a_span_is_lost),
            cmocka_unit_test(test_a_table_that_the_end_cuts_is_lost),
            cmocka_unit_test(test_tables_that_point_to_themselves_end),
            cmocka_unit_test(test_a_cluster_that_is_named_twice_is_lost),
            cmocka_unit_test(test_clusters_that_nothing_names_are_damage),
            cmocka_unit_test(test_one_table_used_without_end_takes_little_memory),
            cmocka_unit_test(test_a_file_that_ends_in_its_header_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
