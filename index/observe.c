/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the observer of a scan gets, and when: it reads bytes, so they must be trusted by then.
 *
 *   emitted extent ──────────> believed? ─> observer
 *                   backlog <─┘ not yet
 *   volume of the archive ──> once its scan is over, from its beginning to its end
 *
 * Going through a volume also counts its stored and lost bytes.
 */
#include <errno.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "index/index_internal.h"

bool observe_first_gone(const struct index *index, const struct extent *e, struct extent *lost)
{
        const struct archive *a = index->archive;
        uint64_t at = e->addr, start, end;
        struct source_lost_range gap;

        if (e->addr > EXTENT_ADDR_MAX)
                return false;
        if (!source_find_lost(a->source, at, &gap) || gap.start >= at + e->len)
                return false;
        start = max_u64(gap.start, at) - at;
        end = min_u64(gap.end - at, e->len);
        lost->start = e->start + start / MAP_BLOCK * MAP_BLOCK;
        lost->len = min_u64(e->start + round_up(end, MAP_BLOCK), e->start + e->len) - lost->start;
        lost->addr = EXTENT_LOST;
        return true;
}

static int observe_part(struct index *index, struct disk *d, uint64_t pos,
                        const struct volume_extent *e)
{
        return index->observer->extent(index->observer->ctx, d, pos, e);
}

/* ---- disks whose content the archive's own volume knows ---- */

/* What of a disk was counted, by blocks. */
struct tally {
        uint64_t stored, lost;         /* bytes */
        uint64_t stored_end, lost_end; /* of the last block that was counted */
};

static void count_part(struct tally *t, uint64_t pos, const struct volume_extent *e)
{
        bool lost = e->kind == VOLUME_LOST;
        uint64_t *end = lost ? &t->lost_end : &t->stored_end;
        uint64_t from = max_u64(*end, pos - pos % MAP_BLOCK);
        uint64_t to = round_up(pos + e->len, MAP_BLOCK);

        if (e->kind == VOLUME_ZERO || to <= from)
                return;
        *(lost ? &t->lost : &t->stored) += to - from;
        *end = to;
}

/* Go through [POS, END) of D; TOLD: for the observer, too. */
static int walk(struct index *index, struct disk *d, uint64_t pos, uint64_t end, bool told,
                struct tally *t)
{
        struct volume_extent e;
        int rc = 0;

        for (; pos < end && rc == 0; pos += e.len) {
                rc = disk_extent(d, pos, end - pos, &e);
                if (rc == -ENOMEM || index->stopping)
                        return rc < 0 ? rc : -ECANCELED;
                /* What the scan has not found, it never will. */
                if (rc < 0 || e.kind == VOLUME_UNKNOWN)
                        e.kind = VOLUME_LOST;
                count_part(t, pos, &e);
                rc = told ? observe_part(index, d, pos, &e) : 0;
        }
        return rc;
}

void observe_count(struct index *index, struct disk *d)
{
        struct tally t = {0};

        /* What was not examined must not be skipped. */
        if (walk(index, d, 0, d->size, false, &t) < 0)
                t = (struct tally){.lost = round_up(d->size, MAP_BLOCK)};
        d->totals = (struct map_totals){.stored = t.stored, .lost = t.lost};
}

static int finish_disk(struct index *index, struct disk *d)
{
        bool tell = index->observer && !d->told;
        struct tally t = {0};
        int rc;

        if (disk_is_scanned(d) || (d->counted && !tell))
                return 0;
        rc = walk(index, d, 0, d->size, tell, &t);
        if (rc < 0 || d->counted)
                return rc;
        d->totals = (struct map_totals){.stored = t.stored, .lost = t.lost};
        d->counted = true;
        return 0;
}

/* ---- disks whose extents the scan emits ---- */

static int observe(struct index *index, struct disk *d, const struct extent *extents, size_t n)
{
        struct tally t = {0};
        struct volume_extent e;
        int rc = 0;

        for (size_t i = 0; i < n && rc == 0; i++) {
                uint64_t start = extents[i].start;

                if (!disk_is_scanned(d)) {
                        rc = walk(index, d, start, start + extents[i].len, true, &t);
                        continue;
                }
                map_volume_describe(&d->own, &extents[i], 0, &e);
                rc = observe_part(index, d, start, &e);
        }
        return rc;
}

/* E, which was withheld, for the observer: what is lost by now as that. */
static int observe_rest(struct index *index, struct disk *d, struct extent e)
{
        struct extent lost;
        int rc = 0;

        while (rc == 0 && e.len && disk_is_scanned(d) && observe_first_gone(index, &e, &lost)) {
                struct extent before = {e.start, lost.start - e.start, e.addr};
                uint64_t done = before.len + lost.len;

                if (before.len)
                        rc = observe(index, d, &before, 1);
                if (rc == 0)
                        rc = observe(index, d, &lost, 1);
                e = (struct extent){e.start + done, e.len - done, e.addr + done};
        }
        return rc == 0 && e.len ? observe(index, d, &e, 1) : rc;
}

/* Give the observer what the frontier has passed, or everything left if ALL. */
static int work_off(struct index *index, bool all)
{
        uint64_t frontier = all ? UINT64_MAX : source_frontier(index->source);
        struct extent extents[64];
        uint32_t disk;
        size_t n;
        int rc = 0;

        while (rc == 0 && (n = backlog_take(&index->backlog, frontier, &disk, extents, 64)) > 0)
                for (size_t i = 0; i < n && rc == 0; i++)
                        rc = observe_rest(index, index->disks.items[disk], extents[i]);
        return rc;
}

int observe_finish(struct index *index)
{
        int rc = index->observer ? work_off(index, true) : 0;

        for (size_t i = 0; i < index->disks.count && rc == 0; i++)
                rc = finish_disk(index, index->disks.items[i]);
        return rc;
}

static bool is_stored(const struct extent *extents, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (extents[i].addr <= EXTENT_ADDR_MAX)
                        return true;
        return false;
}

/* The observer reads the bytes, so it waits until they are trusted. */
int observe_extents(struct index *index, struct disk *d, const struct extent *extents, size_t n)
{
        uint64_t decoded = source_decoded(index->source);
        int rc = work_off(index, false);

        if (rc < 0)
                return rc;
        if (source_frontier(index->source) < decoded && is_stored(extents, n))
                return backlog_add(&index->backlog, decoded, d->number, extents, n);
        return observe(index, d, extents, n);
}
