/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vmdk/vmdk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/zlib_block.h"

enum {
        DESCRIPTOR_MAX = 1 << 20,
        BLOCK = 4096,
};

static const char descriptor_start[] = "# Disk DescriptorFile";

static bool starts_with(const void *head, size_t len, const char *magic)
{
        return len >= strlen(magic) && strncasecmp(head, magic, strlen(magic)) == 0;
}

static bool is_sesparse(const void *head, size_t len)
{
        return len >= 8 && load_le64(head) == 0xcafebabe;
}

static bool vmdk_probe(const void *head, size_t len)
{
        return len >= 4 && (memcmp(head, "KDMV", 4) == 0 || memcmp(head, "COWD", 4) == 0 ||
                            is_sesparse(head, len) || starts_with(head, len, descriptor_start));
}

/* ---- parts ---- */

/* One more part of LEN bytes, which begins where the last one ends. */
static int add_part(struct vmdk *v, struct vmdk_part **out, uint64_t len, struct error *err)
{
        struct vmdk_part *parts = reallocarray(v->parts, v->count + 1, sizeof *parts);

        if (!parts)
                return error_set(err, ENOMEM, "out of memory");
        v->parts = parts;
        *out = &parts[v->count++];
        **out = (struct vmdk_part){.start = v->size, .len = len};
        if (len > VMDK_SIZE_MAX - v->size)
                return error_set(err, EFBIG, "claims a disk of over 1 PiB");
        if (v->size % BLOCK)
                return error_set(err, ENOTSUP,
                                 "has a part that does not begin at a multiple of 4 KiB, which "
                                 "vmafs does not read");
        v->size += len;
        return 0;
}

/* Addresses for a file of SIZE bytes, of which UNIT stand for a sector. */
static int give_addresses(struct vmdk *v, struct vmdk_part *p, uint64_t size, uint32_t unit,
                          struct error *err)
{
        uint64_t sectors =
            size == SOURCE_SIZE_UNKNOWN ? UINT32_MAX + UINT64_C(1) : size / VMDK_SECTOR + 1;

        p->base = v->base.addr_end;
        if (!checked_mul(sectors, unit, &p->span) ||
            !range_within(p->base, p->span, EXTENT_ADDR_MAX - VMDK_GRAIN_MAX))
                p->span = EXTENT_ADDR_MAX - VMDK_GRAIN_MAX - p->base;
        v->base.addr_end = p->base + p->span;
        if (p->span < unit)
                return error_set(err, EFBIG, "has too many parts that are too large");
        return 0;
}

static int open_sparse(struct vmdk *v, struct vmdk_part *p, struct error *err)
{
        int rc = 0;

        if (p->h.compressed && !v->cache)
                rc = blockcache_new(v->cache_bytes, &v->cache);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        return give_addresses(v, p, p->source->size, p->h.compressed ? p->h.grain : VMDK_SECTOR,
                              err);
}

static int open_sparse_file(struct vmdk *v, struct vmdk_part *p, struct error *err)
{
        unsigned char sector[VMDK_SECTOR];
        int rc = source_fetch(p->source, sector, sizeof sector, 0, "the VMDK header", err);

        if (rc == 0)
                rc = vmdk_parse_header(sector, &p->h, err);
        if (rc == 0 && p->h.capacity < p->len)
                rc = error_set(err, EIO, "is smaller than its descriptor says");
        return rc < 0 ? rc : open_sparse(v, p, err);
}

static int open_flat(struct vmdk *v, struct vmdk_part *p, uint64_t sector, struct error *err)
{
        if (!checked_mul(sector, VMDK_SECTOR, &p->offset) ||
            !range_within(p->offset, p->len, p->source->size))
                return error_set(err, EIO, "is smaller than its descriptor says: it was cut off");
        return give_addresses(v, p, p->len, VMDK_SECTOR, err);
}

static int open_part(struct vmdk *v, const struct archive_origin *origin,
                     const struct vmdk_extent *e, struct error *err)
{
        struct error why = {0};
        struct vmdk_part *p;
        uint64_t len = 0;
        int rc;

        if (!checked_mul(e->sectors, VMDK_SECTOR, &len))
                len = UINT64_MAX;
        rc = add_part(v, &p, len, err);
        if (rc < 0)
                return rc;
        p->kind = e->kind;
        if (e->kind == VMDK_ZERO)
                return 0;
        rc = archive_open_beside(origin, e->file, &p->owned, err);
        if (rc < 0)
                return rc;
        p->source = p->owned;
        rc = e->kind == VMDK_FLAT ? open_flat(v, p, e->offset, &why) : open_sparse_file(v, p, &why);
        return rc < 0 ? error_set(err, -rc, "its part %.200s %s", e->file, why.text) : 0;
}

