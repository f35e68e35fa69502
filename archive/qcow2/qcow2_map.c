/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_cluster.h"
#include "archive/qcow2/qcow2_verdict.h"
#include "archive/source/source.h"

enum {
        NARROW = 4096, /* bytes, of what is read of a table */
        WIDE = 65536,
        ENTRY = 8,
        SUBCLUSTER_BITS = 5,
};

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define COMPRESSED  (UINT64_C(1) << 62)
#define COMPRESSED1 (UINT64_C(1) << 63) /* version 1 */
#define ALL_ZERO    UINT64_C(1)
#define QED_ZERO    UINT64_C(1) /* all of an entry */

/* The unit that is allocated or zeroed on its own: a cluster, or a 32nd of one. */
static uint64_t unit_size(const struct qcow2_image *image)
{
        return qcow2_cluster_size(image) >> (image->extended_l2 ? SUBCLUSTER_BITS : 0);
}

/* ---- the table of a disk ---- */

int qcow2_check_l1(const struct qcow2_image *image, const struct qcow2_table *t, struct error *err)
{
        uint64_t bytes = (uint64_t)t->l1_entries * 8, needed, end;
        uint8_t last[8];

        if ((!image->is_qcow && t->l1_offset % (UINT64_C(1) << image->cluster_bits)) ||
            bytes > qcow2_l1_bytes_max(image) || !checked_add(t->l1_offset, bytes, &end) ||
            end > QCOW2_FILE_MAX)
                return error_set(err, EIO, "an L1 table cannot be where the header says it is");
        needed = (t->base + t->size + qcow2_l2_span(image) - 1) / qcow2_l2_span(image);
        if (t->l1_entries < needed)
                return error_set(err, EIO, "has an L1 table of %u entries; its disk needs %" PRIu64,
                                 t->l1_entries, needed);
        if (!bytes)
                return 0;
        return source_fetch(image->source, last, sizeof last, end - sizeof last, "an L1 table",
                            err);
}

/* ---- pieces of tables ---- */

/* Bytes past the file's end read as 0 here; callers check that what they use exists. */
static int load_piece(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct qcow2_image *image = ctx;
        uint64_t offset = key & (QCOW2_FILE_MAX - 1);
        uint64_t left = offset < image->file_size ? image->file_size - offset : 0;
        ssize_t n = source_pread(image->source, buf, (size_t)min_u64(len, left), offset);

        if (n < 0)
                return (int)n;
        memset((char *)buf + n, 0, len - (size_t)n);
        return 0;
}

void qcow2_let_go(const struct qcow2_image *image, struct qcow2_held *held)
{
        if (held->block)
                blockcache_put(image->tables, held->block);
        held->block = NULL;
        free(steal_ptr(&held->own));
}

void qcow2_release(const struct qcow2_image *image, struct qcow2_cursor *cursor)
{
        qcow2_let_go(image, &cursor->l1);
        qcow2_let_go(image, &cursor->l2);
}

static int hold_cached(const struct qcow2_image *image, struct qcow2_held *held, uint64_t key)
{
        int rc;

        qcow2_let_go(image, held);
        rc = blockcache_get(image->tables, key, NARROW, load_piece, (void *)image, &held->block);
        if (rc < 0)
                held->block = NULL;
        return rc;
}

static int hold_own(const struct qcow2_image *image, struct qcow2_held *held, uint64_t key)
{
        int rc;

        if (!held->own)
                held->own = malloc(WIDE);
        if (!held->own)
                return -ENOMEM;
        rc = load_piece((void *)image, key, held->own, WIDE);
        if (rc < 0)
                qcow2_let_go(image, held);
        return rc;
}

