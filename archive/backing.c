/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/backing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/volume.h"

struct backing {
        char *what, *name;
        struct source *source;
        struct archive *archive;
        struct volume *volume; /* its disk, the archive's; NULL: it has none */
};

void backing_close(struct backing *b)
{
        if (!b)
                return;
        archive_close(b->archive);
        source_close(b->source);
        free(b->what);
        free(b->name);
        free(b);
}

static void cleanup_backing_fn(struct backing **b)
{
        backing_close(*b);
}

const struct archive *backing_archive(const struct backing *b)
{
        return b->archive;
}

/*
 * TEXT is said of B, and is a sentence that goes on after its name and BETWEEN. What is said of a
 * file further down the chain already has that one's name, and leaves no room for all names.
 */
static void say(const struct backing *b, const char *between, const char *text, char *out,
                size_t size)
{
        size_t len = strlen(b->what);

        if (strncmp(text, "its ", 4) == 0 && strncmp(text + 4, b->what, len) == 0)
                snprintf(out, size, "%s", text);
        else
                snprintf(out, size, "its %s %.150s%s%s", b->what, b->name, between, text);
}

/* ---- other files that it names ---- */

/* Files as a backing file sees them, which need not be in the folder of the first image. */
struct moved {
        struct neighbours base;
        const struct neighbours *real; /* of the image above */
        char *folder;                  /* as seen from there, with a slash at its end; or "" */
};

/*
 * What has to be beside the backing file is in another folder than the first image: then it is
 * where the user allows backing files to be.
 */
