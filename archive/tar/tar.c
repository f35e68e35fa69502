/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/probe.h"
#include "archive/tar/tar_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/tar/ovf.h"
#include "archive/tar/tar_image.h"
#include "archive/tar/tar_packed.h"
#include "archive/tar/tar_siblings.h"
#include "archive/tar/tar_tree.h"
#include "archive/tarfile/tar_window.h"

enum {
        BLOCK = 4096,
        MEMBERS_MAX = 1 << 21,
        NAME_WEIGHT = 128, /* bytes of a name that count as another member */
        NAME_BYTES = 4095, /* of a longer name that are kept */
        OVF_MAX_BYTES = 4 << 20,
        FILE_MAX_BYTES = 1 << 20, /* a larger member is a disk */
        MARK_MAX = 1 << 20,       /* bytes of an end mark with its padding */
        STEP = 16 << 20,          /* bytes of the stream between two checks whether to stop */
};

/* The largest member that is shown: a map cannot say more. */
#define MEMBER_MAX (UINT64_C(1) << 50)

struct tar {
        struct archive base;
        uint64_t end;  /* bytes of the stream */
        uint64_t mark; /* where its members end */
        ARRAY(struct tar_file) files;
        ARRAY(char) names;   /* of all of them in order, each with its NUL; until they are shown */
        size_t weight;       /* of all */
        ARRAY(size_t) disks; /* of each that is shown as a disk, the number of its file */
        uint32_t disk_count; /* includes the disks in images, which come after these */
        struct tar_image *images[TAR_IMAGES_MAX];
        size_t image_count;
        struct tar_images shared; /* by the images */

        struct tar_faults faults;
        char first_note[200];
        size_t unshown; /* images whose disks are not shown, in a tar that is sound all the same */
};

static bool tar_probe(struct probe *p)
{
        return tar_is_header(p->head, p->len);
}

static bool ends_with(const char *name, const char *end)
{
        size_t n = strlen(name), m = strlen(end);

        return n >= m && strcasecmp(name + n - m, end) == 0;
}

static uint64_t header_of(const struct tar_file *f)
{
        const struct tar_member *m = tar_file_unusual(f);

        return m ? m->header : f->volume.anchor - TAR_BLOCK;
}

/* Bytes that are stored of F. */
static uint64_t stored_of(const struct tar_file *f)
{
        const struct tar_member *m = tar_file_unusual(f);

        return m ? m->stored : f->volume.size;
}

/* The first byte of the stream at which F's data may be displaced, or are missing. */
static uint64_t end_of(const struct tar *t, const struct tar_file *f)
{
        return min_u64(t->end, source_straight(t->base.source, f->volume.anchor));
}

/* Is all of F there? */
static bool is_whole(const struct tar *t, const struct tar_file *f)
{
        return range_within(f->volume.anchor, stored_of(f), end_of(t, f));
}

/* Is nothing of F lost? */
static bool is_readable(const struct tar *t, const struct tar_file *f)
{
        struct source_lost_range gap;

        return is_whole(t, f) && !(source_find_lost(t->base.source, f->volume.anchor, &gap) &&
                                   gap.start < f->volume.anchor + stored_of(f));
}

/* ---- images in members ---- */

static const char *leaf_of(const char *name)
{
        const char *slash = strrchr(name, '/');

        return slash ? slash + 1 : name;
}

static int add_fault(struct tar *t, const struct tar_file *f, const char *name, const char *why)
{
        char text[200];

        snprintf(text, sizeof text, "%.60s %.130s", leaf_of(name), why);
        return tar_add_fault(&t->faults, f->volume.anchor, text);
}

/* The member NAME is sound, but vmafs does not show its disks: tell the user WHY. */
static void note_unshown(struct tar *t, const char *name, const char *why)
{
        char *note = t->base.info.note;
        size_t room = sizeof t->base.info.note;

        if (++t->unshown == 1)
                snprintf(t->first_note, sizeof t->first_note, "%.60s %.130s", leaf_of(name), why);
        if (t->unshown == 1)
                snprintf(note, room, "%s", t->first_note);
        else
                snprintf(note, room, "%s (and %zu more)", t->first_note, t->unshown - 1);
}

