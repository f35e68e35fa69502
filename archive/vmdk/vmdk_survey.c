/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Do the tables of an uncompressed file account for all of it?
 *
 *   1. directories and tables are claimed, then the grains that the tables name
 *   2. if either a directory or its copy contradicts itself, only the other one is used
 *   3. what is claimed twice goes to the better claim, or to none
 *   4. data that nobody claims belong to an entry that was turned into "zeros"
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk_scan.h"

enum { PROGRESS = 64 };

/* Bytes without an owner that are examined: a sound file has almost none. */
#define UNNAMED_MAX (UINT64_C(16) << 30)

/* Places for grains in a file, of two bits each: 128 MiB. */
#define GRAINS_MAX (UINT64_C(1) << 29)

/* What was found apart from claims. */
struct findings {
        uint64_t bad[2]; /* impossible entries of each directory */
        uint64_t zeroed; /* grains of zeros */
        bool differ;     /* a table differs from its copy, or cannot be read */
};

static uint64_t sectors(uint64_t bytes)
{
        return round_up(bytes, VMDK_SECTOR) / VMDK_SECTOR;
}

static bool both_used(const struct vmdk_scan *s)
{
        return s->verdict->directory[0] && s->verdict->directory[1];
}

/* ---- directories and tables ---- */

static int claim(struct vmdk_scan *s, enum vmdk_claimant who, uint64_t offset, uint64_t len)
{
        return vmdk_claims_add(&s->verdict->claims, who, offset / VMDK_SECTOR, sectors(len));
}

