/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs verify: go through the archive once, read every stored byte, and name what is damaged
 * (by byte of the archive) and what is lost of each disk (by byte of the disk).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/json.h"
#include "fs/opening.h"
#include "fs/progress.h"
#include "fs/report.h"
#include "fs/verbs.h"
#include "index/index.h"

enum { READ_SIZE = 1024 * 1024, UNREADABLE_MAX = 1000 };

struct range {
        const struct disk *disk;
        uint64_t start, len; /* of the disk */
        uint64_t addr;       /* of the archive's stream */
        int error;           /* positive errno */
};

struct verify {
        struct index *index;
        const char *path;
        char *buffer;             /* READ_SIZE */
        struct range *unreadable; /* UNREADABLE_MAX: blocks that are there but cannot be read */
        size_t unreadable_kept;
        uint64_t unreadable_count;
};

static bool extends(const struct range *r, const struct disk *disk, const struct extent *e)
{
        return r->disk == disk && r->start + r->len == e->start && r->addr + r->len == e->addr;
}

static void note_unreadable(struct verify *v, const struct disk *disk, const struct extent *e,
                            int rc)
{
        size_t kept = v->unreadable_kept;

        v->unreadable_count++;
        if (kept && extends(&v->unreadable[kept - 1], disk, e))
                v->unreadable[kept - 1].len += e->len;
        else if (kept < UNREADABLE_MAX)
                v->unreadable[v->unreadable_kept++] =
                    (struct range){disk, e->start, e->len, e->addr, -rc};
}

static void read_part(struct verify *v, const struct disk *disk, const struct extent *e)
{
        struct archive *a = index_archive(v->index);
        int rc = a->ops->read(a, e, 0, v->buffer, e->len);

        if (rc == 0)
                return;
        for (uint64_t at = 0; at < e->len; at += MAP_BLOCK) {
                struct extent block = {e->start + at, min_u64(MAP_BLOCK, e->len - at),
                                       e->addr + at};

                rc = a->ops->read(a, &block, 0, v->buffer, block.len);
                if (rc < 0)
                        note_unreadable(v, disk, &block, rc);
        }
}

static int read_extents(void *ctx, struct disk *disk, const struct extent *extents, size_t n)
{
        struct verify *v = ctx;

        for (size_t i = 0; i < n; i++) {
                const struct extent *e = &extents[i];

                if (e->addr == EXTENT_ZERO || e->addr == EXTENT_LOST)
                        continue;
                for (uint64_t at = 0; at < e->len; at += READ_SIZE) {
                        struct extent part = {e->start + at, min_u64(READ_SIZE, e->len - at),
                                              e->addr + at};

                        read_part(v, disk, &part);
                }
        }
        return 0;
}

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

static bool is_sound(const struct verify *v)
{
        if (index_damage_count(v->index) || v->unreadable_count)
                return false;
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                if (index_disk(v->index, i)->totals.lost)
                        return false;
        return true;
}

/* ---- for a person ---- */

static void print_causes(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);

        for (size_t i = 0; i < kept; i++) {
                printf("archive byte %" PRIu64 ": %s", list[i].offset, list[i].text);
                if (list[i].len)
                        printf(" (%s from %" PRIu64 ", %" PRIu64 " bytes)",
                               index_disk(v->index, list[i].disk)->name, list[i].start,
                               list[i].len);
                putchar('\n');
        }
        if (index_damage_count(v->index) > kept)
                printf("%zu more of the same kind\n", index_damage_count(v->index) - kept);
        for (size_t i = 0; i < v->unreadable_kept; i++) {
                const struct range *r = &v->unreadable[i];

                printf("archive byte %" PRIu64 ": cannot be read: %s (%s from %" PRIu64 ", %" PRIu64
                       " bytes)\n",
                       r->addr, strerror(r->error), r->disk->name, r->start, r->len);
        }
        if (v->unreadable_count > v->unreadable_kept)
                printf("%" PRIu64 " unreadable blocks in all\n", v->unreadable_count);
}

static void print_disk(struct disk *d)
{
        struct extent lost;
        char size[32];

        printf("%s: %" PRIu64 " bytes, %s stored", d->name, d->size,
               report_size(d->totals.stored, size));
        if (d->totals.lost)
                printf(", %s lost", report_size(d->totals.lost, size));
        putchar('\n');
        for (uint64_t pos = 0; next_lost(d, &pos, &lost);)
                printf("%s: lost: %" PRIu64 " to %" PRIu64 " (%" PRIu64 " bytes)\n", d->name,
                       lost.start, lost.start + lost.len - 1, lost.len);
}