/* Was an image not opened because vmafs does not interpret it, rather than for damage? */
static bool is_foreign(int code)
{
        return code == ENOTSUP || code == EPERM || code == E2BIG;
}

/* The member F, called NAME, is no image that can be opened: WHY. */
struct unopened {
        const struct tar_file *f;
        char name[64];
        int code;
        char why[200];
};

/* While the images in members are opened. */
struct opening {
        struct tar *tar;
        const struct archive_origin *origin;
        const struct archive_sink *sink;
        struct tar_siblings siblings;
        ARRAY(struct unopened) unopened;
        uint8_t *parts; /* of each member 1 if it is part of a packed file; NULL: none is */
        size_t packed, chunks;
};

/* What could not be opened by itself, and is no part of another image. */
static int report_unopened(struct opening *o)
{
        int rc = 0;

        for (size_t i = 0; i < o->unopened.count && rc == 0; i++) {
                const struct unopened *u = &o->unopened.items[i];

                if (tar_siblings_has_opened(&o->siblings, u->f))
                        continue;
                if (is_foreign(u->code))
                        note_unshown(o->tar, u->name, u->why);
                else
                        rc = add_fault(o->tar, u->f, u->name, u->why);
        }
        return rc;
}

static int add_unopened(struct opening *o, const struct tar_file *f, const char *name,
                        const struct error *why)
{
        struct unopened u = {.f = f, .code = why->code};

        snprintf(u.name, sizeof u.name, "%.60s", leaf_of(name));
        snprintf(u.why, sizeof u.why, "%.*s", (int)sizeof u.why - 1, why->text);
        return array_add(&o->unopened, u);
}

/* As open_image; or for what TAKE_PACKED holds, which F begins. */
static int try_image(struct opening *o, struct tar_file *f, struct tar_packed *take_packed,
                     const char *name, struct error *err)
{
        struct tar *t = o->tar;
        struct tar_image *image = NULL;
        size_t opened = o->siblings.opened.count;
        struct error why = {0};
        int rc;

        rc = tar_image_open(&t->shared, f, take_packed, leaf_of(name), t->disk_count, o->sink,
                            &image, &why, err);
        if (rc <= 0)
                o->siblings.opened.count = opened;
        if (rc == 0 && take_packed && !why.code)
                note_unshown(t, name, "is no disk image of a format that vmafs knows");
        else if (rc == 0 && why.code == E2BIG)
                note_unshown(t, name, why.text);
        else if (rc == 0 && why.code)
                rc = add_unopened(o, f, name, &why);
        if (rc <= 0)
                return rc;
        t->images[t->image_count++] = image;
        t->disk_count += image->disk_count;
        image->alone = o->siblings.opened.count == opened && !image->archive->many_files;
        return 0;
}

/* If F is an image, show its disks, too. An image that cannot be opened is shown as it is. */
static int open_image(struct opening *o, struct tar_file *f, const char *name, struct error *err)
{
        const struct tar_member *m = tar_file_unusual(f);

        if ((m && (m->lost || m->broken)) || (o->parts && o->parts[f - o->tar->files.items]))
                return 0;
        o->siblings.asking = name;
        return try_image(o, f, NULL, name, err);
}

/* Are the disks of what P consists of shown already? Then its file was named twice. */
static bool is_shown(const struct tar *t, const struct tar_packed *p)
{
        for (size_t i = 0; i < t->image_count; i++) {
                const struct tar_packed *other = t->images[i]->packed;

                if (other && tar_packed_start(other) == tar_packed_start(p) &&
                    other->volume.size == p->volume.size)
                        return true;
        }
        return false;
}

/*
 * FILE of the OVF that F is: show the disks in it, once, as those of a member that is stored as it is:
 * several disks of a machine may begin as copies of one file.
 */
static int open_packed(struct opening *o, const struct tar_file *f, const struct ovf_file *file,
                       struct error *err)
{
        struct tar *t = o->tar;
        struct tar_packed *packed = NULL;
        struct error why = {0};
        int rc;