static int claim_directory(struct vmdk_scan *s, unsigned number, struct findings *f)
{
        enum vmdk_claimant who = number ? CLAIM_COPY_TABLES : CLAIM_TABLES;
        uint64_t count = vmdk_table_count(s->part), at;
        int rc = claim(s, who, s->verdict->directory[number], count * s->part->h.entry);

        for (uint64_t i = 0; i < count && rc == 0; i++) {
                enum vmdk_table what = vmdk_find_table(s, number, i, &at);

                if (what == VMDK_TABLE_THERE)
                        rc = claim(s, who, at, vmdk_table_bytes(s->part));
                f->bad[number] += what == VMDK_TABLE_BAD;
                if (rc == 0 && i % VMDK_CHUNK == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        return rc;
}

static int claim_tables(struct vmdk_scan *s, struct findings *f)
{
        const struct vmdk_header *h = &s->part->h;
        int rc = claim(s, CLAIM_FIXED, 0, VMDK_SECTOR);

        if (rc == 0 && h->descriptor &&
            range_within(h->descriptor, h->descriptor_len, s->verdict->end))
                rc = claim(s, CLAIM_FIXED, h->descriptor, h->descriptor_len);
        for (unsigned i = 0; i < VMDK_FIXED_MAX && rc == 0; i++)
                if (h->fixed[i].len &&
                    range_within(h->fixed[i].at, h->fixed[i].len, s->verdict->end))
                        rc = claim(s, CLAIM_FIXED, h->fixed[i].at, h->fixed[i].len);
        for (unsigned k = 0; k < 2 && rc == 0; k++)
                if (s->verdict->directory[k])
                        rc = claim_directory(s, k, f);
        return rc;
}

/* ---- grains ---- */

/* The grain that ENTRY of directory NUMBER's table names. */
static int claim_grain(struct vmdk_scan *s, unsigned number, bool agreed,
                       const unsigned char *entry, struct findings *f)
{
        uint64_t offset = vmdk_entry(s->part, entry);

        if (offset == 0)
                return 0;
        if (!vmdk_is_inside(s->part, offset)) {
                f->bad[number] += !agreed;
                return 0;
        }
        return vmdk_claims_add(&s->verdict->claims, vmdk_claimant(s->part, number, agreed),
                               offset / VMDK_SECTOR, vmdk_grain_sectors(s->part, offset));
}

/* Of a pair of tables, either of them NULL, for FROM of the part. */
static int claim_entries(struct vmdk_scan *s, const unsigned char *a, const unsigned char *b,
                         uint64_t from, struct findings *f)
{
        const struct vmdk_header *h = &s->part->h;
        int rc = 0;

        for (uint32_t i = 0; i < h->table && rc == 0; i++) {
                uint64_t start = from + (uint64_t)i * h->grain;
                const unsigned char *x = a ? a + (size_t)i * h->entry : NULL;
                const unsigned char *y = b ? b + (size_t)i * h->entry : NULL;
                bool agreed = x && y && vmdk_load(s->part, x) == vmdk_load(s->part, y);

                if (start >= s->part->len)
                        break;
                f->zeroed += h->zeroed && vmdk_load(s->part, x ? x : y) == 1;
                if (x)
                        rc = claim_grain(s, 0, agreed, x, f);
                if (rc == 0 && y && !agreed)
                        rc = claim_grain(s, 1, false, y, f);
        }
        return rc;
}

/*
 * Load tables I of the directories in use into TABLE, NULL where one is not there. True: they
 * differ.
 */
static bool load_pair(struct vmdk_scan *s, uint64_t i, const unsigned char *table[2], uint64_t *at)
{
        enum vmdk_table what[2] = {VMDK_TABLE_NONE, VMDK_TABLE_NONE};
        size_t len = (size_t)vmdk_table_bytes(s->part);
        bool partly = false;

        for (unsigned k = 0; k < 2; k++) {
                table[k] = NULL;
                if (s->verdict->directory[k])
                        what[k] = vmdk_load_table(s, k, i, &at[k]);
                if (what[k] != VMDK_TABLE_THERE)
                        continue;
                table[k] = s->dir[k].table;
                partly |= s->dir[k].partly;
        }
        if (!table[0] || !table[1])
                return what[0] != VMDK_TABLE_NONE || what[1] != VMDK_TABLE_NONE;
        return partly || memcmp(table[0], table[1], len) != 0;
}

static int claim_grains(struct vmdk_scan *s, struct findings *f)
{
        uint64_t count = vmdk_table_count(s->part), at[2];
        const unsigned char *table[2];
        int rc = 0;

        for (uint64_t i = 0; i < count && rc == 0; i++) {
                f->differ |= load_pair(s, i, table, at);
                if (table[0] || table[1])
                        rc = claim_entries(s, table[0], table[1], i * vmdk_table_span(s->part), f);
                if (rc == 0 && i % PROGRESS == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        return rc;
}

/* ---- what to trust ---- */

/*
 * If a directory contradicts itself and its copy does not, or the reverse, drop it. 1: one was
 * dropped.
 */
static int distrust(struct vmdk_scan *s, const struct findings *f)
{
        uint64_t first, copy;
        int rc;

        if (!both_used(s))
                return 0;
        vmdk_claims_weigh(&s->verdict->claims, &first, &copy);
        first += f->bad[0];
        copy += f->bad[1];
        if (!first == !copy)
                return 0;
        rc = vmdk_report(
            s, s->verdict->directory[first ? 0 : 1], 0, 0,
            first ? "the grain directory contradicts itself: its copy is used"
                  : "the copy of the grain directory contradicts itself: it is not used");
        s->verdict->directory[first ? 0 : 1] = 0;
        return rc < 0 ? rc : 1;
}

static int settle(struct vmdk_scan *s)
{
        unsigned set = CLAIMS_OF_ALL;

        if (!s->verdict->directory[0])
                set &= ~CLAIMS_OF_TABLES;
        if (!s->verdict->directory[1])
                set &= ~CLAIMS_OF_COPY;
        return vmdk_claims_settle(&s->verdict->claims, set);
}

/* ---- data without an owner ---- */

static bool all_zeros(const unsigned char *data, size_t len)
{
        return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/*
 * The first grain of those from START on that ends after byte AT and is not in a hole of the file.
 */
static uint64_t next_data(const struct vmdk_scan *s, uint64_t start, uint64_t at)
{
        uint64_t data = source_next_data(s->part->source, max_u64(start, at));

        return data - (data - start) % s->part->h.grain;
}

/*
 * Add to *GRAINS how much of GAP is not zeros, in grains from its start on, until they are ENOUGH;
 * *FIRST is the byte of the file where the first of all begins. What cannot be read does not count.
 * After *LEFT bytes the rest is taken for data.
 */
static int count_data(struct vmdk_scan *s, const struct vmdk_range *gap, unsigned char *buffer,
                      uint64_t enough, uint64_t *left, uint64_t *grains, uint64_t *first)
{
        uint64_t end = min_u64(gap->end * VMDK_SECTOR, s->verdict->end);
        int rc = 0;

        for (uint64_t at = next_data(s, gap->start * VMDK_SECTOR, 0);
             at < end && *grains < enough && rc == 0;
             at = next_data(s, gap->start * VMDK_SECTOR, at + s->part->h.grain)) {
                size_t len = (size_t)min_u64(s->part->h.grain, end - at);
                ssize_t n = *left ? source_pread(s->part->source, buffer, len, at) : 0;

                if (!*left || (n > 0 && !all_zeros(buffer, (size_t)n))) {
                        *first = *grains ? *first : at;
                        ++*grains;
                }
                *left -= min_u64(*left, len);
                rc = vmdk_tell_progress(s, 0);
        }
        return rc;
}

/*
 * After its last grain, from byte AT on, the file has DATA or zeros whose length is not that of
 * whole grains. Either bytes were inserted and have moved the last grains, or were appended.
 */
static int judge_tail(struct vmdk_scan *s, uint64_t at, bool data)
{
        s->verdict->all_lost = data;
        return vmdk_report(s, at, 0, data ? s->part->len : 0,
                           data ? "data follow the last grain: if they were not appended, grains "
                                  "are displaced"
                                : "zeros follow the last grain: they were appended, or the grains "
                                  "are displaced");
}

/*
 * The sector up to which there is no data without an owner. A grain that a guest has unmapped stays
 * in a file of SESparse, and what a file of COWD has after what it says to use may be anything.
 */
static uint64_t search_end(const struct vmdk_scan *s)
{
        const struct vmdk_header *h = &s->part->h;

        if (h->sesparse)
                return 0;
        return sectors(h->used ? min_u64(h->used, s->verdict->end) : s->verdict->end);
}

/*
 * An entry that damage has turned into zeros leaves data without an owner. So does an entry that a
 * program has changed to "a grain of zeros": as many grains of data are allowed for.
 */
static int find_orphans(struct vmdk_scan *s, const struct findings *f)
{
        cleanup_free unsigned char *buffer = malloc(s->part->h.grain);
        uint64_t at = s->part->h.overhead / VMDK_SECTOR, end = search_end(s);
        uint64_t grains = 0, first = 0, tail = 0, left = UNNAMED_MAX;
        struct vmdk_claims_walk w = {0};
        int rc = 0;

        if (!buffer)
                return -ENOMEM;
        if (at == 0 || at > end)
                at = 1;
        for (struct vmdk_range gap;
             rc == 0 && vmdk_claims_gap(&s->verdict->claims, &w, &at, end, &gap);) {
                uint64_t before = grains;

                rc = count_data(s, &gap, buffer, max_u64(f->zeroed, before) + 1, &left, &grains,
                                &first);
                tail = gap.end == sectors(s->verdict->end)
                           ? s->verdict->end - gap.start * VMDK_SECTOR
                           : 0;
                /* ESX makes a file longer before it uses that. */
                if (rc == 0 && !s->part->h.used && tail % s->part->h.grain)
                        rc = judge_tail(s, gap.start * VMDK_SECTOR, grains > before);
        }
        s->verdict->holes_lost = grains > f->zeroed;
        if (rc == 0 && s->verdict->holes_lost && !s->verdict->all_lost)
                rc = vmdk_report(s, first, 0, 0,
                                 "no table names the data here: what tables have as zeros may be "
                                 "lost");
        return rc;
}

/* ---- a directory and its copy ---- */

/* Both are in use: tell which tables differ. */
static int tell_differences(struct vmdk_scan *s)
{
        uint64_t count = vmdk_table_count(s->part), at[2];
        const unsigned char *table[2];
        int rc = 0;

        for (uint64_t i = 0; i < count && rc == 0; i++) {
                if (load_pair(s, i, table, at) && (table[0] || table[1]))
                        rc = vmdk_report(
                            s, table[0] ? at[0] : at[1], i * vmdk_table_span(s->part), 0,
                            "a grain table and its copy differ: what is sound in either is used");
                if (rc == 0 && i % PROGRESS == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        return rc;
}

/* ---- all of it ---- */

static int survey(struct vmdk_scan *s)
{
        struct findings f = {0};
        int rc = claim_tables(s, &f);

        if (rc < 0)
                return rc;
        vmdk_claims_sort(&s->verdict->claims);
        rc = distrust(s, &f);
        if (rc >= 0)
                rc = settle(s);
        if (rc == 0)
                rc = claim_grains(s, &f);
        if (rc < 0)
                return rc;
        vmdk_claims_sort(&s->verdict->claims);
        rc = find_orphans(s, &f);
        if (rc == 0)
                rc = distrust(s, &f);
        /* A directory that has been dropped decides nothing any more. */
        if (rc == 1) {
                vmdk_claims_drop(&s->verdict->claims);
                rc = claim_tables(s, &f);
                if (rc == 0)
                        rc = claim_grains(s, &f);
                vmdk_claims_sort(&s->verdict->claims);
        }
        if (rc >= 0)
                rc = settle(s);
        if (rc < 0 || s->verdict->all_lost || !both_used(s))
                return rc;
        /* If both are the same, one of them suffices, and takes half the time. */
        if (!f.differ)
                s->verdict->directory[1] = 0;
        return f.differ ? tell_differences(s) : 0;
}

int vmdk_survey(struct vmdk_scan *s)
{
        int rc;

        if (s->verdict->end / s->part->h.grain > GRAINS_MAX) {
                snprintf(
                    s->v->base.info.note, sizeof s->v->base.info.note,
                    "its file is too large for vmafs to look for grains that are in use twice");
                return 0;
        }
        vmdk_claims_start(&s->verdict->claims, s->part->h.grain / VMDK_SECTOR,
                          sectors(s->verdict->end));
        rc = survey(s);
        vmdk_claims_drop(&s->verdict->claims);
        if (rc != -E2BIG)
                return rc;
        s->verdict->all_lost = true;
        return vmdk_report(
            s, s->part->h.gd, 0, s->part->len,
            "tables name too much twice, or out of place: nothing of them can be believed");
}
