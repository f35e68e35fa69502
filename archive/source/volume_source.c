/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/volume_source.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/volume.h"

struct volume_source {
        struct source base;
        struct volume *volume;
        struct source *below;
};

static const struct volume_source *as_volume(const struct source *s)
{
        return (const struct volume_source *)s;
}

static ssize_t volume_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        int rc = volume_read(as_volume(s)->volume, buf, len, offset);

        return rc < 0 ? rc : (ssize_t)len;
}

static int volume_resolve(struct source *s, uint64_t offset, uint64_t len,
                          struct volume_extent *out)
{
        return volume_find(as_volume(s)->volume, offset, min_u64(len, s->size - offset), out);
}

static int volume_check(struct source *s, struct error *err)
{
        return source_check(as_volume(s)->below, err);
}

static int64_t volume_mtime(const struct source *s)
{
        return source_mtime(as_volume(s)->below);
}

static void volume_close(struct source *s)
{
        free(s);
}

static const struct source_ops volume_ops = {
    .name = "file",
    .pread = volume_pread,
    .resolve = volume_resolve,
    .check = volume_check,
    .mtime = volume_mtime,
    .close = volume_close,
};

int source_open_volume(struct volume *v, struct source *below, struct source **out)
{
        struct volume_source *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->base.ops = &volume_ops;
        s->base.size = v->size;
        s->volume = v;
        s->below = below;
        *out = &s->base;
        return 0;
}
