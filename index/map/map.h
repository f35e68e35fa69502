/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk's extent map: where in the archive byte N of the disk is.
 *
 *   disk    |  chunk: 64 spans, 4 GiB  |  (missing)    |  chunk  | ...      chunks.h
 *             |
 *             +-- span: 1024 clusters, 64 MiB, one of
 *                   runs     sorted (first block, blocks, address): 10 bytes a run; best for data
 *                            in archive order, where a run is an archive extent's 59 clusters
 *                   listed   clusters with a 16-bit mask of the stored blocks, or without masks if
 *                            all are stored: 2 to 8 bytes each; best for few  clusterlist.h
 *                   packed   one word a cluster, 48 bits of address and the mask: 8 bytes a
 *                            cluster whatever the masks                   word.h
 *                   unloaded its contents are in the sidecar (stored_map.h) until map_fill loads them
 *             +-- lost: one bit a block, if known blocks became lost; takes precedence
 *   strays  clusters outside all spans: few in a span, or the same in many spans      strays.h
 *
 * A span is created once enough clusters have come to be worth its own size. So the number of
 * clusters added, wherever they lie, bounds the memory: 10 bytes each once sealed, 5 for zeros, and
 * about 20 while the map grows. A span starts as runs. It becomes listed when a cluster with a mask
 * comes, and packed when the list has reached 3/8 of packed's size. Sealing turns packed spans, and
 * runs of single clusters, into lists if that is smaller. What cannot be described in whole
 * clusters stays runs. On top come 300 bytes for a disk, 2 KiB of lost bits for a span in which
 * something was added twice, and 10 bytes for each run of blocks that do not fill clusters.
 *
 * The map is not locked. While it grows, its owner serialises map_add, map_resize and every
 * look-up. Once sealed it never changes, and any number of threads may read it without a lock. The
 * exception are unloaded spans, which map_fill may fill while others read.
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
        MAP_BLOCK = 4096, /* bytes: the granularity of data, holes and losses */
};

#define MAP_SIZE_MAX (UINT64_C(1) << 50)  /* bytes: the largest disk */
#define MAP_UNKNOWN  (UINT64_MAX - 2)     /* an extent's addr: not known yet, the map still grows */
#define MAP_UNLOADED (UINT64_MAX - 4)     /* an extent's addr: the span is unloaded */
#define MAP_SPAN     (UINT64_C(64) << 20) /* bytes: what is stored and loaded as one */

/* What a sealed map says about a range that no extent covered. */
enum map_gap {
        MAP_GAP_LOST, /* the archive should have covered it */
        MAP_GAP_ZERO, /* unallocated: zeros */
};

/*
 * Create the map of a disk of SIZE bytes in *OUT, which map_free frees. 0, -EFBIG above
 * MAP_SIZE_MAX, or -ENOMEM.
 */
int map_new(uint64_t size, enum map_gap gap, struct extent_map **out);

/* NULL is allowed. */
void map_free(struct extent_map *m);

/* What was added a second time, from its first to its last byte. */
struct map_twice {
        uint64_t first;
        uint64_t len; /* 0: nothing */
};

/*
 * Add N extents. Their starts and lengths are multiples of MAP_BLOCK, except that a length may stop
 * at the disk's end. Their addresses are at most EXTENT_ADDR_MAX, or a word of extent.h. They may
 * come in any order, and lie beyond the size (map_resize may follow).
 *
 * A range that was covered before is ambiguous: it becomes lost, is returned in *TWICE, and ends
 * the call, so that each such range can be named. Returns how many extents were added (if
 * twice->len is not 0, the last of them was ambiguous), or -ENOMEM, -EFBIG for an address or offset
 * that is too large, -EINVAL for an extent that is not aligned.
 */
ssize_t map_add(struct extent_map *m, const struct extent *extents, size_t n,
                struct map_twice *twice);

/* -EFBIG above MAP_SIZE_MAX. */
int map_resize(struct extent_map *m, uint64_t size);

/* Change what a gap means, before the map is sealed. */
enum map_gap map_gap(const struct extent_map *m);
void map_set_gap(struct extent_map *m, enum map_gap gap);

/*
 * Mark the span that holds POS, to which nothing was added yet, as unloaded. Only before the map is
 * sealed. 0 or -ENOMEM.
 */
int map_set_unloaded(struct extent_map *m, uint64_t pos);

/* A map of one span, MAP_SPAN bytes, for map_fill. As map_new. */
int map_new_part(enum map_gap gap, struct extent_map **out);

/*
 * If the span that holds POS is still unloaded, move the contents of PART, a sealed map of
 * map_new_part, into it; PART is empty then. Look-ups may run at the same time, but no other
 * map_fill.
 */
void map_fill(struct extent_map *m, uint64_t pos, struct extent_map *part);

/* No more will be added. Frees what was reserved for growing. */
void map_seal(struct extent_map *m);

uint64_t map_size(const struct extent_map *m);

/*
 * Find a uniform range that holds POS, clipped to the disk. POS is below the size. out->addr is the
 * address of out->start, EXTENT_ZERO, EXTENT_LOST, MAP_UNKNOWN or MAP_UNLOADED. Neighbouring ranges
 * may be of the same kind.
 */
void map_find(const struct extent_map *m, uint64_t pos, struct extent *out);

struct map_totals {
        uint64_t stored; /* bytes in the archive, whole blocks */
        uint64_t lost;   /* bytes that are lost, whole blocks */
        uint64_t absent; /* bytes no extent covered, whole blocks: zeros, or a part of lost */
};

/* Unloaded spans do not count. */
struct map_totals map_totals(const struct extent_map *m);

#endif
