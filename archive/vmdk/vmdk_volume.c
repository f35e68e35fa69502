/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk that consists of the parts, as a volume. */
#include <errno.h>

#include "archive/array.h"
#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

static struct vmdk *vmdk_of(struct volume *volume)
{
        return (struct vmdk *)((char *)volume - offsetof(struct vmdk, volume));
}

/* The number of the part that has byte POS of the disk, which is below its size. */
static size_t find_part(const struct vmdk *v, uint64_t pos)
{
        /* The last one that does not begin after it: those before have ended, or are empty. */
        return search_first(v->parts.count, i, v->parts.items[i].start > pos) - 1;
}

static bool is_judged(const struct vmdk_part *p)
{
        return atomic_load_explicit(&p->judged, memory_order_acquire);
}

/*
 * How many bytes of the flat part P its file has: up to a gap of unknown length, and in whole
 * blocks of the disk if the file is cut off. While it is being decompressed, up to the frontier.
 */
static uint64_t flat_end(const struct vmdk_part *p, bool judged)
{
        uint64_t end = judged ? p->verdict.end : source_frontier(p->source), have;

        if (!judged)
                end = min_u64(end, source_straight(p->source, 0));
        have = end - min_u64(end, p->offset);
        return have < p->len ? have - min_u64(have, (p->start + have) % VMDK_BLOCK_SIZE) : p->len;
}

/* LEN bytes from POS of a flat part lie where the descriptor says. */
static void flat_extent(const struct vmdk_part *p, uint64_t pos, uint64_t len,
                        struct volume_extent *out)
{
        bool judged = is_judged(p);
        uint64_t end = flat_end(p, judged);

        *out = (struct volume_extent){
            .len = len, .kind = judged ? VOLUME_LOST : VOLUME_UNKNOWN, .allocated = true};
        if (pos >= end)
                return;
        out->len = min_u64(len, end - pos);
        out->kind = VOLUME_RAW;
        out->source = p->source;
        out->offset = p->offset + pos;
        volume_split_hole(out);
}

static const enum volume_kind kinds[] = {
    [VMDK_HOLE] = VOLUME_ZERO,
    [VMDK_ZEROED] = VOLUME_ZERO,
    [VMDK_STORED] = VOLUME_RAW,
    [VMDK_LOST] = VOLUME_LOST,
};

static int sparse_extent(struct vmdk *v, size_t i, uint64_t pos, uint64_t len,
                         struct volume_extent *out)
{
        const struct vmdk_part *p = &v->parts.items[i];
        struct vmdk_piece piece;
        bool stored;
        int rc;

        if (!is_judged(p)) {
                *out = (struct volume_extent){.len = len, .kind = VOLUME_UNKNOWN};
                return 0;
        }
        rc = vmdk_find(v, i, pos, len, false, &piece);
        if (rc < 0)
                return rc;
        stored = piece.state == VMDK_STORED;
        *out = (struct volume_extent){.len = piece.len,
                                      .kind = stored && p->h.compressed ? VOLUME_CODED
                                                                        : kinds[piece.state],
                                      .allocated = piece.state != VMDK_HOLE,
                                      .source = stored ? p->source : NULL,
                                      .offset = piece.offset};
        return 0;
}

/* What the disk's own parts say. */
static int own_extent(struct volume *volume, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct vmdk *v = vmdk_of(volume);
        size_t i = find_part(v, pos);
        const struct vmdk_part *p = &v->parts.items[i];

        pos -= p->start;
        len = min_u64(len, p->len - pos);
        if (p->kind == VMDK_SPARSE)
                return sparse_extent(v, i, pos, len, out);
        if (p->kind == VMDK_FLAT)
                flat_extent(p, pos, len, out);
        else
                *out = (struct volume_extent){.len = len, .kind = VOLUME_ZERO, .allocated = true};
        return 0;
}

/* Does the parent have what OUT is? */
static bool is_parents(const struct vmdk *v, const struct volume_extent *out)
{
        return v->parent && out->kind == VOLUME_ZERO && !out->allocated;
}

static int vmdk_extent(struct volume *volume, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct vmdk *v = vmdk_of(volume);
        int rc = own_extent(volume, pos, len, out);

        if (rc < 0 || !is_parents(v, out))
                return rc;
        /* It is right only as long as the file is that says so; the parent looks after its own. */
        rc = source_check(v->parts.items[find_part(v, pos)].source, NULL);
        return rc < 0 ? rc : backing_extent(v->parent, pos, out->len, out);
}

static int vmdk_read(struct volume *volume, void *buf, size_t len, uint64_t pos)
{
        struct vmdk *v = vmdk_of(volume);
        size_t i = find_part(v, pos);
        const struct vmdk_part *p = &v->parts.items[i];
        struct vmdk_piece piece;
        struct volume_extent own;
        int rc;

        if (v->parent) {
                rc = own_extent(volume, pos, len, &own);
                if (rc == 0 && is_parents(v, &own))
                        rc = own.len < len ? -EIO : backing_read(v->parent, buf, len, pos);
                if (rc < 0 || is_parents(v, &own))
                        return rc;
        }
        if (p->kind != VMDK_SPARSE || !p->h.compressed || !is_judged(p))
                return -EIO;
        rc = vmdk_find(v, i, pos - p->start, len, false, &piece);
        if (rc < 0)
                return rc;
        if (piece.state != VMDK_STORED || piece.len < len)
                return -EIO;
        return vmdk_inflate(v, i, piece.offset, pos - p->start, buf, len);
}

const struct volume_ops vmdk_volume_ops = {
    .extent = vmdk_extent,
    .read = vmdk_read,
};
