/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cluster_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/index.h"

struct cluster_image *cluster_image_new(void)
{
        struct cluster_image *f = calloc(1, sizeof *f);

        assert_non_null(f);
        f->len = sizeof f->bytes;
        for (size_t i = DATA; i < f->len; i++)
                f->bytes[i] = (uint8_t)(i / CLUSTER);
        f->image = image_new();
        return f;
}

void cluster_image_free(struct cluster_image *f)
{
        image_end(&f->image);
        free(f);
}

int cluster_image_open(struct cluster_image *f)
{
        return image_open(&f->image, f->bytes, f->len);
}

struct disk *cluster_image_scan(struct cluster_image *f)
{
        image_scan(&f->image, f->bytes, f->len);
        assert_int_equal(index_disk_count(f->image.index), 1);
        return f->image.disk;
}

void cluster_image_expect_refused(struct cluster_image *f, int code, const char *word)
{
        image_expect_refused(f->bytes, f->len, code, word);
        cluster_image_free(f);
}

void cluster_expect(struct disk *d, unsigned number, uint8_t value)
{
        uint8_t block[CLUSTER];

        assert_int_equal(disk_read(d, block, CLUSTER, (uint64_t)number * CLUSTER), CLUSTER);
        for (size_t i = 0; i < CLUSTER; i++)
                assert_int_equal(block[i], value);
}

void cluster_expect_lost(struct disk *d, unsigned number)
{
        uint8_t block[CLUSTER];

        assert_int_equal(disk_read(d, block, CLUSTER, (uint64_t)number * CLUSTER), -EIO);
}
