/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a file that is no disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/volume.h"
#include "index/index_internal.h"

/* The content of a file that only memory has. */
struct memory {
        struct volume base;
        char bytes[];
};

/* Coded, since no source has them. */
static int memory_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        (void)v;
        (void)pos;
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED, .allocated = true};
        return 0;
}

static int memory_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        memcpy(buf, ((struct memory *)v)->bytes + pos, len);
        return 0;
}

static void memory_close(struct volume *v)
{
        free(v);
}

struct volume *file_volume_new(const void *data, size_t len)
{
        static const struct volume_ops ops = {
            .extent = memory_extent, .read = memory_read, .close = memory_close};
        struct memory *m = malloc(sizeof *m + len);

        if (!m)
                return NULL;
        m->base = (struct volume){.ops = &ops, .size = len};
        if (len)
                memcpy(m->bytes, data, len);
        return &m->base;
}

const char *index_file_leaf(const struct index_file *f)
{
        const char *slash = strrchr(f->name, '/');

        return slash ? slash + 1 : f->name;
}

int index_file_read(const struct index *index, const struct index_file *f, void *buf, size_t len,
                    uint64_t pos)
{
        return index_volume_read(index, f->volume, buf, len, pos);
}

int index_volume_read(const struct index *index, struct volume *v, void *buf, size_t len,
                      uint64_t pos)
{
        bool sealed = index_sealed(index);
        int rc = volume_read(v, buf, len, pos);

        /* Nobody will see a checksum any more where the scan has ended before the stream did. */
        return rc == -EAGAIN && sealed ? -EIO : rc;
}

char *index_file_load(const struct index *index, const struct index_file *f, size_t len)
{
        size_t n = (size_t)min_u64(len, f->volume->size);
        cleanup_free char *text = malloc(n + 1);
        int rc = text ? index_file_read(index, f, text, n, 0) : -ENOMEM;

        if (rc < 0) {
                errno = -rc;
                return NULL;
        }
        text[n] = '\0';
        return steal_ptr(&text);
}
