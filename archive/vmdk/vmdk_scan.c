/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds out how far each part of a disk can be trusted.
 *
 *   directory -> tables -> grains     the usual way; a copy of the directory fills in what the
 *                                     first one lacks
 *   markers -> grains                 if a compressed file has lost its directory, or has grains
 *                                     that the directory does not name
 */
#include "archive/vmdk/vmdk_scan.h"

#include <errno.h>
#include <string.h>

#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

enum {
        STEP = 16 << 20, /* bytes of a compressed source between two checks whether to stop */
};

/* ---- what all ways share ---- */

int vmdk_report(const struct vmdk_scan *s, uint64_t offset, uint64_t start, uint64_t len,
                const char *text)
{
        struct damage d = {
            .offset = offset, .disk = 0, .start = s->part->start + start, .len = len, .text = text};

        return s->sink->damage(s->sink->ctx, &d);
}

int vmdk_tell_progress(const struct vmdk_scan *s, uint64_t here)
{
        return s->sink->progress(s->sink->ctx, s->done + min_u64(here, s->verdict->end));
}

/* How far the source goes. */
static int find_end(struct vmdk_scan *s)
{
        struct source *source = s->part->source;
        int rc = 0;

        do {
                rc = source_reach(source, s->verdict->end + STEP, &s->verdict->end, s->err);
                if (rc == 0)
                        rc = vmdk_tell_progress(s, 0);
        } while (rc == 0 && s->verdict->end < source->size);
        return rc;
}

/* ---- sparse parts ---- */

/* The directory that the footer names. 0: there is no footer, or it is damaged. */
static uint64_t footer_directory(const struct vmdk_part *p)
{
        unsigned char raw[VMDK_SECTOR];
        uint64_t end = p->verdict.end;
        struct vmdk_header footer;

        if (end < 4 * (uint64_t)VMDK_SECTOR ||
            source_pread(p->source, raw, sizeof raw, end - 2 * (uint64_t)VMDK_SECTOR) !=
                (ssize_t)sizeof raw ||
            vmdk_parse_header(raw, &footer, NULL) < 0 || footer.capacity != p->h.capacity ||
            footer.grain != p->h.grain || footer.table != p->h.table ||
            !vmdk_directory_fits(p, footer.gd))
                return 0;
        return footer.gd;
}

/* Where P's first directory is said to be; that may be impossible. */
static uint64_t first_directory(const struct vmdk_part *p)
{
        return p->h.gd == VMDK_AT_END ? footer_directory(p) : p->h.gd;
}

/* Compressed grains. Entries of zeros are right if the tables name all grains with markers. */
static int scan_stream(struct vmdk_scan *s)
{
        const struct vmdk_header *h = &s->part->h;
        uint64_t at[2] = {first_directory(s->part), h->rgd};
        bool all = false;
        int rc = 0;

        if (!vmdk_directory_fits(s->part, at[0]) && !vmdk_directory_fits(s->part, at[1])) {
                rc = vmdk_report(
                    s, s->verdict->end, 0, 0,
                    "the footer is missing or damaged: grains are looked for by their markers");
                if (rc == 0)
                        rc = vmdk_find_directory(s, &at[0]);
        }
        for (size_t i = 0; i < 2 && rc == 0 && !all; i++) {
                if (!vmdk_directory_fits(s->part, at[i]) || (i && at[1] == at[0]))
                        continue;
                vmdk_use_directories(s, at[i], 0);
                rc = vmdk_account(s, &all);
                if (rc == 0 && !all)
                        rc = vmdk_report(s, at[i], 0, 0,
                                         "a grain directory does not fit the grains: their markers "
                                         "are looked at");
        }
        if (rc < 0)
                return rc;
        return all ? 0 : vmdk_find_marked(s);
}

/* Uncompressed grains. */
static int scan_plain(struct vmdk_scan *s)
{
        const struct vmdk_header *h = &s->part->h;
        bool first = vmdk_directory_fits(s->part, h->gd);
        bool copy = vmdk_directory_fits(s->part, h->rgd) && h->rgd != h->gd;
        int rc = 0;

        s->verdict->all_lost = !first && !copy;
        if (s->verdict->all_lost)
                return vmdk_report(
                    s, min_u64(h->gd, s->verdict->end), 0, s->part->len,
                    "the grain directory is damaged or cut off, and there is no copy");
        vmdk_use_directories(s, first ? h->gd : 0, copy ? h->rgd : 0);
        if (!first)
                rc = vmdk_report(s, min_u64(h->gd, s->verdict->end), 0, 0,
                                 "the grain directory is damaged: its copy is used");
        return rc < 0 ? rc : vmdk_survey(s);
}

