/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map_volume.h"

#include <errno.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "index/map/map.h"
#include "index/owner.h"
#include "index/sidecar/stored_map.h"

/*
 * An extent that a scan has found has proven itself where it lies, also after a gap of unknown
 * length: see volume_find.
 */
#define NOTHING_DISPLACED UINT64_MAX

/* Load the span of the map that holds POS. False: it stays unloaded. */
static bool fill(struct map_volume *v, uint64_t pos)
{
        int rc = stored_map_fill(v->stored_map, pos);

        if (rc < 0)
                index_stored_part_failed(v->index, rc);
        return rc == 0;
}

static void find(struct map_volume *v, uint64_t pos, struct extent *out)
{
        bool locked = index_lock_unless_sealed(v->index);

        map_find(v->map, pos, out);
        if (locked)
                index_unlock(v->index);
        if (out->addr == MAP_UNLOADED && fill(v, pos))
                map_find(v->map, pos, out);
}

void map_volume_describe(const struct map_volume *v, const struct extent *e, uint64_t skip,
                         struct volume_extent *out)
{
        *out = (struct volume_extent){.len = e->len - skip, .allocated = true};
        if (e->addr == EXTENT_ZERO) {
                out->kind = VOLUME_ZERO;
        } else if (e->addr == EXTENT_LOST) {
                out->kind = VOLUME_LOST;
        } else if (e->addr == MAP_UNKNOWN) {
                out->kind = VOLUME_UNKNOWN;
        } else {
                out->kind = VOLUME_RAW;
                out->source = index_archive(v->index)->source;
                out->offset = e->addr + skip;
        }
}

/* What of E its source has not decoded yet is not known. What is lost is in the map, or will be. */
static void withhold(struct volume_extent *e)
{
        uint64_t frontier = source_frontier(e->source);

        if (e->offset >= frontier)
                e->kind = VOLUME_UNKNOWN;
        else
                e->len = min_u64(e->len, frontier - e->offset);
}

static int map_volume_extent(struct volume *volume, uint64_t pos, uint64_t len,
                             struct volume_extent *out)
{
        struct map_volume *v = (struct map_volume *)volume;
        bool sealed = index_sealed(v->index);
        struct extent e;

        find(v, pos, &e);
        if (e.addr == MAP_UNLOADED) {
                out->len = min_u64(len, e.start + e.len - pos);
                return -EIO;
        }
        map_volume_describe(v, &e, pos - e.start, out);
        out->len = min_u64(out->len, len);
        if (!sealed && out->kind == VOLUME_RAW)
                withhold(out);
        return 0;
}

void map_volume_init(struct map_volume *v, struct index *index, struct extent_map *take_map)
{
        static const struct volume_ops ops = {
            .extent = map_volume_extent,
        };

        *v = (struct map_volume){
            .base = {.ops = &ops, .size = map_size(take_map), .anchor = NOTHING_DISPLACED},
            .index = index,
            .map = take_map};
}

void map_volume_fini(struct map_volume *v)
{
        stored_map_free(v->stored_map);
        map_free(v->map);
}
