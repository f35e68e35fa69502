/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image of clusters that two levels of tables map, as qcow2 and QED have it, made by hand. Each
 * function fails the test where what it does fails.
 */
#ifndef VMAFS_TESTS_CLUSTER_FIXTURE_H
#define VMAFS_TESTS_CLUSTER_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/image_fixture.h"

enum {
        CLUSTER_BITS = 12,
        CLUSTER = 1 << CLUSTER_BITS,
        ENTRIES = CLUSTER / 8, /* of a table */
        SPAN = ENTRIES * CLUSTER,
        CLUSTERS = 16, /* of the file: header, L1, L2, data */
        L1 = CLUSTER,
        L2 = 2 * CLUSTER,
        DATA = 3 * CLUSTER,
};

struct cluster_image {
        uint8_t bytes[CLUSTERS * CLUSTER];
        size_t len;
        struct image image;
};

/* All of it zeros, but for the clusters of data: each byte is the number of its cluster. */
struct cluster_image *cluster_image_new(void);
void cluster_image_free(struct cluster_image *f);

/* As index_open, which may fail. */
int cluster_image_open(struct cluster_image *f);
/* Open and scan, which must work: its one disk. */
struct disk *cluster_image_scan(struct cluster_image *f);
/* It is refused with -CODE, and the text holds WORD. Frees it. */
void cluster_image_expect_refused(struct cluster_image *f, int code, const char *word);

/* Of the disk, the 4 KiB with this NUMBER are VALUE, or an I/O error. */
void cluster_expect(struct disk *d, unsigned number, uint8_t value);
void cluster_expect_lost(struct disk *d, unsigned number);

#endif
