/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the tables of a directory in order. */
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk_scan.h"

bool vmdk_directory_fits(const struct vmdk_part *p, uint64_t at)
{
        return at >= VMDK_SECTOR && range_within(at, vmdk_table_count(p) * p->h.entry,
                                                 min_u64(p->verdict.end, VMDK_FILE_MAX));
}

void vmdk_use_directories(struct vmdk_scan *s, uint64_t at, uint64_t copy)
{
        s->verdict->directory[0] = at;
        s->verdict->directory[1] = copy;
        s->dir[0].n = s->dir[1].n = 0;
}

/*
 * LEN bytes at byte AT of the file; sectors that cannot be read are filled with FILL, as
 * vmdk_lookup.c loads what it can of them. False: some were.
 */
static bool read_sectors(const struct vmdk_scan *s, unsigned char *out, size_t len, uint64_t at,
                         int fill)
{
        bool all = true;

        if (source_pread_all(s->part->source, out, len, at) == 0)
                return true;
        for (size_t n; len; len -= n, out += n, at += n) {
                n = (size_t)min_u64(len, VMDK_SECTOR);
                if (source_pread_all(s->part->source, out, n, at) == 0)
                        continue;
                memset(out, fill, n);
                all = false;
        }
        return all;
}

/* Entry I of directory NUMBER. If it cannot be read, a sector that no file has. */
static const unsigned char *directory_entry(struct vmdk_scan *s, unsigned number, uint64_t i)
{
        struct vmdk_directory *d = &s->dir[number];
        uint64_t first = i / VMDK_CHUNK * VMDK_CHUNK;
        uint64_t n = min_u64(VMDK_CHUNK, vmdk_table_count(s->part) - first);
        size_t bytes = (size_t)n * s->part->h.entry;

        if (d->n && d->first == first)
                return d->chunk + (i - first) * s->part->h.entry;
        read_sectors(s, d->chunk, bytes, s->verdict->directory[number] + first * s->part->h.entry,
                     0xff);
        d->first = first;
        d->n = n;
        return d->chunk + (i - first) * s->part->h.entry;
}

enum vmdk_table vmdk_find_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at)
{
        const unsigned char *entry = directory_entry(s, number, i);
        size_t len = (size_t)vmdk_table_bytes(s->part);

        *at = s->verdict->directory[number] + i * s->part->h.entry;
        if (vmdk_load(s->part, entry) == 0)
                return VMDK_TABLE_NONE;
        if (!range_within(vmdk_table_at(s->part, entry), len, s->verdict->end))
                return VMDK_TABLE_BAD;
        *at = vmdk_table_at(s->part, entry);
        return VMDK_TABLE_THERE;
}

enum vmdk_table vmdk_load_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at)
{
        size_t len = (size_t)vmdk_table_bytes(s->part);
        enum vmdk_table what = vmdk_find_table(s, number, i, at);
        uint64_t sectors = round_up(len, VMDK_SECTOR) / VMDK_SECTOR;

        if (what != VMDK_TABLE_THERE)
                return what;
        if (!vmdk_claims_won(&s->verdict->claims, CLAIM_TABLES, *at / VMDK_SECTOR, sectors))
                return VMDK_TABLE_BAD;
        s->dir[number].partly = !read_sectors(s, s->dir[number].table, len, *at, 0);
        return VMDK_TABLE_THERE;
}
