/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The data structures of a span of the extent map, for span.h and words.h. */
#ifndef VMAFS_SPAN_FORMS_H
#define VMAFS_SPAN_FORMS_H

#include <stdbool.h>
#include <stdint.h>

enum {
        SPAN_CLUSTER_BLOCKS = 16,
        SPAN_CLUSTERS = 1024,
        SPAN_BLOCKS = SPAN_CLUSTERS * SPAN_CLUSTER_BLOCKS,
};

#define SPAN_ABSENT (UINT64_MAX - 3) /* an address: nothing was added here */

enum span_kind {
        SPAN_RUNS, /* an empty span has none */
        SPAN_LISTED,
        SPAN_PACKED,
};

/* All zeros is an empty span. */
struct span {
        union {
                struct run *runs;         /* SPAN_RUNS: count of them, sorted, not overlapping */
                struct clusterlist *list; /* SPAN_LISTED */
                uint64_t *clusters;       /* SPAN_PACKED: SPAN_CLUSTERS words of word.h */
        };
        uint64_t *lost; /* a bit a block, or NULL */
        uint16_t count;
        uint16_t capacity; /* runs it has room for */
        uint16_t pack_at;  /* try packing again at so many runs; 0: not tried yet */
        uint8_t kind;      /* enum span_kind */
        bool odd;          /* words cannot describe all of it */
};

struct span_hit {
        uint32_t first;  /* block */
        uint32_t blocks; /* how many are of this kind */
        uint64_t addr;   /* of the first block; EXTENT_ZERO, EXTENT_LOST or SPAN_ABSENT */
};

/* Blocks that were added to a span a second time. */
struct span_again {
        uint32_t first; /* valid if blocks is not 0 */
        uint32_t blocks;
};

#endif
