/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 64 MiB of a disk inside the extent map; map.h has the picture. Only map.c uses this.
 *
 * Positions and lengths are in blocks of 4 KiB from the span's start. Not locked, see map.h.
 */
#ifndef VMAFS_SPAN_H
#define VMAFS_SPAN_H

#include <stdint.h>

#include "index/map/span_forms.h"

struct span_totals {
        uint64_t stored, lost, absent; /* blocks */
};

void span_fini(struct span *s);

/*
 * Add N blocks from AT on. ADDR is the first one's address or a word of extent.h. Blocks that were
 * added before become lost and are returned in *AGAIN, which the caller zeroes. 0 or -ENOMEM; after
 * -ENOMEM some of the blocks may have been added.
 */
int span_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr, struct span_again *again);

/*
 * The same for N whole clusters from the span's cluster CLUSTER on. The first is WORD, and the
 * others continue it; N is 1 if word_is_ragged.
 */
int span_add_word(struct span *s, uint32_t cluster, uint32_t n, uint64_t word,
                  struct span_again *again);

/* Nothing more will be added: free spare memory. */
void span_trim(struct span *s);

void span_find(const struct span *s, uint32_t at, struct span_hit *hit);

/* Count the first N blocks by kind. */
void span_count(const struct span *s, uint32_t n, struct span_totals *t);

#endif
