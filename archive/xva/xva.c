/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/xva/xva.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        MACHINE_MAX = 16 << 20, /* bytes of ova.xml */
        STRANGE_MAX = 16,       /* members that belong nowhere, and are reported each */
};

/* The largest disk that is shown. */
#define DISK_MAX (UINT64_C(1) << 48)

static const char machine_name[] = "ova.xml";

/* ---- probing ---- */

static const char *skip_dot(const char *name)
{
        return strncmp(name, "./", 2) == 0 ? name + 2 : name;
}

/* Is the block the header of ova.xml? *SIZE is that file's. */
static bool is_machine(const uint8_t *block, size_t len, uint64_t *size)
{
        return tar_is_header(block, len) && tar_is_file((char)block[AT_TYPE]) &&
               strncmp(skip_dot((const char *)block), machine_name, NAME_LEN - 2) == 0 &&
               tar_parse_number(block + AT_SIZE, NUMBER_LEN, size) && *size <= MACHINE_MAX;
}

/*
 * Any tar may begin with a file of that name, so what comes next must not be another one's header: a
 * disk's chunk, one whose header is damaged, or nothing, in the export of a machine without disks.
 */
static bool xva_probe(struct probe *p)
{
        uint8_t block[TAR_BLOCK] = {0};
        uint64_t size, at, end;
        const char *name = (const char *)block;

        if (!is_machine(p->head, p->len, &size))
                return false;
        at = TAR_BLOCK + round_up(size, TAR_BLOCK);
        if (source_look_ahead(p->source, at + TAR_BLOCK, &end, NULL) < 0 ||
            source_peek(p->source, block, sizeof block, at) < 0)
                return false;
        return !tar_is_header(block, sizeof block) || strncmp(skip_dot(name), "Ref:", 4) == 0;
}

/* ---- opening ---- */

static void xva_close(struct archive *a)
{
        struct xva *x = (struct xva *)a;

        xva_machine_fini(&x->machine);
        array_free(&x->reader.faults);
        free(x);
}

static void cleanup_xva_fn(struct xva **x)
{
        if (*x)
                xva_close(&(*x)->base);
}

/* "Ref:4" is disk-Ref4.raw: a program that is given "Ref:4" may take it for a host and a port. */
static char *disk_name(const struct xva_disk *disk)
{
        bool usual = strncmp(disk->ref, "Ref:", 4) == 0;
        char *out;

        if (asprintf(&out, "disk-%s%s.raw", usual ? "Ref" : "", disk->ref + (usual ? 4 : 0)) < 0)
                return NULL;
        return out;
}

static int emit_disk(const struct xva_disk *disk, const struct archive_sink *sink,
                     struct error *err)
{
        cleanup_free char *name = disk_name(disk);
        const struct entry_disk content = {.device = disk->ref};
        const struct entry e = {.name = name, .size = disk->size, .disk = &content};
        int rc = name ? 0 : -ENOMEM;

        if (disk->size > DISK_MAX)
                return error_set(err, EFBIG, "claims a disk of %" PRIu64 " bytes", disk->size);
        if (rc == 0)
                rc = sink->entry(sink->ctx, &e);
        return rc < 0 ? error_set(err, -rc, "a disk cannot be shown: %s", strerror(-rc)) : 0;
}

/* What each disk is called, as far as there is room. */
static void describe(struct xva *x)
{
        char *note = x->base.info.note;
        size_t room = sizeof x->base.info.note, len = 0;

        for (size_t i = 0; i < x->machine.disks.count; i++) {
                const struct xva_disk *disk = &x->machine.disks.items[i];
                int n = snprintf(note + len, room - len, "%s%s is \"%s\"%s%s", len ? "; " : "",
                                 disk->ref, disk->label, disk->device[0] ? ", drive " : "",
                                 disk->device);

                if (n < 0 || (size_t)n >= room - len) {
                        note[len] = '\0';
                        return;
                }
                len += (size_t)n;
        }
}

static int emit(struct xva *x, const char *text, size_t len, const struct archive_sink *sink,
                struct error *err)
{
        const struct entry file = {.name = machine_name, .data = text, .size = len};
        int rc = 0;