static int scan_sparse(struct vmdk_scan *s)
{
        int rc = find_end(s);
        uint64_t straight = source_straight(s->part->source, 0);

        s->window_len = 0;
        if (rc < 0)
                return rc;
        /* After a gap of unknown length nothing is where tables say. */
        if (straight < s->verdict->end && s->part->h.compressed) {
                rc = vmdk_find_marked(s);
        } else {
                s->verdict->end = min_u64(s->verdict->end, straight);
                rc = s->part->h.compressed ? scan_stream(s) : scan_plain(s);
        }
        return rc < 0 ? rc : vmdk_count(s);
}

/* ---- flat parts ---- */

static int scan_flat(struct vmdk_scan *s)
{
        const struct vmdk_part *p = s->part;
        uint64_t present;
        int rc = find_end(s);

        if (rc < 0)
                return rc;
        /* After a gap of unknown length nothing is where the descriptor says. */
        s->verdict->end = min_u64(s->verdict->end, source_straight(p->source, 0));
        present = s->verdict->end - min_u64(s->verdict->end, p->offset);
        if (present >= p->len)
                return 0;
        return vmdk_report(s, s->verdict->end, present, p->len - present,
                           "a flat part is smaller than its descriptor says: it was cut off");
}

/* ---- all of them ---- */

static void set_judged(struct vmdk_part *p)
{
        atomic_store_explicit(&p->judged, true, memory_order_release);
}

static int scan_part(struct vmdk_scan *s, struct vmdk_part *p)
{
        int rc = 0;

        s->part = p;
        s->verdict = &p->verdict;
        if (p->kind == VMDK_FLAT)
                rc = scan_flat(s);
        else if (p->kind == VMDK_SPARSE)
                rc = scan_sparse(s);
        if (rc < 0)
                return rc;
        set_judged(p);
        s->done += p->verdict.end;
        return vmdk_tell_progress(s, 0);
}

/* Were all bytes of the disk counted, and are none of them lost? */
static bool is_exact(const struct vmdk *v)
{
        struct source_lost_range gap;

        for (size_t i = 0; i < v->parts.count; i++)
                if (v->parts.items[i].kind != VMDK_SPARSE ||
                    source_find_lost(v->parts.items[i].source, 0, &gap))
                        return false;
        return true;
}

int vmdk_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct vmdk *v = (struct vmdk *)a;
        struct error ignored = {0};
        cleanup_free struct vmdk_scan *s = calloc(1, sizeof *s);
        int rc = 0;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->v = v;
        s->sink = sink;
        s->err = err ? err : &ignored;
        if (v->parent)
                rc = backing_scan(v->parent, sink, s->err);
        for (size_t i = 0; i < v->parts.count && rc == 0; i++)
                rc = scan_part(s, &v->parts.items[i]);
        if (rc == 0 && !v->parent && is_exact(v))
                rc = sink->totals(sink->ctx, 0, s->stored, s->lost);
        return rc < 0 ? rc : sink->progress(sink->ctx, s->done);
}

/* P was found sound before: its tables can be trusted. */
static void trust(struct vmdk_part *p)
{
        struct vmdk_verdict *verdict = &p->verdict;

        verdict->end = p->source ? p->source->size : 0;
        if (p->kind == VMDK_SPARSE) {
                uint64_t first = first_directory(p);

                verdict->directory[0] = vmdk_directory_fits(p, first) ? first : p->h.rgd;
                verdict->all_lost = !vmdk_directory_fits(p, verdict->directory[0]);
        }
        set_judged(p);
}

void vmdk_skip_scan(struct archive *a)
{
        struct vmdk *v = (struct vmdk *)a;

        for (size_t i = 0; i < v->parts.count; i++)
                trust(&v->parts.items[i]);
        if (v->parent)
                backing_skip_scan(v->parent);
}
