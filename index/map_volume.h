/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The volume of a disk whose extents a scan emits. Answers from the disk's extent map, as far as
 * that has grown, or is loaded from a stored index.
 */
#ifndef VMAFS_MAP_VOLUME_H
#define VMAFS_MAP_VOLUME_H

#include "archive/extent.h"
#include "archive/volume.h"

struct extent_map;
struct index;
struct stored_map;

struct map_volume {
        struct volume base;
        struct index *index;    /* its lock guards the map until it is sealed */
        struct extent_map *map; /* its own */
        struct stored_map
            *stored_map; /* its own, fills map as it is needed; NULL: nothing is kept */
};

/* TAKE_MAP is the map of a disk of INDEX. */
void map_volume_init(struct map_volume *v, struct index *index, struct extent_map *take_map);
void map_volume_fini(struct map_volume *v); /* zeroed is allowed */

/* Describe E, an extent emitted for V's disk, from its byte SKIP on. */
void map_volume_describe(const struct map_volume *v, const struct extent *e, uint64_t skip,
                         struct volume_extent *out);

#endif