static void print_human(const struct verify *v)
{
        print_causes(v);
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                print_disk(index_disk(v->index, i));
        printf("%s: %s\n", v->path, is_sound(v) ? "sound" : "DAMAGED");
}

/* ---- for a script ---- */

static json_t *damages_json(const struct verify *v)
{
        const struct index_damage *list;
        size_t kept = index_damages(v->index, &list);
        json_t *out = json_array();

        for (size_t i = 0; i < kept; i++) {
                json_t *o = json_pack("{s:I, s:s}", "offset", (json_int_t)list[i].offset, "what",
                                      list[i].text);

                if (list[i].disk != DISK_NONE)
                        json_object_set_new(o, "disk",
                                            json_string(index_disk(v->index, list[i].disk)->name));
                if (list[i].len) {
                        json_object_set_new(o, "start", json_integer((json_int_t)list[i].start));
                        json_object_set_new(o, "length", json_integer((json_int_t)list[i].len));
                }
                json_array_append_new(out, o);
        }
        return out;
}

static json_t *unreadable_json(const struct verify *v)
{
        json_t *out = json_array();

        for (size_t i = 0; i < v->unreadable_kept; i++) {
                const struct range *r = &v->unreadable[i];

                json_array_append_new(
                    out, json_pack("{s:I, s:s, s:I, s:I, s:s}", "offset", (json_int_t)r->addr,
                                   "disk", r->disk->name, "start", (json_int_t)r->start, "length",
                                   (json_int_t)r->len, "what", strerror(r->error)));
        }
        return out;
}

static json_t *disks_json(const struct verify *v)
{
        json_t *out = json_array();

        for (size_t i = 0; i < index_disk_count(v->index); i++) {
                struct disk *d = index_disk(v->index, i);
                json_t *ranges = json_array();
                struct extent lost;

                for (uint64_t pos = 0; next_lost(d, &pos, &lost);)
                        json_array_append_new(ranges, json_pack("{s:I, s:I}", "start",
                                                                (json_int_t)lost.start, "length",
                                                                (json_int_t)lost.len));
                json_array_append_new(
                    out, json_pack("{s:s, s:I, s:I, s:I, s:o}", "name", d->name, "size",
                                   (json_int_t)d->size, "stored", (json_int_t)d->totals.stored,
                                   "lost", (json_int_t)d->totals.lost, "lost-ranges", ranges));
        }
        return out;
}

static int print_json(const struct verify *v)
{
        return json_print(json_pack(
            "{s:o, s:b, s:I, s:o, s:o, s:o}", "archive", json_text(v->path), "sound", is_sound(v),
            "damage-count", (json_int_t)index_damage_count(v->index), "damage", damages_json(v),
            "unreadable", unreadable_json(v), "disks", disks_json(v)));
}

static int verify(struct index *index, const char *path, bool json)
{
        cleanup_free char *buffer = malloc(READ_SIZE);
        cleanup_free struct range *unreadable = calloc(UNREADABLE_MAX, sizeof *unreadable);
        struct verify v = {.index = index, .path = path};
        struct index_tap tap = {.ctx = &v, .extents = read_extents};
        struct error err = {0};
        struct progress *progress;
        int rc, status = STATUS_OK;

        if (!buffer || !unreadable) {
                report("out of memory");
                return STATUS_FAILED;
        }
        v.buffer = buffer;
        v.unreadable = unreadable;
        progress = progress_start(index, "verifying");
        rc = index_scan(index, &tap, &err);
        progress_stop(progress);
        if (rc < 0) {
                report_error(path, &err);
                return STATUS_FAILED;
        }
        if (json)
                status = print_json(&v);
        else
                print_human(&v);
        return is_sound(&v) ? status : STATUS_FAILED;
}

int verb_verify(int argc, char **argv)
{
        static const struct option options[] = {
            {"json", no_argument, NULL, 'j'}, OPENING_LONG_OPTIONS, {0}};
        struct index_options opening = {.sidecar = INDEX_SIDECAR_WRITE};
        bool json = false;
        struct index *index;
        int c, status;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 'j')
                        json = true;
                else if (opening_option(c, argv, &opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc - optind != 1)
                return usage_error("verify needs one archive");
        status = report_open(argv[optind], &opening, &index);
        if (status != STATUS_OK)
                return status;
        status = verify(index, argv[optind], json);
        index_close(index);
        return report_finish_output(status);
}
