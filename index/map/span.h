/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 64 MiB of a disk inside the extent map; map.h has the picture. Only map.c uses this.
 *
 * Positions and lengths are in blocks of 4 KiB from the span's start. Not locked, see map.h.
 */
#ifndef VMAFS_SPAN_H
#define VMAFS_SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum {
        SPAN_CLUSTER_BLOCKS = 16,
        SPAN_CLUSTERS = 1024,
        SPAN_BLOCKS = SPAN_CLUSTERS * SPAN_CLUSTER_BLOCKS,
        SPAN_CLUSTER_BYTES = SPAN_CLUSTER_BLOCKS * 4096,
};

#define SPAN_ABSENT (UINT64_MAX - 3) /* an address: nothing was added here */

enum span_kind {
        SPAN_RUNS, /* none at all is an empty span */
        SPAN_PACKED,
};

/* All zeros is an empty span. */
struct span {
        union {
                struct run *runs;   /* SPAN_RUNS: count of them, sorted, not overlapping */
                uint64_t *clusters; /* SPAN_PACKED: SPAN_CLUSTERS of them */
        };
        uint64_t *lost; /* a bit a block, or NULL */
        uint16_t count;
        uint16_t capacity; /* runs there is room for */
        uint16_t pack_at;  /* runs at which packing is tried next; 0: the first time */
        uint8_t kind;      /* enum span_kind */
};

struct span_hit {
        uint32_t first;  /* block */
        uint32_t blocks; /* how many are alike */
        uint64_t addr;   /* of the first block; EXTENT_ZERO, EXTENT_LOST or SPAN_ABSENT */
};

struct span_totals {
        uint64_t stored, lost, absent; /* blocks */
};

void span_fini(struct span *s);

/* Blocks that were added to a span a second time. */
struct span_again {
        uint32_t first; /* where blocks is not 0 */
        uint32_t blocks;
};

/*
 * Add N blocks from AT with the address ADDR (of the first one) or a word of extent.h. Blocks
 * that were there before become lost and are told in *AGAIN, which starts as zeros. 0 or -ENOMEM;
 * after -ENOMEM some of the blocks may have been added.
 */
int span_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr, struct span_again *again);

/*
 * Add the whole cluster that starts at block AT, as the word that a packed span keeps (address
 * << 16 | mask). False, and nothing done, where the span is not packed or has the cluster.
 */
bool span_add_packed(struct span *s, uint32_t at, uint64_t word);

/* Nothing more will be added: give back spare room. */
void span_trim(struct span *s);

void span_find(const struct span *s, uint32_t at, struct span_hit *hit);

/* Count the first N blocks by kind. */
void span_count(const struct span *s, uint32_t n, struct span_totals *t);

#endif
