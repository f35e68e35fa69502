/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What verify has found, for a person and for a script. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "archive/format.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "fs/verbs/manifest.h"
#include "fs/verbs/verify.h"
#include "index/index.h"
#include "index/verify/record.h"
#include "index/verify/recorder.h"

enum { CLUSTER = 65536 };

struct hex {
        char text[2 * HASHTREE_LEN + 1];
};

/* The next range of D at or behind *POS that is lost, or false. */
static bool next_lost(struct disk *d, uint64_t *pos, struct extent *lost)
{
        struct extent e;

        lost->len = 0;
        for (; *pos < d->size; *pos = e.start + e.len) {
                disk_find(d, *pos, &e);
                if (e.addr != EXTENT_LOST) {
                        if (lost->len)
                                return true;
                        continue;
                }
                if (!lost->len)
                        lost->start = *pos;
                lost->len = e.start + e.len - lost->start;
        }
        return lost->len > 0;
}

static uint64_t clusters(const struct disk *d)
{
        return d->size / CLUSTER + (d->size % CLUSTER != 0);
}

/* Clusters of which something is lost. */
static uint64_t lost_clusters(struct disk *d)
{
        uint64_t count = 0, counted = 0; /* those in front of COUNTED are */
        struct extent lost;

        if (d->totals.lost == 0)
                return 0;
        for (uint64_t pos = 0; next_lost(d, &pos, &lost);) {
                uint64_t first = lost.start / CLUSTER;
                uint64_t end = (lost.start + lost.len - 1) / CLUSTER + 1;

                if (first < counted)
                        first = counted;
                if (end > first)
                        count += end - first;
                counted = end;
        }
        return count;
}

/* The tree's root of D; false where none was taken, or it is not complete. */
static bool find_root(const struct verify *v, const struct disk *d, struct hex *out)
{
        uint8_t root[HASHTREE_LEN];

        if (!v->recorder || hashtree_root(recorder_tree(v->recorder, d->number), root) < 0)
                return false;
        for (size_t i = 0; i < HASHTREE_LEN; i++)
                snprintf(out->text + 2 * i, 3, "%02x", root[i]);
        return true;
}

static uint64_t bytes_of(const struct ranges *r, const struct disk *d)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < r->kept; i++)
                if (r->list[i].disk == d)
                        bytes += r->list[i].len;
        return bytes;
}

/* ---- for a person ---- */

static void print_damages(const struct index *index, const struct index_damage *list, size_t kept,
                          size_t count)
{
        for (size_t i = 0; i < kept; i++) {
                printf("archive byte %" PRIu64 ": %s", list[i].offset, list[i].text);
                if (list[i].len)
                        printf(" (%s from %" PRIu64 ", %" PRIu64 " bytes)",
                               index_disk(index, list[i].disk)->name, list[i].start, list[i].len);
                putchar('\n');
        }
        if (count > kept)
                printf("%zu more of the same kind\n", count - kept);
}

static void print_unreadable(const struct ranges *r)
{
        for (size_t i = 0; i < r->kept; i++) {
                if (r->list[i].offset != UINT64_MAX)
                        printf("archive byte %" PRIu64 ": ", r->list[i].offset);
                printf("cannot be read: %s (%s from %" PRIu64 ", %" PRIu64 " bytes)\n",
                       strerror(r->list[i].error), r->list[i].disk->name, r->list[i].start,
                       r->list[i].len);
        }
        if (r->count > r->kept)
                printf("%" PRIu64 " unreadable blocks in all\n", r->count);
}

static void print_range(const struct disk *d, const char *what, uint64_t start, uint64_t len)
{
        printf("%s: %s: %" PRIu64 " to %" PRIu64 " (%" PRIu64 " bytes)\n", d->name, what, start,
               start + len - 1, len);
}

static void print_ranges(const struct ranges *r, const struct disk *d, const char *what)
{
        for (size_t i = 0; i < r->kept; i++)
                if (r->list[i].disk == d)
                        print_range(d, what, r->list[i].start, r->list[i].len);
}

static void print_disk(const struct verify *v, struct disk *d)
{
        uint64_t missing = lost_clusters(d);
        struct extent lost;
        struct hex root;
        char size[32];

        printf("%s: %" PRIu64 " bytes, %s stored", d->name, d->size,
               report_size(d->totals.stored, size));
        if (d->totals.lost)
                printf(", %s lost", report_size(d->totals.lost, size));
        printf("; %" PRIu64 " of %" PRIu64 " clusters present\n", clusters(d) - missing,
               clusters(d));
        for (uint64_t pos = 0; next_lost(d, &pos, &lost);)
                print_range(d, "lost", lost.start, lost.len);
        print_ranges(&v->changed, d, "changed since it was recorded");
        print_ranges(&v->unknown, d, "cannot be compared with what was recorded");
        if (find_root(v, d, &root))
                printf("%s: tree SHA-256 %s\n", d->name, root.text);
}

static void print_record(const struct verify *v)
{
        time_t t = v->before ? (time_t)v->before->time : 0;
        char text[64] = "";
        struct tm tm;

        if (!v->before) {
                if (!v->made)
                        puts("recorded: nothing; bit rot in the disks' data would not show");
                return;
        }
        if (gmtime_r(&t, &tm))
                strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
        printf("recorded: %s, %s\n", text,
               v->changed.count   ? "and the disks have CHANGED since"
               : v->unknown.count ? "and what can be compared is the same"
                                  : "and the disks are the same");
}

