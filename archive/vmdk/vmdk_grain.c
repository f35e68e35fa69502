/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed grains, which are inflated one at a time. */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"
#include "archive/zlib_block.h"

/* A grain, and what wants it. */
struct grain {
        const struct vmdk_part *part;
        uint64_t offset; /* of its marker */
        uint64_t lba;    /* sector of the part, as the marker must have it */
        size_t len;      /* bytes, fewer than a grain's at the part's end */
};

/* A blockcache_load_fn. The last grain of a part may be stored whole or cut at the part's end. */
static int decode(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct grain *g = ctx;
        unsigned char marker[VMDK_MARKER];
        cleanup_free unsigned char *in = NULL, *whole = NULL;
        size_t room = g->part->h.grain, size;
        int rc = source_pread_all(g->part->source, marker, sizeof marker, g->offset);

        (void)key;
        if (rc < 0)
                return rc;
        size = load_le32(marker + 8);
        if (load_le64(marker) != g->lba || size == 0 || size > 2 * (size_t)g->part->h.grain)
                return -EIO;
        in = malloc(size);
        if (len < room)
                whole = malloc(room);
        if (!in || (len < room && !whole))
                return -ENOMEM;
        rc = source_pread_all(g->part->source, in, size, g->offset + VMDK_MARKER);
        if (rc < 0)
                return rc;
        rc = zlib_block(in, size, whole ? whole : buf, &room);
        if (rc < 0 || room < len)
                return rc < 0 ? rc : -EIO;
        if (whole)
                memcpy(buf, whole, len);
        return 0;
}

int vmdk_inflate(struct vmdk *v, size_t i, uint64_t offset, uint64_t pos, void *buf, size_t len)
{
        const struct vmdk_part *p = &v->parts.items[i];
        uint64_t start = pos / p->h.grain * p->h.grain;
        struct grain g = {.part = p, .offset = offset, .lba = start / VMDK_SECTOR};
        struct block *block;
        int rc;

        g.len = (size_t)min_u64(p->h.grain, p->len - start);
        if (!range_within(pos - start, len, g.len))
                return -EIO;
        if (len == g.len)
                return decode(&g, 0, buf, len);
        rc =
            blockcache_get(v->grains, VMDK_KEY(i, offset / VMDK_SECTOR), g.len, decode, &g, &block);
        if (rc < 0)
                return rc;
        memcpy(buf, (const char *)block_data(block) + (pos - start), len);
        blockcache_put(v->grains, block);
        return 0;
}
