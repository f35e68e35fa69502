/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reference counts of a qcow2 image. */
#ifndef VMAFS_QCOW2_REFCOUNT_H
#define VMAFS_QCOW2_REFCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/qcow2/qcow2_map.h"

enum qcow2_refcount {
        QCOW2_FREE,
        QCOW2_ONCE,
        QCOW2_SHARED,    /* by that many disks */
        QCOW2_UNCOUNTED, /* its count is missing or cannot be read */
};

/* Counts of 64 clusters in a row: which are not 0, and which are more than 1. */
struct qcow2_count_bits {
        uint64_t used, shared;
};

/* Is the table of the counts within the file? The other functions require it. */
bool qcow2_has_refcounts(const struct qcow2_image *image);

/* Entries of the table, and counts in the block that each names: a multiple of 64. */
uint64_t qcow2_refcount_blocks(const struct qcow2_image *image);
uint64_t qcow2_refcounts_in_block(const struct qcow2_image *image);

/* Byte of the file where block NUMBER is, 0: there is none. 0, or -errno as source_pread. */
int qcow2_refcount_block(const struct qcow2_image *image, uint64_t number,
                         struct qcow2_cursor *cursor, uint64_t *offset);

/* May a block be at OFFSET, and is it in the file? */
bool qcow2_is_refcount_block(const struct qcow2_image *image, uint64_t offset);

/*
 * Count number FIRST, a multiple of 64, of the block at byte BLOCK, and *COUNT of them in all, a
 * multiple of 64 too; they stay as qcow2_hold has it. 0, or -errno as source_pread.
 */
int qcow2_load_block(const struct qcow2_image *image, struct qcow2_held *held, uint64_t block,
                     uint64_t first, uint64_t *count, const uint8_t **out);

/* The 64 counts at P, each of 2^ORDER bits. */
struct qcow2_count_bits qcow2_load_counts(const uint8_t *p, unsigned order);

/* The count of CLUSTER. 0, or -errno as source_pread. CURSOR is as qcow2_find has it. */
int qcow2_refcount(const struct qcow2_image *image, uint64_t cluster, struct qcow2_cursor *cursor,
                   enum qcow2_refcount *out);

#endif
