/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2, the image format of QEMU, and what it shares with QED. */
#include "archive/qcow2/qcow2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_bitmap.h"
#include "archive/qcow2/qcow2_chain.h"
#include "archive/qcow2/qcow2_cluster.h"
#include "archive/qcow2/qcow2_header.h"
#include "archive/qcow2/qcow2_map.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/qcow2/qcow2_scan.h"
#include "archive/qcow2/qcow2_snapshot.h"
#include "archive/qcow2/qcow2_verdict.h"
#include "archive/qcow2/qcow2_volume.h"
#include "archive/qcow2/qcow_header.h"
#include "archive/qcow2/qed_header.h"
#include "archive/shared.h"
#include "archive/source/source.h"

void qcow2_close(struct archive *a)
{
        struct qcow2 *q = (struct qcow2 *)a;

        qcow2_close_chain(q);
        qcow2_verdict_free(q->image.verdict);
        blockcache_leave(q->image.tables);
        blockcache_leave(q->image.clusters);
        qcow2_decoders_free(q->image.decoders);
        qcow2_free_disks(q);
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
        struct blockcache *cache = origin->shared->cache;
        struct qcow2_image *image = &q->image;

        image->source = source;
        image->file_size = min_u64(source->size, source_straight(source, 0));
        image->file_size = min_u64(image->file_size, QCOW2_FILE_MAX);
        if (blockcache_join(cache, CACHE_TABLES, &image->tables) < 0 ||
            blockcache_join(cache, CACHE_CLUSTERS, &image->clusters) < 0 ||
            qcow2_decoders_new(&image->decoders) < 0)
                return error_set(err, ENOMEM, "out of memory");
        if (image->is_qcow)
                return qcow_read_header(image, err);
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

        return rc < 0 ? rc : qcow2_add_disk(q, &disk, name, ENTRY_ROOT, sink, err);
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

int qcow2_open_as(const struct format *ops, struct source *source,
                  const struct archive_origin *origin, const struct archive_sink *sink,
                  struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_qcow2_fn))) struct qcow2 *q = calloc(1, sizeof *q);
        cleanup_free char *name = archive_disk_name(origin->name);
        int rc;

        if (!q || !name)
                return error_set(err, ENOMEM, "out of memory");
        q->base.ops = ops;
        q->image.is_qed = ops == &qed_format;
        q->image.is_qcow = ops == &qcow_format;
        q->base.source = source;
        q->base.info.ctime = origin->mtime;
        q->base.mutable_image = true;
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
        return qcow2_open_as(&qcow2_format, source, origin, sink, out, err);
}

int qcow2_check(struct archive *a)
{
        return qcow2_check_files((const struct qcow2 *)a);
}

const struct format qcow2_format = {
    .name = "qcow2",
    .is_image = true,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .scan = qcow2_scan,
    .skip_scan = qcow2_skip_scan,
    .check = qcow2_check,
    .close = qcow2_close,
};
