/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/qcow2/qcow2_bitmap.h"
#include "archive/qcow2/qcow2_claims.h"
#include "archive/qcow2/qcow2_map.h"
#include "archive/qcow2/qcow2_refcount.h"
#include "archive/qcow2/qcow2_verdict.h"
#include "archive/source/source.h"

enum {
        SECTOR = 512,
        L1_ENTRY = 8,
        BLOCKS_PAST = 64,  /* of reference counts, read for clusters past the file's end */
        TABLES = 64,       /* read between two reports of progress */
        AHEAD = 4 << 20,   /* bytes of L2 tables to prefetch */
        AHEAD_TABLES = 64, /* at most */
        LOOK = 4096,       /* bytes of a leaked cluster, read at once … */
        LOOKS = 16384,     /* … so often at most */
};

#define NONE UINT64_MAX

static const char more_is_mapped[] = "more is mapped than a sound image of this size can hold";

/* One look at an image. */
struct pass {
        const struct qcow2_image *image;
        const struct qcow2_tables *disks;
        const struct qcow2_watcher *watcher;
        struct qcow2_findings *found;
        struct qcow2_claims claims;
        struct qcow2_cursor tables;
        bool counted;        /* there are reference counts … */
        bool exact;          /* … and all are right */
        bool blocks_doubted; /* one block is used for two ranges */
        bool coded;          /* compressed data are rewritten without being freed: version 1 */
        bool excess;         /* a disk maps more clusters than possible */
        uint64_t in_use;     /* clusters, by their counts */
        unsigned looks;      /* at leaked clusters, so far */

        /* Entries of L1 tables. */
        uint64_t total, done;

        /* Clusters of the disk that is being gone through. */
        uint32_t disk;    /* its number, from 1 on */
        uint64_t mapped;  /* to whole clusters of the file */
        uint64_t last;    /* the last one that is allocated … */
        uint64_t cut;     /* … and the one that the file's end cuts; NONE: there is none */
        bool cut_is_last; /* of the disk that has it, nothing lies after it */
};

static uint64_t cluster_count(const struct qcow2_image *image)
{
        return (image->file_size + qcow2_cluster_size(image) - 1) >> image->cluster_bits;
}

static void note(struct pass *p, const char *fault, uint64_t at)
{
        if (!p->found->fault) {
                p->found->fault = fault;
                p->found->at = at;
        }
}

/* Claim the LEN bytes at OFFSET for a table or other metadata of the image. */
static void claim_range(struct pass *p, uint64_t offset, uint64_t len)
{
        unsigned bits = p->image->cluster_bits;
        uint64_t last;

        if (len && checked_add(offset, len - 1, &last))
                qcow2_claim(&p->claims, offset >> bits, (last >> bits) - (offset >> bits) + 1);
}

/* ---- tables of disks ---- */

static uint64_t load_entry(const struct qcow2_image *image, const uint8_t *p)
{
        return image->is_qed ? load_le64(p) : load_be64(p);
}

/*
 * How many of the COUNT entries from AT on, each of SIZE bytes, name clusters that follow each
 * other?
 */
static uint64_t count_run(const struct qcow2_image *image, const uint8_t *at, size_t size,
                          uint64_t count)
{
        uint64_t next = load_entry(image, at), n = 1;

        while (n < count) {
                next += qcow2_cluster_size(image);
                if (load_entry(image, at + n * size) != next)
                        break;
                n++;
        }
        return n;
}

/* COUNT entries of an L2 table, from AT on, for cluster NUMBER of the disk and those after it. */
static void claim_entries(struct pass *p, const uint8_t *at, uint64_t number, uint64_t count)
{
        const struct qcow2_image *image = p->image;
        uint64_t last = p->claims.planes.clusters - 1, offset, first, len, n;
        size_t size = qcow2_l2_entry_size(image);

        for (uint64_t i = 0; i < count; i += n) {
                const uint8_t *entry = at + i * size;
                bool compressed;

                n = 1;
                if (load_entry(image, entry) == 0)
                        continue;
                compressed = qcow2_entry(image, entry, &offset, &len);
                if (!len)
                        continue;
                first = offset >> image->cluster_bits;
                if (compressed) {
                        p->coded |= image->is_qcow;
                        uint64_t end = (offset + len - 1) >> image->cluster_bits;

                        qcow2_claim_coded(&p->claims, first, end - first + 1);
                } else {
                        n = count_run(image, entry, size, count - i);
                        if (first <= last && last - first < n)
                                p->cut = number + i + (last - first);
                        if (first <= last)
                                p->mapped += min_u64(n, last - first + 1);
                        qcow2_claim(&p->claims, first, n);
                }
                p->last = number + i + n - 1;
        }
}

