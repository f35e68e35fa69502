/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk's map from extents that come in guest order, as a kept index has them.
 *
 *   extents   |=====|==|=============|....|===|
 *   clusters  |       |       |       |       |      64 KiB
 *   handed on |===|==||       |       |       |      what ends with a cluster, at once
 *
 * The map takes a cluster with a mask in one go where it gets all of it in one call: one extent at
 * a time, such a disk takes ten times as long.
 */
#ifndef VMAFS_REFILL_H
#define VMAFS_REFILL_H

#include <stddef.h>

#include "archive/extent.h"
#include "index/map/map.h"

enum { REFILL_EXTENTS = 16 }; /* a cluster's blocks: it cannot have more */

/* Starts as the map, the caller's, and zeros. */
struct refill {
        struct extent_map *map;
        struct extent held[REFILL_EXTENTS];
        size_t count;
};

/* Add E, which lies behind all that were added. 0, or as map_add; -EINVAL where it does not. */
int refill_add(struct refill *r, const struct extent *e);

/* Hand on what is held. The same. */
int refill_end(struct refill *r);

#endif
