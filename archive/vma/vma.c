/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMA, the archive that Proxmox's vzdump makes of a virtual machine. Numbers are big-endian, except
 * for the lengths of blobs. The specification is vma_spec.txt in pve-qemu.
 *
 *   +--------+--------+----------------+--------+----------------+----
 *   | header | extent | up to 59 * 16  | extent | blocks         | ...
 *   | + blobs| header | blocks of 4 KiB| header |                |
 *   +--------+--------+----------------+--------+----------------+----
 *             512 bytes: 59 slots, each one 64 KiB cluster of some device, with a mask of the
 *             4 KiB blocks that are stored; the stored blocks follow in the slots' order
 *
 * This file reads the header; vma_scan.c goes through the extents. The address of an emitted extent
 * is the block's byte offset in the stream.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

enum {
        HEADER_MIN = 12288,
        HEADER_MAX = 2 * 1024 * 1024, /* the writer stops at 512 KiB */
        HEADER_MD5 = 32,
        HEADER_CONFIG_NAMES = 2044,
        HEADER_CONFIG_DATA = 3068,
        HEADER_DEVICES = 4096,
        DEVICE_SIZE = 32,
        CONFIGS = 256,
};

/* A header in memory while it is parsed. */
struct header {
        unsigned char *bytes;
        uint32_t size;
        uint32_t blobs;     /* offset of the blob buffer */
        uint32_t blobs_len; /* its length */
        uint8_t *blob_at;   /* blob_at[offset in the buffer] is 1 if a blob starts there */
};

static bool vma_probe(struct probe *p)
{
        return probe_has(p, 0, "VMA\0", 4);
}

static int read_header(struct source *source, struct header *h, struct error *err)
{
        unsigned char fixed[HEADER_MIN];
        int rc = source_fetch_early(source, fixed, sizeof fixed, 0, "the VMA header", err);

        if (rc < 0)
                return rc;
        if (load_be32(fixed + 4) != 1)
                return error_set_at(err, ENOTSUP, 4, "is VMA version %u; vmafs reads version 1",
                                    load_be32(fixed + 4));
        h->size = load_be32(fixed + 56);
        if (h->size < HEADER_MIN || h->size > HEADER_MAX)
                return error_set_at(err, EIO, 56,
                                    "has a VMA header of %u bytes; %d to %d are possible", h->size,
                                    HEADER_MIN, HEADER_MAX);
        h->bytes = malloc(h->size);
        if (!h->bytes)
                return error_set(err, ENOMEM, "out of memory");
        memcpy(h->bytes, fixed, sizeof fixed);
        return source_fetch_early(source, h->bytes + sizeof fixed, h->size - sizeof fixed,
                                  sizeof fixed, "the VMA header", err);
}

static int check_header_sum(struct vma *vma, struct header *h, struct error *err)
{
        int rc = md5_init(&vma->proof.md5);

        if (rc == 0)
                rc = md5_check(&vma->proof.md5, h->bytes, h->size, HEADER_MD5);
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        if (rc == -ENOTSUP)
                return error_set(err, ENOTSUP,
                                 "cannot be checked: this OpenSSL refuses MD5 (FIPS mode?)");
        if (rc < 0)
                return error_set_at(err, EIO, HEADER_MD5,
                                    "has a damaged VMA header: its MD5 sum is wrong");
        return 0;
}

/* Mark where each blob starts: a pointer must hit a start, not the middle of a blob. */
static int find_blobs(struct header *h, struct error *err)
{
        uint64_t at = 1;

        h->blobs = load_be32(h->bytes + 48);
        h->blobs_len = load_be32(h->bytes + 52);
        if (h->blobs_len &&
            (h->blobs < HEADER_MIN || !range_within(h->blobs, h->blobs_len, h->size)))
                return error_set_at(err, EIO, 48,
                                    "has a damaged VMA header: the blob buffer is outside of it");
        h->blob_at = calloc(1, (size_t)h->blobs_len + 1);
        if (!h->blob_at)
                return error_set(err, ENOMEM, "out of memory");
        while (at + 2 <= h->blobs_len) {
                uint64_t len = load_le16(h->bytes + h->blobs + at);

                if (at + 2 + len <= h->blobs_len)
                        h->blob_at[at] = 1;
                at += 2 + len;
        }
        return 0;
}

/* The blob at POS of the buffer, or NULL if none starts there. */
static const unsigned char *blob(const struct header *h, uint32_t pos, size_t *len)
{
        if (pos == 0 || pos >= h->blobs_len || !h->blob_at[pos])
                return NULL;
        *len = load_le16(h->bytes + h->blobs + pos);
        return h->bytes + h->blobs + pos + 2;
}

/* The blob at POS if it is a NUL-terminated string, or NULL. */
static const char *blob_string(const struct header *h, uint32_t pos)
{
        size_t len;
        const unsigned char *b = blob(h, pos, &len);

        return b && len > 0 && b[len - 1] == '\0' ? (const char *)b : NULL;
}