/* The L2 table at byte L2, whose first entry is for cluster FIRST of the disk. */
static int claim_l2(struct pass *p, uint64_t l2, uint64_t first)
{
        const struct qcow2_image *image = p->image;
        size_t size = qcow2_l2_entry_size(image);

        for (uint64_t at = l2, end; at < l2 + image->table_len; at = end) {
                const uint8_t *entries;
                int rc;

                end = l2 + image->table_len;
                rc = qcow2_hold(image, &p->tables.l2, at, &end, &entries);
                if (rc < 0)
                        return rc == -EIO ? 0 : rc;
                claim_entries(p, entries, first + (at - l2) / size, (end - at) / size);
        }
        return 0;
}

/* The same, of a table that another disk has, too: what it names is named twice by that. */
static int claim_again(struct pass *p, uint64_t l2, uint64_t first)
{
        uint64_t cut = p->cut;
        int rc = claim_l2(p, l2, first);

        p->cut = cut;
        return rc;
}

/* Entry NUMBER of an L1 table names the L2 table at byte L2. */
static int claim_table(struct pass *p, uint64_t l2, uint64_t number)
{
        const struct qcow2_image *image = p->image;
        uint64_t first = number * qcow2_l2_entries(image), cluster = l2 >> image->cluster_bits;
        uint64_t mapped = p->mapped;
        struct qcow2_seen *seen;
        int rc;

        if (!qcow2_is_table(image, l2))
                return 0;
        switch (qcow2_see_table(&p->claims, cluster, p->disk, &seen)) {
        case QCOW2_FIRST_SEEN:
                claim_range(p, l2, image->table_len);
                rc = claim_l2(p, l2, first);
                seen->mapped = (uint32_t)(p->mapped - mapped);
                return rc;
        case QCOW2_SEEN_IN_OTHER:
                claim_range(p, l2, image->table_len);
                rc = seen->again ? 0 : claim_again(p, l2, first);
                seen->again = true;
                p->mapped = mapped + seen->mapped;
                p->last = first + qcow2_l2_entries(image) - 1;
                return rc;
        case QCOW2_SEEN_HERE:
                /* Disks may share a table, but no disk uses one twice. */
                qcow2_mark_bad(&p->claims, cluster);
                return 0;
        case QCOW2_NOT_NOTED:
                /* Otherwise it might be read without end. */
                break;
        }
        return 0;
}

/* How many tables are asked for ahead. */
static uint64_t tables_ahead(const struct qcow2_image *image)
{
        return source_is_file(image->source)
                   ? min_u64(max_u64(AHEAD / image->table_len, 1), AHEAD_TABLES)
                   : 0;
}

/*
 * Entries of an L1 table are NEXT to come, up to END: ask for the tables that NUMBER of them name.
 */
static void ask_ahead(const struct qcow2_image *image, const uint8_t *next, const uint8_t *end,
                      uint64_t number)
{
        for (; next < end && number; next += L1_ENTRY, number--)
                if (qcow2_is_table(image, qcow2_table_offset(image, next)))
                        source_will_need(image->source, qcow2_table_offset(image, next),
                                         image->table_len);
}

static int tell_progress(struct pass *p)
{
        return p->watcher->progress(p->watcher->ctx,
                                    (double)p->done / (double)max_u64(p->total, 1));
}

/* Entries of an L1 table, from AT up to END, the first of which is number FIRST. */
static int claim_l1(struct pass *p, const uint8_t *at, const uint8_t *end, uint64_t first)
{
        const struct qcow2_image *image = p->image;
        uint64_t ahead = tables_ahead(image), tables = 0;
        int rc = 0;

        ask_ahead(image, at, end, ahead);
        for (const uint8_t *entry = at; entry < end && rc == 0; entry += L1_ENTRY) {
                uint64_t l2 = qcow2_table_offset(image, entry);

                p->done++;
                if (!l2)
                        continue;
                if ((uint64_t)(end - entry) > ahead * L1_ENTRY)
                        ask_ahead(image, entry + ahead * L1_ENTRY, end, 1);
                rc = claim_table(p, l2, first + (uint64_t)(entry - at) / L1_ENTRY);
                if (rc == 0 && ++tables % TABLES == 0)
                        rc = tell_progress(p);
        }
        return rc;
}

