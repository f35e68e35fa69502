/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A part of another source, byte for byte, with the same abilities: if the parent can pin its
 * bytes, or gather them from a file, so can the slice.
 *
 *   parent   |........|==============|.......|
 *                     ^ offset       ^ offset + size
 */
#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/volume.h"

struct slice {
        struct source base;
        struct source_ops ops; /* of base: only those that the parent has */
        struct source *parent;
        uint64_t offset;
};

static struct slice *as_slice(struct source *s)
{
        return (struct slice *)s;
}

/* Byte AT of the parent as an offset in the slice, clipped to the slice. */
static uint64_t inside(const struct slice *slice, uint64_t at)
{
        return min_u64(at - min_u64(at, slice->offset), slice->base.size);
}

static ssize_t slice_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        return source_pread(as_slice(s)->parent, buf, len, as_slice(s)->offset + offset);
}

static int slice_gather(struct source *s, struct source_piece *pieces, size_t count)
{
        const struct slice *slice = as_slice(s);
        int rc;

        for (size_t i = 0; i < count; i++)
                pieces[i].offset += slice->offset;
        rc = source_gather(slice->parent, pieces, count);
        for (size_t i = 0; i < count; i++)
                pieces[i].offset -= slice->offset;
        return rc;
}

static int slice_pin(struct source *s, uint64_t offset, size_t len, bool wait,
                     struct source_pin *pin)
{
        const struct slice *slice = as_slice(s);
        int rc = source_pin(slice->parent, slice->offset + offset, len, wait, pin);

        if (rc != 1)
                return rc;
        if (pin->start < slice->offset) {
                pin->data += slice->offset - pin->start;
                pin->start = slice->offset;
        }
        pin->start = inside(slice, pin->start);
        pin->end = inside(slice, pin->end);
        return 1;
}

static void slice_unpin(struct source *s, const struct source_pin *pin)
{
        source_unpin(as_slice(s)->parent, pin);
}

static void slice_note_read(struct source *s, uint64_t offset, uint64_t len)
{
        const struct slice *slice = as_slice(s);

        source_note_read(slice->parent, slice->offset + offset, len);
}

static int slice_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        const struct slice *slice = as_slice(s);
        int rc = source_reach(slice->parent, slice->offset + min_u64(offset, s->size), end, err);

        *end = inside(slice, *end);
        return rc;
}

static int slice_look_ahead(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        const struct slice *slice = as_slice(s);
        int rc =
            source_look_ahead(slice->parent, slice->offset + min_u64(offset, s->size), end, err);

        *end = inside(slice, *end);
        return rc;
}

static ssize_t slice_peek(struct source *s, void *buf, size_t len, uint64_t offset)
{
        len = (size_t)min_u64(len, s->size - min_u64(offset, s->size));
        return source_peek(as_slice(s)->parent, buf, len, as_slice(s)->offset + offset);
}

static uint64_t slice_frontier(struct source *s)
{
        return inside(as_slice(s), source_frontier(as_slice(s)->parent));
}

static uint64_t slice_decoded(struct source *s)
{
        return inside(as_slice(s), source_decoded(as_slice(s)->parent));
}

static int slice_resolve(struct source *s, uint64_t offset, uint64_t len, struct volume_extent *out)
{
        *out = (struct volume_extent){.len = min_u64(len, s->size - offset),
                                      .kind = VOLUME_RAW,
                                      .allocated = true,
                                      .source = as_slice(s)->parent,
                                      .offset = as_slice(s)->offset + offset};
        return 0;
}

static void slice_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        source_will_need(as_slice(s)->parent, as_slice(s)->offset + offset, len);
}

static uint64_t slice_next_data(struct source *s, uint64_t offset)
{
        const struct slice *slice = as_slice(s);

        return inside(slice, source_next_data(slice->parent, slice->offset + offset));
}

static int slice_check(struct source *s, struct error *err)
{
        return source_check(as_slice(s)->parent, err);
}

static int64_t slice_mtime(const struct source *s)
{
        return source_mtime(((const struct slice *)s)->parent);
}

static bool slice_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap)
{
        const struct slice *slice = as_slice(s);
        uint64_t at;

        if (!checked_add(slice->offset, from, &at) || !source_find_lost(slice->parent, at, gap) ||
            gap->start >= slice->offset + s->size)
                return false;
        gap->start -= min_u64(gap->start, slice->offset);
        gap->end -= slice->offset;
        return true;
}

static int slice_damage(struct source *s, struct error *err)
{
        return source_damage(as_slice(s)->parent, err);
}

static void slice_close(struct source *s)
{
        free(s);
}

static const struct source_ops slice_ops = {
    .pread = slice_pread,
    .gather = slice_gather,
    .pin = slice_pin,
    .unpin = slice_unpin,
    .note_read = slice_note_read,
    .resolve = slice_resolve,
    .reach = slice_reach,
    .look_ahead = slice_look_ahead,
    .peek = slice_peek,
    .frontier = slice_frontier,
    .decoded = slice_decoded,
    .find_lost = slice_find_lost,
    .damage = slice_damage,
    .will_need = slice_will_need,
    .next_data = slice_next_data,
    .check = slice_check,
    .mtime = slice_mtime,
    .close = slice_close,
};

int source_open_slice(struct source *parent, uint64_t offset, uint64_t len, struct source **out)
{
        struct slice *slice;
        uint64_t end;

        if (!checked_add(offset, len, &end))
                return -EOVERFLOW;
        slice = calloc(1, sizeof *slice);
        if (!slice)
                return -ENOMEM;
        slice->ops = slice_ops;
        slice->ops.name = parent->ops->name;
        slice->ops.is_file = parent->ops->is_file;
        if (!parent->ops->pin)
                slice->ops.pin = NULL;
        slice->base.ops = &slice->ops;
        slice->base.size = len;
        slice->parent = parent;
        slice->offset = offset;
        *out = &slice->base;
        return 0;
}
