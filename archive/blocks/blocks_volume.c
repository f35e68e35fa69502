/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "archive/blocks/blocks.h"
#include "archive/source/source.h"

static const struct blocks *blocks_of(const struct volume *volume)
{
        return (const struct blocks *)((const char *)volume - offsetof(struct blocks, volume));
}

int blocks_check_files(const struct blocks *b)
{
        int rc = 0;

        for (unsigned i = 0; i < b->count && rc == 0; i++)
                rc = source_check(b->layers[i].source, NULL);
        return rc;
}

static const enum volume_kind kinds[] = {
    [BLOCKS_HOLE] = VOLUME_ZERO,   [BLOCKS_ZERO] = VOLUME_ZERO, [BLOCKS_STORED] = VOLUME_RAW,
    [BLOCKS_PARTLY] = VOLUME_LOST, [BLOCKS_BAD] = VOLUME_LOST,
};

static int blocks_extent(struct volume *volume, uint64_t pos, uint64_t len,
                         struct volume_extent *out)
{
        const struct blocks *b = blocks_of(volume);
        struct blocks_look look = {0};
        struct blocks_piece piece;
        int rc;

        *out = (struct volume_extent){.len = len, .kind = VOLUME_UNKNOWN};
        if (!atomic_load_explicit(&b->judged, memory_order_acquire))
                return 0;
        rc = blocks_look(b, pos, len, &look, &piece);
        blocks_end_look(b, &look);
        /* What a parent has is right only as long as the files before it are. */
        if (rc == 0 && b->count > 1)
                rc = blocks_check_files(b);
        if (rc < 0)
                return rc;
        *out =
            (struct volume_extent){.len = piece.len,
                                   .kind = kinds[piece.state],
                                   .allocated = piece.state != BLOCKS_HOLE ||
                                                (b->count == 1 && b->layers[0].kind->names_holes),
                                   .depth = piece.depth};
        if (piece.state == BLOCKS_STORED) {
                out->source = b->layers[piece.depth].source;
                out->offset = piece.offset;
                if (b->layers[piece.depth].flat || b->layers[piece.depth].complete)
                        volume_split_hole(out);
        }
        return 0;
}

const struct volume_ops blocks_volume_ops = {.extent = blocks_extent};