static int claim_disk(struct pass *p, const struct qcow2_table *t)
{
        const struct qcow2_image *image = p->image;
        uint64_t len = (uint64_t)t->l1_entries * L1_ENTRY;
        uint64_t cluster = t->l1_offset >> image->cluster_bits;
        int rc = 0;

        p->disk++;
        if (!len || len > qcow2_l1_bytes_max(image))
                return 0;
        /*
         * One that has been seen costs nothing: all of them together are no larger than the file.
         */
        if (!range_within(t->l1_offset, len, image->file_size) ||
            qcow2_is_claimed(&p->claims, cluster)) {
                qcow2_mark_bad(&p->claims, cluster);
                return 0;
        }
        /* Of version 1 the table follows the header in one cluster. */
        if (image->is_qcow)
                claim_range(p, 0, t->l1_offset + len);
        else
                claim_range(p, t->l1_offset, image->is_qed ? image->table_len : len);
        p->last = 0;
        p->mapped = 0;
        p->cut = NONE;
        for (uint64_t i = 0, end; i < len && rc == 0; i = end - t->l1_offset) {
                const uint8_t *entries;

                end = t->l1_offset + len;
                rc = qcow2_hold(image, &p->tables.l1, t->l1_offset + i, &end, &entries);
                if (rc == 0)
                        rc = claim_l1(p, entries, entries + (end - t->l1_offset - i), i / L1_ENTRY);
        }
        /* No program makes one disk of the same clusters again and again, whatever their counts. */
        if (p->mapped / 2 > p->claims.planes.clusters) {
                p->excess = true;
                note(p, more_is_mapped, t->l1_offset);
        }
        if (p->cut != NONE)
                p->cut_is_last = p->cut == p->last && p->cut + 1 < t->size >> image->cluster_bits;
        return rc == -EIO ? 0 : rc;
}

/* ---- the image's own ---- */

static int claim_counts(struct pass *p)
{
        const struct qcow2_image *image = p->image;
        uint64_t blocks = qcow2_refcount_blocks(image), block;
        int rc = 0;

        claim_range(p, image->reftable_offset, blocks * 8);
        for (uint64_t i = 0; i < blocks && rc == 0; i++) {
                rc = qcow2_refcount_block(image, i, &p->tables, &block);
                if (rc < 0 || !block)
                        continue;
                if (qcow2_is_claimed(&p->claims, block >> image->cluster_bits))
                        p->blocks_doubted = true;
                claim_range(p, block, qcow2_cluster_size(image));
        }
        return rc == -EIO ? 0 : rc;
}

/* Claim what no disk needs. If it overlaps anything of a disk, the disk loses nothing. */
static int claim_beside(void *ctx, uint64_t offset, uint64_t len)
{
        struct pass *p = ctx;
        unsigned bits = p->image->cluster_bits;
        uint64_t end;

        if (len == 0)
                return 0;
        if (!checked_add(offset, len, &end) || offset >= p->image->file_size)
                return -EIO;
        /* The last entry of a table is padded, though the file may end with it. */
        end = min_u64(end, p->image->file_size);
        return qcow2_claim_beside(&p->claims, offset >> bits,
                                  ((end - 1) >> bits) - (offset >> bits) + 1)
                   ? 0
                   : -EIO;
}

/* Snapshots' names and bitmaps. *APART: false if they overlap something else. */
static int claim_all_beside(struct pass *p, bool *apart)
{
        const struct qcow2_image *image = p->image;
        int rc = claim_beside(p, image->snapshots_offset, image->snapshots_len);

        if (rc == 0 && image->bitmap_count)
                rc = qcow2_each_bitmap_range(image, claim_beside, p);
        *apart = rc != -EIO;
        if (rc == -EIO)
                note(p, "a bitmap or the table of snapshots lies on something else",
                     image->snapshots_offset);
        return rc == -EIO ? 0 : rc;
}

/* ---- leaked clusters ---- */