int qcow2_hold(const struct qcow2_image *image, struct qcow2_held *held, uint64_t offset,
               uint64_t *end, const uint8_t **out)
{
        uint64_t size = held->wide ? WIDE : NARROW, start = offset / size * size;
        uint64_t key = (uint64_t)image->number << QCOW2_KEY_IMAGE_BIT | start;
        const uint8_t *piece;

        if (!(held->block || held->own) || held->key != key) {
                int rc = held->wide ? hold_own(image, held, key) : hold_cached(image, held, key);

                if (rc < 0)
                        return rc;
                held->key = key;
        }
        piece = held->wide ? held->own : block_data(held->block);
        *end = min_u64(*end, start + size);
        *out = piece + (offset - start);
        return 0;
}

/* ---- one entry ---- */

static int bad(struct qcow2_piece *out, const char *why, uint64_t where)
{
        out->kind = QCOW2_BAD;
        out->why = why;
        out->where = where;
        return 0;
}

/* A bad piece, since a table cannot be read, with RC. Errors that are no damage are returned. */
static int bad_read(struct qcow2_piece *out, int rc, uint64_t where)
{
        return rc == -EIO ? bad(out, "a table cannot be read", where) : rc;
}

static bool is_compressed(const struct qcow2_image *image, uint64_t entry)
{
        return !image->is_qed && entry & (image->is_qcow ? COMPRESSED1 : COMPRESSED);
}

uint64_t qcow2_table_offset(const struct qcow2_image *image, const uint8_t *p)
{
        if (image->is_qcow)
                return load_be64(p);
        return image->is_qed ? load_le64(p) : load_be64(p) & OFFSET_MASK;
}

bool qcow2_is_table(const struct qcow2_image *image, uint64_t offset)
{
        return offset % qcow2_cluster_size(image) == 0 && offset >= image->header_len &&
               range_within(offset, image->table_len, image->file_size);
}

bool qcow2_entry(const struct qcow2_image *image, const uint8_t *p, uint64_t *offset, uint64_t *len)
{
        uint64_t entry = image->is_qed ? load_le64(p) : load_be64(p);
        bool compressed = is_compressed(image, entry);

        if (compressed) {
                struct qcow2_range range = qcow2_compressed_range(image, entry);

                *offset = range.offset;
                *len = range.len;
                return true;
        }
        *offset = qcow2_counts(image) ? entry & OFFSET_MASK : entry;
        *len = *offset && *offset % qcow2_cluster_size(image) == 0 ? qcow2_cluster_size(image) : 0;
        return false;
}

/* A unit that is stored at OFFSET of the file, from its byte SKIP on. */
static void stored(const struct qcow2_image *image, uint64_t offset, uint64_t skip,
                   struct qcow2_piece *out)
{
        uint64_t end = image->file_size, unit = unit_size(image);
        const char *problem = qcow2_verdict_problem(image->verdict, offset);

        out->kind = QCOW2_DATA;
        out->offset = offset + skip;
        if (problem) {
                bad(out, problem, out->where);
                return;
        }
        if (out->offset >= end &&
            offset / qcow2_cluster_size(image) == end / qcow2_cluster_size(image) &&
            (image->was_sound || qcow2_verdict_ends_with_zeros(image->verdict, end))) {
                out->kind = QCOW2_ZERO;
                out->offset = 0;
                return;
        }
        if (offset >= end || out->offset >= end) {
                bad(out, "a cluster lies past the end of the file", out->where);
                return;
        }
        /* The first part of a cluster that the file's end cuts is there. */
        if (unit > end - offset)
                out->len = min_u64(out->len, end - out->offset);
}

static void classify_standard(const struct qcow2_image *image, uint64_t entry, uint64_t skip,
                              struct qcow2_piece *out)
{
        uint64_t offset = entry & OFFSET_MASK;

        if (offset % qcow2_cluster_size(image)) {
                bad(out, "a cluster's offset is not aligned", out->where);
        } else if (entry & ALL_ZERO) {
                out->kind = QCOW2_ZERO;
                out->offset = offset ? offset + skip : 0;
                if (image->version < 3)
                        bad(out, "a zero cluster in an image of version 2", out->where);
        } else if (offset) {
                stored(image, offset, skip, out);
        } else {
                out->kind = QCOW2_UNALLOCATED;
        }
}

