/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints verify's findings, for people and for scripts. */
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

/* How many lines of a list people get. */
enum { CLUSTER = 65536, LINES_MAX = 10 };

struct hex {
        char text[2 * HASHTREE_LEN + 1];
};

/* Find the next lost range of D at or after *POS. False: none. */
static bool next_lost(struct disk *d, uint64_t *pos, struct extent *lost)
{
        struct volume_extent e;

        lost->len = 0;
        for (; *pos < d->size; *pos += e.len) {
                if (disk_extent(d, *pos, d->size - *pos, &e) < 0 || e.kind != VOLUME_LOST) {
                        if (lost->len)
                                return true;
                        continue;
                }
                if (!lost->len)
                        lost->start = *pos;
                lost->len = *pos + e.len - lost->start;
        }
        return lost->len > 0;
}

static uint64_t clusters(const struct disk *d)
{
        return d->size / CLUSTER + (d->size % CLUSTER != 0);
}

/* How many clusters have lost something. */
static uint64_t lost_clusters(struct disk *d)
{
        uint64_t count = 0, counted = 0; /* up to COUNTED, they are counted */
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

/* The root of D's hash tree. False if there is none, or it is incomplete. */
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

/* How many of KEPT lines to print. */
static size_t lines_of(size_t kept)
{
        return kept < LINES_MAX ? kept : LINES_MAX;
}

static void print_more(const char *what, uint64_t count, uint64_t printed)
{
        if (count > printed)
                printf("%s: and %" PRIu64 " more (--json has %s)\n", what, count - printed,
                       count > RANGES_MAX ? "the first 1,000" : "all");
}

static void print_damages(const struct index *index, const struct index_damage *list, size_t kept,
                          size_t count)
{
        for (size_t i = 0; i < lines_of(kept); i++) {
                printf("archive byte %" PRIu64 ": %s", list[i].offset, list[i].text);
                if (list[i].len)
                        printf(" (%s from %" PRIu64 ", %" PRIu64 " bytes)",
                               index_disk(index, list[i].disk)->name, list[i].start, list[i].len);
                putchar('\n');
        }
        print_more("archive", count, lines_of(kept));
}

static void print_unreadable(const struct ranges *r)
{
        for (size_t i = 0; i < lines_of(r->kept); i++) {
                if (r->list[i].offset != UINT64_MAX)
                        printf("archive byte %" PRIu64 ": ", r->list[i].offset);
                printf("cannot be read: %s (%s from %" PRIu64 ", %" PRIu64 " bytes)\n",
                       strerror(r->list[i].error), r->list[i].disk->name, r->list[i].start,
                       r->list[i].len);
        }
        print_more("unreadable ranges", r->kept, lines_of(r->kept));
        if (r->count > r->kept)
                printf("%" PRIu64 " unreadable blocks in all\n", r->count);
}

static void print_range(const struct disk *d, const char *what, uint64_t start, uint64_t len)
{
        printf("%s: %s: %" PRIu64 " to %" PRIu64 " (%" PRIu64 " bytes)\n", d->name, what, start,
               start + len - 1, len);
}

static void print_more_ranges(const struct disk *d, const char *what, uint64_t count)
{
        if (count > LINES_MAX)
                printf("%s: %s: and %" PRIu64 " more (--json has all)\n", d->name, what,
                       count - LINES_MAX);
}

static void print_ranges(const struct ranges *r, const struct disk *d, const char *what)
{
        uint64_t count = 0;

        for (size_t i = 0; i < r->kept; i++)
                if (r->list[i].disk == d && ++count <= LINES_MAX)
                        print_range(d, what, r->list[i].start, r->list[i].len);
        print_more_ranges(d, what, count);
}

static void print_lost(struct disk *d)
{
        struct extent lost;
        uint64_t count = 0;

        for (uint64_t pos = 0; d->totals.lost && next_lost(d, &pos, &lost);)
                if (++count <= LINES_MAX)
                        print_range(d, "lost", lost.start, lost.len);
        print_more_ranges(d, "lost", count);
}

static void print_disk(const struct verify *v, struct disk *d)
{
        uint64_t missing = lost_clusters(d);
        struct hex root;
        char size[32];

        printf("%s: %" PRIu64 " bytes, %s stored", d->name, d->size,
               report_size(d->totals.stored, size));
        if (d->totals.lost)
                printf(", %s lost", report_size(d->totals.lost, size));
        printf("; %" PRIu64 " of %" PRIu64 " clusters present\n", clusters(d) - missing,
               clusters(d));
        print_lost(d);
        print_ranges(&v->changed, d, "changed since it was recorded");
        print_ranges(&v->unknown, d, "cannot be compared with what was recorded");
        if (find_root(v, d, &root))
                printf("%s: tree SHA-256 %s\n", d->name, root.text);
}

/* What that means depends on the checksums that the archive itself has. */
static const char *nothing_recorded(const struct verify *v)
{
        if (index_archive(v->index)->has_sums)
                return "nothing; bit rot in the disks' data would show in the archive's own "
                       "checksums";
        if (index_has_streams(v->index))
                return "nothing; bit rot in the disks' data would show only where what is "
                       "compressed "
                       "has checksums";
        return "nothing; bit rot in the disks' data would not show";
}

/* Why there is nothing to compare with. */
static const char *no_record(const struct verify *v)
{
        switch (v->record) {
        case RECORD_DAMAGED:
                return "something, but the record is damaged and cannot be compared";
        case RECORD_UNTRUSTED:
                return "not known, since its index is not trusted; nothing is compared";
        case RECORD_UNREADABLE:
                return "not known, since its index cannot be used; nothing is compared";
        case RECORD_MISFIT:
                return "something that does not fit this archive and cannot be compared";
        default:
                return nothing_recorded(v);
        }
}

static void print_record(const struct verify *v)
{
        time_t t = v->before ? (time_t)v->before->time : 0;
        char text[64] = "";
        struct tm tm;

        if (!v->before) {
                if (!v->made)
                        printf("recorded: %s\n", no_record(v));
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
        for (size_t i = 0; i < LOCATIONS; i++) {
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

/* Printed first and last, so that one of them is on the screen even after a long list. */
static void print_verdict(const struct verify *v)
{
        static const char *const words[] = {
            [VERDICT_SOUND] = "sound",
            [VERDICT_DOUBT] = "IN DOUBT",
            [VERDICT_DAMAGED] = "DAMAGED",
        };

        printf("%s: %s\n", v->path, words[verify_verdict(v)]);
}

void verify_print(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);

        print_verdict(v);
        print_damages(v->index, list, kept, index_damage_count(v->index));
        print_unreadable(&v->unreadable);
        print_damages(v->index, v->audit.differences, v->audit.kept, v->audit.count);
        print_sidecars(&v->audit);
        manifests_print(v->manifests);
        if (index_info(v->index)->note[0])
                printf("note: %s\n", index_info(v->index)->note);
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                print_disk(v, index_disk(v->index, i));
        print_record(v);
        if (v->made)
                puts("recorded: now");
        print_verdict(v);
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
                const struct index_damage *d = &list[i];
                const char *disk = d->disk == DISK_NONE ? NULL : index_disk(index, d->disk)->name;

                json_array_append_new(
                    out, json_pack("{s:I, s:s, s:o, s:o, s:o}", "offset", (json_int_t)d->offset,
                                   "what", d->text, "disk", json_text_or_null(disk), "start",
                                   json_number_or_null(d->len != 0, d->start), "length",
                                   json_number_or_null(d->len != 0, d->len)));
        }
        return out;
}

static json_t *unreadable_json(const struct ranges *ranges)
{
        json_t *out = json_array();

        for (size_t i = 0; i < ranges->kept; i++) {
                const struct range *r = &ranges->list[i];

                json_array_append_new(
                    out, json_pack("{s:o, s:s, s:I, s:I, s:s}", "offset",
                                   json_number_or_null(r->offset != UINT64_MAX, r->offset), "disk",
                                   r->disk->name, "start", (json_int_t)r->start, "length",
                                   (json_int_t)r->len, "what", strerror(r->error)));
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

/* The earlier record or the new one; null if there is neither. */
static json_t *record_json(const struct verify *v)
{
        const struct record *r = v->before ? v->before : v->made;

        if (!r)
                return json_null();
        return json_pack("{s:I, s:b, s:b}", "time", (json_int_t)r->time, "agrees",
                         v->changed.count == 0, "made-now", v->made != NULL);
}

static const char *verdict_word(const struct verify *v)
{
        static const char *const words[] = {
            [VERDICT_SOUND] = "sound",
            [VERDICT_DOUBT] = "in-doubt",
            [VERDICT_DAMAGED] = "damaged",
        };

        return words[verify_verdict(v)];
}

/* Null if there is a record to compare with, or none was ever made. */
static json_t *record_problem_json(const struct verify *v)
{
        static const char *const words[] = {
            [RECORD_DAMAGED] = "damaged",
            [RECORD_UNTRUSTED] = "untrusted",
            [RECORD_UNREADABLE] = "unreadable",
            [RECORD_MISFIT] = "misfit",
        };

        return json_text_or_null(words[v->record]);
}

static json_t *sidecars_json(const struct audit *a)
{
        json_t *out = json_array();

        for (size_t i = 0; i < LOCATIONS; i++) {
                const struct audit_sidecar *s = &a->sidecars[i];

                if (!s->present)
                        continue;
                json_array_append_new(out, json_pack("{s:o, s:b, s:o}", "path", json_text(s->path),
                                                     "agrees", !s->differs && !s->problem[0],
                                                     "problem", json_text_or_null(s->problem)));
        }
        return out;
}

int verify_print_json(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);

        return json_print(json_pack(
            "{s:o, s:b, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "archive",
            json_text(v->path), "sound", verify_verdict(v) == VERDICT_SOUND, "verdict",
            verdict_word(v), "note", json_text_or_null(index_info(v->index)->note), "damage-count",
            (json_int_t)index_damage_count(v->index), "damage", damages_json(v->index, list, kept),
            "unreadable", unreadable_json(&v->unreadable), "differences",
            damages_json(v->index, v->audit.differences, v->audit.kept), "indexes",
            sidecars_json(&v->audit), "manifests", manifests_json(v->manifests), "record",
            record_json(v), "record-problem", record_problem_json(v), "disks", disks_json(v)));
}