/* Does CLUSTER hold nothing that a disk could miss? 1, 0, or -errno. */
static int is_empty(struct pass *p, uint64_t cluster)
{
        static const uint8_t zeros[LOOK];
        const struct qcow2_image *image = p->image;
        uint64_t at = cluster << image->cluster_bits, end = at + qcow2_cluster_size(image);
        uint8_t bytes[LOOK];

        /* It may hold the end of a compressed cluster, which may be zeros. */
        if (cluster && qcow2_planes_get(&p->claims.planes, PLANE_CODED, cluster - 1))
                return 0;
        if (image->backing[0] || end > image->file_size)
                return 0;
        for (uint64_t n; at < end; at += n) {
                int rc;

                n = min_u64(LOOK, end - at);
                if (p->looks++ >= LOOKS)
                        return 0;
                rc = source_pread_all(image->source, bytes, n, at);
                if (rc < 0)
                        return rc == -EIO ? 0 : rc;
                if (memcmp(bytes, zeros, n) != 0)
                        return 0;
        }
        return 1;
}

/* Of the 64 clusters from CLUSTER on, which the file has, those with a bit in BITS are leaked. */
static int note_leaked(struct pass *p, uint64_t cluster, uint64_t bits, struct qcow2_leaks *leaks)
{
        leaks->count += (uint64_t)__builtin_popcountll(bits);
        for (; bits && p->looks < LOOKS; bits &= bits - 1) {
                int rc = is_empty(p, cluster + (uint64_t)__builtin_ctzll(bits));

                if (rc < 0)
                        return rc;
                leaks->empty += (uint64_t)rc;
        }
        return 0;
}

/* ---- reference counts ---- */

/* BITS say how often the 64 clusters from CLUSTER on, which the file has, are counted. */
static int judge_word(struct pass *p, uint64_t cluster, const struct qcow2_count_bits *bits)
{
        struct qcow2_planes *planes = &p->claims.planes;
        uint64_t named = qcow2_planes_word(planes, PLANE_NAMED, cluster);
        uint64_t twice = qcow2_planes_word(planes, PLANE_TWICE, cluster);
        uint64_t beside = qcow2_planes_word(planes, PLANE_BESIDE, cluster);
        uint64_t bad = (twice & ~bits->shared) | (p->exact ? named & ~bits->used : 0);
        uint64_t coded = qcow2_planes_word(planes, PLANE_CODED, cluster);
        uint64_t unnamed = bits->used & ~named & ~beside;
        uint64_t surplus = bits->shared & named & ~twice & ~coded;
        int rc;

        if (bad)
                qcow2_mark_bad_word(&p->claims, cluster, bad);
        p->in_use += (uint64_t)__builtin_popcountll(bits->used);
        if (!unnamed && !surplus)
                return 0;
        if (planes->clusters - cluster < 64) {
                uint64_t there = (UINT64_C(1) << (planes->clusters - cluster)) - 1;

                p->claims.past += (uint64_t)__builtin_popcountll(unnamed & ~there);
                unnamed &= there;
        }
        rc = note_leaked(p, cluster, unnamed, &p->found->unnamed);
        return rc < 0 ? rc : note_leaked(p, cluster, surplus, &p->found->surplus);
}

/* No counts are there for the COUNT clusters from FIRST on, multiples of 64: they are FREE. */
static void judge_free(struct pass *p, uint64_t first, uint64_t count)
{
        static const struct qcow2_count_bits free_bits;
        const struct qcow2_planes *planes = &p->claims.planes;
        uint64_t end = min_u64(first + min_u64(count, planes->clusters), planes->clusters);

        for (uint64_t i = first; i < end;) {
                if (qcow2_planes_empty(planes, PLANE_NAMED, i)) {
                        i = ((i >> QCOW2_CHUNK_BITS) + 1) << QCOW2_CHUNK_BITS;
                        continue;
                }
                judge_word(p, i, &free_bits); /* what is free is not leaked */
                i += 64;
        }
}

/* Counts of clusters that the file does not have. */
static void judge_past(struct pass *p, const struct qcow2_count_bits *bits)
{
        p->in_use += (uint64_t)__builtin_popcountll(bits->used);
        p->claims.past += (uint64_t)__builtin_popcountll(bits->used);
}