/* BITMAP: 32 bits "is allocated", and above them 32 "reads as zeros". SKIP: into subcluster SUB. */
static void classify_extended(const struct qcow2_image *image, uint64_t entry, uint64_t bitmap,
                              unsigned sub, uint64_t skip, struct qcow2_piece *out)
{
        uint64_t offset = entry & OFFSET_MASK, in_cluster = sub * unit_size(image);
        bool allocated = bitmap >> sub & 1, zero = bitmap >> (QCOW2_SUBCLUSTERS + sub) & 1;

        if (offset % qcow2_cluster_size(image)) {
                bad(out, "a cluster's offset is not aligned", out->where);
        } else if ((bitmap >> QCOW2_SUBCLUSTERS & bitmap) != 0 ||
                   (!offset && (uint32_t)bitmap != 0)) {
                bad(out, "an entry of an L2 table contradicts itself", out->where);
        } else if (zero) {
                out->kind = QCOW2_ZERO;
                out->offset = offset ? offset + in_cluster + skip : 0;
        } else if (allocated) {
                stored(image, offset + in_cluster, skip, out);
        } else {
                out->kind = QCOW2_UNALLOCATED;
                out->offset = offset ? offset + in_cluster + skip : 0;
        }
}

static void classify_qed(const struct qcow2_image *image, uint64_t entry, uint64_t skip,
                         struct qcow2_piece *out)
{
        if (entry == QED_ZERO)
                out->kind = QCOW2_ZERO;
        else if (entry % qcow2_cluster_size(image))
                bad(out, "a cluster's offset is not aligned", out->where);
        else if (entry && entry < image->header_len)
                bad(out, "a cluster lies in the header", out->where);
        else if (entry)
                stored(image, entry, skip, out);
        else
                out->kind = QCOW2_UNALLOCATED;
}

static void classify_qcow(const struct qcow2_image *image, uint64_t entry, uint64_t skip,
                          struct qcow2_piece *out)
{
        if (entry % qcow2_cluster_size(image))
                bad(out, "a cluster's offset is not aligned", out->where);
        else if (entry)
                stored(image, entry, skip, out);
        else
                out->kind = QCOW2_UNALLOCATED;
}

static void classify_compressed(const struct qcow2_image *image, uint64_t entry, uint64_t skip,
                                struct qcow2_piece *out)
{
        struct qcow2_range range = qcow2_compressed_range(image, entry);

        out->kind = QCOW2_COMPRESSED;
        out->entry = entry;
        out->skip = skip;
        if (range.offset >= image->file_size)
                bad(out, "a compressed cluster lies past the end of the file", out->where);
        else if (qcow2_verdict_problem(image->verdict, range.offset))
                bad(out, qcow2_verdict_problem(image->verdict, range.offset), out->where);
}

/* What the entry at P says of the byte POS of the table's range; out->len may be shortened. */
static void classify(const struct qcow2_image *image, const uint8_t *p, uint64_t pos,
                     struct qcow2_piece *out)
{
        uint64_t entry = image->is_qed ? load_le64(p) : load_be64(p);
        uint64_t in_cluster = pos % qcow2_cluster_size(image), unit = unit_size(image);

        if (image->is_qed) {
                out->len = qcow2_cluster_size(image) - in_cluster;
                classify_qed(image, entry, in_cluster, out);
                return;
        }
        if (is_compressed(image, entry)) {
                out->len = qcow2_cluster_size(image) - in_cluster;
                classify_compressed(image, entry, in_cluster, out);
                return;
        }
        if (image->is_qcow) {
                out->len = qcow2_cluster_size(image) - in_cluster;
                classify_qcow(image, entry, in_cluster, out);
                return;
        }
        out->len = unit - pos % unit;
        if (image->extended_l2)
                classify_extended(image, entry, load_be64(p + ENTRY), (unsigned)(in_cluster / unit),
                                  pos % unit, out);
        else
                classify_standard(image, entry, in_cluster, out);
}

/* ---- runs of entries ---- */