static void print_sidecars(const struct audit *a)
{
        for (size_t i = 0; i < PLACES; i++) {
                const struct audit_sidecar *s = &a->sidecars[i];

                if (!s->present)
                        continue;
                if (s->problem[0])
                        printf("index %s: cannot be used: %s\n", s->path, s->problem);
                else
                        printf("index %s: %s\n", s->path,
                               s->differs ? "DIFFERS from the archive" : "agrees");
        }
}

void verify_print(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);

        print_damages(v->index, list, kept, index_damage_count(v->index));
        print_unreadable(&v->unreadable);
        print_damages(v->index, v->audit.differences, v->audit.kept, v->audit.count);
        print_sidecars(&v->audit);
        manifests_print(v->manifests);
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                print_disk(v, index_disk(v->index, i));
        print_record(v);
        if (v->made)
                puts("recorded: now");
        printf("%s: %s\n", v->path, verify_is_sound(v) ? "sound" : "DAMAGED");
}

/* ---- for a script ---- */

static json_t *range_json(uint64_t start, uint64_t len)
{
        return json_pack("{s:I, s:I}", "start", (json_int_t)start, "length", (json_int_t)len);
}

static json_t *damages_json(const struct index *index, const struct index_damage *list, size_t kept)
{
        json_t *out = json_array();

        for (size_t i = 0; i < kept; i++) {
                json_t *o = json_pack("{s:I, s:s}", "offset", (json_int_t)list[i].offset, "what",
                                      list[i].text);

                if (list[i].disk != DISK_NONE)
                        json_object_set_new(o, "disk",
                                            json_string(index_disk(index, list[i].disk)->name));
                if (list[i].len) {
                        json_object_set_new(o, "start", json_integer((json_int_t)list[i].start));
                        json_object_set_new(o, "length", json_integer((json_int_t)list[i].len));
                }
                json_array_append_new(out, o);
        }
        return out;
}

static json_t *unreadable_json(const struct ranges *ranges)
{
        json_t *out = json_array();

        for (size_t i = 0; i < ranges->kept; i++) {
                const struct range *r = &ranges->list[i];

                json_t *o = json_pack("{s:s, s:I, s:I, s:s}", "disk", r->disk->name, "start",
                                      (json_int_t)r->start, "length", (json_int_t)r->len, "what",
                                      strerror(r->error));

                if (r->offset != UINT64_MAX)
                        json_object_set_new(o, "offset", json_integer((json_int_t)r->offset));
                json_array_append_new(out, o);
        }
        return out;
}

static json_t *lost_json(struct disk *d)
{
        json_t *out = json_array();
        struct extent lost;

        for (uint64_t pos = 0; next_lost(d, &pos, &lost);)
                json_array_append_new(out, range_json(lost.start, lost.len));
        return out;
}

static json_t *ranges_json(const struct ranges *r, const struct disk *d)
{
        json_t *out = json_array();

        for (size_t i = 0; i < r->kept; i++)
                if (r->list[i].disk == d)
                        json_array_append_new(out, range_json(r->list[i].start, r->list[i].len));
        return out;
}

static json_t *root_json(const struct verify *v, const struct disk *d)
{
        struct hex root;

        return find_root(v, d, &root) ? json_string(root.text) : json_null();
}

static json_t *disks_json(const struct verify *v)
{
        json_t *out = json_array();

        for (size_t i = 0; i < index_disk_count(v->index); i++) {
                struct disk *d = index_disk(v->index, i);
                uint64_t missing = lost_clusters(d);

                json_array_append_new(
                    out, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:o}", "name",
                                   d->name, "size", (json_int_t)d->size, "stored",
                                   (json_int_t)d->totals.stored, "lost", (json_int_t)d->totals.lost,
                                   "clusters-present", (json_int_t)(clusters(d) - missing),
                                   "clusters-lost", (json_int_t)missing, "lost-ranges",
                                   lost_json(d), "changed-ranges", ranges_json(&v->changed, d),
                                   "not-compared", (json_int_t)bytes_of(&v->unknown, d),
                                   "tree-sha256", root_json(v, d)));
        }
        return out;
}

/* What was recorded before, or is now; null where nothing is. */
static json_t *record_json(const struct verify *v)
{
        const struct record *r = v->before ? v->before : v->made;

        if (!r)
                return json_null();
        return json_pack("{s:I, s:b, s:b}", "time", (json_int_t)r->time, "agrees",
                         v->changed.count == 0, "made-now", v->made != NULL);
}

static json_t *sidecars_json(const struct audit *a)
{
        json_t *out = json_array();

        for (size_t i = 0; i < PLACES; i++) {
                const struct audit_sidecar *s = &a->sidecars[i];
                json_t *o;

                if (!s->present)
                        continue;
                o = json_pack("{s:o, s:b}", "path", json_text(s->path), "agrees",
                              !s->differs && !s->problem[0]);
                if (o && s->problem[0])
                        json_object_set_new(o, "problem", json_text(s->problem));
                json_array_append_new(out, o);
        }
        return out;
}

int verify_print_json(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);

        return json_print(json_pack(
            "{s:o, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "archive", json_text(v->path),
            "sound", verify_is_sound(v), "damage-count", (json_int_t)index_damage_count(v->index),
            "damage", damages_json(v->index, list, kept), "unreadable",
            unreadable_json(&v->unreadable), "differences",
            damages_json(v->index, v->audit.differences, v->audit.kept), "indexes",
            sidecars_json(&v->audit), "manifests", manifests_json(v->manifests), "record",
            record_json(v), "disks", disks_json(v)));
}
