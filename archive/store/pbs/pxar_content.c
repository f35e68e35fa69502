/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The data of one file of a pxar archive: a part of the stream that holds it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/store/pbs/pxar_internal.h"
#include "archive/volume.h"

enum trust { TRUST_UNKNOWN, TRUST_PROVEN, TRUST_REFUSED };

struct content {
        struct volume base;
        struct volume *stream;
        uint64_t offset;
        _Atomic(enum trust) trust; /* of a reference: does it lead to the data that it says? */
};

/* Looked at once it is read: to look at all files of a folder would read the payload for each. */
static int prove(struct content *c)
{
        struct pxar_item item;
        int rc = pxar_read_item(c->stream, c->offset - PXAR_HEADER, c->stream->size, &item, NULL);

        if (rc < 0 && rc != -EIO)
                return rc;
        c->trust = rc == 0 && item.type == PXAR_PAYLOAD && item.size == PXAR_HEADER + c->base.size
                       ? TRUST_PROVEN
                       : TRUST_REFUSED;
        return 0;
}

static int content_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct content *c = (struct content *)v;
        int rc = c->trust == TRUST_UNKNOWN ? prove(c) : 0;

        if (rc < 0)
                return rc;
        if (c->trust == TRUST_PROVEN)
                return c->stream->ops->extent(c->stream, c->offset + pos, len, out);
        *out = (struct volume_extent){.len = len, .kind = VOLUME_LOST, .allocated = true};
        return 0;
}

static int content_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        struct content *c = (struct content *)v;

        return c->trust == TRUST_PROVEN ? c->stream->ops->read(c->stream, buf, len, c->offset + pos)
                                        : -EIO;
}

static void content_close(struct volume *v)
{
        free(v);
}

static const struct volume_ops ops = {
    .extent = content_extent,
    .read = content_read,
    .close = content_close,
};

int pxar_content(struct pxar *p, const struct pxar_entry *entry, struct volume **out)
{
        struct volume *stream = entry->in_payload ? p->payload : p->meta;
        struct content *c = calloc(1, sizeof *c);
        uint64_t start = entry->offset;

        if (!c)
                return -ENOMEM;
        c->base = (struct volume){.ops = &ops, .size = entry->size};
        c->stream = stream;
        c->trust = entry->in_payload ? TRUST_UNKNOWN : TRUST_PROVEN;
        /* A reference names the item, the data follow its header. */
        if (!checked_add(entry->offset, entry->in_payload ? PXAR_HEADER : 0, &start) ||
            !range_within(start, entry->size, stream->size))
                c->trust = TRUST_REFUSED;
        c->offset = start;
        *out = &c->base;
        return 0;
}
