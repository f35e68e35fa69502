/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_member.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/tar/tar_image.h"

enum {
        BLOCK = 4096,
        MEMBERS_MAX = 4096,
        FILE_MAX_BYTES = 1 << 20,   /* a larger member is not held in memory */
        FILES_MAX_BYTES = 16 << 20, /* nor are more than so many bytes of all */
        STEP = 16 << 20,            /* bytes of the stream between two looks at who wants to stop */
};

/*
 * Addresses. What is stored in one piece is where it is in the stream. Behind the stream's end, a
 * sparse member has as many as it has bytes, and an image in a member those of its own reader:
 *
 *   0 |  the stream  | sparse member | image | ...
 */
struct region {
        uint64_t base, span;
        const struct tar_member *member;
        uint32_t disk;
        struct tar_image *image; /* NULL: the member, which is sparse */
};

struct tar {
        struct archive base;
        uint64_t end; /* bytes of the stream */
        struct tar_member *members;
        size_t count;
        uint32_t *disks; /* of each member, DISK_NONE for a file */
        uint32_t disk_count;
        struct region *regions;
        size_t region_count;
        struct tar_images images;
        size_t file_bytes;

        uint64_t fault_at;
        char fault[200]; /* "": the tar is all there */
};

static bool tar_probe(const void *head, size_t len)
{
        return tar_is_header(head, len);
}

static bool ends_with(const char *name, const char *end)
{
        size_t n = strlen(name), m = strlen(end);

        return n >= m && strcasecmp(name + n - m, end) == 0;
}

/* Is all of M there? */
static bool is_whole(const struct tar *t, const struct tar_member *m)
{
        return range_within(m->data, m->stored, t->end);
}

/* ---- regions ---- */

static int add_region(struct tar *t, const struct tar_member *m, uint32_t disk, uint64_t span,
                      struct region **out)
{
        struct region *grown = reallocarray(t->regions, t->region_count + 1, sizeof *grown);
        uint64_t base = round_up(t->base.addr_end, BLOCK);

        if (!grown)
                return -ENOMEM;
        t->regions = grown;
        if (!range_within(base, span, EXTENT_ADDR_MAX - 2 * (uint64_t)BLOCK))
                return -EFBIG;
        *out = &grown[t->region_count++];
        **out = (struct region){.base = base, .span = span, .member = m, .disk = disk};
        t->base.addr_end = base + span;
        return 0;
}

static struct region *find_region(const struct tar *t, uint64_t addr)
{
        size_t low = 0, high = t->region_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (t->regions[middle].base + t->regions[middle].span <= addr)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < t->region_count && addr >= t->regions[low].base ? &t->regions[low] : NULL;
}

/* ---- images in members ---- */

static void note_fault(struct tar *t, const struct tar_member *m, const struct error *why)
{
        const char *slash = strrchr(m->name, '/');

        if (t->fault[0])
                return;
        t->fault_at = m->data;
        snprintf(t->fault, sizeof t->fault, "%.60s %.120s", slash ? slash + 1 : m->name, why->text);
}

/* A member that is an image: its disks are shown too. What cannot be opened is shown as it is. */
static int open_image(struct tar *t, const struct tar_member *m, const struct archive_sink *sink,
                      struct error *err)
{
        uint64_t len = min_u64(m->stored, t->end - min_u64(m->data, t->end));
        struct tar_image *image = NULL;
        struct region *region;
        struct error why = {0};
        int rc = tar_image_open(&t->images, t->base.source, m, len, t->disk_count, sink, &image,
                                &why, err);

        if (rc == 0 && why.code)
                note_fault(t, m, &why);
        if (rc <= 0)
                return rc;
        rc = add_region(t, m, image->first_disk, image->archive->addr_end, &region);
        if (rc < 0) {
                tar_image_close(image);
                return error_set(err, -rc, "%.100s cannot be shown: %s", m->name, strerror(-rc));
        }
        image->base = region->base;
        region->image = image;
        t->disk_count += image->disk_count;
        return 0;
}

/* ---- members ---- */

static bool is_file(const struct tar *t, const struct tar_member *m)
{
        return !m->sparse && m->size <= FILE_MAX_BYTES &&
               t->file_bytes + m->size <= FILES_MAX_BYTES && !ends_with(m->name, ".raw") &&
               !ends_with(m->name, ".img") && is_whole(t, m);
}

