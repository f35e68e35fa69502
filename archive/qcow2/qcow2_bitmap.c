/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The persistent bitmaps of a qcow2 image, each as a file of text in the form of `qemu-img map
 * --output=json`, in which the marked ranges are data.
 *
 *   directory ──> table of one bitmap ──> clusters of bits, lowest first, or "all 0" or "all 1"
 *   name, granularity                     a bit stands for 2^granularity bytes of the disk
 */
#include "archive/qcow2/qcow2_bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_map.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/source/source.h"

enum {
        BITMAPS_MAX = 1024,
        DIRECTORY_MAX = 4 * 1024 * 1024, /* bytes */
        TABLE_MAX = 32 * 1024 * 1024,    /* bytes */

        ENTRY = 24,
        AT_TABLE_ENTRIES = 8,
        AT_FLAGS = 12,
        AT_TYPE = 16,
        AT_GRANULARITY = 17,
        AT_NAME_LEN = 18,
        AT_EXTRA_LEN = 20,

        FLAG_IN_USE = 1,
        TYPE_DIRTY = 1,
        GRANULARITY_MIN = 9,
        GRANULARITY_MAX = 31,
};

/* Limits for all bitmaps of an image: their text in memory, and the bits to read. */
#define TEXT_MAX ((uint64_t)64 << 20)
#define BITS_MAX ((uint64_t)256 << 20) /* bytes */

#define TABLE_OFFSET UINT64_C(0x00fffffffffffe00)
#define TABLE_ONES   UINT64_C(1)

/* A bitmap, as described by its entry in the directory. */
struct bitmap {
        uint64_t table;
        uint32_t table_entries;
        uint32_t flags;
        unsigned type, granularity;
        size_t len; /* of the entry */
        char name[QCOW2_NAME_MAX + 1];
};

/* What is left of the bounds above. */
struct budget {
        uint64_t text, bits;
};

/* The text while it is written. */
struct text {
        FILE *out;
        uint64_t size; /* of the disk */
        uint64_t start, end;
        bool marked; /* the range from start to end is marked */
        bool any;
};

/* ---- writing ---- */

static void end_range(struct text *t)
{
        uint64_t end = min_u64(t->end, t->size);

        if (t->start >= end)
                return;
        fprintf(t->out,
                "%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
                ", \"depth\": 0, \"present\": true, \"zero\": %s, \"data\": %s}",
                t->any ? ",\n" : "[", t->start, end - t->start, t->marked ? "false" : "true",
                t->marked ? "true" : "false");
        t->any = true;
        t->start = end;
}

static void add_range(struct text *t, uint64_t len, bool marked)
{
        if (t->marked != marked)
                end_range(t);
        t->marked = marked;
        t->end += len;
}

static void add_bits(struct text *t, const uint8_t *bits, size_t len, unsigned granularity)
{
        uint64_t bit = UINT64_C(1) << granularity;

        for (size_t i = 0; i < len && t->end < t->size; i++) {
                if (bits[i] == 0 || bits[i] == 0xff) {
                        add_range(t, 8 * bit, bits[i]);
                        continue;
                }
                for (unsigned b = 0; b < 8; b++)
                        add_range(t, bit, bits[i] >> b & 1);
        }
}

/* ---- reading ---- */

static int read_bitmap(const struct qcow2_image *image, uint64_t offset, uint64_t end,
                       struct bitmap *b, struct error *err)
{
        static const char what[] = "the directory of bitmaps";
        uint8_t fixed[ENTRY];
        uint64_t extra, name_len;
        int rc;

        if (!range_within(offset, sizeof fixed, end))
                return error_set_at(err, EIO, offset, "%s is too short", what);
        rc = source_fetch(image->source, fixed, sizeof fixed, offset, what, err);
        if (rc < 0)
                return rc;
        *b = (struct bitmap){.table = load_be64(fixed),
                             .table_entries = load_be32(fixed + AT_TABLE_ENTRIES),
                             .flags = load_be32(fixed + AT_FLAGS),
                             .type = fixed[AT_TYPE],
                             .granularity = fixed[AT_GRANULARITY]};
        extra = load_be32(fixed + AT_EXTRA_LEN);
        name_len = load_be16(fixed + AT_NAME_LEN);
        b->len = (size_t)round_up(ENTRY + extra + name_len, 8);
        if (name_len > QCOW2_NAME_MAX || !range_within(offset, b->len, end))
                return error_set_at(err, EIO, offset, "%s is damaged", what);
        return source_fetch(image->source, b->name, (size_t)name_len, offset + ENTRY + extra, what,
                            err);
}