        for (size_t i = 0; i < x->machine.disks.count && rc == 0; i++)
                rc = emit_disk(&x->machine.disks.items[i], sink, err);
        if (rc < 0)
                return rc;
        rc = sink->entry(sink->ctx, &file);
        return rc < 0 ? error_set(err, -rc, "%s cannot be shown: %s", machine_name, strerror(-rc))
                      : 0;
}

/* The first member, which is ova.xml. */
static int read_machine(struct xva *x, const struct archive_sink *sink, struct error *err)
{
        __attribute__((cleanup(tar_member_fini))) struct tar_member m = {0};
        cleanup_free char *text = NULL;
        int rc = tar_next(&x->reader, &m, err);

        if (rc < 0)
                return rc;
        if (rc == 0 || strcmp(m.name, machine_name) != 0 || m.sparse || m.stored > MACHINE_MAX)
                return error_set(err, EIO, "has no %s at its beginning", machine_name);
        text = calloc(1, (size_t)m.stored + 1);
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = tar_fetch(&x->reader, text, (size_t)m.stored, m.data, err);
        if (rc == 0)
                return error_set_at(err, EIO, m.data, "ends inside %s, or that cannot be read",
                                    machine_name);
        if (rc > 0)
                rc = xva_machine_parse(text, (size_t)m.stored, &x->machine, err);
        return rc < 0 ? rc : emit(x, text, (size_t)m.stored, sink, err);
}

static int xva_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_xva_fn))) struct xva *x = calloc(1, sizeof *x);
        int rc;

        if (!x)
                return error_set(err, ENOMEM, "out of memory");
        x->base.ops = &xva_format;
        x->base.source = source;
        x->base.info.ctime = origin->mtime; /* its members have none */
        x->reader.source = source;
        rc = read_machine(x, sink, err);
        if (rc < 0)
                return rc;
        describe(x);
        *out = &steal_ptr(&x)->base;
        return 0;
}

/* ---- scan ---- */

/* NAME, of LEN bytes, is that of a chunk: of which disk, which number? */
static bool parse_name(const struct xva *x, const char *name, size_t len, uint32_t *disk,
                       uint64_t *number)
{
        const char *slash = memrchr(name, '/', len);
        size_t folder = slash ? (size_t)(slash - name) : 0, i = folder + 1;

        if (!slash || i == len || len - i > 18)
                return false;
        for (*number = 0; i < len; i++) {
                if (!isdigit((unsigned char)name[i]))
                        return false;
                *number = *number * 10 + (uint64_t)(name[i] - '0');
        }
        for (*disk = 0; *disk < x->machine.disks.count; ++*disk) {
                const char *ref = x->machine.disks.items[*disk].ref;

                if (strlen(ref) == folder && memcmp(ref, name, folder) == 0)
                        return true;
        }
        return false;
}

/* A chunk came without a checksum: either all of them do, as in old exports, or it is missing. */
static int note_unsummed(struct xva_scan *s)
{
        const struct xva_chunk *c = &s->chunk;

        if (!c->pending || c->lost)
                return 0;
        if (s->has_sums)
                return xva_report(s, c->header, c->disk, 0, 0, "a chunk's checksum is missing");
        s->unsummed++;
        return 0;
}

/* What belongs nowhere: chunks of a disk that ova.xml does not name, above all. */
static int note_strange(struct xva_scan *s, const struct tar_member *m)
{
        char text[160];

        if (strncmp(m->name, "Ref:", 4) != 0 || s->strange++ >= STRANGE_MAX)
                return 0;
        snprintf(text, sizeof text, "%.80s belongs to no disk of ova.xml", m->name);
        return xva_report(s, m->header, DISK_NONE, 0, 0, text);
}

static int take_sum(struct xva_scan *s, const struct tar_member *m, size_t len, struct error *err)
{
        const struct xva_chunk *c = &s->chunk;
        bool first = !s->has_sums;
        int rc = 0;

        if (!c->pending || strncmp(c->name, m->name, len) != 0 || c->name[len])
                return 0;
        s->has_sums = true;
        if (first && s->unsummed)
                rc = xva_report(s, c->header, c->disk, 0, 0,
                                "chunks before this have no checksum, though it has one");
        if (rc == 0)
                rc = xva_check_sum(s, m, err);
        return rc < 0 ? rc : xva_settle_chunk(s);
}