static int emit_files(const struct header *h, const struct archive_sink *sink, struct error *err)
{
        for (uint32_t i = 0; i < CONFIGS; i++) {
                uint32_t name_at = load_be32(h->bytes + HEADER_CONFIG_NAMES + 4 * (size_t)i);
                uint32_t data_at = load_be32(h->bytes + HEADER_CONFIG_DATA + 4 * (size_t)i);
                struct entry file = {.name = NULL};
                size_t len;
                int rc;

                if (!name_at || !data_at)
                        continue;
                file.name = blob_string(h, name_at);
                file.data = blob(h, data_at, &len);
                if (!file.name || !file.data)
                        return error_set_at(err, EIO, HEADER_CONFIG_NAMES + 4 * i,
                                            "has a damaged VMA header: configuration file %u "
                                            "points to nothing",
                                            i);
                file.size = len;
                rc = sink->entry(sink->ctx, &file);
                if (rc < 0)
                        return error_set(err, -rc, "configuration file %u: %s", i, strerror(-rc));
        }
        return 0;
}

static int emit_disk(struct vma_device *dev, const char *device, const struct archive_sink *sink,
                     struct error *err)
{
        cleanup_free char *name = NULL;
        const struct entry_disk disk = {.device = device, .provisional_size = dev->vmstate};
        struct entry e = {.size = dev->size, .disk = &disk};
        int rc;

        rc = dev->vmstate ? asprintf(&name, "vmstate.bin") : asprintf(&name, "disk-%s.raw", device);
        if (rc < 0) {
                name = NULL;
                return error_set(err, ENOMEM, "out of memory");
        }
        e.name = name;
        rc = sink->entry(sink->ctx, &e);
        return rc < 0 ? error_set(err, -rc, "a device cannot be shown: %s", strerror(-rc)) : 0;
}

static int emit_disks(struct vma *vma, const struct header *h, const struct archive_sink *sink,
                      struct error *err)
{
        uint32_t count = 0;

        for (uint32_t i = 1; i < DEVICES - 1; i++) {
                uint32_t at = HEADER_DEVICES + DEVICE_SIZE * i;
                const char *device = blob_string(h, load_be32(h->bytes + at));
                struct vma_device *dev = &vma->devices[i];
                int rc;

                dev->size = load_be64(h->bytes + at + 8);
                if (!dev->size || !device)
                        continue;
                if (dev->size > DEVICE_MAX)
                        return error_set_at(err, EFBIG, at + 8,
                                            "claims a device of %" PRIu64
                                            " bytes; VMA can address 256 TiB",
                                            dev->size);
                dev->used = true;
                dev->vmstate = strcmp(device, "vmstate") == 0;
                dev->number = count++;
                rc = emit_disk(dev, device, sink, err);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

static void format_uuid(const unsigned char u[UUID_LEN], char out[37])
{
        snprintf(out, 37, "%08x-%04x-%04x-%04x-%04x%08x", load_be32(u), load_be16(u + 4),
                 load_be16(u + 6), load_be16(u + 8), load_be16(u + 10), load_be32(u + 12));
}

static void header_fini(struct header *h)
{
        free(h->bytes);
        free(h->blob_at);
}

static void vma_close(struct archive *a)
{
        struct vma *vma = (struct vma *)a;

        md5_fini(&vma->proof.md5);
        free(vma);
}

static void cleanup_vma_fn(struct vma **vma)
{
        if (*vma)
                vma_close(&(*vma)->base);
}

static int vma_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        __attribute__((cleanup(header_fini))) struct header h = {0};
        __attribute__((cleanup(cleanup_vma_fn))) struct vma *vma = calloc(1, sizeof *vma);
        int rc;

        if (!vma)
                return error_set(err, ENOMEM, "out of memory");
        rc = read_header(source, &h, err);
        if (rc == 0)
                rc = check_header_sum(vma, &h, err);
        if (rc == 0)
                rc = find_blobs(&h, err);
        if (rc == 0)
                rc = emit_disks(vma, &h, sink, err);
        if (rc == 0)
                rc = emit_files(&h, sink, err);
        if (rc < 0)
                return rc;
        vma->base.ops = &vma_format;
        vma->base.source = source;
        vma->shared = origin->shared;
        vma->first_extent = h.size;
        memcpy(vma->proof.uuid, h.bytes + 8, UUID_LEN);
        format_uuid(vma->proof.uuid, vma->base.info.uuid);
        vma->base.info.ctime = (int64_t)load_be64(h.bytes + 24);
        *out = &steal_ptr(&vma)->base;
        return 0;
}

const struct format vma_format = {
    .name = "vma",
    .probe = vma_probe,
    .open = vma_open,
    .scan = vma_scan,
    .close = vma_close,
};
