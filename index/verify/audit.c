/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/verify/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "index/index_internal.h"
#include "index/members/members.h"
#include "index/sidecar/sidecar.h"
#include "index/sidecar/stored_map.h"

/* A range of the decompressed stream that has changed. */
struct stretch {
        uint64_t start, end;
        uint64_t in; /* the byte of the compressed file at or shortly before its beginning */
        bool placed; /* a disk has a part of it */
};

struct comparison {
        struct index *index;
        const struct sidecar *sidecar;
        struct audit *audit;
        ARRAY(struct stretch) stretches; /* in stream order */
        bool differs;
        int error;
};

static bool is_data(uint64_t addr)
{
        return addr != EXTENT_ZERO && addr != EXTENT_LOST;
}

static void note(struct comparison *c, const struct index_damage *d)
{
        struct audit *a = c->audit;
        struct index_damage *last = a->kept ? &a->differences[a->kept - 1] : NULL;

        c->differs = true;
        if (last && last->disk == d->disk && last->len && last->start + last->len == d->start &&
            strcmp(last->text, d->text) == 0) {
                last->len += d->len;
                return;
        }
        a->count++;
        if (a->kept == INDEX_DAMAGE_MAX)
                return;
        if (!a->differences)
                a->differences = calloc(INDEX_DAMAGE_MAX, sizeof *a->differences);
        if (a->differences)
                a->differences[a->kept++] = *d;
        else
                c->error = -ENOMEM;
}

/* ---- the stream ---- */

static void add_stretch(struct comparison *c, const struct restart_segment *s, uint64_t in)
{
        struct stretch stretch = {.start = s->point.out, .end = s->end, .in = in};

        if (array_add(&c->stretches, stretch) < 0)
                c->error = -ENOMEM;
}

static bool differ(const struct restart_segment *a, const struct restart_segment *b)
{
        return a->point.out == b->point.out && a->end == b->end &&
               a->point.by_sums == b->point.by_sums && a->point.hash != b->point.hash;
}

/*
 * Compare the hashes of segments that both tables have, if the hashes are of the same kind. Both
 * tables are in stream order. The input begins at byte IN of the archive.
 */
static void compare_segments(struct comparison *c, struct restart_table *then,
                             struct restart_table *now, uint64_t in)
{
        struct restart_segment a, b;
        uint64_t begin = in;
        size_t i = 0, j = 0;

        while (then && now && restart_get(then, i, &a) && restart_get(now, j, &b)) {
                if (b.point.in_bit != RESTART_IN_UNKNOWN)
                        in = begin + b.point.in_bit / 8;
                if (differ(&a, &b))
                        add_stretch(c, &b, in);
                i += a.point.out <= b.point.out;
                j += b.point.out <= a.point.out;
        }
}

/* The first stretch that ends after ADDR. */
static size_t find_stretch(const struct comparison *c, uint64_t addr)
{
        return search_first(c->stretches.count, m, c->stretches.items[m].end > addr);
}

static const char other_bytes[] = "the stream holds other bytes here than when it was indexed";

/* Note the parts of E, an extent of disk D, that lie in a stretch. */
static void place_extent(struct comparison *c, const struct disk *d, const struct extent *e)
{
        uint64_t end = e->addr + e->len;

        for (size_t i = find_stretch(c, e->addr); i < c->stretches.count; i++) {
                struct stretch *s = array_at(&c->stretches, i);
                uint64_t from = max_u64(s->start, e->addr);
                struct index_damage damage = {.offset = s->in,
                                              .disk = d->number,
                                              .start = e->start + (from - e->addr),
                                              .len = min_u64(s->end, end) - from};

                if (s->start >= end)
                        break;
                s->placed = true;
                snprintf(damage.text, sizeof damage.text, "%s", other_bytes);
                note(c, &damage);
        }
}