static int emit_file(struct tar *t, const struct tar_member *m, const struct archive_sink *sink)
{
        cleanup_free char *data = malloc((size_t)m->size + 1);
        struct archive_file file = {.name = m->name, .data = data, .len = (size_t)m->size};
        ssize_t n;

        if (!data)
                return -ENOMEM;
        n = source_pread(t->base.source, data, file.len, m->data);
        if (n != (ssize_t)file.len)
                return n < 0 ? (int)n : -EIO;
        t->file_bytes += file.len;
        return sink->file(sink->ctx, &file);
}

static int emit_disk(struct tar *t, size_t i, const struct archive_sink *sink)
{
        const struct tar_member *m = &t->members[i];
        struct archive_disk disk = {
            .name = m->name, .device = m->name, .size = m->size, .sparse = true};
        struct region *region;
        int rc = sink->disk(sink->ctx, &disk);

        if (rc < 0)
                return rc;
        t->disks[i] = t->disk_count++;
        return m->sparse ? add_region(t, m, t->disks[i], round_up(m->size, BLOCK), &region) : 0;
}

static int emit_members(struct tar *t, const struct archive_sink *sink, struct error *err)
{
        int rc = 0;

        t->disks = calloc(t->count + 1, sizeof *t->disks);
        if (!t->disks)
                return error_set(err, ENOMEM, "out of memory");
        for (size_t i = 0; i < t->count && rc == 0; i++) {
                t->disks[i] = DISK_NONE;
                rc = is_file(t, &t->members[i]) ? emit_file(t, &t->members[i], sink)
                                                : emit_disk(t, i, sink);
                if (rc < 0)
                        return error_set_at(err, -rc, t->members[i].header,
                                            "%.100s cannot be shown: %s", t->members[i].name,
                                            strerror(-rc));
        }
        for (size_t i = 0; i < t->count && rc == 0; i++)
                rc = open_image(t, &t->members[i], sink, err);
        return rc;
}

/* All members; what cannot be told apart any more is left for the scan to report. */
static int find_members(struct tar *t, struct error *err)
{
        struct tar_reader r = {.source = t->base.source};
        struct tar_member m;
        int rc;

        while ((rc = tar_next(&r, &m, err)) > 0) {
                struct tar_member *grown = reallocarray(t->members, t->count + 1, sizeof *grown);

                if (!grown || t->count == MEMBERS_MAX) {
                        tar_member_fini(&m);
                        if (grown)
                                t->members = grown;
                        return grown ? error_set(err, E2BIG,
                                                 "holds more than %d files: vmafs reads a tar "
                                                 "of a machine's disks",
                                                 MEMBERS_MAX)
                                     : error_set(err, ENOMEM, "out of memory");
                }
                t->members = grown;
                t->members[t->count++] = m;
        }
        if (rc == 0 && t->count)
                rc = tar_reach(&r, r.pos, err);
        t->end = r.end;
        t->fault_at = r.fault_at;
        memcpy(t->fault, r.fault, sizeof t->fault);
        return rc;
}

static void tar_close(struct archive *a)
{
        struct tar *t = (struct tar *)a;

        for (size_t i = 0; i < t->region_count; i++)
                tar_image_close(t->regions[i].image);
        tar_images_fini(&t->images);
        for (size_t i = 0; i < t->count; i++)
                tar_member_fini(&t->members[i]);
        free(t->members);
        free(t->regions);
        free(t->disks);
        free(t);
}

static void cleanup_tar_fn(struct tar **t)
{
        if (*t)
                tar_close(&(*t)->base);
}

static int tar_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_tar_fn))) struct tar *t = calloc(1, sizeof *t);
        int rc;

        if (!t)
                return error_set(err, ENOMEM, "out of memory");
        t->base.ops = &tar_archive;
        t->base.source = source;
        t->images.cache_bytes = origin->cache_bytes;
        rc = find_members(t, err);
        if (rc < 0)
                return rc;
        if (t->count == 0)
                return error_set_at(err, t->fault[0] ? EIO : ENOTSUP, t->fault_at,
                                    "is a tar that holds no file%s%s", t->fault[0] ? ": " : "",
                                    t->fault);
        t->base.info.ctime = t->members[0].mtime ? t->members[0].mtime : origin->mtime;
        t->base.addr_end = t->end;
        rc = emit_members(t, sink, err);
        if (rc == 0)
                *out = &steal_ptr(&t)->base;
        return rc;
}

/* ---- scan ---- */

static int report(const struct archive_sink *sink, uint64_t offset, uint32_t disk, const char *text)
{
        struct damage d = {.offset = offset, .disk = disk, .text = text};

        return sink->damage(sink->ctx, &d);
}