        if (o->packed++ >= OVF_FILES_MAX)
                return 0;
        rc = tar_packed_open(&o->siblings, file, o->origin, &t->faults, o->parts, &o->chunks,
                             &packed, &why);
        if (rc > 0 && is_shown(t, packed)) {
                tar_packed_close(packed);
                return 0;
        }
        if (rc > 0)
                return try_image(o, packed->pieces.items[0].member, packed, file->name, err);
        if (rc == 0 && is_foreign(why.code))
                note_unshown(t, file->name, why.text);
        else if (rc == 0 && why.code)
                rc = add_fault(t, f, file->name, why.text);
        return rc;
}

/* The files that the OVF F, called NAME, has in chunks or compressed. */
static int open_ovf(struct opening *o, const struct tar_file *f, const char *name,
                    struct error *err)
{
        size_t len = (size_t)f->volume.size;
        cleanup_free char *text = malloc(len + 1);
        __attribute__((cleanup(ovf_fini))) struct ovf ovf = {0};
        int rc;

        if (!text)
                return -ENOMEM;
        if (source_pread_all(f->stream, text, len, f->volume.anchor) < 0)
                return 0; /* what is damaged is named elsewhere */
        rc = ovf_parse(text, len, &ovf);
        if (rc == 0 && ovf.files.count && !o->parts) {
                o->parts = calloc(o->tar->files.count, 1);
                rc = o->parts ? 0 : -ENOMEM;
        }
        o->siblings.asking = name;
        for (size_t i = 0; i < ovf.files.count && rc == 0; i++)
                rc = open_packed(o, f, &ovf.files.items[i], err);
        return rc;
}

static bool is_ovf(const struct tar *t, const struct tar_file *f, const char *name)
{
        return ends_with(name, ".ovf") && !tar_file_unusual(f) && f->volume.size <= OVF_MAX_BYTES &&
               is_readable(t, f);
}

static int open_images(struct tar *t, const struct archive_origin *origin,
                       const struct archive_sink *sink, struct error *err)
{
        struct opening o = {.tar = t, .origin = origin, .sink = sink};
        const char *name = t->names.items;
        int rc = 0;

        tar_siblings_init(&o.siblings, t->base.source, t->files.items, t->files.count, name,
                          t->end);
        t->shared.siblings = &o.siblings.base;
        t->shared.end = t->end;
        for (size_t i = 0; i < t->files.count && rc == 0; i++, name += strlen(name) + 1)
                if (is_ovf(t, &t->files.items[i], name))
                        rc = open_ovf(&o, &t->files.items[i], name, err);
        name = t->names.items;
        for (size_t i = 0; i < t->files.count && rc == 0; i++, name += strlen(name) + 1)
                rc = open_image(&o, &t->files.items[i], name, err);
        if (rc == 0)
                rc = report_unopened(&o);
        t->shared.siblings = NULL;
        tar_siblings_fini(&o.siblings);
        array_free(&o.unopened);
        free(o.parts);
        return rc == -ENOMEM ? error_set(err, ENOMEM, "out of memory") : rc;
}

/* ---- members ---- */

static bool is_shown_as_file(const struct tar *t, const struct tar_file *f, const char *name)
{
        return !tar_file_unusual(f) && f->volume.size <= FILE_MAX_BYTES &&
               !ends_with(name, ".raw") && !ends_with(name, ".img") && is_readable(t, f);
}

static int emit_disk(struct tar *t, size_t i, const char *name, const struct archive_sink *sink)
{
        struct tar_file *f = &t->files.items[i];
        struct entry_disk disk = {.device = name, .sparse = true, .volume = &f->volume};
        const struct entry e = {.name = name, .size = f->volume.size, .disk = &disk};
        int rc;

        if (e.size > MEMBER_MAX && !is_whole(t, f))
                return add_fault(t, f, name, "is not shown: it claims more bytes than can be");
        if (e.size > MEMBER_MAX) {
                note_unshown(t, name, "is not shown: it has more bytes than vmafs can show");
                return 0;
        }
        rc = sink->entry(sink->ctx, &e);
        t->disk_count += rc == 0;
        return rc < 0 ? rc : array_add(&t->disks, i);
}

