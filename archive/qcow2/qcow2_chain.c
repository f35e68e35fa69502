/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backing files of an image of this family: what it does not allocate is read from the next
 * one.
 *
 *   image ──> backing file ──> backing file … at most 15, the last perhaps raw
 *
 * Their names come from the image, so an image can name any file of the host: none is opened
 * without the person's word, and then only where that allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/source/source.h"

enum { HEAD = 4 };

/* ---- names ---- */

/*
 * The path that NAME, said by the file at PATH, stands for; both are seen from the first image's
 * folder, as long as they are not absolute. A new string, or NULL: out of memory.
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

/* json:{…}, nbd:…, a URL: what is no file. */
static bool has_protocol(const char *name)
{
        size_t len = strcspn(name, ":/");

        return name[len] == ':' && strncmp(name, "file:", 5) != 0;
}

static int open_at(int dirfd, const char *path, enum archive_backing backing)
{
        static const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        struct open_how how = {.flags = (uint64_t)flags,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

        if (backing == ARCHIVE_BACKING_ANY)
                return openat(dirfd, path, flags);
        return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

static int refuse_open(int code, const char *path, struct error *err)
{
        if (code == EXDEV)
                return error_set(err, EPERM,
                                 "has the backing file %.200s, which is not below its own folder; "
                                 "backing=any allows that",
                                 path);
        return error_set(err, code, "has the backing file %.200s, which cannot be opened: %s", path,
                         strerror(code));
}

static int open_source(const struct archive_origin *origin, const char *path, struct source **out,
                       struct error *err)
{
        cleanup_close int dirfd = open(origin->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd = dirfd < 0 ? -1 : open_at(dirfd, path, origin->backing);

        if (fd < 0)
                return refuse_open(errno, path, err);
        return source_open_fd(fd, out, err);
}

/* ---- opening ---- */

/* Of what format is the file below IMAGE? Where IMAGE does not say, it is asked. */
static int find_format(const struct qcow2_image *image, struct qcow2_layer *layer,
                       struct error *err)
{
        const char *format = image->backing_format;
        char head[HEAD] = {0};
        bool is_qcow2 = strcmp(format, "qcow2") == 0, is_qed = strcmp(format, "qed") == 0;

        if (format[0] && strcmp(format, "raw") != 0 && !is_qcow2 && !is_qed)
                return error_set(err, ENOTSUP,
                                 "has a backing file of format %s; vmafs reads qcow2, qed and raw",
                                 format);
        if (!format[0] && source_pread(layer->image.source, head, HEAD, 0) == HEAD) {
                is_qcow2 = qcow2_archive.probe(head, HEAD);
                is_qed = qed_archive.probe(head, HEAD);
        }
        layer->image.is_qed = is_qed;
        layer->is_raw = !is_qcow2 && !is_qed;
        return 0;
}

static int open_layer(struct qcow2 *q, const struct qcow2_image *above, struct qcow2_layer *layer,
                      struct error *err)
{
        struct qcow2_image *image = &layer->image;
        struct error failure = {0};
        int rc;

        image->file_size = min_u64(image->source->size, QCOW2_FILE_MAX);
        image->number = q->layer_count;
        image->tables = q->image.tables;
        image->clusters = q->image.clusters;
        image->decoders = q->image.decoders;
        rc = find_format(above, layer, err);
        if (rc < 0)
                return rc;
        layer->table.size = image->file_size;
        if (layer->is_raw)
                return 0;
        rc = image->is_qed ? qed_read_header(image, &failure) : qcow2_read_header(image, &failure);
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
        if (!origin->dir)
                return error_set(err, EPERM,
                                 "has the backing file %.60s; of an image inside of an archive "
                                 "none is opened",
                                 above->backing);
        if (origin->backing == ARCHIVE_BACKING_NONE)
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
                rc = open_source(origin, next, &layer->image.source, err);
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
        for (unsigned i = 1; q->layers && i < q->layer_count; i++)
                source_close(q->layers[i].image.source);
        free(q->layers);
}

/* ---- looking up ---- */

static void find_in_raw(const struct qcow2_layer *layer, uint64_t pos, uint64_t len,
                        struct qcow2_piece *out)
{
        *out = (struct qcow2_piece){
            .kind = QCOW2_DATA, .len = min_u64(len, layer->table.size - pos), .offset = pos};
}

int qcow2_look(const struct qcow2 *q, size_t disk, uint64_t pos, uint64_t len,
               enum qcow2_alike alike, struct qcow2_look *look, struct qcow2_piece *out)
{
        const struct qcow2_disk *d = &q->disks[disk];
        int rc = qcow2_find(&q->image, &d->table, pos, len, alike, &look->at[0], out);

        for (unsigned i = 1; i < q->layer_count && !d->is_state; i++) {
                const struct qcow2_layer *layer = &q->layers[i];

                if (rc < 0 || out->kind != QCOW2_UNALLOCATED)
                        break;
                len = out->len;
                if (pos >= layer->table.size) {
                        /* A shorter backing file goes on with zeros. */
                        *out = (struct qcow2_piece){.kind = QCOW2_ZERO, .len = len};
                } else if (layer->is_raw) {
                        find_in_raw(layer, pos, len, out);
                } else {
                        rc = qcow2_find(&layer->image, &layer->table, pos, len, alike, &look->at[i],
                                        out);
                        /* A byte of another file says nothing to a person. */
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
