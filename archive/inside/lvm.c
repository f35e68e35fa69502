/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/lvm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/inside/lvm_text.h"
#include "archive/volume.h"

enum {
        SECTOR = 512,
        PHYSICAL_MAX = 1024,
        DEPTH_MAX = 8, /* of logical volumes that lie in others */
};

#define EXTENTS_MAX (UINT64_C(1) << 32)  /* of a volume */
#define EXTENT_MAX  (UINT64_C(16) << 30) /* bytes: LVM's own limit */
#define SIZE_MAX_LV (UINT64_C(1) << 60)  /* bytes: what a file may have, and more than disks */

/* ---- what the text says ---- */

static void copy(char *out, size_t size, const char *text, size_t len)
{
        len = min_u64(len, size - 1);
        memcpy(out, text, len);
        out[len] = '\0';
}

/* "Czaxxe-A3GK-…" as a label has it. */
static void copy_id(char out[LVM_ID_LEN], const struct lvm_value *v)
{
        size_t n = 0;

        for (uint32_t i = 0; v && v->kind == LVM_STRING && i < v->len && n < LVM_ID_LEN - 1; i++)
                if (v->string[i] != '-')
                        out[n++] = v->string[i];
        out[n] = '\0';
}

static int take_physical(struct lvm_group *g, const struct lvm_value *v)
{
        struct lvm_physical p = {0};
        uint64_t start;

        if (v->kind != LVM_SECTION || !lvm_number(g->text, v, "pe_start", &start) ||
            !lvm_number(g->text, v, "pe_count", &p.count) || p.count > EXTENTS_MAX ||
            !checked_mul(start, SECTOR, &p.start) || g->physical.count == PHYSICAL_MAX)
                return -EBADMSG;
        copy(p.name, sizeof p.name, v->name, v->name_len);
        /* What has gone missing may be out of date where it is there all the same. */
        if (!lvm_has(g->text, v, "flags", "MISSING"))
                copy_id(p.id, lvm_find(g->text, v, "id"));
        return array_add(&g->physical, p);
}

static int take_logical(struct lvm_group *g, const struct lvm_value *v)
{
        struct lvm_logical l = {.section = v};

        if (v->kind != LVM_SECTION)
                return -EBADMSG;
        if (g->logical.count == LVM_VOLUMES_MAX) {
                g->left_out++;
                return 0;
        }
        copy(l.name, sizeof l.name, v->name, v->name_len);
        copy_id(l.id, lvm_find(g->text, v, "id"));
        l.visible = lvm_has(g->text, v, "status", "VISIBLE");
        return array_add(&g->logical, l);
}

/* The group is the only section at the top. */
static const struct lvm_value *find_group(struct lvm_text *t)
{
        const struct lvm_value *v = lvm_first(t, &t->values.items[0]);

        while (v && v->kind != LVM_SECTION)
                v = lvm_next(t, v);
        return v;
}

static int take_group(struct lvm_group *g)
{
        const struct lvm_value *v = find_group(g->text), *list;
        int rc = 0;

        if (!v || !lvm_number(g->text, v, "seqno", &g->seqno) ||
            !lvm_number(g->text, v, "extent_size", &g->extent) ||
            !checked_mul(g->extent, SECTOR, &g->extent) || g->extent == 0 || g->extent > EXTENT_MAX)
                return -EBADMSG;
        copy(g->name, sizeof g->name, v->name, v->name_len);
        copy_id(g->id, lvm_find(g->text, v, "id"));
        list = lvm_find(g->text, v, "physical_volumes");
        for (list = list ? lvm_first(g->text, list) : NULL; list && rc == 0;
             list = lvm_next(g->text, list))
                rc = take_physical(g, list);
        list = lvm_find(g->text, v, "logical_volumes");
        for (list = list ? lvm_first(g->text, list) : NULL; list && rc == 0;
             list = lvm_next(g->text, list))
                rc = take_logical(g, list);
        return rc;
}

