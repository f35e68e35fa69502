/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk's extent map: where in the archive is byte N of this disk.
 *
 *   disk    |  chunk: 64 spans, 4 GiB  |  (not there)  |  chunk  | ...
 *             |
 *             +-- span: 1024 clusters, 64 MiB, one of
 *                   empty    nothing is known of it yet
 *                   runs     sorted (first block, blocks, address): 10 bytes a run; best for data
 *                            in archive order, where a run is an archive extent's 59 clusters
 *                   packed   one word a cluster, 48 bits of address and a 16-bit mask of the
 *                            blocks that are stored: 8 bytes a cluster whatever the masks
 *                   kept     what is known of it is kept elsewhere (stored_map.h), until it is filled
 *             +-- lost: one bit a block; only where something is lost, and then it wins
 *
 * A span starts as runs and turns packed when that is smaller and every cluster in it allows it.
 *
 * The map is not locked: while it grows, its owner serialises map_add, map_resize and every
 * look-up. Once sealed it never changes and any number of threads may read it without a lock, but
 * for spans that are kept: map_fill may fill them then, too, while others read.
 */
#ifndef VMAFS_MAP_H
#define VMAFS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/extent.h"

struct extent_map;

enum {
        MAP_BLOCK = 4096, /* bytes: what data, holes and losses are told apart by */
};

#define MAP_SIZE_MAX (UINT64_C(1) << 50)  /* bytes: the largest disk */
#define MAP_UNKNOWN  (UINT64_MAX - 2)     /* an extent's addr: not seen yet, the map still grows */
#define MAP_KEPT     (UINT64_MAX - 4)     /* an extent's addr: of a span that is kept */
#define MAP_SPAN     (UINT64_C(64) << 20) /* bytes: what is kept, and filled, in one go */

/* What a sealed map says of a range that no extent covered. */
enum map_gap {
        MAP_GAP_LOST, /* the archive should have covered it */
        MAP_GAP_ZERO, /* unallocated: zeros */
};

/* For a disk of SIZE bytes. Sets *OUT, freed by map_free. -EFBIG above MAP_SIZE_MAX, -ENOMEM. */
int map_new(uint64_t size, enum map_gap gap, struct extent_map **out);

/* NULL is allowed. */
void map_free(struct extent_map *m);

/* What was added a second time: the range from the first to the last byte of it. */
struct map_twice {
        uint64_t first;
        uint64_t len; /* 0: nothing was */
};

/*
 * Add N extents, whose starts and lengths are multiples of MAP_BLOCK (but a length may stop at
 * the disk's end) and whose addresses are at most EXTENT_ADDR_MAX or a word of extent.h. They
 * may come in any order, and beyond size (map_resize may follow).
 *
 * What was covered before is ambiguous now: it becomes lost, is told in *TWICE, and ends the call,
 * so that every such place can be named. Returns how many extents were added, the last of them
 * ambiguous where twice->len is not 0; or -ENOMEM, -EFBIG for an address or a place that is too
 * large, -EINVAL for an extent that is not aligned.
 */
ssize_t map_add(struct extent_map *m, const struct extent *extents, size_t n,
                struct map_twice *twice);

/* -EFBIG above MAP_SIZE_MAX. */
int map_resize(struct extent_map *m, uint64_t size);

/* Until it is sealed, the map may learn better what a gap is. */
enum map_gap map_gap(const struct extent_map *m);
void map_set_gap(struct extent_map *m, enum map_gap gap);

/*
 * The span that holds POS, of which nothing was added yet, is kept from now on. Before the map is
 * sealed. 0 or -ENOMEM.
 */
int map_keep(struct extent_map *m, uint64_t pos);

/*
 * Give the span that holds POS, if it is kept still, what PART has, a sealed map of one span,
 * which has nothing then. Look-ups may go on meanwhile, but no other map_fill.
 */
void map_fill(struct extent_map *m, uint64_t pos, struct extent_map *part);

/* No more will be added. Gives back what growing had reserved. */
void map_seal(struct extent_map *m);

uint64_t map_size(const struct extent_map *m);

/*
 * A range that holds POS and is alike throughout, clipped to the disk.
 * POS is below the size. out->addr is the address of out->start, EXTENT_ZERO, EXTENT_LOST,
 * MAP_UNKNOWN or MAP_KEPT. Neighbouring answers may be alike.
 */
void map_find(const struct extent_map *m, uint64_t pos, struct extent *out);

/*
 * The first offset at or behind POS that is data (stored or lost: reading it must be tried) or a
 * hole. 0 with *OUT; -EAGAIN where that depends on what is not seen yet, or is kept, with *OUT from
 * where to ask again; -ENXIO where POS is at or behind the end, or no data follows. The end counts
 * as a hole.
 */
int map_next_data(const struct extent_map *m, uint64_t pos, uint64_t *out);
int map_next_hole(const struct extent_map *m, uint64_t pos, uint64_t *out);

struct map_totals {
        uint64_t stored; /* bytes in the archive, whole blocks */
        uint64_t lost;   /* bytes that are lost, whole blocks */
        uint64_t absent; /* bytes that no extent covered, whole blocks; a part of lost, or zeros */
};

/* What is kept does not count. */
struct map_totals map_totals(const struct extent_map *m);

#endif