/* Find the disks that the stretches of SOURCE belong to, and forget them. */
static void place_stretches(struct comparison *c, const struct source *source)
{
        for (size_t i = 0; i < c->index->disks.count && c->stretches.count; i++) {
                struct disk *d = c->index->disks.items[i];
                struct volume_extent e;

                for (uint64_t pos = 0; pos < d->size; pos += e.len)
                        if (disk_extent(d, pos, d->size - pos, &e) == 0 && e.kind == VOLUME_RAW &&
                            e.source == source)
                                place_extent(c, d, &(struct extent){pos, e.len, e.offset});
        }
        for (size_t i = 0; i < c->stretches.count; i++) {
                const struct stretch *s = array_at(&c->stretches, i);
                struct index_damage damage = {.offset = s->in, .disk = DISK_NONE};

                snprintf(damage.text, sizeof damage.text, "%s", other_bytes);
                if (!s->placed)
                        note(c, &damage);
        }
        c->stretches.count = 0;
}

/* Compare what the archive's own stream and its compressed members decompress to. */
static void compare_streams(struct comparison *c)
{
        struct source_lost_range gap;
        struct archive_stream s;

        compare_segments(c, sidecar_table(c->sidecar), stream_table(c->index->source), 0);
        place_stretches(c, c->index->source);
        for (size_t i = 0; streams_get(c->index, i, &s); i++) {
                /* What follows a gap of unknown length has moved. */
                if (source_find_lost(s.source, 0, &gap))
                        continue;
                compare_segments(
                    c, sidecar_stream_table(c->sidecar, s.at, s.size, s.source->ops->name),
                    stream_table(s.source), s.at);
                place_stretches(c, s.source);
        }
}

/* ---- the disks ---- */

/* The address of POS, which lies in E. */
static uint64_t addr_at(const struct extent *e, uint64_t pos)
{
        return is_data(e->addr) ? e->addr + (pos - e->start) : e->addr;
}

struct disk_comparison {
        struct comparison *c;
        const struct disk *d;
};

/*
 * E is what the sidecar says about the disk. What is lost now is reported as lost, not as
 * different.
 */
static int compare_extent(void *ctx, const struct extent *e)
{
        const struct disk_comparison *both = ctx;
        const struct disk *d = both->d;
        uint64_t end = min_u64(e->start + e->len, d->size);
        struct extent found;

        for (uint64_t pos = e->start; pos < end; pos = found.start + found.len) {
                struct index_damage damage = {.disk = d->number, .start = pos};
                uint64_t then = addr_at(e, pos), now;

                map_find(d->own.map, pos, &found);
                now = addr_at(&found, pos);
                if (now == EXTENT_LOST || now == then)
                        continue;
                damage.offset = is_data(now) ? now : then;
                damage.len = min_u64(found.start + found.len, end) - pos;
                snprintf(damage.text, sizeof damage.text,
                         "the archive holds this elsewhere than its index says");
                note(both->c, &damage);
        }
        return 0;
}

static bool compare_disk(struct comparison *c, const struct disk *d)
{
        const struct stored_map *kept = sidecar_disk_stored_map(c->sidecar, d->number);
        int rc;

        if (!kept)
                return false;
        if (stored_map_size(kept) != d->size) {
                struct index_damage damage = {.disk = d->number,
                                              .len = max_u64(stored_map_size(kept), d->size)};

                snprintf(damage.text, sizeof damage.text,
                         "the disk is not as long as its index says");
                note(c, &damage);
                return true;
        }
        /* Where the archive answers for it there is nothing more to compare. */
        if (!disk_is_scanned(d))
                return true;
        rc = stored_map_each(kept, compare_extent, &(struct disk_comparison){c, d});
        if (rc == -ENOMEM)
                c->error = rc;
        return rc == 0 || rc == -ENOMEM;
}

static bool same_kind(const struct comparison *c)
{
        return strcmp(sidecar_compression(c->sidecar), index_compression(c->index)) == 0 &&
               strcmp(sidecar_format(c->sidecar), index_format(c->index)) == 0;
}

static int pass_over(void *ctx, const struct extent *e)
{
        (void)ctx;
        (void)e;
        return 0;
}

