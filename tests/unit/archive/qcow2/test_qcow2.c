/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images made by hand: what is refused, what is lost, and that nothing hostile costs much. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/qcow2_fixture.h"

/* ---- what an image holds ---- */

static void test_clusters_of_every_kind_are_read(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, (DATA + CLUSTER) | QCOW2_COPIED);
        qcow2_map(f, 1, DATA);
        qcow2_map(f, 2, DATA | 1); /* allocated, and zeros */
        qcow2_map(f, 3, 1);
        qcow2_map(f, 511, DATA + 2 * CLUSTER);
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 4);
        cluster_expect(d, 1, 3);
        cluster_expect(d, 2, 0);
        cluster_expect(d, 3, 0);
        cluster_expect(d, 4, 0);
        cluster_expect(d, 511, 5);
        assert_int_equal(d->totals.stored, 3 * CLUSTER);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

static void test_a_compressed_cluster_is_read(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_deflate(f->bytes + DATA + 100, 512, CLUSTER);
        qcow2_map(f, 7, qcow2_compressed(DATA + 100, 1));
        d = cluster_image_scan(f);
        cluster_expect(d, 7, 0);
        assert_int_equal(d->totals.stored, CLUSTER);
        cluster_image_free(f);
}

static void test_a_compressed_cluster_may_end_with_the_file(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        f->len = DATA + qcow2_deflate(f->bytes + DATA, 512, CLUSTER);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 0);
        cluster_image_free(f);
}

/* ---- what is refused ---- */

static void test_encrypted_images_are_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put32(f, 32, 1);
        cluster_image_expect_refused(f, ENOTSUP, "AES");
        f = qcow2_start();
        qcow2_put32(f, 32, 2);
        cluster_image_expect_refused(f, ENOTSUP, "LUKS");
}

static void test_an_external_data_file_is_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put64(f, 72, 1 << 2);
        cluster_image_expect_refused(f, ENOTSUP, "external data file");
}

static void test_an_unknown_feature_is_refused_by_its_name(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put64(f, 72, 1 << 9);
        qcow2_put32(f, 104, 0x6803f857);
        qcow2_put32(f, 108, 48);
        f->bytes[113] = 9;
        memcpy(f->bytes + 114, "time travel", 11);
        cluster_image_expect_refused(f, ENOTSUP, "bit 9 (time travel)");
}

static void test_an_unknown_compression_is_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put64(f, 72, 1 << 3);
        qcow2_put32(f, 100, 112);
        f->bytes[104] = 9;
        cluster_image_expect_refused(f, ENOTSUP, "type 9");
}

static void test_impossible_headers_are_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put32(f, 4, 4);
        cluster_image_expect_refused(f, ENOTSUP, "version 4");
        f = qcow2_start();
        qcow2_put32(f, 20, 8);
        cluster_image_expect_refused(f, EIO, "2^8");
        f = qcow2_start();
        qcow2_put32(f, 20, 22);
        cluster_image_expect_refused(f, EIO, "2^22");
        f = qcow2_start();
        qcow2_put32(f, 100, 1u << 31);
        cluster_image_expect_refused(f, EIO, "has a header of");
        f = qcow2_start();
        qcow2_put64(f, 24, UINT64_MAX);
        cluster_image_expect_refused(f, EFBIG, "128 TiB");
        f = qcow2_start();
        qcow2_put64(f, 72, 1 << 4);
        cluster_image_expect_refused(f, EIO, "subclusters");
        f = qcow2_start();
        f->len = 50;
        cluster_image_expect_refused(f, EIO, "ends inside the header");
}

static void test_an_impossible_l1_table_is_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put64(f, 24, SPAN + 1); /* one entry is too few */
        cluster_image_expect_refused(f, EIO, "2");
        f = qcow2_start();
        qcow2_put64(f, 40, UINT64_MAX - CLUSTER + 1);
        cluster_image_expect_refused(f, EIO, "L1 table");
        f = qcow2_start();
        qcow2_put64(f, 40, L1 + 8);
        cluster_image_expect_refused(f, EIO, "L1 table");
        f = qcow2_start();
        qcow2_put64(f, 40, CLUSTERS * CLUSTER);
        cluster_image_expect_refused(f, EIO, "L1 table");
        f = qcow2_start();
        qcow2_put32(f, 36, UINT32_MAX);
        cluster_image_expect_refused(f, EIO, "L1 table");
}

static void test_a_long_extension_is_refused(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put32(f, 104, 0xe2792aca);
        qcow2_put32(f, 108, UINT32_MAX);
        cluster_image_expect_refused(f, EIO, "extension");
}