/* ---- opening ---- */

static int check_descriptor(const struct vmdk_descriptor *d, struct error *err)
{
        if (d->parent[0] && strcasecmp(d->parent, "ffffffff") != 0)
                return error_set(err, ENOTSUP,
                                 "holds only what differs from another image%s%s: it is a snapshot "
                                 "or a linked clone, which vmafs does not read; qemu-img convert "
                                 "does",
                                 d->hint[0] ? ", " : "", d->hint);
        if (strcasecmp(d->unknown, "VMFSSPARSE") == 0 || strcasecmp(d->unknown, "SESPARSE") == 0)
                return error_set(err, ENOTSUP,
                                 "consists of %s parts (ESX's own sparse files), which vmafs does "
                                 "not read; qemu-img convert does",
                                 d->unknown);
        if (d->unknown[0])
                return error_set(err, ENOTSUP, "has parts of type %s, which vmafs does not read",
                                 d->unknown);
        return 0;
}

/* A sparse file, which may say in a descriptor of its own that it needs another one. */
static int open_single(struct vmdk *v, const unsigned char *head, struct error *err)
{
        struct source *source = v->base.source;
        struct vmdk_descriptor d = {0};
        cleanup_free char *text = NULL;
        struct vmdk_header h;
        struct vmdk_part *p = NULL;
        int rc = vmdk_parse_header(head, &h, err);

        if (rc == 0)
                rc = add_part(v, &p, h.capacity, err);
        if (rc != 0 || !p)
                return rc;
        p->kind = VMDK_SPARSE;
        p->source = source;
        p->h = h;
        rc = open_sparse(v, p, err);
        if (rc < 0 || h.descriptor == 0 || h.descriptor_len > DESCRIPTOR_MAX)
                return rc;
        text = calloc(1, h.descriptor_len + 1);
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        /* Whatever is wrong with it, the disk can do without. */
        if (h.descriptor > source->size ||
            source_fetch(source, text, h.descriptor_len, h.descriptor, "the descriptor", NULL) < 0)
                return 0;
        rc = vmdk_parse_descriptor(text, h.descriptor_len, &d, NULL);
        if (rc == 0)
                rc = check_descriptor(&d, err);
        else
                rc = rc == -ENOMEM ? error_set(err, ENOMEM, "out of memory") : 0;
        memcpy(v->base.info.uuid, d.uuid, sizeof d.uuid);
        vmdk_descriptor_fini(&d);
        return rc;
}

/* A descriptor that is a file, and names the files that are the disk. */
static int open_text(struct vmdk *v, const struct archive_origin *origin, struct error *err)
{
        struct vmdk_descriptor d = {0};
        cleanup_free char *text = calloc(1, DESCRIPTOR_MAX + 1);
        uint64_t end;
        ssize_t n;
        int rc;

        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_reach(v->base.source, DESCRIPTOR_MAX, &end, err);
        if (rc < 0)
                return rc;
        n = source_pread(v->base.source, text, DESCRIPTOR_MAX, 0);
        if (n < 0)
                return error_set(err, (int)-n, "cannot be read: %s", strerror((int)-n));
        rc = vmdk_parse_descriptor(text, (size_t)n, &d, err);
        if (rc == 0)
                rc = check_descriptor(&d, err);
        if (rc == 0 && d.count == 0)
                rc = error_set(err, EIO, "is a VMDK descriptor that names no part of a disk");
        for (size_t i = 0; i < d.count && rc == 0; i++)
                rc = open_part(v, origin, &d.extents[i], err);
        memcpy(v->base.info.uuid, d.uuid, sizeof d.uuid);
        v->base.many_files = true;
        vmdk_descriptor_fini(&d);
        return rc;
}

static int emit_disk(const struct vmdk *v, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct error *err)
{
        cleanup_free char *name = archive_disk_name(origin->name);
        struct archive_disk disk = {
            .name = name, .device = origin->name, .size = v->size, .sparse = true};
        int rc = name ? sink->disk(sink->ctx, &disk) : -ENOMEM;

        return rc < 0 ? error_set(err, -rc, "the disk cannot be shown: %s", strerror(-rc)) : 0;
}

static void vmdk_close(struct archive *a)
{
        struct vmdk *v = (struct vmdk *)a;

        for (size_t i = 0; i < v->count; i++)
                source_close(v->parts[i].owned);
        free(v->parts);
        blockcache_free(v->cache);
        free(v);
}

static void cleanup_vmdk_fn(struct vmdk **v)
{
        if (*v)
                vmdk_close(&(*v)->base);
}

