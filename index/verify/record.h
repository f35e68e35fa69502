/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `vmafs verify --record` stores in the sidecar: the hash tree of each disk, down to its
 * pieces. With it a later verify can notice and locate bit rot, which the archive itself cannot
 * show.
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
        const uint8_t *stored; /* a bit a piece: its hash is in … */
        const uint8_t *hashes; /* … hashes; the other pieces are zeros */
};

struct record {
        uint64_t time; /* when it was made, seconds since 1970 */
        size_t disk_count;
        struct record_disk *disks;
        uint8_t *bytes; /* as stored in the sidecar */
        size_t len;
};

/* Make a record of TREES. -ENODATA if one is incomplete; -ENOMEM, -ENOTSUP. */
int record_build(struct hashtree *const *trees, size_t count, uint64_t time, struct record **out);

/*
 * Parse TAKE_BYTES, which the record owns from then on; they are freed on failure, too. -EINVAL,
 * -ENOMEM.
 */
int record_parse(uint8_t *take_bytes, size_t len, struct record **out);

void record_free(struct record *r); /* NULL is allowed */

/*
 * Called, in disk order, for each range of a disk that differs from the record, or that cannot be
 * compared.
 */
struct record_sink {
        void *ctx;
        void (*changed)(void *ctx, uint64_t start, uint64_t len);
        void (*unknown)(void *ctx, uint64_t start, uint64_t len);
};

/* Compare D with TREE, the hashes found now, piece by piece. */
void record_compare(const struct record_disk *d, struct hashtree *tree,
                    const struct record_sink *sink);

#endif
