/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vmdk/vmdk.h"
#include "archive/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/source/source.h"

static bool vmdk_probe(struct probe *p)
{
        return probe_has(p, 0, "KDMV", 4) || probe_has(p, 0, "COWD", 4) ||
               vmdk_is_sesparse(p->head, p->len) ||
               vmdk_is_descriptor((const char *)p->head, p->len);
}

/* ---- opening ---- */

/* How long of NAME, from its last dash on, is what the descriptor's name does not have; or 0. */
static size_t part_suffix(const char *name)
{
        static const char *const words[] = {"-delta", "-sesparse"};
        const char *dash = strrchr(name, '-');
        size_t digits;

        if (!dash)
                return 0;
        digits = strncasecmp(dash, "-s", 2) == 0 ? strspn(dash + 2, "0123456789") : 0;
        if (digits)
                return digits + 2;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strncasecmp(dash, words[i], strlen(words[i])) == 0)
                        return strlen(words[i]);
        return 0;
}

/*
 * A sparse file without a descriptor does not say what else belongs to its disk, nor whether the
 * disk has a parent: two-s001.vmdk is a part of two.vmdk, and one-000001-delta.vmdk of
 * one-000001.vmdk.
 */
static int refuse_part(const char *name, struct error *err)
{
        const char *dash = strrchr(name, '-');
        size_t suffix = part_suffix(name);

        if (suffix)
                return error_set(err, ENOTSUP,
                                 "is one part of a disk: open the descriptor that names all of "
                                 "them, %.*s%.20s",
                                 (int)min_u64(200, (uint64_t)(dash - name)), name, dash + suffix);
        return error_set(err, EIO,
                         "has no descriptor, without which nothing else in it can be believed; if "
                         "it is one part of a disk, open the text file that names it");
}

/* The descriptor D and the header H of one file must agree. */
static int check_single(const struct vmdk_header *h, const struct vmdk_descriptor *d,
                        struct error *err)
{
        uint64_t sectors = d->extents.items[0].sectors, capacity = h->capacity / VMDK_SECTOR;
        uint64_t apart = sectors < capacity ? capacity - sectors : sectors - capacity;

        if (d->extents.count != 1 || d->extents.items[0].kind != VMDK_SPARSE)
                return error_set(err, EIO,
                                 "has a descriptor that does not fit its header: not of one sparse "
                                 "part");
        if (apart >= h->grain / VMDK_SECTOR)
                return error_set(err, EIO,
                                 "has a header for %" PRIu64
                                 " sectors and a descriptor for %" PRIu64
                                 ": one of them is damaged",
                                 capacity, sectors);
        return 0;
}

/* All but its parts is in D: what the disk is called, and what it was made on. */
static int take_descriptor(struct vmdk *v, const struct vmdk_descriptor *d,
                           const struct archive_origin *origin, struct error *err)
{
        memcpy(v->base.info.uuid, d->uuid, sizeof d->uuid);
        memcpy(v->cid, d->cid, sizeof d->cid);
        return d->overlay ? vmdk_open_parent(v, d, origin, err) : 0;
}

/* A sparse file, with its descriptor inside. */
static int open_single(struct vmdk *v, const struct archive_origin *origin,
                       const unsigned char *head, struct error *err)
{
        struct source *source = v->base.source;
        struct vmdk_descriptor d = {0};
        struct vmdk_header h;
        int rc = vmdk_parse_header(head, &h, err);

        if (rc == 0)
                rc = h.descriptor && h.descriptor_len ? vmdk_load_descriptor(source, &h, &d, err)
                                                      : -ENODATA;
        if (rc == -ENODATA)
                rc = refuse_part(origin->name, err);
        if (rc == 0 && h.capacity == 0 && d.extents.items[0].kind != VMDK_SPARSE) {
                rc = vmdk_add_embedded(v, &d, h.descriptor + h.descriptor_len, err);
        } else if (rc == 0) {
                rc = check_single(&h, &d, err);
                if (rc == 0)
                        rc = vmdk_add_sparse(v, source, &h, err);
        }
        if (rc == 0)
                rc = take_descriptor(v, &d, origin, err);
        vmdk_descriptor_fini(&d);
        return rc;
}

/* A file of COWD: ESX has a descriptor beside it, others have put one into its header. */
static int open_cowd(struct vmdk *v, const struct archive_origin *origin, const unsigned char *head,
                     struct error *err)
{
        struct source *source = v->base.source;
        struct vmdk_descriptor d = {0};
        struct vmdk_header h, text;
        struct error why = {0};
        int rc = vmdk_parse_cowd(head, &h, err);