static int refuse_kind(const unsigned char *head, size_t len, struct error *err)
{
        if (memcmp(head, "COWD", 4) != 0 && !is_sesparse(head, len))
                return 0;
        return error_set_at(err, ENOTSUP, 0,
                            "is a sparse file of ESX (%s), which vmafs does not read; export the "
                            "machine as OVF, or use qemu-img convert",
                            head[0] == 'C' ? "COWD" : "SESparse");
}

static int vmdk_open(struct source *source, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_vmdk_fn))) struct vmdk *v = calloc(1, sizeof *v);
        unsigned char head[VMDK_SECTOR] = {0};
        ssize_t n;
        int rc;

        if (!v)
                return error_set(err, ENOMEM, "out of memory");
        v->base.ops = &vmdk_archive;
        v->base.source = source;
        v->base.info.ctime = origin->mtime;
        v->cache_bytes = origin->cache_bytes;
        n = source_pread(source, head, sizeof head, 0);
        if (n < 0)
                return error_set_at(err, (int)-n, 0, "cannot be read: %s", strerror((int)-n));
        rc = refuse_kind(head, (size_t)n, err);
        if (rc == 0)
                rc = memcmp(head, "KDMV", 4) == 0 ? open_single(v, head, err)
                                                  : open_text(v, origin, err);
        /* streamOptimized ones are made to be sent about; machines run on the others. */
        v->base.in_place = rc == 0 && !v->cache && !v->base.many_files;
        if (rc == 0)
                rc = emit_disk(v, origin, sink, err);
        if (rc == 0)
                *out = &steal_ptr(&v)->base;
        return rc;
}

/* ---- reading ---- */

static const struct vmdk_part *find_part(const struct vmdk *v, uint64_t addr)
{
        for (size_t i = 0; i < v->count; i++)
                if (addr - v->parts[i].base < v->parts[i].span && addr >= v->parts[i].base)
                        return &v->parts[i];
        return NULL;
}

/* A compressed grain, and who wants it. */
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

/* Up to LEN bytes at ADDR, which stand at byte POS of the part, from one grain. */
static ssize_t read_grain(struct vmdk *v, const struct vmdk_part *p, uint64_t addr, uint64_t pos,
                          void *buf, size_t len)
{
        uint32_t size = p->h.grain;
        size_t within = (addr - p->base) % size;
        struct grain g = {.part = p, .offset = (addr - p->base) / size * VMDK_SECTOR};
        struct block *block;
        int rc;

        if (pos < within || (pos - within) % size || pos >= p->len)
                return -EIO;
        g.lba = (pos - within) / VMDK_SECTOR;
        g.len = (size_t)min_u64(size, p->len - (pos - within));
        if (within >= g.len)
                return -EIO;
        len = (size_t)min_u64(len, g.len - within);
        if (len == g.len) {
                rc = decode(&g, 0, buf, len);
                return rc < 0 ? rc : (ssize_t)len;
        }
        rc = blockcache_get(v->cache, addr - within, g.len, decode, &g, &block);
        if (rc < 0)
                return rc;
        memcpy(buf, (const char *)block_data(block) + within, len);
        blockcache_put(v->cache, block);
        return (ssize_t)len;
}

static int read_grains(struct vmdk *v, const struct vmdk_part *p, uint64_t addr, uint64_t pos,
                       char *buf, size_t len)
{
        while (len) {
                ssize_t n = read_grain(v, p, addr, pos, buf, len);

                if (n < 0)
                        return (int)n;
                addr += (uint64_t)n;
                pos += (uint64_t)n;
                buf += n;
                len -= (size_t)n;
        }
        return 0;
}

static int vmdk_read(struct archive *a, const struct extent *extent, uint64_t skip, void *buf,
                     size_t len)
{
        struct vmdk *v = (struct vmdk *)a;
        uint64_t addr = extent->addr + skip, pos = extent->start + skip;
        const struct vmdk_part *p = find_part(v, addr);

        if (!p || p->kind == VMDK_ZERO || pos < p->start)
                return -EIO;
        if (p->kind == VMDK_SPARSE && p->h.compressed)
                return read_grains(v, p, addr, pos - p->start, buf, len);
        return source_pread_all(p->source, buf, len, p->offset + (addr - p->base));
}

static bool vmdk_locate(struct archive *a, const struct extent *extent, uint64_t *offset)
{
        const struct vmdk_part *p = find_part((const struct vmdk *)a, extent->addr);

        if (!p || p->owned || p->kind == VMDK_ZERO || p->h.compressed)
                return false;
        *offset = p->offset + (extent->addr - p->base);
        return true;
}

const struct archive_ops vmdk_archive = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .open = vmdk_open,
    .scan = vmdk_scan,
    .read = vmdk_read,
    .locate = vmdk_locate,
    .close = vmdk_close,
};