static int emit_member(struct tar *t, size_t i, const char *name, const struct archive_sink *sink,
                       struct error *err)
{
        struct tar_file *f = &t->files.items[i];
        const struct entry file = {.name = name, .size = f->volume.size, .volume = &f->volume};
        int rc = is_shown_as_file(t, f, name) ? sink->entry(sink->ctx, &file)
                                              : emit_disk(t, i, name, sink);

        if (rc < 0)
                return error_set_at(err, -rc, header_of(f), "%.100s cannot be shown: %s", name,
                                    strerror(-rc));
        return 0;
}

/* All members, and after them the disks of those that are images. */
static int emit_members(struct tar *t, const struct archive_origin *origin,
                        const struct archive_sink *sink, struct error *err)
{
        const char *name = t->names.items;
        int rc = 0;

        for (size_t i = 0; i < t->files.count && rc == 0; i++, name += strlen(name) + 1)
                rc = emit_member(t, i, name, sink, err);
        if (rc == 0)
                rc = open_images(t, origin, sink, err);
        array_free(&t->names);
        return rc;
}

/*
 * How many ordinary members one with a name of LEN bytes is worth: long names count, so that all of
 * them together take a few hundred MiB at most, however well such a tar is compressed.
 */
static size_t weight(size_t len)
{
        return 1 + len / NAME_WEIGHT;
}

/* Keeps NAME_BYTES of NAME: no path is longer, and no name that is shown is as long. */
static int add_name(struct tar *t, const char *name)
{
        size_t len = strnlen(name, NAME_BYTES);
        int rc = array_reserve(&t->names, len + 1);

        if (rc < 0)
                return rc;
        memcpy(t->names.items + t->names.count, name, len);
        t->names.count += len + 1;
        t->names.items[t->names.count - 1] = '\0';
        return 0;
}

static int add_member(struct tar *t, struct tar_member *m, struct error *err)
{
        struct tar_file f = tar_file_plain(t->base.source, m->data, m->size);
        int rc;

        t->weight += weight(strnlen(m->name, NAME_BYTES));
        if (t->weight > MEMBERS_MAX)
                return error_set(err, E2BIG,
                                 "holds more files than view=images shows: %d, and fewer with long "
                                 "names; view=tree shows them all",
                                 MEMBERS_MAX);
        if (t->files.count == 0)
                t->base.info.ctime = m->mtime;
        rc = array_reserve(&t->files, 1);
        if (rc == 0)
                rc = add_name(t, m->name);
        if (rc == 0 && (m->sparse || m->lost))
                rc = tar_file_be_unusual(&f, m);
        if (rc < 0)
                return error_set(err, ENOMEM, "out of memory");
        return array_add(&t->files, f);
}

/* The header after F has shown that F cannot be trusted: all of it is lost. */
static int lose(struct tar_file *f, const char *why)
{
        struct tar_member m = {.header = header_of(f),
                               .data = f->volume.anchor,
                               .stored = f->volume.size,
                               .size = f->volume.size};
        int rc = tar_file_unusual(f) ? 0 : tar_file_be_unusual(f, &m);

        if (rc == 0)
                f->unusual->member.lost = why;
        return rc;
}

/* All members; what is damaged between them is left for the scan to report. */
static int find_members(struct tar *t, struct error *err)
{
        cleanup_window struct tar_window *window = tar_window_new(t->base.source, t->shared.shared);
        struct tar_reader r = {.source = t->base.source, .window = window};
        int rc = 1;

        while (rc > 0) {
                __attribute__((cleanup(tar_member_fini))) struct tar_member m = {0};

                rc = tar_next(&r, &m, err);
                if (r.lost_before && t->files.count && lose(array_last(&t->files), r.lost_before))
                        rc = -ENOMEM;
                if (rc > 0 && add_member(t, &m, err) < 0)
                        rc = -err->code;
        }
        if (rc == 0 && t->files.count)
                rc = tar_reach(&r, r.pos, err);
        t->mark = r.pos;
        t->end = r.end;
        t->faults = r.faults;
        if (rc == -ENOMEM && !err->code)
                return error_set(err, ENOMEM, "out of memory");
        return rc;
}