/* Block NUMBER of the reference counts, at byte BLOCK. 0, or -errno as source_pread. */
static int judge_block(struct pass *p, uint64_t number, uint64_t block)
{
        const struct qcow2_image *image = p->image;
        uint64_t in_block = qcow2_refcounts_in_block(image), count;
        size_t step = (size_t)64 << image->refcount_order >> 3;

        for (uint64_t i = 0; i < in_block; i += count) {
                const uint8_t *counts;
                int rc = qcow2_load_block(image, &p->tables.l2, block, i, &count, &counts);

                if (rc < 0)
                        return rc == -EIO ? 0 : rc;
                for (uint64_t k = 0; k < count; k += 64, counts += step) {
                        uint64_t cluster = number * in_block + i + k;
                        struct qcow2_count_bits bits =
                            qcow2_load_counts(counts, image->refcount_order);

                        if (cluster < p->claims.planes.clusters)
                                rc = judge_word(p, cluster, &bits);
                        else
                                judge_past(p, &bits);
                        if (rc < 0)
                                return rc;
                }
        }
        return 0;
}

/* How many blocks are worth a look: past the file's end, a cut one has as many again at most. */
static uint64_t blocks_to_judge(const struct pass *p)
{
        uint64_t in_block = qcow2_refcounts_in_block(p->image);
        uint64_t needed = p->claims.planes.clusters / in_block + 1;
        uint64_t most = p->blocks_doubted ? needed : 2 * needed + BLOCKS_PAST;

        return min_u64(qcow2_refcount_blocks(p->image), most);
}

/* Compare all claims with the reference counts. */
static int judge_counts(struct pass *p)
{
        const struct qcow2_image *image = p->image;
        uint64_t blocks = blocks_to_judge(p), in_block = qcow2_refcounts_in_block(image);
        int rc = 0;

        for (uint64_t i = 0; i < blocks && rc == 0; i++) {
                uint64_t block;

                rc = qcow2_refcount_block(image, i, &p->tables, &block);
                if (rc == 0 && !block)
                        judge_free(p, i * in_block, in_block);
                else if (rc == 0 && qcow2_is_refcount_block(image, block))
                        rc = judge_block(p, i, block);
                /* What cannot be read counts as missing. */
                if (rc == -EIO)
                        rc = 0;
                if (rc == 0 && i % TABLES == 0)
                        rc = tell_progress(p);
        }
        if (rc == 0)
                judge_free(p, blocks * in_block, p->claims.planes.clusters);
        return rc;
}

/* Without counts, what is named twice is bad; in QED, each cluster of the file is in use. */
static int judge_names(struct pass *p)
{
        struct qcow2_planes *planes = &p->claims.planes;
        int rc = 0;

        for (uint64_t i = 0; i < planes->clusters && rc == 0; i += 64) {
                uint64_t there = planes->clusters - i < 64
                                     ? (UINT64_C(1) << (planes->clusters - i)) - 1
                                     : UINT64_MAX;

                qcow2_mark_bad_word(&p->claims, i, qcow2_planes_word(planes, PLANE_TWICE, i));
                rc = note_leaked(p, i, there & ~qcow2_planes_word(planes, PLANE_NAMED, i),
                                 &p->found->unnamed);
        }
        p->in_use = planes->clusters;
        return rc;
}

/* ---- the file's end ---- */

/*
 * The end cuts a cluster, as it does of a disk that ended inside that one and has grown since: its
 * length is one of sectors, nothing comes after it in the file or on the disk.
 */
static bool ends_with_zeros(const struct pass *p)
{
        return p->cut_is_last && p->claims.past == 0 && p->image->file_size % SECTOR == 0;
}

/*
 * Does the file end with bytes, not zeros, in a part of a cluster that nothing needs? 1, 0, -errno.
 */
static int ends_with_rest(struct pass *p)
{
        const struct qcow2_image *image = p->image;
        uint64_t last = p->claims.planes.clusters - 1;
        uint64_t len = image->file_size % qcow2_cluster_size(image);
        cleanup_free uint8_t *rest = NULL;
        enum qcow2_refcount count = QCOW2_ONCE;
        int rc = 0;

        if (!len || qcow2_is_claimed(&p->claims, last) ||
            qcow2_planes_get(&p->claims.planes, PLANE_BESIDE, last))
                return 0;
        if (p->counted)
                rc = qcow2_refcount(image, last, &p->tables, &count);
        if (rc < 0 || p->coded || (count != QCOW2_FREE && qcow2_counts(image)))
                return rc;
        rest = malloc(len);
        if (!rest)
                return -ENOMEM;
        rc = source_pread_all(image->source, rest, len, last << image->cluster_bits);
        if (rc < 0)
                return rc == -EIO ? 0 : rc;
        for (uint64_t i = 0; i < len; i++)
                if (rest[i])
                        return 1;
        return 0;
}