/* Process the bits of B that ENTRY of its table names. */
static int add_table_entry(const struct qcow2_image *image, const struct bitmap *b, uint64_t entry,
                           uint8_t *bits, struct text *t, struct budget *budget, struct error *err)
{
        uint64_t cluster = UINT64_C(1) << image->cluster_bits;
        uint64_t bytes =
            (t->size - t->end + (UINT64_C(8) << b->granularity) - 1) >> (b->granularity + 3);
        size_t len = (size_t)min_u64(cluster, bytes);
        int rc;

        if ((entry & TABLE_OFFSET) == 0) {
                add_range(t, (uint64_t)len * 8 << b->granularity, entry & TABLE_ONES);
                return 0;
        }
        if (len > budget->bits)
                return error_set(err, EFBIG, "its bitmaps are too large to be shown");
        budget->bits -= len;
        rc = source_fetch(image->source, bits, len, entry & TABLE_OFFSET, "a bitmap", err);
        if (rc == 0)
                add_bits(t, bits, len, b->granularity);
        return rc;
}

static int write_text(const struct qcow2_image *image, const struct bitmap *b, struct text *t,
                      struct budget *budget, struct error *err)
{
        uint64_t table_len = (uint64_t)b->table_entries * 8;
        cleanup_free uint8_t *table = malloc(table_len ? table_len : 1);
        cleanup_free uint8_t *bits = malloc((size_t)1 << image->cluster_bits);
        int rc;

        if (!table || !bits)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_fetch(image->source, table, table_len, b->table, "a bitmap's table", err);
        for (uint32_t i = 0; i < b->table_entries && t->end < t->size && rc == 0; i++) {
                rc = add_table_entry(image, b, load_be64(table + 8 * (size_t)i), bits, t, budget,
                                     err);
                if (rc == 0 && (uint64_t)ftello(t->out) > budget->text)
                        rc = error_set(err, EFBIG, "its bitmaps are too large to be shown");
        }
        if (rc == 0 && t->end < t->size)
                rc = error_set_at(err, EIO, b->table, "a bitmap's table is too short");
        end_range(t);
        fputs(t->any ? "]\n" : "[]\n", t->out);
        return rc;
}

/* The text of B as a new string of *LEN bytes. */
static int make_text(const struct qcow2_image *image, const struct bitmap *b, struct budget *budget,
                     char **out, size_t *len, struct error *err)
{
        struct text t = {.out = open_memstream(out, len), .size = image->size};
        bool failed;
        int rc;

        if (!t.out)
                return error_set(err, ENOMEM, "out of memory");
        rc = write_text(image, b, &t, budget, err);
        failed = ferror(t.out);
        if ((fclose(t.out) != 0 || failed) && rc == 0)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
                budget->text -= min_u64(budget->text, *len);
        return rc;
}

/* ---- emitting ---- */

static int emit_bitmap(const struct qcow2 *q, const struct bitmap *b, uint32_t folder,
                       struct budget *budget, const struct archive_sink *sink, struct error *err)
{
        cleanup_free char *text = NULL, *name = NULL;
        struct entry e = {.parent = folder};
        size_t len;
        int rc;

        if (b->type != TYPE_DIRTY || b->granularity < GRANULARITY_MIN ||
            b->granularity > GRANULARITY_MAX || (uint64_t)b->table_entries * 8 > TABLE_MAX)
                return error_set_at(err, EIO, b->table, "the directory of bitmaps is damaged");
        rc = make_text(&q->image, b, budget, &text, &len, err);
        if (rc < 0)
                return rc;
        if (asprintf(&name, "%s.json", b->name) < 0) {
                name = NULL;
                return error_set(err, ENOMEM, "out of memory");
        }
        e.name = name;
        e.data = text;
        e.size = len;
        rc = sink->entry(sink->ctx, &e);
        return rc < 0 ? error_set(err, -rc, "a bitmap cannot be shown: %s", strerror(-rc)) : 0;
}