static int take_member(struct xva_scan *s, const struct tar_member *m, struct error *err)
{
        size_t len = strlen(m->name);
        uint32_t disk;
        uint64_t number;
        int rc;

        if (xva_is_sum(m->name, &len))
                return take_sum(s, m, len, err);
        rc = note_unsummed(s);
        if (rc == 0)
                rc = xva_settle_chunk(s);
        if (rc < 0)
                return rc;
        if (parse_name(s->xva, m->name, len, &disk, &number))
                return xva_take_chunk(s, disk, number, m);
        return note_strange(s, m);
}

/* What the reader has found since it had COUNT faults. */
static int take_faults(struct xva_scan *s, size_t count)
{
        const struct tar_reader *r = &s->xva->reader;
        int rc = 0;

        if (r->faults.count > count || r->lost_before)
                rc = xva_doubt(s, r->lost_before);
        for (size_t i = count; i < r->faults.count && rc == 0; i++)
                rc = xva_report(s, r->faults.items[i].at, s->disk, 0, 0, r->faults.items[i].text);
        return rc;
}

/* The last chunk may be cut off. */
static int check_end(struct xva_scan *s)
{
        const struct xva_chunk *c = &s->chunk;
        uint64_t end = c->extent.addr + c->extent.len;

        if (c->pending && end > s->xva->reader.end)
                return xva_doubt(s, "the archive ends inside a chunk: it was cut off");
        return 0;
}

/* Past the end mark: the stream's index has to cover all of the stream. */
static int read_on(struct xva_scan *s, struct error *err)
{
        enum { STEP = 16 << 20 };
        struct source *source = s->xva->base.source;
        uint64_t end = s->xva->reader.end;
        int rc = 0;

        while (rc == 0 && end < source->size) {
                rc = source_reach(source, end + STEP, &end, err);
                if (rc == 0)
                        rc = s->sink->progress(s->sink->ctx, end);
        }
        return rc;
}

/* A disk of which nothing came, or the end of the last one. */
static int end_disks(struct xva_scan *s)
{
        int rc = check_end(s);

        if (rc == 0)
                rc = note_unsummed(s);
        if (rc == 0)
                rc = xva_settle_chunk(s);
        if (rc == 0)
                rc = xva_end_disk(s);
        for (s->disk = 0; s->disk < s->xva->machine.disks.count && rc == 0; s->disk++)
                rc = xva_end_disk(s);
        return rc;
}

static int go_through(struct xva_scan *s, struct error *err)
{
        struct tar_reader *r = &s->xva->reader;
        int rc = 1;

        while (rc > 0) {
                __attribute__((cleanup(tar_member_fini))) struct tar_member m = {0};
                size_t faults = r->faults.count;
                int taken;

                rc = tar_next(r, &m, err);
                taken = rc < 0 ? rc : take_faults(s, faults);
                if (rc > 0 && taken == 0)
                        taken = take_member(s, &m, err);
                if (rc > 0 && taken == 0)
                        taken = s->sink->progress(s->sink->ctx, m.data);
                rc = taken < 0 ? taken : rc;
        }
        if (rc == 0)
                rc = tar_reach(r, r->pos, err);
        if (rc == 0)
                rc = end_disks(s);
        return rc < 0 ? rc : read_on(s, err);
}

static int xva_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct xva *x = (struct xva *)a;
        cleanup_free struct xva_progress *disks = calloc(x->machine.disks.count + 1, sizeof *disks);
        cleanup_free uint8_t *buffer = malloc(XVA_CHUNK);
        /* A stream is decoded anyway; of a plain file the headers are enough to know its disks. */
        struct xva_scan s = {.xva = x,
                             .sink = sink,
                             .disks = disks,
                             .disk = DISK_NONE,
                             .checks = sink->thorough || !source_is_file(a->source),
                             .buffer = buffer};
        int rc;

        if (!disks || !buffer)
                return error_set(err, ENOMEM, "out of memory");
        rc = go_through(&s, err);
        a->has_sums = rc == 0 && s.checks && s.has_sums && s.unsummed == 0;
        array_free(&s.kept);
        return rc;
}

const struct format xva_format = {
    .name = "xva",
    .probe = xva_probe,
    .open = xva_open,
    .scan = xva_scan,
    .close = xva_close,
};