void lvm_group_free(struct lvm_group *g)
{
        if (!g)
                return;
        for (size_t i = 0; i < g->logical.count; i++)
                array_free(&g->logical.items[i].pieces);
        array_free(&g->logical);
        array_free(&g->physical);
        array_free(&g->areas);
        if (g->text)
                lvm_text_free(g->text);
        free(g->text);
        free(g->buffer);
        free(g);
}

static void cleanup_group_fn(struct lvm_group **g)
{
        lvm_group_free(*g);
}

int lvm_group_parse(char *take_text, size_t len, struct lvm_group **out)
{
        __attribute__((cleanup(cleanup_group_fn))) struct lvm_group *g = calloc(1, sizeof *g);
        int rc;

        if (!g) {
                free(take_text);
                return -ENOMEM;
        }
        g->buffer = take_text;
        g->text = calloc(1, sizeof *g->text);
        if (!g->text)
                return -ENOMEM;
        rc = lvm_text_parse(g->buffer, len, g->text);
        if (rc == 0)
                rc = take_group(g);
        if (rc == 0)
                *out = steal_ptr(&g);
        return rc == -E2BIG ? -EBADMSG : rc;
}

/* ---- where logical volumes lie ---- */

/* The volume that is being laid out. */
struct layout {
        struct lvm_group *g;
        struct lvm_logical *l;
        uint64_t end; /* bytes so far */
};

/* Extents [FROM, FROM + COUNT) of something. */
struct extents {
        uint64_t from, count;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct layout *o, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(o->l->problem, sizeof o->l->problem, fmt, args);
        va_end(args);
        return -EBADMSG;
}

/* The number of what V names, or LVM_NONE. */
static uint32_t find_physical(const struct lvm_group *g, const struct lvm_value *v)
{
        lvm_charge(g->text, g->physical.count / 16);
        for (size_t i = 0; i < g->physical.count; i++)
                if (lvm_is(v, g->physical.items[i].name))
                        return (uint32_t)i;
        return LVM_NONE;
}

static const struct lvm_value *find_section(const struct lvm_group *g, const struct lvm_value *v)
{
        lvm_charge(g->text, g->logical.count / 16);
        for (size_t i = 0; i < g->logical.count; i++)
                if (lvm_is(v, g->logical.items[i].name))
                        return g->logical.items[i].section;
        return NULL;
}

/* Are the extents E of physical volume P there? */
static int check_area(struct layout *o, const struct lvm_physical *p, const struct extents *e)
{
        uint64_t bytes, end;

        if (!range_within(e->from, e->count, p->count))
                return refuse(o, "reaches past the end of %s", p->name);
        if (p->twice)
                return refuse(o, "lies on %s, which is in the archive twice", p->name);
        if (!p->volume)
                return refuse(o, "lies on %s, which is not in the archive", p->name);
        if (!checked_mul(e->from + e->count, o->g->extent, &bytes) ||
            !checked_add(bytes, p->start, &end) || end > p->volume->size)
                return refuse(o, "lies past the end of the disk that %s is on", p->name);
        return 0;
}

static int lay_section(struct layout *o, const struct lvm_value *section, struct extents e,
                       unsigned depth);

/* The next element of a list of pairs, "pv0", 5. False: it ends. */
static bool next_pair(struct lvm_text *t, const struct lvm_value **at,
                      const struct lvm_value **name, uint64_t *number)
{
        const struct lvm_value *second;

        *name = *at;
        second = *at ? lvm_next(t, *at) : NULL;
        if (!second || (*name)->kind != LVM_STRING || second->kind != LVM_NUMBER)
                return false;
        *number = second->number;
        *at = lvm_next(t, second);
        return true;
}

