/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2, the image format of QEMU, and what its family has in common.
 *
 * The scan goes through the tables once and emits which parts of a disk are data; where these are
 * it leaves in the tables. So an address in an extent is a byte of the disk, counted from a number
 * that tells the disks apart:
 *
 *   address = 4096 * number of the disk + byte of the disk
 *
 * Clusters of any size, in any order, compressed or not, are one extent then as long as they are
 * data. A read looks at the tables again, which a cache keeps.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_image.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/source/source.h"

enum {
        TABLE_CACHE = 32 * 1024 * 1024,
        MEMBER_SHARE = 4, /* of an image in a tar, beside which there are others, so much less */
};

static bool qcow2_probe(const void *head, size_t len)
{
        return len >= 4 && memcmp(head, "QFI\xfb", 4) == 0;
}

/* ---- opening ---- */

int qcow2_check_l1(const struct qcow2_image *image, const struct qcow2_table *t, struct error *err)
{
        uint64_t bytes = (uint64_t)t->l1_entries * 8, needed, end;
        uint8_t last[8];

        if (t->l1_offset % (UINT64_C(1) << image->cluster_bits) || bytes > QCOW2_L1_BYTES_MAX ||
            !checked_add(t->l1_offset, bytes, &end) || end > QCOW2_FILE_MAX)
                return error_set(err, EIO, "an L1 table cannot be where the header says it is");
        needed = (t->base + t->size + qcow2_l2_span(image) - 1) / qcow2_l2_span(image);
        if (t->l1_entries < needed)
                return error_set(err, EIO, "has an L1 table of %u entries; its disk needs %" PRIu64,
                                 t->l1_entries, needed);
        if (!bytes)
                return 0;
        return source_fetch(image->source, last, sizeof last, end - sizeof last, "an L1 table",
                            err);
}

int qcow2_add_disk(struct qcow2 *q, const struct qcow2_disk *disk, const char *name,
                   uint32_t folder, const struct archive_sink *sink, struct error *err)
{
        struct archive_disk emitted = {.name = name,
                                       .folder = folder,
                                       .device = disk->is_state ? "vmstate" : "disk",
                                       .size = disk->table.size,
                                       .sparse = true};
        struct qcow2_disk *grown = reallocarray(q->disks, q->disk_count + 1, sizeof *grown);
        struct error failure = {0};
        int rc;

        if (!grown)
                return error_set(err, ENOMEM, "out of memory");
        q->disks = grown;
        grown[q->disk_count] = *disk;
        /* A disk has at most 128 TiB, and there are at most so many: below EXTENT_ADDR_MAX. */
        q->base.addr_end =
            max_u64(q->base.addr_end, q->disk_count * QCOW2_DISK_STEP + disk->table.size + 1);
        grown[q->disk_count++].broken = qcow2_check_l1(&q->image, &disk->table, &failure) < 0;
        rc = sink->disk(sink->ctx, &emitted);
        return rc < 0 ? error_set(err, -rc, "a disk cannot be shown: %s", strerror(-rc)) : 0;
}

void qcow2_close(struct archive *a)
{
        struct qcow2 *q = (struct qcow2 *)a;

        qcow2_close_chain(q);
        blockcache_free(q->image.tables);
        blockcache_free(q->image.clusters);
        qcow2_decoders_free(q->image.decoders);
        free(q->disks);
        free(q);
}

static void cleanup_qcow2_fn(struct qcow2 **q)
{
        if (*q)
                qcow2_close(&(*q)->base);
}

static int open_image(struct qcow2 *q, struct source *source, const struct archive_origin *origin,
                      struct error *err)
{
        struct qcow2_image *image = &q->image;
        size_t share = origin->dir ? 1 : MEMBER_SHARE;

        image->source = source;
        image->file_size = min_u64(source->size, QCOW2_FILE_MAX);
        if (blockcache_new(TABLE_CACHE / share, &image->tables) < 0 ||
            blockcache_new(origin->cache_bytes, &image->clusters) < 0 ||
            qcow2_decoders_new(&image->decoders) < 0)
                return error_set(err, ENOMEM, "out of memory");
        return image->is_qed ? qed_read_header(image, err) : qcow2_read_header(image, err);
}

/* The disk as it is now. Without its table there is nothing to show. */
static int add_active_disk(struct qcow2 *q, const char *name, const struct archive_sink *sink,
                           struct error *err)
{
        const struct qcow2_image *image = &q->image;
        struct qcow2_disk disk = {.table = {.l1_offset = image->l1_offset,
                                            .l1_entries = image->l1_entries,
                                            .size = image->size}};
        int rc = qcow2_check_l1(image, &disk.table, err);

        return rc < 0 ? rc : qcow2_add_disk(q, &disk, name, FOLDER_ROOT, sink, err);
}