/* ---- what is lost ---- */

static void test_a_cluster_that_cannot_be_is_lost_and_no_other(void **state)
{
        static const uint64_t entries[] = {
            CLUSTERS * CLUSTER,                    /* after the end */
            UINT64_C(1) << 55,                     /* far after it */
            DATA + 512,                            /* not aligned */
            QCOW2_COMPRESSED | CLUSTERS * CLUSTER, /* after the end */
        };
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        for (unsigned i = 0; i < 4; i++)
                qcow2_map(f, 2 * i, entries[i]);
        qcow2_map(f, 1, DATA);
        /* Counted for the entry that is not aligned, too, which names nothing. */
        qcow2_count(f, DATA / CLUSTER, -1);
        d = cluster_image_scan(f);
        for (unsigned i = 0; i < 4; i++)
                cluster_expect_lost(d, 2 * i);
        cluster_expect(d, 1, 3);
        cluster_expect(d, 3, 0);
        assert_int_equal(d->totals.lost, 4 * CLUSTER);
        assert_int_equal(index_damage_count(f->image.index), 4);
        cluster_image_free(f);
}

static void test_a_zero_cluster_of_version_2_is_lost(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        qcow2_put32(f, 4, 2);
        memset(f->bytes + 72, 0, 64);
        qcow2_map(f, 0, 1);
        cluster_expect_lost(cluster_image_scan(f), 0);
        cluster_image_free(f);
}