/* E of a segment of COUNT stripes, which begin in LIST and have LEN extents each. */
static int lay_stripes(struct layout *o, const struct lvm_value *list, uint64_t count,
                       uint64_t stripe, const struct extents *e, uint64_t len)
{
        struct lvm_piece p = {.start = o->end,
                              .len = e->count * o->g->extent,
                              .skip = e->from * o->g->extent,
                              .area = (uint32_t)o->g->areas.count,
                              .stripes = (uint32_t)count,
                              .stripe = count > 1 ? stripe : 0};
        const struct lvm_value *at = lvm_first(o->g->text, list), *name;
        uint64_t extent;
        int rc = 0;

        for (uint64_t i = 0; i < count && rc == 0; i++) {
                struct lvm_area area;

                if (!next_pair(o->g->text, &at, &name, &extent))
                        return refuse(o, "has fewer stripes than it says");
                area = (struct lvm_area){find_physical(o->g, name), extent};
                if (area.physical == LVM_NONE)
                        return refuse(o, "has a stripe on something unknown");
                rc = check_area(o, &o->g->physical.items[area.physical],
                                &(struct extents){extent, len});
                if (rc == 0)
                        rc = array_add(&o->g->areas, area);
        }
        if (rc == 0 && o->g->pieces++ == LVM_PIECES_MAX)
                return refuse(o, "is in a group of too many segments");
        o->end += p.len;
        return rc < 0 ? rc : array_add(&o->l->pieces, p);
}

/* E of the striped or linear segment S of COUNT extents. */
static int lay_striped(struct layout *o, const struct lvm_value *s, uint64_t count,
                       const struct extents *e, unsigned depth)
{
        struct lvm_text *t = o->g->text;
        const struct lvm_value *list = lvm_find(t, s, "stripes"), *at, *name, *below;
        uint64_t stripes, size = 0, extent;

        if (!list || list->kind != LVM_LIST || !lvm_number(t, s, "stripe_count", &stripes) ||
            stripes == 0 || stripes > LVM_STRIPES_MAX || count % stripes)
                return refuse(o, "has stripes that make no sense");
        if (stripes > 1 && (!lvm_number(t, s, "stripe_size", &size) ||
                            !checked_mul(size, SECTOR, &size) || size == 0 || o->g->extent % size))
                return refuse(o, "has stripes of a size that makes no sense");
        at = lvm_first(t, list);
        if (stripes > 1 || !next_pair(t, &at, &name, &extent) ||
            find_physical(o->g, name) != LVM_NONE)
                return lay_stripes(o, list, stripes, size, e, count / stripes);
        below = find_section(o->g, name);
        if (!below || !checked_add(extent, e->from, &extent))
                return refuse(o, "lies on something unknown");
        return lay_section(o, below, (struct extents){extent, e->count}, depth + 1);
}

/*
 * E of a mirror S: the first leg that is there. LIST has a pair for each, or, with METADATA, the
 * names of two volumes, of which the second is the leg.
 */
static int lay_mirror(struct layout *o, const struct lvm_value *s, const char *list, bool metadata,
                      const struct extents *e, unsigned depth)
{
        struct lvm_text *t = o->g->text;
        const struct lvm_value *at = lvm_find(t, s, list);
        size_t pieces = o->l->pieces.count;
        uint64_t end = o->end;
        int rc = refuse(o, "has no legs");

        for (at = at ? lvm_first(t, at) : NULL; at && rc == -EBADMSG; at = lvm_next(t, at)) {
                const struct lvm_value *leg = metadata ? lvm_next(t, at) : at, *below;
                uint64_t from = e->from;

                at = lvm_next(t, at);
                below = find_section(o->g, leg);
                if (!at || !below ||
                    (!metadata &&
                     (at->kind != LVM_NUMBER || !checked_add(from, at->number, &from))))
                        return refuse(o, "has a leg that is unknown");
                o->l->pieces.count = pieces;
                o->end = end;
                rc = lay_section(o, below, (struct extents){from, e->count}, depth + 1);
        }
        return rc;
}

/* E of the segment S of COUNT extents. */
static int lay_segment(struct layout *o, const struct lvm_value *s, uint64_t count,
                       const struct extents *e, unsigned depth)
{
        const struct lvm_value *type = lvm_find(o->g->text, s, "type");

        if (lvm_is(type, "striped"))
                return lay_striped(o, s, count, e, depth);
        if (lvm_is(type, "mirror"))
                return lay_mirror(o, s, "mirrors", false, e, depth);
        if (lvm_is(type, "raid1"))
                return lay_mirror(o, s, "raids", true, e, depth);
        if (!type || type->kind != LVM_STRING)
                return refuse(o, "has a segment of no type");
        return refuse(o, "is of the type %.*s, which is not read", (int)min_u64(type->len, 32),
                      type->string);
}

