/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the volumes of a qcow2 image answer: unknown until its tables are judged, then from them. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/format.h"
#include "tests/fixtures/qcow2_fixture.h"
#include "tests/fixtures/volume_fixture.h"

/* The volumes of F as it is now. */
static struct volumes *open_volumes(struct cluster_image *f)
{
        assert_int_equal(pwrite(f->image.fd, f->bytes, f->len, 0), (ssize_t)f->len);
        return volumes_open(f->image.fd);
}

static struct volumes *scan_volumes(struct cluster_image *f)
{
        struct volumes *v = open_volumes(f);

        volumes_scan(v);
        return v;
}

static void end(struct cluster_image *f, struct volumes *v)
{
        volumes_close(v);
        cluster_image_free(f);
}

/* Cluster NUMBER of the disk begins with KIND, COUNT clusters of it. */
static struct volume_extent expect(const struct volumes *v, unsigned number, enum volume_kind kind,
                                   unsigned count)
{
        uint64_t pos = (uint64_t)number * CLUSTER;
        struct volume_extent e = volumes_extent(v, 0, pos, SPAN - pos);

        assert_int_equal(e.kind, kind);
        assert_int_equal(e.len, (uint64_t)count * CLUSTER);
        assert_int_equal(e.depth, 0);
        return e;
}

static void test_nothing_is_known_before_the_tables_are_judged(void **state)
{
        struct cluster_image *f = qcow2_start();
        uint8_t buf[CLUSTER];
        struct volumes *v;

        (void)state;
        qcow2_deflate(f->bytes + DATA + CLUSTER, 512, CLUSTER);
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 1, qcow2_compressed(DATA + CLUSTER, 1));
        v = open_volumes(f);
        expect(v, 0, VOLUME_UNKNOWN, ENTRIES);
        expect(v, 1, VOLUME_UNKNOWN, ENTRIES - 1);
        expect(v, 9, VOLUME_UNKNOWN, ENTRIES - 9);
        assert_int_equal(v->list[0]->ops->read(v->list[0], buf, CLUSTER, CLUSTER), -EIO);
        volumes_scan(v);
        expect(v, 0, VOLUME_RAW, 1);
        expect(v, 1, VOLUME_CODED, 1);
        expect(v, 9, VOLUME_ZERO, ENTRIES - 9);
        end(f, v);
}

static void test_each_kind_says_where_it_is(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct volume_extent e;
        struct volumes *v;

        (void)state;
        qcow2_deflate(f->bytes + DATA + 4 * CLUSTER + 100, 512, CLUSTER);
        qcow2_map(f, 0, DATA + 2 * CLUSTER);
        qcow2_map(f, 1, DATA + 3 * CLUSTER); /* goes on there */
        qcow2_map(f, 2, DATA);               /* does not */
        qcow2_map(f, 3, 1);                  /* zeros, without a place */
        qcow2_map(f, 4, (DATA + CLUSTER) | 1);
        qcow2_map(f, 6, qcow2_compressed(DATA + 4 * CLUSTER + 100, 1));
        v = scan_volumes(f);
        e = expect(v, 0, VOLUME_RAW, 2);
        assert_true(e.allocated && e.source == v->source && e.offset == DATA + 2 * CLUSTER);
        e = volumes_extent(v, 0, 100, 200);
        assert_true(e.kind == VOLUME_RAW && e.len == 200 && e.offset == DATA + 2 * CLUSTER + 100);
        e = expect(v, 2, VOLUME_RAW, 1);
        assert_true(e.offset == DATA);
        e = expect(v, 3, VOLUME_ZERO, 1);
        assert_true(e.allocated && !e.source);
        e = expect(v, 4, VOLUME_ZERO, 1);
        assert_true(e.allocated && e.source == v->source && e.offset == DATA + CLUSTER);
        e = expect(v, 5, VOLUME_ZERO, 1);
        assert_true(!e.allocated && !e.source);
        e = expect(v, 6, VOLUME_CODED, 1);
        assert_true(e.allocated && e.source == v->source && e.offset == DATA + 4 * CLUSTER + 100);
        assert_int_equal(v->stored[0], 4 * CLUSTER);
        assert_int_equal(v->lost[0], 0);
        assert_int_equal(v->damages, 0);
        end(f, v);
}

