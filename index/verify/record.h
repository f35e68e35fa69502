/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `vmafs verify --record` keeps in the sidecar: the hash tree of each disk down to its pieces,
 * so that bit rot, which the archive cannot show, is noticed and located later.
 */
#ifndef VMAFS_RECORD_H
#define VMAFS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/verify/hashtree.h"

struct record_disk {
        uint64_t size; /* bytes */
        uint8_t root[HASHTREE_LEN];
        const uint8_t *stored; /* a bit a piece: its hash is among … */
        const uint8_t *hashes; /* … these; the other pieces are zeros */
};

struct record {
        uint64_t time; /* when it was made, seconds since 1970 */
        size_t disk_count;
        struct record_disk *disks;
        uint8_t *bytes; /* as it is in the sidecar */
        size_t len;
};

/* Of TREES, which are all complete. -ENODATA where one is not; -ENOMEM, -ENOTSUP. */
int record_build(struct hashtree *const *trees, size_t count, uint64_t time, struct record **out);

/* Of TAKE_BYTES, which become the record's and are freed on failure too. -EINVAL, -ENOMEM. */
int record_parse(uint8_t *take_bytes, size_t len, struct record **out);

void record_free(struct record *r); /* NULL is allowed */

/*
 * Who is told about ranges of a disk that are not what was recorded, or of which that cannot be
 * said, in the disk's order.
 */
struct record_sink {
        void *ctx;
        void (*changed)(void *ctx, uint64_t start, uint64_t len);
        void (*unknown)(void *ctx, uint64_t start, uint64_t len);
};

/* Compare D with what TREE has found now, in pieces. */
void record_compare(const struct record_disk *d, struct hashtree *tree,
                    const struct record_sink *sink);

#endif