/* DISK has lost what no extent of it covers. */
static int cut_off(const struct tar *t, const struct archive_sink *sink, uint32_t disk,
                   const char *text)
{
        int rc = report(sink, t->end, disk, text);

        return rc < 0 ? rc : sink->incomplete(sink->ctx, disk);
}

static int scan_plain(struct tar *t, const struct tar_member *m, uint32_t disk,
                      const struct archive_sink *sink)
{
        struct extent e = {.len = m->size, .addr = m->data};
        int rc = 0;

        if (!is_whole(t, m))
                e.len = (t->end - min_u64(m->data, t->end)) / BLOCK * BLOCK;
        if (e.len)
                rc = sink->extents(sink->ctx, disk, &e, 1, m->data);
        if (rc == 0 && e.len < m->size)
                rc = cut_off(t, sink, disk, "the archive ends inside this file: it was cut off");
        return rc;
}

static int scan_sparse(struct tar *t, const struct region *region, const struct archive_sink *sink)
{
        bool whole;
        int rc;

        if (region->member->broken)
                return cut_off(t, sink, region->disk, "a file's sparse map is damaged or absurd");
        rc = tar_emit_runs(region->member, region->disk, region->base, t->end, sink, &whole);
        if (rc == 0 && !whole)
                rc = cut_off(t, sink, region->disk,
                             "the archive ends inside this file: it was cut off");
        return rc;
}

/* What is behind the end mark belongs to the stream too: its index is of all of it. */
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
        if (rc == -EIO && !t->fault[0])
                return report(sink, err->has_offset ? err->offset : end, DISK_NONE, err->text);
        return rc == -EIO ? 0 : rc;
}

static int tar_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct tar *t = (struct tar *)a;
        struct error ignored = {0};
        int rc = read_on(t, sink, err ? err : &ignored);

        if (rc == 0 && t->fault[0])
                rc = report(sink, t->fault_at, DISK_NONE, t->fault);
        for (size_t i = 0; i < t->count && rc == 0; i++)
                if (t->disks[i] != DISK_NONE && !t->members[i].sparse)
                        rc = scan_plain(t, &t->members[i], t->disks[i], sink);
        for (size_t i = 0; i < t->region_count && rc == 0; i++) {
                struct region *region = &t->regions[i];

                rc = region->image ? tar_image_scan(region->image, sink, err)
                                   : scan_sparse(t, region, sink);
        }
        return rc < 0 ? rc : sink->progress(sink->ctx, t->end);
}

/* ---- reading ---- */

static int tar_read(struct archive *a, const struct extent *extent, uint64_t skip, void *buf,
                    size_t len)
{
        struct tar *t = (struct tar *)a;
        const struct region *region = find_region(t, extent->addr);

        if (!region)
                return source_pread_all(a->source, buf, len, extent->addr + skip);
        if (!region->image)
                return tar_read_runs(a->source, region->member, extent->addr - region->base + skip,
                                     buf, len);
        return tar_image_read(region->image, extent, skip, buf, len);
}

static bool tar_locate(struct archive *a, const struct extent *extent, uint64_t *offset)
{
        struct tar *t = (struct tar *)a;
        const struct region *region = find_region(t, extent->addr);
        uint64_t pos;
        size_t i;

        *offset = extent->addr;
        if (!region)
                return true;
        if (region->image)
                return tar_image_locate(region->image, extent, offset);
        pos = extent->addr - region->base;
        i = tar_find_run(region->member, pos);
        if (i == region->member->run_count || region->member->runs[i].start > pos)
                return false;
        *offset = region->member->runs[i].offset + (pos - region->member->runs[i].start);
        return pos + extent->len <= region->member->runs[i].start + region->member->runs[i].len;
}

/* Of the disks in images alone. */
static int tar_detail(struct archive *a, uint32_t disk, uint64_t start, uint64_t len,
                      struct archive_detail *out)
{
        const struct tar *t = (const struct tar *)a;

        for (size_t i = 0; i < t->region_count; i++) {
                struct tar_image *image = t->regions[i].image;

                if (image && disk >= image->first_disk &&
                    disk - image->first_disk < image->disk_count)
                        return tar_image_detail(image, disk, start, len, out);
        }
        return -ENOTSUP;
}

const struct archive_ops tar_archive = {
    .name = "tar",
    .probe = tar_probe,
    .open = tar_open,
    .scan = tar_scan,
    .read = tar_read,
    .locate = tar_locate,
    .detail = tar_detail,
    .close = tar_close,
};
