/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backing files of an image of this family: what it does not allocate is read from the next
 * one.
 *
 *   image ──> backing file ──> backing file … at most 15, the last perhaps raw, or an image of
 *                                             another family, which is opened as an archive
 *
 * Their names come from the image, so an image can name any file of the host: none is opened
 * unless the user allows it, and then only where the user allows.
 */
#include "archive/qcow2/qcow2_chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/qcow2/qcow2_header.h"
#include "archive/qcow2/qcow2_verdict.h"
#include "archive/qcow2/qcow_header.h"
#include "archive/qcow2/qed_header.h"
#include "archive/source/source.h"

/* ---- names ---- */

/*
 * The path of NAME, which the file at PATH names. Unless they are absolute, both are relative to
 * the first image's folder. A new string, or NULL: out of memory.
 */
static char *resolve(const char *path, const char *name)
{
        const char *slash = strrchr(path, '/');
        int len = slash ? (int)(slash - path) + 1 : 0;
        char *out;

        if (strncmp(name, "file:", 5) == 0)
                name += 5;
        if (name[0] == '/')
                return strdup(name);
        return asprintf(&out, "%.*s%s", len, path, name) < 0 ? NULL : out;
}

/* Is it json:{…}, nbd:…, or a URL, rather than a file? */
static bool has_protocol(const char *name)
{
        size_t len = strcspn(name, ":/");

        return name[len] == ':' && strncmp(name, "file:", 5) != 0;
}

/* ---- opening ---- */

/*
 * The format of IMAGE's backing file, as IMAGE says, or else by probing; in *FOREIGN if it is none
 * of this family.
 */
static int find_format(const struct qcow2_image *image, struct qcow2_layer *layer,
                       const struct format **foreign, struct error *err)
{
        const char *name = image->backing_format;
        const struct format *format = format_named(name);

        if (name[0] && strcmp(name, "raw") != 0 && !format)
                return error_set(err, ENOTSUP,
                                 "has a backing file of format %s, which vmafs does not read",
                                 name);
        if (!name[0]) {
                struct probe p;

                probe_init(&p, layer->image.source, NULL);
                format = format_find(&p, true);
                probe_fini(&p);
        }
        layer->image.is_qed = format == &qed_format;
        layer->image.is_qcow = format == &qcow_format;
        layer->is_raw = !format;
        *foreign =
            layer->image.is_qed || layer->image.is_qcow || format == &qcow2_format ? NULL : format;
        return 0;
}

static int open_layer(struct qcow2 *q, const struct qcow2_image *above, struct qcow2_layer *layer,
                      struct error *err)
{
        struct qcow2_image *image = &layer->image;
        struct error failure = {0};
        int rc = 0;

        image->file_size = min_u64(image->source->size, QCOW2_FILE_MAX);
        image->number = q->layer_count;
        image->tables = q->image.tables;
        image->clusters = q->image.clusters;
        image->decoders = q->image.decoders;
        layer->table.size = image->file_size;
        if (layer->is_raw)
                return 0;
        if (image->is_qcow)
                rc = qcow_read_header(image, &failure);
        else if (image->is_qed)
                rc = qed_read_header(image, &failure);
        else
                rc = qcow2_read_header(image, &failure);
        layer->table = (struct qcow2_table){
            .l1_offset = image->l1_offset, .l1_entries = image->l1_entries, .size = image->size};
        if (rc == 0)
                rc = qcow2_check_l1(image, &layer->table, &failure);
        if (rc == 0)
                return 0;
        return error_set(err, -rc, "its backing file %.150s %.200s", above->backing, failure.text);
}

static int refuse_name(const struct qcow2_image *image, struct error *err)
{
        return error_set(err, ENOTSUP, "has the backing file %.200s, which is no plain file",
                         image->backing);
}