/* Can B, which follows A on the disk, be joined to A? */
static bool joins(const struct qcow2_piece *a, const struct qcow2_piece *b, enum qcow2_alike alike)
{
        if (a->kind != b->kind)
                return false;
        if (a->kind == QCOW2_BAD)
                return a->why == b->why;
        if (alike == QCOW2_ALIKE_KIND || a->kind == QCOW2_COMPRESSED)
                return true;
        return a->offset ? a->offset + a->len == b->offset : !b->offset;
}

/* The run of alike units from POS on in the L2 table at L2. */
static int find_in_l2(const struct qcow2_image *image, uint64_t l2, uint64_t pos, uint64_t len,
                      enum qcow2_alike alike, struct qcow2_held *held, struct qcow2_piece *out)
{
        size_t entry_size = qcow2_l2_entry_size(image);
        uint64_t end = l2 + image->table_len;
        uint64_t number = (pos >> image->cluster_bits) % qcow2_l2_entries(image);
        uint64_t at = l2 + number * entry_size, first = pos >> image->cluster_bits;
        const char *problem = qcow2_verdict_problem(image->verdict, at);
        const uint8_t *p;
        int rc = qcow2_hold(image, held, at, &end, &p);

        if (rc < 0 || problem) {
                out->len =
                    min_u64(len, qcow2_cluster_size(image) - pos % qcow2_cluster_size(image));
                return rc < 0 ? bad_read(out, rc, at) : bad(out, problem, at);
        }
        out->where = at;
        classify(image, p, pos, out);
        while (out->len < len) {
                struct qcow2_piece next = {0};
                uint64_t after = pos + out->len;
                uint64_t i = (after >> image->cluster_bits) - first;

                if (at + i * entry_size >= end)
                        break;
                next.where = at + i * entry_size;
                classify(image, p + i * entry_size, after, &next);
                if (!joins(out, &next, alike))
                        break;
                out->len += next.len;
        }
        out->len = min_u64(out->len, len);
        return 0;
}

/* Entries of the L1 table from P on, which end at END of the file, that are empty; AT is P's. */
static uint64_t count_empty(const struct qcow2_image *image, const uint8_t *p, uint64_t at,
                            uint64_t end)
{
        uint64_t n = 0;

        while (at + n * ENTRY < end && qcow2_table_offset(image, p + n * ENTRY) == 0)
                n++;
        return n;
}

int qcow2_find(const struct qcow2_image *image, const struct qcow2_table *table, uint64_t pos,
               uint64_t len, enum qcow2_alike alike, struct qcow2_cursor *cursor,
               struct qcow2_piece *out)
{
        uint64_t span = qcow2_l2_span(image);
        uint64_t at, l2, end = table->l1_offset + (uint64_t)table->l1_entries * ENTRY;
        const char *problem;
        const uint8_t *p;
        int rc;

        *out = (struct qcow2_piece){.kind = QCOW2_UNALLOCATED};
        len = min_u64(len, table->size - pos);
        pos += table->base;
        at = table->l1_offset + pos / span * ENTRY;
        if (at >= end) {
                out->len = len;
                return 0;
        }
        if (image->verdict)
                end = min_u64(end, round_up(at + 1, qcow2_cluster_size(image)));
        rc = qcow2_hold(image, &cursor->l1, at, &end, &p);
        if (rc < 0) {
                out->len = min_u64(len, span - pos % span);
                return bad_read(out, rc, at);
        }
        l2 = qcow2_table_offset(image, p);
        problem = qcow2_verdict_problem(image->verdict, at);
        if (!problem && l2)
                problem = qcow2_verdict_problem(image->verdict, l2);
        if (problem) {
                out->len = min_u64(len, span - pos % span);
                return bad(out, problem, at);
        }
        if (!l2) {
                out->len = min_u64(len, count_empty(image, p, at, end) * span - pos % span);
                return 0;
        }
        len = min_u64(len, span - pos % span);
        if (qcow2_is_table(image, l2))
                return find_in_l2(image, l2, pos, len, alike, &cursor->l2, out);
        out->len = len;
        return bad(out, "an L2 table lies outside of the file", at);
}