/* Is V a segment: "segment7"? */
static bool is_segment(const struct lvm_value *v)
{
        return v->kind == LVM_SECTION && v->name_len > 7 && memcmp(v->name, "segment", 7) == 0;
}

/* Extents E of the logical volume SECTION: those of its segments, one after the other. */
static int lay_section(struct layout *o, const struct lvm_value *section, struct extents e,
                       unsigned depth)
{
        struct lvm_text *t = o->g->text;
        const struct lvm_value *s = lvm_first(t, section);
        uint64_t at = 0, start, count, end = e.from + e.count;
        int rc = 0;

        if (depth == DEPTH_MAX)
                return refuse(o, "lies in too many others, or in itself");
        for (; s && at < end && rc == 0; s = lvm_next(t, s)) {
                struct extents part;

                if (!is_segment(s))
                        continue;
                if (!lvm_number(t, s, "start_extent", &start) || start != at ||
                    !lvm_number(t, s, "extent_count", &count) || count == 0 || count > EXTENTS_MAX)
                        return refuse(o, "has segments that do not follow one another");
                at += count;
                if (at <= e.from)
                        continue;
                part.from = max_u64(e.from, start) - start;
                part.count = min_u64(end, at) - start - part.from;
                rc = lay_segment(o, s, count, &part, depth);
        }
        return rc == 0 && at < end ? refuse(o, "is shorter than what lies on it") : rc;
}

/* How many extents the segments of SECTION have. False: too many, or none. */
static bool count_extents(struct lvm_text *t, const struct lvm_value *section, uint64_t *out)
{
        const struct lvm_value *s;
        uint64_t count;

        *out = 0;
        for (s = lvm_first(t, section); s; s = lvm_next(t, s)) {
                if (!is_segment(s))
                        continue;
                if (!lvm_number(t, s, "extent_count", &count) || count > EXTENTS_MAX)
                        return false;
                *out += count;
                if (*out > EXTENTS_MAX)
                        return false;
        }
        return *out > 0;
}

/*
 * Does L hold the changes of a snapshot? Its bytes are no volume's then, although its segments look
 * like any other's.
 */
static bool is_store(struct lvm_group *g, const struct lvm_logical *l)
{
        for (size_t i = 0; i < g->logical.count; i++) {
                const struct lvm_value *s = lvm_first(g->text, g->logical.items[i].section);

                for (; s; s = lvm_next(g->text, s))
                        if (is_segment(s) &&
                            (lvm_is(lvm_find(g->text, s, "cow_store"), l->name) ||
                             lvm_is(lvm_find(g->text, s, "merging_store"), l->name)))
                                return true;
        }
        return false;
}

static int lay_out(struct lvm_group *g, struct lvm_logical *l)
{
        struct layout o = {.g = g, .l = l};
        struct extents all = {0};
        int rc;

        if (!count_extents(g->text, l->section, &all.count) ||
            !checked_mul(all.count, g->extent, &l->size) || l->size > SIZE_MAX_LV) {
                l->size = 0;
                rc = refuse(&o, "has no segments, or too many extents");
        } else if (is_store(g, l)) {
                rc = refuse(&o, "holds the changes of a snapshot, which are not read");
        } else {
                rc = lay_section(&o, l->section, all, 0);
        }
        if (lvm_is_exhausted(g->text) && rc != -ENOMEM)
                rc = refuse(&o, "is in a group of too many segments");
        if (rc == 0)
                l->problem[0] = '\0'; /* of a leg that was passed over */
        else
                array_free(&l->pieces);
        return rc == -ENOMEM ? rc : 0;
}

int lvm_group_lay_out(struct lvm_group *g)
{
        int rc = 0;

        for (size_t i = 0; i < g->logical.count && rc == 0; i++)
                if (g->logical.items[i].visible)
                        rc = lay_out(g, &g->logical.items[i]);
        return rc;
}
