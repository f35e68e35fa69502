/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/part_volume.h"

#include "archive/bytes.h"

static int part_extent(struct volume *volume, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct part_volume *v = (struct part_volume *)volume;
        uint64_t at = v->start + pos;

        /* An error that says nothing of its length is about a block of the volume below. */
        out->len = min_u64(len, VOLUME_BLOCK - at % VOLUME_BLOCK);
        return v->below->ops->extent(v->below, at, len, out);
}

static int part_read(struct volume *volume, void *buf, size_t len, uint64_t pos)
{
        struct part_volume *v = (struct part_volume *)volume;

        return v->below->ops->read(v->below, buf, len, v->start + pos);
}

void part_volume_init(struct part_volume *v, struct volume *below, uint64_t start, uint64_t len)
{
        static const struct volume_ops ops = {.extent = part_extent, .read = part_read};

        *v = (struct part_volume){.base = {.ops = &ops, .size = len, .anchor = below->anchor},
                                  .below = below,
                                  .start = start};
}