        if (rc < 0)
                return rc;
        text = (struct vmdk_header){.descriptor = h.fixed[0].at, .descriptor_len = h.fixed[0].len};
        rc = vmdk_load_descriptor(source, &text, &d, &why);
        if (rc == 0)
                rc = check_single(&h, &d, err);
        else if (rc == -ENODATA && vmdk_cowd_is_root(head) && !part_suffix(origin->name))
                rc = 0;
        else if (rc == -ENODATA)
                rc = refuse_part(origin->name, err);
        else /* what is there may speak of a parent */
                rc = error_set(err, -rc, "%s", why.text);
        if (rc == 0)
                rc = vmdk_add_sparse(v, source, &h, err);
        if (rc == 0)
                rc = take_descriptor(v, &d, origin, err);
        vmdk_descriptor_fini(&d);
        return rc;
}

/* A file that is a descriptor, and names the files of the disk. */
static int open_text(struct vmdk *v, const struct archive_origin *origin, struct error *err)
{
        struct vmdk_descriptor d = {0};
        int rc = vmdk_read_descriptor(v->base.source, &d, err);

        if (rc == 0)
                rc = vmdk_add_files(v, origin, &d, err);
        v->base.many_files = true;
        if (rc == 0)
                rc = take_descriptor(v, &d, origin, err);
        vmdk_descriptor_fini(&d);
        return rc;
}

static int emit_disk(struct vmdk *v, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct error *err)
{
        cleanup_free char *name = archive_disk_name(origin->name);
        const struct entry_disk disk = {
            .device = origin->name, .sparse = true, .volume = &v->volume};
        const struct entry e = {.name = name, .size = v->volume.size, .disk = &disk};
        int rc = name ? sink->entry(sink->ctx, &e) : -ENOMEM;

        return rc < 0 ? error_set(err, -rc, "the disk cannot be shown: %s", strerror(-rc)) : 0;
}

static void vmdk_close(struct archive *a)
{
        struct vmdk *v = (struct vmdk *)a;

        for (size_t i = 0; i < v->parts.count; i++) {
                source_close(v->parts.items[i].owned);
                vmdk_claims_fini(&v->parts.items[i].verdict.claims);
                vmdk_marked_fini(&v->parts.items[i].verdict.marked);
        }
        array_free(&v->parts);
        backing_close(v->parent);
        blockcache_leave(v->tables);
        blockcache_leave(v->grains);
        free(v);
}

static void cleanup_vmdk_fn(struct vmdk **v)
{
        if (*v)
                vmdk_close(&(*v)->base);
}

/* By the first LEN bytes, HEAD. */
static int open_file(struct vmdk *v, const struct archive_origin *origin, const unsigned char *head,
                     size_t len, struct error *err)
{
        if (memcmp(head, "KDMV", 4) == 0)
                return open_single(v, origin, head, err);
        if (memcmp(head, "COWD", 4) == 0)
                return open_cowd(v, origin, head, err);
        return vmdk_is_sesparse(head, len) ? refuse_part(origin->name, err)
                                           : open_text(v, origin, err);
}

/* Has each grain a checksum? Those that are compressed have, as zlib makes them. */
static bool has_sums(const struct vmdk *v)
{
        for (size_t i = 0; i < v->parts.count; i++) {
                const struct vmdk_part *part = &v->parts.items[i];

                if (part->kind == VMDK_FLAT || (part->kind == VMDK_SPARSE && !part->h.compressed))
                        return false;
        }
        return !v->parent;
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
        v->base.ops = &vmdk_format;
        v->volume.ops = &vmdk_volume_ops;
        v->base.source = source;
        v->base.info.ctime = origin->mtime;
        v->shared = origin->shared;
        n = source_fetch_some(source, head, sizeof head, 0, "the header", err);
        if (n < 0)
                return (int)n;
        rc = open_file(v, origin, head, (size_t)n, err);
        /* Machines run on all subformats but streamOptimized, which is for transport. */
        v->base.mutable_image = rc == 0 && !v->grains && !v->base.many_files;
        v->base.has_sums = has_sums(v);
        if (rc == 0)
                rc = emit_disk(v, origin, sink, err);
        if (rc == 0)
                *out = &steal_ptr(&v)->base;
        return rc;
}

const struct format vmdk_format = {
    .name = "vmdk",
    .is_image = true,
    .probe = vmdk_probe,
    .open = vmdk_open,
    .scan = vmdk_scan,
    .skip_scan = vmdk_skip_scan,
    .check = vmdk_check,
    .close = vmdk_close,
};