static void test_compressed_clusters_in_a_row_are_one(void **state)
{
        struct cluster_image *f = qcow2_start();
        uint8_t buf[3 * CLUSTER], zeros[3 * CLUSTER] = {0};
        struct volumes *v;

        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                qcow2_deflate(f->bytes + DATA + 512 * (size_t)(2 - i), 512, CLUSTER);
                qcow2_map(f, i, qcow2_compressed(DATA + 512 * (2 - i), 1));
        }
        v = scan_volumes(f);
        expect(v, 0, VOLUME_CODED, 3);
        memset(buf, 1, sizeof buf);
        volumes_read(v, 0, buf, sizeof buf, 0);
        assert_memory_equal(buf, zeros, sizeof buf);
        memset(buf, 1, sizeof buf);
        volumes_read(v, 0, buf, CLUSTER + 1000, 500);
        assert_memory_equal(buf, zeros, CLUSTER + 1000);
        assert_int_equal(buf[CLUSTER + 1000], 1);
        /* Beyond them nothing is coded. */
        assert_int_equal(v->list[0]->ops->read(v->list[0], buf, CLUSTER, 3 * CLUSTER), -EIO);
        assert_int_equal(v->list[0]->ops->read(v->list[0], buf, 2 * CLUSTER, 2 * CLUSTER), -EIO);
        end(f, v);
}

static void test_what_the_tables_say_wrongly_is_lost(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct volumes *v;

        (void)state;
        qcow2_map(f, 0, CLUSTERS * CLUSTER); /* past the end */
        qcow2_map(f, 1, CLUSTERS * CLUSTER);
        qcow2_map(f, 2, DATA + 512);
        qcow2_map(f, 4, DATA + 2 * CLUSTER); /* twice, and counted once */
        qcow2_map(f, 6, DATA + 2 * CLUSTER);
        qcow2_count(f, (DATA + 2 * CLUSTER) / CLUSTER, -1);
        qcow2_map(f, 8, DATA + CLUSTER);
        v = scan_volumes(f);
        expect(v, 0, VOLUME_LOST, 2);
        expect(v, 2, VOLUME_LOST, 1);
        expect(v, 4, VOLUME_LOST, 1);
        expect(v, 6, VOLUME_LOST, 1);
        expect(v, 8, VOLUME_RAW, 1);
        expect(v, 9, VOLUME_ZERO, ENTRIES - 9);
        assert_int_equal(v->stored[0], CLUSTER);
        assert_int_equal(v->lost[0], 5 * CLUSTER);
        assert_int_equal(v->damages, 4);
        end(f, v);
}

/* Most of what is counted is named by nothing: a table was lost, and what it named is not zeros. */
static void test_holes_that_are_doubted_are_lost(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct volumes *v;

        (void)state;
        qcow2_put64(f, L1, 0);
        for (unsigned i = DATA / CLUSTER; i < CLUSTERS; i++)
                if (i != QCOW2_REFTABLE / CLUSTER && i != QCOW2_REFBLOCK / CLUSTER)
                        qcow2_count(f, i, 1);
        v = scan_volumes(f);
        expect(v, 0, VOLUME_LOST, ENTRIES);
        assert_int_equal(v->lost[0], SPAN);
        end(f, v);
}

