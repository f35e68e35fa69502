/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds a disk's map from extents in guest order, as a stored index has them.
 *
 *   extents   |=====|==|=============|....|===|
 *   clusters  |       |       |       |       |      64 KiB
 *   handed on |===|==||       |       |       |      what ends with a cluster, at once
 *
 * The map handles a cluster with a mask as one if it gets all its extents in one call. Given one
 * extent at a time, such a disk takes ten times as long.
 */
#ifndef VMAFS_SPAN_BUILDER_H
#define VMAFS_SPAN_BUILDER_H

#include <stddef.h>

#include "archive/extent.h"
#include "index/map/map.h"

enum { SPAN_BUILDER_EXTENTS = 16 }; /* one for each block of a cluster */

/* Initialise it with the map, which the caller owns, and zeros. */
struct span_builder {
        struct extent_map *map;
        struct extent held[SPAN_BUILDER_EXTENTS];
        size_t count;
};

/* Add E, which must lie after all earlier extents (-EINVAL). 0, or as map_add. */
int span_builder_add(struct span_builder *r, const struct extent *e);

/* Pass on what is held. Returns the same. */
int span_builder_end(struct span_builder *r);

#endif
