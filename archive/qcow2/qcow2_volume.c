/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_chain.h"
#include "archive/qcow2/qcow2_cluster.h"
#include "archive/qcow2/qcow2_map.h"
#include "archive/source/source.h"

int qcow2_check_files(const struct qcow2 *q)
{
        int rc = source_check(q->image.source, NULL);

        for (unsigned i = 1; i < q->layer_count && rc == 0; i++)
                rc = source_check(q->layers[i].image.source, NULL);
        return rc == 0 && q->foreign ? backing_check(q->foreign) : rc;
}

static enum volume_kind kind_of(const struct qcow2 *q, const struct qcow2_piece *piece)
{
        switch (piece->kind) {
        case QCOW2_UNALLOCATED:
                return q->holes_doubted ? VOLUME_LOST : VOLUME_ZERO;
        case QCOW2_ZERO:
                return VOLUME_ZERO;
        case QCOW2_DATA:
                return VOLUME_RAW;
        case QCOW2_COMPRESSED:
                return VOLUME_CODED;
        case QCOW2_BAD:
                break;
        }
        return VOLUME_LOST;
}

static int find_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        const struct qcow2_disk *d = (const struct qcow2_disk *)v;
        const struct qcow2 *q = d->q;
        const struct qcow2_image *image;
        struct qcow2_look look = {0};
        struct qcow2_piece piece;
        int rc;

        *out = (struct volume_extent){.len = len, .kind = VOLUME_UNKNOWN};
        if (!atomic_load_explicit(&q->judged, memory_order_acquire))
                return 0;
        out->kind = VOLUME_LOST;
        if (d->broken)
                return 0;
        rc = qcow2_look(d, pos, len, QCOW2_ALIKE_PLACE, &look, &piece);
        qcow2_end_look(q, &look);
        /* What a backing file has is valid only while the files before it are unchanged. */
        if (rc == 0 && q->layer_count)
                rc = qcow2_check_files(q);
        if (rc < 0)
                return rc;
        if (qcow2_is_foreign(d, &piece))
                return qcow2_foreign_extent(q, pos, piece.len, out);
        *out = (struct volume_extent){.len = piece.len,
                                      .kind = kind_of(q, &piece),
                                      .allocated = piece.kind != QCOW2_UNALLOCATED,
                                      .depth = piece.depth};
        if (out->kind == VOLUME_LOST)
                return 0;
        image = qcow2_image_at(q, piece.depth);
        if (piece.kind == QCOW2_COMPRESSED)
                out->offset = qcow2_compressed_range(image, piece.entry).offset;
        else
                out->offset = piece.offset;
        if (piece.kind == QCOW2_DATA || out->offset)
                out->source = image->source;
        return 0;
}

static int read_coded(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        const struct qcow2_disk *d = (const struct qcow2_disk *)v;
        const struct qcow2 *q = d->q;
        struct qcow2_look look = {0};
        size_t n = 0;
        int rc = 0;

        if (!range_within(pos, len, v->size) ||
            !atomic_load_explicit(&q->judged, memory_order_acquire))
                return -EIO;
        for (size_t done = 0; done < len && rc == 0; done += n) {
                const struct qcow2_image *image;
                struct qcow2_piece piece;

                rc = qcow2_look(d, pos + done, len - done, QCOW2_ALIKE_PLACE, &look, &piece);
                if (rc == 0 && qcow2_is_foreign(d, &piece)) {
                        n = (size_t)min_u64(piece.len, len - done);
                        rc = backing_read(q->foreign, (char *)buf + done, n, pos + done);
                        continue;
                }
                if (rc == 0 && piece.kind != QCOW2_COMPRESSED)
                        rc = -EIO;
                if (rc < 0)
                        break;
                image = qcow2_image_at(q, piece.depth);
                n = (size_t)min_u64(piece.len, qcow2_cluster_size(image) - piece.skip);
                rc = qcow2_read_compressed(image, piece.entry, piece.skip, (char *)buf + done, n);
        }
        qcow2_end_look(q, &look);
        /* What was decoded, and its tables, are valid only while the files are unchanged. */
        return rc < 0 ? rc : qcow2_check_files(q);
}

static const struct volume_ops volume_ops = {.extent = find_extent, .read = read_coded};

int qcow2_add_disk(struct qcow2 *q, const struct qcow2_disk *disk, const char *name,
                   uint32_t folder, const struct archive_sink *sink, struct error *err)
{
        cleanup_free struct qcow2_disk *d = malloc(sizeof *d);
        struct entry_disk emitted = {.device = disk->is_state ? "vmstate" : "disk", .sparse = true};
        const struct entry e = {
            .parent = folder, .name = name, .size = disk->table.size, .disk = &emitted};
        struct error failure = {0};
        int rc;

        if (!d || array_reserve(&q->disks, 1) < 0)
                return error_set(err, ENOMEM, "out of memory");
        *d = *disk;
        d->volume = (struct volume){.ops = &volume_ops, .size = disk->table.size};
        d->q = q;
        d->broken = qcow2_check_l1(&q->image, &disk->table, &failure) < 0;
        emitted.volume = &d->volume;
        array_add(&q->disks, steal_ptr(&d));
        rc = sink->entry(sink->ctx, &e);
        return rc < 0 ? error_set(err, -rc, "a disk cannot be shown: %s", strerror(-rc)) : 0;
}

void qcow2_free_disks(struct qcow2 *q)
{
        for (size_t i = 0; i < q->disks.count; i++)
                free(q->disks.items[i]);
        array_free(&q->disks);
}