static void tar_close(struct archive *a)
{
        struct tar *t = (struct tar *)a;

        for (size_t i = 0; i < t->image_count; i++)
                tar_image_close(t->images[i]);
        tar_images_fini(&t->shared);
        for (size_t i = 0; i < t->files.count; i++)
                tar_file_fini(&t->files.items[i]);
        array_free(&t->files);
        array_free(&t->disks);
        array_free(&t->names);
        array_free(&t->faults);
        free(t);
}

static void cleanup_tar_fn(struct tar **t)
{
        if (*t)
                tar_close(&(*t)->base);
}

static int refuse_empty(const struct tar *t, struct error *err)
{
        const struct tar_fault *fault = t->faults.items;

        if (!t->faults.count)
                return error_set(err, ENOTSUP, "is a tar that holds no file");
        return error_set_at(err, EIO, fault->at, "is a tar that holds no file: %.180s",
                            fault->text);
}

static int open_flat(struct source *source, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_tar_fn))) struct tar *t = calloc(1, sizeof *t);
        int rc;

        if (!t)
                return error_set(err, ENOMEM, "out of memory");
        t->base.ops = &tar_format;
        t->base.source = source;
        t->shared.shared = origin->shared;
        rc = find_members(t, err);
        if (rc < 0)
                return rc;
        if (t->files.count == 0)
                return refuse_empty(t, err);
        if (!t->base.info.ctime)
                t->base.info.ctime = origin->mtime;
        t->shared.mtime = t->base.info.ctime;
        rc = emit_members(t, origin, sink, err);
        if (rc == 0)
                *out = &steal_ptr(&t)->base;
        return rc;
}

static int tar_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        bool tree = origin->view == VIEW_TREE;
        int rc = origin->view == VIEW_AUTO ? tar_tree_suits(source, &tree, err) : 0;

        if (rc < 0)
                return rc;
        return tree ? tar_tree_open(source, origin, out, err)
                    : open_flat(source, origin, sink, out, err);
}

/* ---- scan ---- */

static int report(const struct archive_sink *sink, uint64_t offset, uint32_t disk, const char *text)
{
        struct damage d = {.offset = offset, .disk = disk, .text = text};

        return sink->damage(sink->ctx, &d);
}

static const char cut_off[] = "the archive ends inside this file: it was cut off";
static const char displaced[] = "a part of this file is lost, and what follows that in it";

/* Does all that is stored of F lie before END? Its runs are in order. */
static bool has_end(const struct tar_file *f, uint64_t end)
{
        const struct tar_member *m = tar_file_unusual(f);
        const struct tar_run *last;

        if (!m)
                return range_within(f->volume.anchor, f->volume.size, end);
        if (!m->runs.count)
                return true;
        last = array_last(&m->runs);
        return range_within(last->offset, last->len, end);
}

/* Report what is wrong with F, which is disk number DISK. Its volume knows which bytes are lost. */
static int check_file(const struct tar *t, const struct tar_file *f, uint32_t disk,
                      const struct archive_sink *sink)
{
        const struct tar_member *m = tar_file_unusual(f);
        uint64_t end = end_of(t, f);

        if (m && m->lost)
                return report(sink, m->header, disk, m->lost);
        if (m && m->broken)
                return report(sink, m->header, disk, "a file's sparse map is damaged or absurd");
        if (has_end(f, end))
                return 0;
        return report(sink, end, disk, end < t->end ? displaced : cut_off);
}

static int check_files(const struct tar *t, const struct archive_sink *sink)
{
        int rc = 0;

        for (size_t i = 0; i < t->disks.count && rc == 0; i++)
                rc = check_file(t, array_at(&t->files, t->disks.items[i]), (uint32_t)i, sink);
        return rc;
}