/* As stored_map_each. An index that contradicts itself says nothing about the archive. */
static int look_through(const struct comparison *c)
{
        int rc = 0;

        for (size_t i = 0; i < c->index->disks.count && rc == 0; i++) {
                const struct stored_map *kept = sidecar_disk_stored_map(c->sidecar, (uint32_t)i);

                if (kept)
                        rc = stored_map_each(kept, pass_over, NULL);
        }
        return rc;
}

/*
 * An index that differs is left alone, so that each verify reports it. This one would make a mount
 * fail.
 */
static void tell_contradiction(const struct sidecar *sidecar, struct audit_sidecar *one)
{
        int rc = sidecar_quarantine(sidecar);

        if (rc == 0)
                snprintf(one->problem, sizeof one->problem, "it contradicts itself, and is marked");
        else
                snprintf(one->problem, sizeof one->problem,
                         "it contradicts itself, delete it: it cannot be marked: %s",
                         strerror(-rc));
}

/* Does SIDECAR hold another tree than the archive? -errno where it cannot be told. */
static int compare_members(const struct index *index, struct sidecar *sidecar,
                           struct audit_sidecar *one)
{
        struct members_source from = {.whole = true};
        struct members *kept = NULL;
        struct error err = {0};
        bool chosen;
        int rc = sidecar_load_members(sidecar, &from, &kept, &chosen, &err);

        if (rc < 0 && rc != -ENOMEM)
                snprintf(one->problem, sizeof one->problem, "%s", err.text);
        if (rc == 0 && kept && index->members && members_equal(kept, index->members) != 1) {
                one->differs = true;
                snprintf(one->problem, sizeof one->problem, "it has other files than the archive");
        }
        members_free(kept);
        return rc == -ENOMEM ? rc : 0;
}

static int compare(struct index *index, struct sidecar *sidecar, struct audit *a,
                   struct audit_sidecar *one)
{
        struct comparison c = {.index = index, .sidecar = sidecar, .audit = a};
        int rc = look_through(&c);
        bool fits = rc == 0 && same_kind(&c);

        for (size_t i = 0; i < index->disks.count && fits; i++)
                fits = compare_disk(&c, index->disks.items[i]);
        if (rc == -EBADMSG)
                tell_contradiction(sidecar, one);
        else if (!fits)
                snprintf(one->problem, sizeof one->problem, "it does not fit the archive");
        compare_streams(&c);
        array_free(&c.stretches);
        one->differs = c.differs;
        if (rc == 0 && !one->problem[0])
                rc = compare_members(index, sidecar, one);
        return rc == -ENOMEM ? rc : c.error;
}

static int audit_one(struct index *index, enum location_where where, struct audit *a)
{
        uint64_t window = index->options.window ? index->options.window : STREAM_WINDOW_DEFAULT;
        struct audit_sidecar *one = &a->sidecars[where];
        struct sidecar *sidecar;
        struct error err = {0};
        struct source_lost_range gap;
        int rc = sidecar_load(index->location, where, window, &sidecar, &err);

        one->path = location_path(index->location, where);
        one->present = rc != -ENOENT && rc != -ENOTDIR;
        if (rc == 0 && source_find_lost(index->source, 0, &gap)) {
                /* The length of the lost part is unknown, so everything after it has moved. */
                snprintf(one->problem, sizeof one->problem,
                         "it is not compared: parts of the stream are lost");
                sidecar_free(sidecar);
                return 0;
        }
        if (rc == 0) {
                rc = compare(index, sidecar, a, one);
                sidecar_free(sidecar);
                return rc;
        }
        /* If its size is the same, the archive has changed. */
        one->differs = rc == -ESTALE;
        snprintf(one->problem, sizeof one->problem, "%s", err.code ? err.text : strerror(-rc));
        return rc == -ENOMEM ? rc : 0;
}

int audit_run(struct index *index, struct audit *out)
{
        int rc = 0;

        *out = (struct audit){0};
        for (enum location_where where = LOCATION_BESIDE; where < LOCATIONS && rc == 0; where++)
                rc = audit_one(index, where, out);
        if (rc < 0)
                audit_fini(out);
        return rc;
}

void audit_fini(struct audit *a)
{
        free(a->differences);
        *a = (struct audit){0};
}
