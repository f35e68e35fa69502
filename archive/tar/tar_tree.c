/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/member.h"
#include "archive/source/source.h"
#include "archive/tarfile/tar_member.h"
#include "archive/tarfile/tar_window.h"

enum {
        STEP = 16 << 20,      /* bytes of the stream between two checks whether to stop */
        TOLD_EVERY = 1024,    /* members between two such checks */
        CONFIG_MAX = 1 << 20, /* bytes of a configuration that is kept */
};

#define CONFIG "etc/vzdump/pct.conf"

struct tar_tree {
        struct archive base;
        struct shared *shared; /* outlives it; or NULL */
        char *config;
        uint64_t dropped; /* attributes that were too large or are not known */
};

/* ---- which view ---- */

static bool ends_with(const char *name, const char *end)
{
        size_t n = strlen(name), m = strlen(end);

        return n >= m && strcasecmp(name + n - m, end) == 0;
}

static bool is_named_as_image(const char *name)
{
        static const char *const ends[] = {".ovf", ".ova",  ".raw", ".img", ".qcow2", ".qcow",
                                           ".qed", ".vmdk", ".vdi", ".vhd", ".vhdx",  ".vpc",
                                           ".hdd", ".hds",  ".fvd", ".vma", ".mf",    ".iso"};

        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
                if (ends_with(name, ends[i]))
                        return true;
        return false;
}

static bool is_folder(const struct tar_member *m)
{
        size_t len = strlen(m->name);

        return m->meta.type == '5' || m->meta.type == 'D' ||
               (tar_is_file(m->meta.type) && len && m->name[len - 1] == '/');
}

/* What M says: 1: it is a tree, 0: it is none, -1: neither. */
static int decide(const struct tar_member *m, bool *folders)
{
        if (strcmp(m->name, CONFIG) == 0)
                return 1;
        if (is_folder(m)) {
                *folders |= m->name[strspn(m->name, "./")] != '\0';
                return -1;
        }
        if (tar_meta_is_other(m->meta.type))
                return 1;
        return is_named_as_image(m->name) ? 0 : -1;
}

int tar_tree_suits(struct source *source, bool *tree, struct error *err)
{
        struct tar_reader r = {.source = source, .all = true, .follows = true};
        bool folders = false;
        int rc = 1, said = -1;

        for (size_t i = 0; rc > 0 && said < 0 && i < TAR_TREE_MEMBERS && r.pos < TAR_TREE_BYTES;
             i++) {
                __attribute__((cleanup(tar_member_fini))) struct tar_member m = {0};

                rc = tar_next(&r, &m, err);
                if (rc > 0)
                        said = decide(&m, &folders);
        }
        array_free(&r.faults);
        *tree = said < 0 ? folders : said;
        return rc < 0 ? rc : 0;
}

/* ---- opening ---- */

static void close_tree(struct archive *a)
{
        free(((struct tar_tree *)a)->config);
        free(a);
}

/* vzdump writes the configuration first. What cannot be read is found by the scan, too. */
static int read_config(struct tar_tree *t, struct error *err)
{
        struct tar_reader r = {.source = t->base.source, .all = true, .follows = true};
        __attribute__((cleanup(tar_member_fini))) struct tar_member m = {0};
        int rc = tar_next(&r, &m, err);

        if (rc <= 0 || strcmp(m.name, CONFIG) != 0 || m.sparse || m.stored > CONFIG_MAX)
                return rc < 0 ? rc : 0;
        t->config = calloc(1, m.stored + 1);
        if (!t->config)
                return error_set(err, ENOMEM, "out of memory");
        rc = tar_fetch(&r, t->config, m.stored, m.data, err);
        if (rc > 0)
                t->base.config = t->config;
        return rc < 0 ? rc : 0;
}

static const struct format tree_format;

int tar_tree_open(struct source *source, const struct archive_origin *origin, struct archive **out,
                  struct error *err)
{
        struct tar_tree *t = calloc(1, sizeof *t);
        int rc;

        if (!t)
                return error_set(err, ENOMEM, "out of memory");
        t->base = (struct archive){
            .ops = &tree_format, .source = source, .info.ctime = origin->mtime, .is_tree = true};
        t->shared = origin->shared;
        rc = read_config(t, err);
        if (rc < 0)
                close_tree(&t->base);
        else
                *out = &t->base;
        return rc;
}

/* ---- scan ---- */

static mode_t kind_of(const struct tar_member *m)
{
        if (is_folder(m))
                return S_IFDIR;
        switch (m->meta.type) {
        case '2':
                return S_IFLNK;
        case '3':
                return S_IFCHR;
        case '4':
                return S_IFBLK;
        case '6':
                return S_IFIFO;
        default:
                return S_IFREG;
        }
}

/* A run of the reader is one of the tree's. */
_Static_assert(sizeof(struct tar_run) == sizeof(struct member_run), "runs are alike");
_Static_assert(offsetof(struct tar_run, offset) == offsetof(struct member_run, offset),
               "runs are alike");

