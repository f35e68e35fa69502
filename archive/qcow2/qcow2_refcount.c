/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference counts of qcow2: how often each cluster of the file is named.
 *
 *   table ──> block, one cluster ──> counts of 1 to 64 bits
 */
#include "archive/qcow2/qcow2_refcount.h"

#include <errno.h>

#include "archive/bytes.h"
#include "archive/qcow2/qcow2_map.h"

enum { REFTABLE_MAX = 8 * 1024 * 1024 }; /* bytes; QEMU refuses more, too */

#define BLOCK_MASK UINT64_C(0xfffffffffffffe00)

uint64_t qcow2_refcounts_in_block(const struct qcow2_image *image)
{
        return (UINT64_C(8) << image->cluster_bits) >> image->refcount_order;
}

uint64_t qcow2_refcount_blocks(const struct qcow2_image *image)
{
        return (uint64_t)image->reftable_clusters << (image->cluster_bits - 3);
}

bool qcow2_has_refcounts(const struct qcow2_image *image)
{
        uint64_t len = (uint64_t)image->reftable_clusters << image->cluster_bits;

        return len && len <= REFTABLE_MAX && image->reftable_offset &&
               image->reftable_offset % (UINT64_C(1) << image->cluster_bits) == 0 &&
               range_within(image->reftable_offset, len, image->file_size);
}

int qcow2_refcount_block(const struct qcow2_image *image, uint64_t number,
                         struct qcow2_cursor *cursor, uint64_t *offset)
{
        uint64_t at = image->reftable_offset + number * 8, end = at + 8;
        const uint8_t *p;
        int rc;

        *offset = 0;
        if (number >= qcow2_refcount_blocks(image))
                return 0;
        rc = qcow2_hold(image, &cursor->l1, at, &end, &p);
        if (rc == 0)
                *offset = load_be64(p) & BLOCK_MASK;
        return rc;
}

bool qcow2_is_refcount_block(const struct qcow2_image *image, uint64_t offset)
{
        uint64_t cluster = UINT64_C(1) << image->cluster_bits;

        return offset % cluster == 0 && range_within(offset, cluster, image->file_size);
}

static uint64_t load_count(const uint8_t *p, uint64_t i, unsigned order)
{
        switch (order) {
        case 3:
                return p[i];
        case 4:
                return load_be16(p + 2 * i);
        case 5:
                return load_be32(p + 4 * i);
        case 6:
                return load_be64(p + 8 * i);
        default:
                return (unsigned)p[i << order >> 3] >> (i % (8U >> order) << order) &
                       ((1U << (1U << order)) - 1);
        }
}

/* The bytes at P are 64 counts of 16 bits, as most images have them, and all are V. */
static bool all_are(const uint8_t *p, uint16_t v)
{
        uint64_t pattern = htobe16(v) * UINT64_C(0x0001000100010001), other = 0;

        for (size_t i = 0; i < 16; i++) {
                uint64_t word;

                memcpy(&word, p + 8 * i, sizeof word);
                other |= word ^ pattern;
        }
        return other == 0;
}

struct qcow2_count_bits qcow2_load_counts(const uint8_t *p, unsigned order)
{
        struct qcow2_count_bits out = {0};

        if (order == 4 && all_are(p, 1))
                return (struct qcow2_count_bits){.used = UINT64_MAX};
        if (order == 4 && all_are(p, 0))
                return out;
        for (uint64_t i = 0; i < 64; i++) {
                uint64_t v = load_count(p, i, order);

                out.used |= (uint64_t)(v > 0) << i;
                out.shared |= (uint64_t)(v > 1) << i;
        }
        return out;
}

int qcow2_load_block(const struct qcow2_image *image, struct qcow2_held *held, uint64_t block,
                     uint64_t first, uint64_t *count, const uint8_t **out)
{
        uint64_t at = block + ((first << image->refcount_order) >> 3);
        uint64_t end = block + qcow2_cluster_size(image);
        int rc = qcow2_hold(image, held, at, &end, out);

        *count = rc == 0 ? (end - at) << 3 >> image->refcount_order : 0;
        return rc;
}

int qcow2_refcount(const struct qcow2_image *image, uint64_t cluster, struct qcow2_cursor *cursor,
                   enum qcow2_refcount *out)
{
        uint64_t in_block = qcow2_refcounts_in_block(image), block, count;
        uint64_t i = cluster % in_block / 64 * 64;
        const uint8_t *p;
        struct qcow2_count_bits bits;
        int rc = qcow2_refcount_block(image, cluster / in_block, cursor, &block);

        *out = QCOW2_UNCOUNTED;
        if (rc == 0 && !block)
                *out = QCOW2_FREE;
        if (rc == 0 && block && qcow2_is_refcount_block(image, block)) {
                rc = qcow2_load_block(image, &cursor->l2, block, i, &count, &p);
                if (rc == 0) {
                        bits = qcow2_load_counts(p, image->refcount_order);
                        *out = bits.shared >> cluster % 64 & 1 ? QCOW2_SHARED
                               : bits.used >> cluster % 64 & 1 ? QCOW2_ONCE
                                                               : QCOW2_FREE;
                }
        }
        /* A block that cannot be read counts as missing. */
        return rc == -EIO ? 0 : rc;
}