static void test_without_its_l2_table_a_span_is_lost(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_put64(f, 24, 3 * SPAN);
        qcow2_put32(f, 36, 3);
        qcow2_put64(f, L1, CLUSTERS * CLUSTER);
        qcow2_put64(f, L1 + 8, L2);
        qcow2_map(f, 0, DATA);
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect_lost(d, ENTRIES - 1);
        cluster_expect(d, ENTRIES, 3);
        cluster_expect(d, 2 * ENTRIES, 0);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

static void test_compressed_bytes_that_are_none_are_eio(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        memset(f->bytes + DATA, 0xff, 512);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        /* Too little of what would be right. */
        qcow2_deflate(f->bytes + DATA + 512, 512, CLUSTER - 1);
        qcow2_map(f, 1, qcow2_compressed(DATA + 512, 1));
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        cluster_expect_lost(d, 1);
        cluster_image_free(f);
}

static void test_what_expands_without_end_takes_no_memory(void **state)
{
        struct cluster_image *f = qcow2_start();
        size_t before;
        struct disk *d;

        (void)state;
        qcow2_deflate(f->bytes + DATA, CLUSTER, (size_t)3 << 20);
        qcow2_map(f, 0, qcow2_compressed(DATA, 8));
        d = cluster_image_scan(f);
        before = mallinfo2().uordblks;
        cluster_expect(d, 0, 0); /* the cluster, and nothing of the rest */
        assert_true(mallinfo2().uordblks < before + 65536);
        cluster_image_free(f);
}

static void test_a_zstd_frame_of_another_size_is_eio(void **state)
{
        struct cluster_image *f = qcow2_start();
        uint8_t *plain = calloc(1, (size_t)8 << 20);
        struct disk *d;

        (void)state;
        assert_non_null(plain);
        qcow2_put64(f, 72, 1 << 3);
        qcow2_put32(f, 100, 112);
        f->bytes[104] = 1;
        ZSTD_compress(f->bytes + DATA, CLUSTER, plain, CLUSTER, 1);
        ZSTD_compress(f->bytes + DATA + CLUSTER, CLUSTER, plain, (size_t)8 << 20, 1);
        free(plain);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        qcow2_map(f, 1, qcow2_compressed(DATA + CLUSTER, 8));
        d = cluster_image_scan(f);
        cluster_expect(d, 0, 0);
        cluster_expect_lost(d, 1);
        cluster_image_free(f);
}

/* ---- what goes round in circles ---- */

static void test_a_table_that_points_to_itself_is_lost(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_put64(f, L1, L1); /* the L1 table is its own L2 table: its one entry maps itself */
        d = cluster_image_scan(f);
        cluster_expect_lost(d, 0);
        assert_int_equal(d->totals.lost, SPAN);
        cluster_image_free(f);
}

/*
 * Clusters of 2 MiB would make one L2 table worth 512 GiB; with these, an L1 table of two clusters
 * stands for 2 GiB of a patchwork, of which the image has but 2 MiB.
 */
static void test_one_table_used_without_end_takes_little_memory(void **state)
{
        enum { BIG = 21 };
        uint64_t cluster = UINT64_C(1) << BIG;
        struct cluster_image *f = qcow2_start();
        size_t before = mallinfo2().uordblks;
        uint64_t entry = htobe64(2 * cluster | QCOW2_COPIED);
        struct disk *d;

        (void)state;
        qcow2_put32(f, 20, BIG);
        qcow2_put64(f, 24, UINT64_C(1) << 47);
        qcow2_put32(f, 36, 256);
        qcow2_put64(f, 40, cluster);
        assert_int_equal(ftruncate(f->image.fd, (off_t)(4 * cluster)), 0);
        for (unsigned i = 0; i < 256; i++)
                assert_int_equal(pwrite(f->image.fd, &entry, 8, (off_t)(cluster + 8 * i)), 8);
        /* Data and nothing in turn. */
        for (uint64_t i = 0; i < cluster / 8; i += 2)
                assert_int_equal(pwrite(f->image.fd, &entry, 8, (off_t)(2 * cluster + 8 * i)), 8);
        f->len = CLUSTER;
        d = cluster_image_scan(f);
        assert_true(mallinfo2().uordblks < before + ((size_t)64 << 20));
        assert_true(d->totals.lost > 0);
        assert_true(index_damage_count(f->image.index) > 0);
        cluster_image_free(f);
}

/* ---- snapshots ---- */

enum { SNAPSHOTS = 12 * CLUSTER };

/* Entry at AT: a snapshot with these tables, whose tag is "s". Returns where the next one is. */
static size_t put_snapshot(struct cluster_image *f, size_t at, uint64_t l1, uint32_t l1_entries,
                           uint64_t state, uint64_t size)
{
        memset(f->bytes + at, 0, 64);
        qcow2_put64(f, at, l1);
        qcow2_put32(f, at + 8, l1_entries);
        qcow2_put32(f, at + 12, 1); /* no id, and a name of one byte */
        qcow2_put32(f, at + 36, 16);
        qcow2_put64(f, at + 40, state);
        qcow2_put64(f, at + 48, size);
        f->bytes[at + 56] = 's';
        return at + 64;
}

static void announce(struct cluster_image *f, uint32_t count)
{
        qcow2_put32(f, 60, count);
        qcow2_put64(f, 64, SNAPSHOTS);
}

static void test_snapshots_have_names_of_their_own(void **state)
{
        struct cluster_image *f = qcow2_start();
        size_t at = SNAPSHOTS;

        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                uint64_t l1 = (13 + i) * CLUSTER;

                at = put_snapshot(f, at, l1, 1, 0, SPAN);
                memset(f->bytes + l1, 0, CLUSTER);
                qcow2_put64(f, l1, L2);
                qcow2_count(f, 13 + i, 1);
                qcow2_count(f, L2 / CLUSTER, 1);
                qcow2_count(f, DATA / CLUSTER, 1);
        }
        qcow2_count(f, SNAPSHOTS / CLUSTER, 1);
        announce(f, 3);
        qcow2_map(f, 0, DATA);
        assert_int_equal(cluster_image_open(f), 0);
        assert_int_equal(index_scan(f->image.index, NULL, &f->image.err), 0);
        assert_int_equal(index_disk_count(f->image.index), 4);
        assert_int_equal(index_folder_count(f->image.index), 4);
        assert_string_equal(index_folder(f->image.index, 0)->name, "snapshots");
        assert_string_equal(index_folder(f->image.index, 1)->name, "snapshots/s");
        assert_string_equal(index_folder(f->image.index, 3)->name, "snapshots/s~3");
        assert_string_equal(index_folder(f->image.index, 3)->leaf, "s~3");
        assert_ptr_equal(index_find(f->image.index, "snapshots/s~3"),
                         index_folder(f->image.index, 3)->node);
        assert_non_null(index_find(f->image.index, index_disk(f->image.index, 1)->name));
        assert_null(index_find(f->image.index, "snapshots/s~4"));
        assert_null(index_find(f->image.index, "snapshots/"));
        assert_null(index_find(f->image.index, "/snapshots"));
        assert_null(index_find(f->image.index, ""));
        assert_int_equal(strncmp(index_disk(f->image.index, 2)->name, "snapshots/s~2/disk-", 19),
                         0);
        cluster_expect(index_disk(f->image.index, 3), 0, 3);
        assert_int_equal(index_damage_count(f->image.index), 0);
        cluster_image_free(f);
}