int qcow2_open_chain(struct qcow2 *q, const struct archive_origin *origin, struct error *err)
{
        const struct qcow2_image *above = &q->image;
        cleanup_free char *path = strdup("");
        int rc = 0;

        if (!above->backing[0])
                return 0;
        if (origin->neighbours && origin->neighbours->farthest == NEIGHBOUR_BESIDE)
                return error_set(err, EPERM,
                                 "has the backing file %.200s; it is opened with backing=dir only, "
                                 "if it is below the image's folder, or with backing=any",
                                 above->backing);
        q->base.many_files = true;
        q->layers = calloc(QCOW2_LAYERS_MAX, sizeof *q->layers);
        if (!q->layers)
                return error_set(err, ENOMEM, "out of memory");
        for (q->layer_count = 1; rc == 0 && above->backing[0]; q->layer_count++) {
                struct qcow2_layer *layer = &q->layers[q->layer_count];
                const struct format *foreign = NULL;
                cleanup_free char *next = path ? resolve(path, above->backing) : NULL;

                if (!next)
                        return error_set(err, ENOMEM, "out of memory");
                if (q->layer_count == QCOW2_LAYERS_MAX)
                        return error_set(err, ELOOP,
                                         "has more than %d backing files, or they go round in a "
                                         "circle",
                                         QCOW2_LAYERS_MAX - 1);
                if (has_protocol(above->backing))
                        return refuse_name(above, err);
                rc = archive_open_named(origin, "has the backing file", next,
                                        origin->neighbours ? origin->neighbours->farthest
                                                           : NEIGHBOUR_BELOW,
                                        &layer->image.source, err);
                if (rc == 0)
                        rc = find_format(above, layer, &foreign, err);
                if (rc == 0 && foreign)
                        return backing_take(origin, "backing file", next, foreign,
                                            q->layer_count - 1, steal_ptr(&layer->image.source),
                                            &q->foreign, err);
                if (rc == 0)
                        rc = open_layer(q, above, layer, err);
                above = &layer->image;
                free(path);
                path = steal_ptr(&next);
        }
        return rc;
}

void qcow2_close_chain(struct qcow2 *q)
{
        for (unsigned i = 1; q->layers && i < q->layer_count; i++) {
                qcow2_verdict_free(q->layers[i].image.verdict);
                source_close(q->layers[i].image.source);
        }
        free(q->layers);
        backing_close(q->foreign);
}

/* ---- looking up ---- */

static void find_in_raw(const struct qcow2_layer *layer, uint64_t pos, uint64_t len,
                        struct qcow2_piece *out)
{
        *out = (struct qcow2_piece){
            .kind = QCOW2_DATA, .len = min_u64(len, layer->table.size - pos), .offset = pos};
}

int qcow2_look(const struct qcow2_disk *d, uint64_t pos, uint64_t len, enum qcow2_alike alike,
               struct qcow2_look *look, struct qcow2_piece *out)
{
        const struct qcow2 *q = d->q;
        int rc = qcow2_find(&q->image, &d->table, pos, len, alike, &look->at[0], out);

        for (unsigned i = 1; i < q->layer_count && !d->is_state; i++) {
                const struct qcow2_layer *layer = &q->layers[i];

                /* Past its end a backing file reads as zeros, which it does not store. */
                if (rc < 0 || out->kind != QCOW2_UNALLOCATED || pos >= layer->table.size)
                        break;
                len = out->len;
                if (layer->is_raw) {
                        find_in_raw(layer, pos, len, out);
                } else {
                        rc = qcow2_find(&layer->image, &layer->table, pos, len, alike, &look->at[i],
                                        out);
                        /* Users cannot relate a byte of another file to the first one. */
                        out->where = 0;
                }
                out->depth = i;
        }
        return rc;
}

void qcow2_end_look(const struct qcow2 *q, struct qcow2_look *look)
{
        qcow2_release(&q->image, &look->at[0]);
        for (unsigned i = 1; i < q->layer_count; i++)
                qcow2_release(&q->layers[i].image, &look->at[i]);
}

int qcow2_foreign_extent(const struct qcow2 *q, uint64_t pos, uint64_t len,
                         struct volume_extent *out)
{
        int rc = backing_extent(q->foreign, pos, len, out);

        /* Zeros past its end are those of the layer before it. */
        if (rc == 0)
                out->depth += q->layer_count - 1;
        return rc;
}

const struct qcow2_image *qcow2_image_at(const struct qcow2 *q, unsigned depth)
{
        return depth ? &q->layers[depth].image : &q->image;
}