static int emit_all(struct qcow2 *q, const struct archive_sink *sink, struct error *err)
{
        const struct qcow2_image *image = &q->image;
        const struct entry folder = {.id = ++q->folder_count, .name = "bitmaps", .mode = S_IFDIR};
        struct budget budget = {TEXT_MAX, BITS_MAX};
        uint64_t offset = image->bitmaps.offset, end;
        int rc = sink->entry(sink->ctx, &folder);

        if (rc < 0)
                return error_set(err, -rc, "bitmaps cannot be shown: %s", strerror(-rc));
        if (image->bitmap_count > BITMAPS_MAX || !checked_add(offset, image->bitmaps.len, &end))
                return error_set_at(err, EIO, 0, "the directory of bitmaps is damaged");
        for (uint32_t i = 0; i < image->bitmap_count && rc == 0; i++) {
                struct bitmap b;

                rc = read_bitmap(image, offset, end, &b, err);
                if (rc < 0)
                        break;
                if (b.flags & FLAG_IN_USE)
                        qcow2_note(q, "a bitmap was left in use, and is not shown");
                else
                        rc = emit_bitmap(q, &b, q->folder_count, &budget, sink, err);
                offset += b.len;
        }
        return rc;
}

int qcow2_emit_bitmaps(struct qcow2 *q, const struct archive_sink *sink, struct error *err)
{
        struct error failure = {0};
        int rc;

        if (!q->image.bitmap_count)
                return 0;
        if (!q->image.bitmaps_valid) {
                qcow2_note(q, "its bitmaps are out of date, and are not shown");
                return 0;
        }
        rc = emit_all(q, sink, &failure);
        /* The disks are what matters. */
        if (rc == -EIO) {
                q->fault = "a bitmap, or the directory of bitmaps, is damaged";
                q->fault_at = failure.has_offset ? failure.offset : q->image.bitmaps.offset;
        } else if (rc == -EFBIG) {
                qcow2_note(q, failure.text);
        } else if (rc < 0) {
                if (err)
                        *err = failure;
                return rc;
        }
        return 0;
}

/* ---- where they are stored ---- */

static int each_cluster(const struct qcow2_image *image, const struct bitmap *b,
                        int (*each)(void *ctx, uint64_t offset, uint64_t len), void *ctx)
{
        uint64_t cluster = UINT64_C(1) << image->cluster_bits;
        uint64_t len = (uint64_t)b->table_entries * 8;
        struct qcow2_held held = {0};
        int rc = each(ctx, b->table, len);

        for (uint64_t i = 0; i < len && rc == 0;) {
                uint64_t at = b->table + i, end = b->table + len;
                const uint8_t *entry;

                rc = qcow2_hold(image, &held, at, &end, &entry);
                for (; at < end && rc == 0; at += 8, entry += 8, i += 8)
                        if (load_be64(entry) & TABLE_OFFSET)
                                rc = each(ctx, load_be64(entry) & TABLE_OFFSET, cluster);
        }
        qcow2_let_go(image, &held);
        return rc;
}

int qcow2_each_bitmap_range(const struct qcow2_image *image,
                            int (*each)(void *ctx, uint64_t offset, uint64_t len), void *ctx)
{
        uint64_t offset = image->bitmaps.offset, end, left = image->file_size;
        struct error ignored = {0};
        int rc;

        if (image->bitmap_count > BITMAPS_MAX || !checked_add(offset, image->bitmaps.len, &end) ||
            end > image->file_size || image->bitmaps.len > DIRECTORY_MAX)
                return -EIO;
        rc = each(ctx, offset, image->bitmaps.len);
        for (uint32_t i = 0; i < image->bitmap_count && rc == 0; i++) {
                struct bitmap b;

                rc = read_bitmap(image, offset, end, &b, &ignored);
                if (rc < 0)
                        break;
                /* Without this, tables that overlap could cost any amount of work. */
                if ((uint64_t)b.table_entries * 8 > left || b.table % 8 ||
                    !range_within(b.table, (uint64_t)b.table_entries * 8, image->file_size))
                        return -EIO;
                left -= (uint64_t)b.table_entries * 8;
                rc = each_cluster(image, &b, each, ctx);
                offset += b.len;
        }
        return rc;
}