static int emit(struct tar_tree *t, const struct tar_member *m, const char *lost,
                const struct archive_sink *sink)
{
        const struct member member = {
            .path = m->name,
            .mode = kind_of(m) | m->meta.mode,
            .uid = m->meta.uid,
            .gid = m->meta.gid,
            .mtime = {m->meta.mtime, m->meta.mtime_ns},
            .rdev = makedev(m->meta.major, m->meta.minor),
            .target = m->meta.link ? m->meta.link : "",
            .same = m->meta.type == '1' ? (m->meta.link ? m->meta.link : "") : NULL,
            .size = m->size,
            .data = m->data,
            .sparse = m->sparse && !m->broken && !lost,
            .lost = m->broken || lost,
            .runs = (const struct member_run *)m->runs.items,
            .run_count = m->sparse && !m->broken && !lost ? m->runs.count : 0,
            .xattrs = m->meta.xattrs,
            .xattrs_len = m->meta.xattrs_len,
            .dropped = m->meta.dropped,
        };

        t->dropped += m->meta.dropped;
        return sink->member ? sink->member(sink->ctx, &member) : 0;
}

static int report(const struct archive_sink *sink, uint64_t offset, const char *text)
{
        const struct damage d = {.offset = offset, .disk = DISK_NONE, .text = text};

        return sink->damage(sink->ctx, &d);
}

/* What is wrong with M alone, which was emitted. */
static int judge(const struct tar_tree *t, const struct tar_reader *r, const struct tar_member *m,
                 const char *lost, const struct archive_sink *sink)
{
        struct source *s = t->base.source;
        uint64_t end = m->data + m->stored;

        if (lost)
                return report(sink, m->header, lost);
        if (m->broken)
                return report(sink, m->header, "a file's sparse map is damaged or absurd");
        if (source_straight(s, m->data) < end)
                return report(sink, source_straight(s, m->data),
                              "a part of a file is lost, and what follows that in it");
        if (end > s->size && r->end >= s->size)
                return report(sink, s->size, "the archive ends inside a file: it was cut off");
        return 0;
}

/*
 * What is read of a member's own header is emitted only when the next one has shown that the member
 * can be trusted.
 */
struct waiting {
        struct tar_member member;
        bool there;
};

static int settle(struct tar_tree *t, struct tar_reader *r, struct waiting *w,
                  const struct archive_sink *sink)
{
        const char *lost = w->member.lost ? w->member.lost : r->lost_before;
        int rc = 0;

        if (w->there) {
                rc = emit(t, &w->member, lost, sink);
                if (rc == 0)
                        rc = judge(t, r, &w->member, lost, sink);
        }
        tar_member_fini(&w->member);
        *w = (struct waiting){0};
        return rc;
}

/* Past the end mark: the stream's index has to cover all of the stream. */
static int read_on(struct tar_tree *t, uint64_t end, const struct archive_sink *sink,
                   struct error *err)
{
        struct source *source = t->base.source;
        int rc = 0;

        while (rc == 0 && end < source->size) {
                rc = source_reach(source, end + STEP, &end, err);
                if (rc == 0)
                        rc = sink->progress(sink->ctx, end);
        }
        return rc;
}

static int report_hiding(const struct archive_sink *sink, const struct tar_fault *fault)
{
        const struct damage d = {
            .offset = fault->at, .disk = DISK_NONE, .hides = true, .text = fault->text};

        return sink->damage(sink->ctx, &d);
}

static int report_faults(const struct tar_reader *r, const struct archive_sink *sink)
{
        int rc = 0;

        for (size_t i = 0; i < r->faults.count && rc == 0; i++)
                rc = report_hiding(sink, &r->faults.items[i]);
        return rc;
}

static int find_members(struct tar_tree *t, struct tar_reader *r, struct waiting *w,
                        const struct archive_sink *sink, struct error *err)
{
        uint64_t told = 0, count = 0;
        int rc = 1;

        while (rc > 0) {
                struct tar_member m = {0};
                int kept;

                rc = tar_next(r, &m, err);
                kept = rc < 0 ? 0 : settle(t, r, w, sink);
                if (kept < 0) {
                        tar_member_fini(&m);
                        return kept;
                }
                if (rc > 0)
                        *w = (struct waiting){m, true};
                if (rc > 0 && (++count % TOLD_EVERY == 0 || r->pos - told >= STEP)) {
                        told = r->pos;
                        kept = sink->progress(sink->ctx, min_u64(r->pos, r->end));
                        if (kept < 0)
                                return kept;
                }
        }
        return rc;
}

/* What is not shown is no damage, but whoever restores has to know. */
static void note_dropped(struct tar_tree *t)
{
        if (t->dropped)
                snprintf(t->base.info.note, sizeof t->base.info.note,
                         "attributes of members are not shown in full: %" PRIu64
                         ", as lists of access rights that name users without their numbers",
                         t->dropped);
}

static int scan_tree(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct tar_tree *t = (struct tar_tree *)a;
        cleanup_window struct tar_window *window = tar_window_new(a->source, t->shared);
        struct tar_reader r = {.source = a->source, .window = window, .all = true};
        struct waiting w = {0};
        int rc = find_members(t, &r, &w, sink, err);

        tar_member_fini(&w.member);
        if (rc == 0)
                rc = tar_reach(&r, r.pos, err);
        if (rc == 0)
                rc = read_on(t, r.end, sink, err);
        if (rc == 0)
                rc = report_faults(&r, sink);
        if (rc == 0)
                rc = sink->progress(sink->ctx, r.end);
        array_free(&r.faults);
        note_dropped(t);
        if (rc == -E2BIG && !err->code)
                return error_set(err, E2BIG,
                                 "its tree takes more than 1 GiB of memory: about twelve million "
                                 "files, or fewer with long names, are the most that is shown");
        return rc;
}

static void skip_tree(struct archive *a)
{
        (void)a;
}

static const struct format tree_format = {
    .name = "tar",
    .scan = scan_tree,
    .skip_scan = skip_tree,
    .close = close_tree,
};