/* Those from number FIRST on. */
static int report_faults(const struct tar *t, size_t first, const struct archive_sink *sink)
{
        int rc = 0;

        for (size_t i = first; i < t->faults.count && rc == 0; i++) {
                const struct damage d = {.offset = t->faults.items[i].at,
                                         .disk = DISK_NONE,
                                         .hides = true,
                                         .text = t->faults.items[i].text};

                rc = sink->damage(sink->ctx, &d);
        }
        return rc;
}

/*
 * A tar consists of whole blocks. One that ends in zeros, as it should, but in the middle of a
 * block, has lost bytes or got some inserted, perhaps in its last member. END is the stream's end.
 */
static int check_length(const struct tar *t, uint64_t end, const struct archive_sink *sink)
{
        unsigned char block[TAR_BLOCK] = {0};

        if (end % TAR_BLOCK == 0 || source_straight(t->base.source, 0) < end || end < t->mark ||
            end - t->mark > MARK_MAX)
                return 0;
        for (uint64_t at = t->mark; at < end; at += sizeof block) {
                size_t n = (size_t)min_u64(sizeof block, end - at);
                int rc = source_pread_all(t->base.source, block, n, at);

                if (rc < 0 || !tar_is_zero(block))
                        return 0;
        }
        return report(sink, end, DISK_NONE,
                      "the archive ends inside a block: it was cut off, or something was cut out");
}

/* Read past the end mark: the stream's index has to cover all of the stream. */
static int read_on(struct tar *t, const struct archive_sink *sink, struct error *err)
{
        struct source *source = t->base.source;
        uint64_t end = t->end;
        int rc = 0;

        while (rc == 0 && end < source->size) {
                rc = source_reach(source, end + STEP, &end, err);
                if (rc == 0)
                        rc = sink->progress(sink->ctx, 0);
        }
        return rc < 0 ? rc : check_length(t, end, sink);
}

/* What an index knows can be read at once, whatever else has to be scanned. */
static void skip_known(struct tar *t)
{
        for (size_t i = 0; i < t->image_count; i++)
                if (tar_image_is_known(t->images[i]))
                        tar_image_skip_scan(t->images[i]);
}

static int tar_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct tar *t = (struct tar *)a;
        size_t faults;
        int rc;

        skip_known(t);
        rc = read_on(t, sink, err);
        if (rc == 0)
                rc = report_faults(t, 0, sink);
        faults = t->faults.count;
        if (rc == 0)
                rc = check_files(t, sink);
        for (size_t i = 0; i < t->image_count && rc == 0; i++)
                rc = tar_image_is_known(t->images[i]) ? 0 : tar_image_scan(t->images[i], sink, err);
        /* What was found in compressed members. */
        if (rc == 0)
                rc = report_faults(t, faults, sink);
        return rc < 0 ? rc : sink->progress(sink->ctx, t->end);
}

static void tar_skip_scan(struct archive *a)
{
        const struct tar *t = (const struct tar *)a;

        for (size_t i = 0; i < t->image_count; i++)
                tar_image_skip_scan(t->images[i]);
}

static bool tar_stream(struct archive *a, size_t i, struct archive_stream *out)
{
        const struct tar *t = (const struct tar *)a;

        for (size_t k = 0; k < t->image_count; k++) {
                const struct tar_image *image = t->images[k];

                if (!image->packed || !image->packed->compressed || i--)
                        continue;
                *out = (struct archive_stream){.source = image->source,
                                               .at = tar_packed_start(image->packed),
                                               .size = image->packed->volume.size,
                                               .entered = image->packed->entered,
                                               .first_disk = image->first_disk,
                                               .disk_count = image->alone ? image->disk_count : 0};
                return true;
        }
        return false;
}

const struct format tar_format = {
    .name = "tar",
    .probe = tar_probe,
    .open = tar_open,
    .scan = tar_scan,
    .skip_scan = tar_skip_scan,
    .stream = tar_stream,
    .close = tar_close,
};
