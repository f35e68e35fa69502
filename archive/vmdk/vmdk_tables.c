/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the tables of a directory in order. */
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk_scan.h"

/* Entries can name what is below 2 TiB, and directories are stored next to tables. */
#define FILE_MAX (UINT64_C(1) << 42)

bool vmdk_directory_fits(const struct vmdk_part *p, uint64_t at)
{
        return at >= VMDK_SECTOR && range_within(at, vmdk_table_count(p) * VMDK_ENTRY,
                                                 min_u64(p->verdict.end, FILE_MAX));
}

void vmdk_use_directories(struct vmdk_scan *s, uint64_t at, uint64_t copy)
{
        s->verdict->directory[0] = at;
        s->verdict->directory[1] = copy;
        s->dir[0].n = s->dir[1].n = 0;
}

/* A number from the file, in sectors, as bytes. */
static uint64_t to_bytes(const unsigned char *entry)
{
        return (uint64_t)load_le32(entry) * VMDK_SECTOR;
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
        size_t bytes = (size_t)n * VMDK_ENTRY;

        if (d->n && d->first == first)
                return d->chunk + (i - first) * VMDK_ENTRY;
        read_sectors(s, d->chunk, bytes, s->verdict->directory[number] + first * VMDK_ENTRY, 0xff);
        d->first = first;
        d->n = n;
        return d->chunk + (i - first) * VMDK_ENTRY;
}

enum vmdk_table vmdk_find_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at)
{
        const unsigned char *entry = directory_entry(s, number, i);
        size_t len = (size_t)s->part->h.table * VMDK_ENTRY;

        *at = s->verdict->directory[number] + i * VMDK_ENTRY;
        if (load_le32(entry) == 0)
                return VMDK_TABLE_NONE;
        *at = to_bytes(entry);
        return range_within(*at, len, s->verdict->end) ? VMDK_TABLE_THERE : VMDK_TABLE_BAD;
}

enum vmdk_table vmdk_load_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at)
{
        size_t len = (size_t)s->part->h.table * VMDK_ENTRY;
        enum vmdk_table what = vmdk_find_table(s, number, i, at);
        uint64_t sectors = round_up(len, VMDK_SECTOR) / VMDK_SECTOR;

        if (what != VMDK_TABLE_THERE)
                return what;
        if (!vmdk_claims_won(&s->verdict->claims, CLAIM_TABLES, *at / VMDK_SECTOR, sectors))
                return VMDK_TABLE_BAD;
        s->dir[number].partly = !read_sectors(s, s->dir[number].table, len, *at, 0);
        return VMDK_TABLE_THERE;
}
