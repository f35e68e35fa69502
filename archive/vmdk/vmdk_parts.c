/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts that a disk consists of. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

/* One more part of LEN bytes, which begins where the last one ends. */
static int add_part(struct vmdk *v, enum vmdk_kind kind, uint64_t len, struct vmdk_part **out,
                    struct error *err)
{
        if (array_reserve(&v->parts, 1) < 0)
                return error_set(err, ENOMEM, "out of memory");
        array_add(&v->parts,
                  ((struct vmdk_part){.kind = kind, .start = v->volume.size, .len = len}));
        *out = array_last(&v->parts);
        if (len > VMDK_SIZE_MAX - v->volume.size)
                return error_set(err, EFBIG, "claims a disk of over 1 PiB");
        v->volume.size += len;
        return 0;
}

/* The caches that a sparse part with P's header needs. */
static int open_sparse(struct vmdk *v, const struct vmdk_part *p, struct error *err)
{
        int rc = 0;

        if (!v->tables)
                rc = blockcache_join(v->shared->cache, CACHE_TABLES, &v->tables);
        if (rc == 0 && p->h.compressed && !v->grains)
                rc = blockcache_join(v->shared->cache, CACHE_CLUSTERS, &v->grains);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

int vmdk_add_sparse(struct vmdk *v, struct source *source, const struct vmdk_header *h,
                    struct error *err)
{
        struct vmdk_part *p;
        int rc = add_part(v, VMDK_SPARSE, h->capacity, &p, err);

        if (rc < 0)
                return rc;
        p->source = source;
        p->h = *h;
        return open_sparse(v, p, err);
}

/* Is a header's CAPACITY what a descriptor says, but for a last grain that is rounded up? */
static bool agrees(const struct vmdk_header *h, uint64_t len)
{
        return h->capacity >= len && h->capacity - len < h->grain;
}

static int open_sparse_file(struct vmdk *v, struct vmdk_part *p, struct error *err)
{
        struct vmdk_descriptor d = {0};
        int rc = vmdk_read_header(p->source, &p->h, err);

        if (rc == 0 && !agrees(&p->h, p->len))
                rc = error_set(err, EIO, "is %s than its descriptor says",
                               p->h.capacity < p->len ? "smaller" : "larger");
        if (rc == 0 && p->h.descriptor && p->h.descriptor_len) {
                rc = vmdk_load_descriptor(p->source, &p->h, &d, err);
                rc = rc == -ENODATA ? 0 : rc;
                if (d.overlay)
                        rc = error_set(err, EIO, "has a descriptor of its own that has a parent");
                vmdk_descriptor_fini(&d);
        }
        return rc < 0 ? rc : open_sparse(v, p, err);
}

/* It begins at SECTOR of its source, which must have its beginning at least. */
static int open_flat(struct vmdk_part *p, uint64_t sector, struct error *err)
{
        if (!checked_mul(sector, VMDK_SECTOR, &p->offset) ||
            !range_within(p->offset, min_u64(p->len, VMDK_BLOCK_SIZE), p->source->size))
                return error_set(err, EIO, "is smaller than its descriptor says: it was cut off");
        return 0;
}

/* E's length in bytes; UINT64_MAX where that is too large. */
static uint64_t extent_len(const struct vmdk_extent *e)
{
        uint64_t len = UINT64_MAX;

        checked_mul(e->sectors, VMDK_SECTOR, &len);
        return len;
}

int vmdk_add_embedded(struct vmdk *v, const struct vmdk_descriptor *d, uint64_t from,
                      struct error *err)
{
        const char *file = NULL; /* what the descriptor calls this file */
        int rc = 0;

        for (size_t i = 0; i < d->extents.count && rc == 0; i++) {
                const struct vmdk_extent *e = &d->extents.items[i];
                struct vmdk_part *p;

                rc = add_part(v, e->kind, extent_len(e), &p, err);
                if (rc < 0 || e->kind == VMDK_ZERO)
                        continue;
                p->source = v->base.source;
                if (!file)
                        file = e->file;
                if (e->kind == VMDK_SPARSE || strcmp(e->file, file) != 0 ||
                    e->offset < from / VMDK_SECTOR)
                        rc = error_set(err, EIO,
                                       "has a header for a disk of 0 bytes, and a descriptor that "
                                       "does not say where in the file the disk is");
                else
                        rc = open_flat(p, e->offset, err);
        }
        return rc;
}

/* NAME without "./", which is the descriptor's own folder. */
static const char *own_name(const char *name)
{
        while (name[0] == '.' && name[1] == '/')
                name += 2 + strspn(name + 2, "/");
        return name;
}

static int add_file(struct vmdk *v, const struct archive_origin *origin,
                    const struct vmdk_extent *e, struct error *err)
{
        struct error why = {0};
        struct vmdk_part *p;
        int rc = add_part(v, e->kind, extent_len(e), &p, err);

        if (rc == 0 && e->kind == VMDK_ZERO)
                return 0;
        if (rc == 0)
                rc = archive_open_named(origin, "names the file", own_name(e->file),
                                        NEIGHBOUR_BESIDE, &p->owned, err);
        if (rc < 0)
                return rc;
        p->source = p->owned;
        rc = e->kind == VMDK_FLAT ? open_flat(p, e->offset, &why) : open_sparse_file(v, p, &why);
        return rc < 0 ? error_set(err, -rc, "its part %.200s %s", e->file, why.text) : 0;
}

int vmdk_add_files(struct vmdk *v, const struct archive_origin *origin,
                   const struct vmdk_descriptor *d, struct error *err)
{
        int rc = 0;

        for (size_t i = 0; i < d->extents.count && rc == 0; i++)
                rc = add_file(v, origin, &d->extents.items[i], err);
        return rc;
}
