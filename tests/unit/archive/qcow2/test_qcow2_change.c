/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images that are written to while they are open: what was read before is not given again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/cluster_fixture.h"
#include "tests/fixtures/qcow2_fixture.h"

static uint8_t got[CLUSTER];

/* The clock's tick, in which a write goes unseen. */
static void let_tick(void)
{
        static const struct timespec ticks = {.tv_nsec = 30000000};

        nanosleep(&ticks, NULL);
}

static struct disk *open_after_tick(struct cluster_image *f)
{
        struct index_options options = {0};
        struct image *m = &f->image;

        assert_int_equal(cluster_image_open(f), 0);
        index_close(m->index);
        let_tick();
        assert_int_equal(index_open(m->path, &options, &m->index, &m->err), 0);
        assert_int_equal(index_scan(m->index, NULL, &m->err), 0);
        return index_disk(m->index, 0);
}

static void write_to(struct cluster_image *f, uint64_t offset)
{
        assert_int_equal(pwrite(f->image.fd, "x", 1, (off_t)offset), 1);
}

static void test_a_hole_that_is_written_to(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        d = open_after_tick(f);
        cluster_expect(d, 100, 0);
        write_to(f, L2 + 8 * 100);
        assert_int_equal(disk_read(d, got, CLUSTER, 100 * CLUSTER), -ESTALE);
        cluster_image_free(f);
}

static void test_data_and_a_hole_in_one_read(void **state)
{
        struct cluster_image *f = qcow2_start();
        static uint8_t two[2 * CLUSTER];
        struct disk *d;

        (void)state;
        qcow2_map(f, 0, DATA);
        d = open_after_tick(f);
        assert_int_equal(disk_read(d, two, sizeof two, 0), sizeof two);
        write_to(f, L2 + 8);
        assert_int_equal(disk_read(d, two, sizeof two, 0), -ESTALE);
        cluster_image_free(f);
}

static void test_a_compressed_cluster_that_is_in_the_cache(void **state)
{
        struct cluster_image *f = qcow2_start();
        struct disk *d;

        (void)state;
        qcow2_deflate(f->bytes + DATA, 512, CLUSTER);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        d = open_after_tick(f);
        assert_int_equal(disk_read(d, got, 512, 0), 512);
        assert_int_equal(disk_read(d, got, 512, 512), 512);
        write_to(f, DATA);
        assert_int_equal(disk_read(d, got, 512, 512), -ESTALE);
        cluster_image_free(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_hole_that_is_written_to),
            cmocka_unit_test(test_data_and_a_hole_in_one_read),
            cmocka_unit_test(test_a_compressed_cluster_that_is_in_the_cache),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