/* The disk as it is now is sound, and the disks of the snapshots that come are lost. */
static void assert_only_the_disk_is_sound(struct cluster_image *f, size_t disks)
{
        qcow2_map(f, 0, DATA);
        assert_int_equal(cluster_image_open(f), 0);
        assert_int_equal(index_scan(f->image.index, NULL, &f->image.err), 0);
        assert_int_equal(index_disk_count(f->image.index), disks);
        assert_true(index_damage_count(f->image.index) > 0);
        cluster_expect(index_disk(f->image.index, 0), 0, 3);
        assert_int_equal(index_disk(f->image.index, 0)->totals.lost, 0);
        for (size_t i = 1; i < disks; i++)
                cluster_expect_lost(index_disk(f->image.index, i), 0);
        cluster_image_free(f);
}

static void test_a_snapshot_without_its_table_is_lost_alone(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        announce(f, 1);
        put_snapshot(f, SNAPSHOTS, UINT64_C(1) << 40, 1, 0, SPAN);
        assert_only_the_disk_is_sound(f, 2);
        f = qcow2_start();
        announce(f, 1);
        put_snapshot(f, SNAPSHOTS, L1, UINT32_MAX, 0, SPAN);
        assert_only_the_disk_is_sound(f, 2);
        f = qcow2_start();
        announce(f, 1); /* needs two entries */
        put_snapshot(f, SNAPSHOTS, L1, 1, 0, SPAN + 1);
        assert_only_the_disk_is_sound(f, 2);
}

static void test_an_absurd_table_of_snapshots_is_damage(void **state)
{
        struct cluster_image *f = qcow2_start();

        (void)state;
        announce(f, UINT32_MAX);
        qcow2_put64(f, 64, UINT64_MAX - 8);
        assert_only_the_disk_is_sound(f, 1);
        f = qcow2_start();
        announce(f, 1);
        put_snapshot(f, SNAPSHOTS, L1, 1, 0, UINT64_MAX);
        assert_only_the_disk_is_sound(f, 1);
        f = qcow2_start();
        announce(f, 1);
        put_snapshot(f, SNAPSHOTS, L1, 1, UINT64_MAX, SPAN);
        assert_only_the_disk_is_sound(f, 1);
        f = qcow2_start();
        announce(f, 1);
        put_snapshot(f, SNAPSHOTS, L1, 1, 0, SPAN);
        qcow2_put32(f, SNAPSHOTS + 36, UINT32_MAX);
        assert_only_the_disk_is_sound(f, 1);
}

/* ---- bitmaps ---- */

static void test_an_absurd_directory_of_bitmaps_is_damage(void **state)
{
        static const uint64_t offsets[] = {0, L1, CLUSTERS * CLUSTER, UINT64_MAX - 8};

        (void)state;
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
                struct cluster_image *f = qcow2_start();

                qcow2_put64(f, 88, 1);
                qcow2_put32(f, 104, 0x23852875);
                qcow2_put32(f, 108, 24);
                qcow2_put32(f, 112, i ? 1 : UINT32_MAX);
                qcow2_put64(f, 120, i ? 32 : UINT64_MAX);
                qcow2_put64(f, 128, offsets[i]);
                assert_only_the_disk_is_sound(f, 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_clusters_of_every_kind_are_read),
            cmocka_unit_test(test_a_compressed_cluster_is_read),
            cmocka_unit_test(test_a_compressed_cluster_may_end_with_the_file),
            cmocka_unit_test(test_encrypted_images_are_refused),
            cmocka_unit_test(test_an_external_data_file_is_refused),
            cmocka_unit_test(test_an_unknown_feature_is_refused_by_its_name),
            cmocka_unit_test(test_an_unknown_compression_is_refused),
            cmocka_unit_test(test_impossible_headers_are_refused),
            cmocka_unit_test(test_an_impossible_l1_table_is_refused),
            cmocka_unit_test(test_a_long_extension_is_refused),
            cmocka_unit_test(test_a_cluster_that_cannot_be_is_lost_and_no_other),
            cmocka_unit_test(test_a_zero_cluster_of_version_2_is_lost),
            cmocka_unit_test(test_without_its_l2_table_a_span_is_lost),
            cmocka_unit_test(test_compressed_bytes_that_are_none_are_eio),
            cmocka_unit_test(test_what_expands_without_end_takes_no_memory),
            cmocka_unit_test(test_a_zstd_frame_of_another_size_is_eio),
            cmocka_unit_test(test_a_table_that_points_to_itself_is_lost),
            cmocka_unit_test(test_one_table_used_without_end_takes_little_memory),
            cmocka_unit_test(test_snapshots_have_names_of_their_own),
            cmocka_unit_test(test_a_snapshot_without_its_table_is_lost_alone),
            cmocka_unit_test(test_an_absurd_table_of_snapshots_is_damage),
            cmocka_unit_test(test_an_absurd_directory_of_bitmaps_is_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