/* ---- all of it ---- */

static int claim_everything(struct pass *p, bool *apart)
{
        const struct qcow2_image *image = p->image;
        int rc = 0;

        if (!image->is_qcow)
                claim_range(p, 0, max_u64(image->header_len, 1));
        if (p->counted)
                rc = claim_counts(p);
        for (size_t i = 0; i < p->disks->count; i++)
                p->total += p->disks->list[i].l1_entries;
        for (size_t i = 0; i < p->disks->count && rc == 0; i++)
                rc = claim_disk(p, &p->disks->list[i]);
        return rc < 0 ? rc : claim_all_beside(p, apart);
}

/* Do clusters that are counted and not named prove anything? */
static bool knows_unnamed(const struct pass *p, bool apart)
{
        const struct qcow2_image *image = p->image;

        if (!p->disks->all || image->dirty || p->claims.full || p->coded)
                return false;
        return !qcow2_counts(image) ||
               (p->exact && apart && !p->blocks_doubted && p->claims.bad == 0);
}

static int go_through(struct pass *p)
{
        const struct qcow2_image *image = p->image;
        bool apart = true;
        int rc;

        p->counted = qcow2_counts(image) && qcow2_has_refcounts(image);
        p->exact = p->counted && !image->dirty;
        if (qcow2_counts(image) && !p->counted)
                note(p, "its table of reference counts is not there", image->reftable_offset);
        rc = claim_everything(p, &apart);
        if (rc == 0 && p->counted)
                rc = judge_counts(p);
        else if (rc == 0)
                rc = judge_names(p);
        if (rc < 0)
                return rc;
        if (knows_unnamed(p, apart))
                p->found->holes_doubted =
                    p->found->unnamed.count - p->found->unnamed.empty > p->in_use / 2;
        else
                p->found->unnamed = p->found->surplus = (struct qcow2_leaks){0};
        p->found->unchecked = p->claims.full;
        return ends_with_rest(p);
}

/* What lookups must know of what P has found; NULL where they need not. -ENOMEM. */
static int make_verdict(struct pass *p, bool displaced, struct qcow2_verdict **out)
{
        bool zeros = ends_with_zeros(p);
        struct qcow2_verdict *v;

        if (!p->claims.bad && !displaced && !zeros && !p->excess)
                return 0;
        *out = v = calloc(1, sizeof *v);
        if (!v)
                return -ENOMEM;
        v->cluster_bits = p->image->cluster_bits;
        v->zeros_from = zeros ? p->image->file_size : UINT64_MAX;
        if (displaced)
                v->all = "something was inserted into the file: nothing is where it should be";
        else if (p->excess)
                v->all = more_is_mapped;
        else if (p->claims.bad_lost)
                v->all = "more is wrong with its clusters than can be told apart";
        for (int i = 0; i < PLANE_BAD; i++)
                qcow2_planes_clear(&p->claims.planes, (enum qcow2_plane)i);
        v->planes = p->claims.planes;
        p->claims.planes = (struct qcow2_planes){0};
        return 0;
}

int qcow2_judge(const struct qcow2_image *image, const struct qcow2_tables *tables,
                const struct qcow2_watcher *watcher, struct qcow2_verdict **out,
                struct qcow2_findings *findings)
{
        struct pass p = {.image = image,
                         .disks = tables,
                         .watcher = watcher,
                         .found = findings,
                         .cut = NONE,
                         .tables = qcow2_wide_cursor()};
        int rc = 0;

        *findings = (struct qcow2_findings){0};
        *out = NULL;
        if (qcow2_claims_init(&p.claims, cluster_count(image)))
                rc = go_through(&p);
        else
                findings->unchecked = true;
        if (rc > 0)
                note(&p,
                     "it ends with a part of a cluster that nothing names: something was "
                     "inserted, and nothing is where it should be",
                     image->file_size);
        if (rc >= 0)
                rc = make_verdict(&p, rc > 0, out);
        qcow2_release(image, &p.tables);
        qcow2_claims_fini(&p.claims);
        return rc;
}