/* The worst of what a block has counts for all of it. */
static void test_totals_are_of_whole_blocks(void **state)
{
        enum { SMALL = 512 };
        struct cluster_image *f = qcow2_start();
        struct volumes *v;

        (void)state;
        qcow2_put32(f, 20, 9);
        qcow2_put64(f, 24, 64 * SMALL - 512); /* one table, and the last block is shorter */
        memset(f->bytes + L1, 0, CLUSTER);
        memset(f->bytes + L2, 0, CLUSTER);
        qcow2_put64(f, 48, 0); /* nothing is counted */
        qcow2_put64(f, L1, L2);
        qcow2_put64(f, L2 + 8 * 1, DATA);       /* block 0: data, and nothing else */
        qcow2_put64(f, L2 + 8 * 9, DATA + 512); /* block 1: data, and something lost */
        qcow2_put64(f, L2 + 8 * 15, UINT64_C(1) << 50);
        for (size_t i = 20; i < 28; i++) /* blocks 2 and 3, each in part */
                qcow2_put64(f, L2 + 8 * i, DATA + 1024 + 512 * i);
        qcow2_put64(f, L2 + 8 * 62, DATA + 512 * 60); /* the last one */
        v = scan_volumes(f);
        assert_int_equal(v->stored[0], 4 * 4096);
        assert_int_equal(v->lost[0], 4096);
        end(f, v);
}

/* As where an index says that a scan has found it sound. */
static void test_without_a_scan_the_tables_are_believed(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct volume_extent e;
        struct volumes *v;

        (void)state;
        qcow2_map(f, 0, DATA);
        qcow2_map(f, 1, (CLUSTERS - 1) * CLUSTER);
        f->len -= CLUSTER - 512; /* the disk's last cluster ended with it */
        v = open_volumes(f);
        v->archive->ops->skip_scan(v->archive);
        expect(v, 0, VOLUME_RAW, 1);
        e = volumes_extent(v, 0, CLUSTER, CLUSTER);
        assert_true(e.kind == VOLUME_RAW && e.len == 512);
        e = volumes_extent(v, 0, CLUSTER + 512, CLUSTER - 512);
        assert_true(e.kind == VOLUME_ZERO && e.len == CLUSTER - 512);
        end(f, v);
}

/* ---- while it is scanned ---- */

struct reader {
        struct volumes *v;
        pthread_t thread;
        atomic_bool wrong;
};

/* Ask until something is known, which then is right. */
static void *read_early(void *ctx)
{
        struct reader *r = ctx;
        struct volume *v = r->v->list[0];
        struct volume_extent e;

        do {
                if (v->ops->extent(v, 0, SPAN, &e) < 0)
                        e.kind = VOLUME_LOST;
        } while (e.kind == VOLUME_UNKNOWN);
        r->wrong = e.kind != VOLUME_RAW || e.len != CLUSTER || e.offset != DATA + CLUSTER;
        if (v->ops->extent(v, CLUSTER, SPAN - CLUSTER, &e) < 0 || e.kind != VOLUME_LOST)
                r->wrong = true;
        return NULL;
}

static void test_readers_who_are_there_before_the_verdict(void **state)
{
        enum { READERS = 3 };

        (void)state;
        for (int round = 0; round < 20; round++) {
                struct cluster_image *f = qcow2_start();
                struct reader readers[READERS] = {0};
                struct volumes *v;

                qcow2_map(f, 0, DATA + CLUSTER);
                qcow2_map(f, 1, DATA);
                qcow2_map(f, 2, DATA);
                qcow2_count(f, DATA / CLUSTER, -1);
                v = open_volumes(f);
                for (int i = 0; i < READERS; i++) {
                        readers[i].v = v;
                        assert_int_equal(
                            pthread_create(&readers[i].thread, NULL, read_early, &readers[i]), 0);
                }
                volumes_scan(v);
                for (int i = 0; i < READERS; i++) {
                        pthread_join(readers[i].thread, NULL);
                        assert_false(readers[i].wrong);
                }
                end(f, v);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing_is_known_before_the_tables_are_judged),
            cmocka_unit_test(test_each_kind_says_where_it_is),
            cmocka_unit_test(test_compressed_clusters_in_a_row_are_one),
            cmocka_unit_test(test_what_the_tables_say_wrongly_is_lost),
            cmocka_unit_test(test_holes_that_are_doubted_are_lost),
            cmocka_unit_test(test_totals_are_of_whole_blocks),
            cmocka_unit_test(test_without_a_scan_the_tables_are_believed),
            cmocka_unit_test(test_readers_who_are_there_before_the_verdict),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
