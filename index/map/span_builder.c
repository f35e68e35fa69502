/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/span_builder.h"

#include <errno.h>

#include "archive/bytes.h"

#define CLUSTER ((uint64_t)SPAN_BUILDER_EXTENTS * MAP_BLOCK)

int span_builder_end(struct span_builder *r)
{
        struct map_twice twice;
        ssize_t added;

        if (r->count == 0)
                return 0;
        added = map_add(r->map, r->held, r->count, &twice);
        r->count = 0;
        if (added < 0)
                return (int)added;
        return twice.len ? -EINVAL : 0;
}

/* Take as much of the extent as lies in one cluster, or makes up whole clusters. */
static uint64_t next_piece(const struct extent *e)
{
        uint64_t in_cluster = e->start % CLUSTER;

        if (in_cluster == 0 && e->len >= CLUSTER)
                return e->len - e->len % CLUSTER;
        return min_u64(e->len, CLUSTER - in_cluster);
}

int span_builder_add(struct span_builder *r, const struct extent *e)
{
        struct extent left = *e;
        int rc = 0;

        while (rc == 0 && left.len) {
                uint64_t len = next_piece(&left);

                r->held[r->count++] = (struct extent){left.start, len, left.addr};
                left.start += len;
                left.len -= len;
                if (left.addr != EXTENT_ZERO && left.addr != EXTENT_LOST)
                        left.addr += len;
                if (left.start % CLUSTER == 0 || r->count == SPAN_BUILDER_EXTENTS)
                        rc = span_builder_end(r);
        }
        return rc;
}