void qcow2_note(struct qcow2 *q, const char *text)
{
        if (!q->base.info.note[0])
                snprintf(q->base.info.note, sizeof q->base.info.note, "%s", text);
}

/* What the image says of its own state. */
static void describe_state(struct qcow2 *q)
{
        if (q->image.corrupt)
                qcow2_note(q, "QEMU has found it corrupt and marked it so; qemu-img check says "
                              "more");
        else if (q->image.dirty && q->image.is_qed)
                qcow2_note(q, "it needs a check, as it was not closed after writing; qemu-img "
                              "check says more");
        else if (q->image.dirty)
                qcow2_note(q, "it was not closed after writing (dirty), which does not hinder "
                              "reading");
}

int qcow2_open_as(const struct archive_ops *ops, struct source *source,
                  const struct archive_origin *origin, const struct archive_sink *sink,
                  struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_qcow2_fn))) struct qcow2 *q = calloc(1, sizeof *q);
        cleanup_free char *name = archive_disk_name(origin->name);
        int rc;

        if (!q || !name)
                return error_set(err, ENOMEM, "out of memory");
        q->base.ops = ops;
        q->image.is_qed = ops == &qed_archive;
        q->base.source = source;
        q->base.info.ctime = origin->mtime;
        q->base.in_place = true;
        rc = open_image(q, source, origin, err);
        describe_state(q);
        if (rc == 0)
                rc = qcow2_open_chain(q, origin, err);
        if (rc == 0)
                rc = add_active_disk(q, name, sink, err);
        if (rc == 0)
                rc = qcow2_emit_snapshots(q, name, sink, err);
        if (rc == 0)
                rc = qcow2_emit_bitmaps(q, sink, err);
        if (rc < 0)
                return rc;
        *out = &steal_ptr(&q)->base;
        return 0;
}

static int qcow2_open(struct source *source, const struct archive_origin *origin,
                      const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return qcow2_open_as(&qcow2_archive, source, origin, sink, out, err);
}

int qcow2_detail(struct archive *a, uint32_t disk, uint64_t start, uint64_t len,
                 struct archive_detail *out)
{
        const struct qcow2 *q = (const struct qcow2 *)a;
        struct qcow2_look look = {0};
        struct qcow2_piece piece;
        int rc = qcow2_look(q, disk, start, len, QCOW2_ALIKE_PLACE, &look, &piece);

        qcow2_end_look(q, &look);
        if (rc < 0)
                return rc;
        *out = (struct archive_detail){
            .len = piece.len,
            .depth = piece.depth,
            .present = piece.kind != QCOW2_UNALLOCATED,
            .zero = piece.kind == QCOW2_UNALLOCATED || piece.kind == QCOW2_ZERO,
            .has_offset = piece.kind == QCOW2_DATA || piece.offset != 0,
            .offset = piece.offset,
        };
        return 0;
}

/* ---- reading ---- */

static int read_piece(const struct qcow2 *q, const struct qcow2_piece *piece, void *buf)
{
        const struct qcow2_image *image = piece->depth ? &q->layers[piece->depth].image : &q->image;

        switch (piece->kind) {
        case QCOW2_UNALLOCATED:
        case QCOW2_ZERO:
                memset(buf, 0, piece->len);
                return 0;
        case QCOW2_DATA:
                return source_pread_all(image->source, buf, piece->len, piece->offset);
        case QCOW2_COMPRESSED:
                return qcow2_read_compressed(image, piece->entry, piece->skip, buf, piece->len);
        case QCOW2_BAD:
                break;
        }
        return -EIO;
}

int qcow2_read(struct archive *a, const struct extent *extent, uint64_t skip, void *buf, size_t len)
{
        const struct qcow2 *q = (const struct qcow2 *)a;
        uint64_t disk = (extent->addr - extent->start) / QCOW2_DISK_STEP;
        uint64_t pos = extent->start + skip;
        struct qcow2_look look = {0};
        int rc = 0;

        if (disk >= q->disk_count || !range_within(pos, len, q->disks[disk].table.size))
                return -EIO;
        for (size_t done = 0; done < len && rc == 0;) {
                struct qcow2_piece piece;

                rc = qcow2_look(q, disk, pos + done, len - done, QCOW2_ALIKE_PLACE, &look, &piece);
                if (rc == 0)
                        rc = read_piece(q, &piece, (char *)buf + done);
                done += piece.len;
        }
        qcow2_end_look(q, &look);
        return rc;
}

const struct archive_ops qcow2_archive = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .open = qcow2_open,
    .scan = qcow2_scan,
    .read = qcow2_read,
    .detail = qcow2_detail,
    .close = qcow2_close,
};