static int find_moved(const struct moved *m, const char *name, enum neighbour_reach *reach,
                      char **out)
{
        if (name[0] == '/' || m->folder[0] == '\0') {
                *out = strdup(name);
                return *out ? 0 : -ENOMEM;
        }
        if (*reach == NEIGHBOUR_BESIDE && (strchr(name, '/') || strcmp(name, "..") == 0))
                return -EXDEV;
        *reach = m->real->farthest;
        if (asprintf(out, "%s%s", m->folder, name) < 0) {
                *out = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int open_moved(const struct neighbours *n, const char *name, enum neighbour_reach reach)
{
        const struct moved *m = (const struct moved *)n;
        cleanup_free char *path = NULL;
        int rc = find_moved(m, name, &reach, &path);

        return rc < 0 ? rc : m->real->open(m->real, path, reach);
}

static int fetch_moved(const struct neighbours *n, const char *name, enum neighbour_reach reach,
                       struct source **out, struct error *err)
{
        const struct moved *m = (const struct moved *)n;
        cleanup_free char *path = NULL;
        int rc = find_moved(m, name, &reach, &path);

        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        return rc < 0 ? rc : m->real->fetch(m->real, path, reach, out, err);
}

/* The same for the members of an archive. */
struct moved_siblings {
        struct siblings base;
        struct siblings *real;
        const char *folder;
};

static int open_moved_sibling(struct siblings *s, const char *name, enum neighbour_reach reach,
                              struct source **out)
{
        const struct moved_siblings *m = (const struct moved_siblings *)s;
        cleanup_free char *path = NULL;

        while (name[0] == '.' && name[1] == '/')
                name += 2 + strspn(name + 2, "/");
        if (name[0] == '/' || name[0] == '\0' || m->folder[0] == '\0')
                return m->real->open(m->real, name, reach, out);
        if (reach == NEIGHBOUR_BESIDE && strchr(name, '/'))
                return -EXDEV;
        if (asprintf(&path, "%s%s", m->folder, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return m->real->open(m->real, path, NEIGHBOUR_BELOW, out);
}

/* ---- opening ---- */

/* Notes the first disk: others are its snapshots. */
static int take_entry(void *ctx, const struct entry *e)
{
        struct backing *b = ctx;

        if (!b->volume && e->disk)
                b->volume = e->disk->volume;
        return 0;
}

static int open_archive(struct backing *b, const struct archive_origin *origin,
                        const struct format *format, unsigned depth, struct error *err)
{
        const struct archive_sink sink = {.ctx = b, .entry = take_entry};
        const char *slash = strrchr(b->name, '/');
        cleanup_free char *folder = strndup(b->name, slash ? (size_t)(slash - b->name) + 1 : 0);
        struct moved moved = {.real = origin->neighbours, .folder = folder};
        struct moved_siblings siblings = {.base.open = open_moved_sibling, .folder = folder};
        struct archive_origin own = *origin;
        struct error why = {0};
        char text[sizeof why.text];
        int rc;

        if (!folder)
                return error_set(err, ENOMEM, "out of memory");
        if (origin->neighbours) {
                moved.base = *origin->neighbours;
                moved.base.open = open_moved;
                moved.base.fetch = moved.base.fetch ? fetch_moved : NULL;
                own.neighbours = &moved.base;
        }
        if (origin->siblings) {
                siblings.real = origin->siblings;
                own.siblings = &siblings.base;
        }
        own.name = slash ? slash + 1 : b->name;
        own.mtime = source_mtime(b->source);
        own.depth = origin->depth + depth + 1;
        rc = format->open(b->source, &own, &sink, &b->archive, &why);
        if (rc == 0 && !b->volume)
                rc = error_set(&why, ENOTSUP, "has no disk");
        if (rc == 0)
                return 0;
        say(b, " ", why.text, text, sizeof text);
        return error_set(err, -rc, "%s", text);
}

int backing_take(const struct archive_origin *origin, const char *what, const char *name,
                 const struct format *format, unsigned depth, struct source *take_source,
                 struct backing **out, struct error *err)
{
        __attribute__((cleanup(cleanup_backing_fn))) struct backing *b = calloc(1, sizeof *b);
        int rc;

        if (!b) {
                source_close(take_source);
                return error_set(err, ENOMEM, "out of memory");
        }
        b->source = take_source;
        b->what = strdup(what);
        b->name = strdup(name);
        if (!b->what || !b->name)
                return error_set(err, ENOMEM, "out of memory");
        if (origin->depth + depth >= BACKING_MAX)
                return error_set(err, ELOOP, "has more than %d %ss, or they go round in a circle",
                                 BACKING_MAX, what);
        rc = open_archive(b, origin, format, depth, err);
        if (rc == 0)
                *out = steal_ptr(&b);
        return rc;
}

/* The format of the image SOURCE; NULL: none is known, or it cannot be read. */
static const struct format *find_format(struct source *source, const char *name)
{
        const struct format *format = NULL;
        struct probe p;

        if (probe_init(&p, source, NULL) == 0) {
                p.name = name;
                format = format_find(&p, true);
        }
        probe_fini(&p);
        return format;
}

int backing_open(const struct archive_origin *origin, const char *what, const char *name,
                 struct backing **out, struct error *err)
{
        const struct neighbours *n = origin->neighbours;
        const struct format *format;
        struct source *source = NULL;
        char says[80];
        int rc;

        if (n && n->farthest == NEIGHBOUR_BESIDE)
                return error_set(err, EPERM,
                                 "has the %s %.200s; it is opened with backing=dir only, if it is "
                                 "below the image's folder, or with backing=any",
                                 what, name[0] ? name : "(without a name)");
        snprintf(says, sizeof says, "has the %s", what);
        rc =
            archive_open_named(origin, says, name, n ? n->farthest : NEIGHBOUR_BELOW, &source, err);
        if (rc < 0)
                return rc;
        format = find_format(source, name);
        if (format)
                return backing_take(origin, what, name, format, 0, source, out, err);
        source_close(source);
        return error_set(err, EMEDIUMTYPE, "its %s %.200s is no image of a format that vmafs knows",
                         what, name);
}

/* ---- the scan ---- */

/* The sink of a backing file: passes on to the sink of the image above. */
struct inner {
        const struct backing *b;
        const struct archive_sink *outer;
};

static int ignore_entry(void *ctx, const struct entry *e)
{
        (void)ctx;
        (void)e;
        return 0;
}

static int ignore_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                          uint64_t origin)
{
        (void)ctx;
        (void)disk;
        (void)extents;
        (void)n;
        (void)origin;
        return 0;
}

static int ignore_size(void *ctx, uint32_t disk, uint64_t size)
{
        (void)ctx;
        (void)disk;
        (void)size;
        return 0;
}

static int ignore_totals(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost)
{
        (void)ctx;
        (void)disk;
        (void)stored;
        (void)lost;
        return 0;
}

static int ignore_incomplete(void *ctx, uint32_t disk)
{
        (void)ctx;
        (void)disk;
        return 0;
}

/* Without bytes and ranges: they would be of the other file. */
static int pass_damage(void *ctx, const struct damage *damage)
{
        const struct inner *s = ctx;
        char text[400];
        struct damage d = {.disk = DISK_NONE, .doubt = damage->doubt, .text = text};

        say(s->b, ": ", damage->text, text, sizeof text);
        return s->outer->damage(s->outer->ctx, &d);
}

static int pass_progress(void *ctx, uint64_t done)
{
        const struct inner *s = ctx;

        (void)done;
        return s->outer->progress(s->outer->ctx, 0);
}

int backing_scan(struct backing *b, const struct archive_sink *sink, struct error *err)
{
        struct inner inner = {b, sink};
        const struct archive_sink own = {.ctx = &inner,
                                         .entry = ignore_entry,
                                         .extents = ignore_extents,
                                         .size = ignore_size,
                                         .totals = ignore_totals,
                                         .incomplete = ignore_incomplete,
                                         .damage = pass_damage,
                                         .progress = pass_progress};

        return b->archive->ops->scan ? b->archive->ops->scan(b->archive, &own, err) : 0;
}

void backing_skip_scan(struct backing *b)
{
        if (b->archive->ops->skip_scan)
                b->archive->ops->skip_scan(b->archive);
}

int backing_check(const struct backing *b)
{
        int rc = source_check(b->source, NULL);

        return rc == 0 && b->archive->ops->check ? b->archive->ops->check(b->archive) : rc;
}

/* ---- what it has ---- */

int backing_extent(const struct backing *b, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        int rc;

        if (pos >= b->volume->size) {
                *out = (struct volume_extent){.len = len, .kind = VOLUME_ZERO};
                return 0;
        }
        rc = b->volume->ops->extent(b->volume, pos, min_u64(len, b->volume->size - pos), out);
        if (rc == 0)
                out->depth++;
        return rc;
}

int backing_read(const struct backing *b, void *buf, size_t len, uint64_t pos)
{
        if (!b->volume->ops->read || !range_within(pos, len, b->volume->size))
                return -EIO;
        return b->volume->ops->read(b->volume, buf, len, pos);
}
