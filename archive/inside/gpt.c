/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GPT. It is there twice, and each copy has two checksums, its header's and its entries'. The
 * one at the disk's beginning counts if all of it is right, otherwise the one at the end.
 *
 *   sector 0  1        2 …                              last
 *   [ MBR ][header][entries]  …  partitions  …  [entries][header]
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/inside/partitions_internal.h"
#include "archive/volume.h"

enum {
        SECTOR_MAX = 4096,
        HEADER_MIN = 92, /* bytes */
        ENTRY_MIN = 128,
        NAME_UNITS = 36,
        ENTRIES_MAX = 1 << 20, /* bytes: 8192 entries; partitioning tools make 128 */
};

#define BOOTABLE (UINT64_C(1) << 2) /* by a BIOS: an attribute */

struct header {
        uint64_t entries; /* byte of the disk */
        uint32_t count, entry_size, entries_crc;
        uint8_t guid[16];
};

/* Is anything but one copy of the table to be done without? */
static bool is_fatal(int rc)
{
        return rc < 0 && rc != -EIO && rc != -ERANGE && rc != -EBADMSG;
}

static void format_guid(char out[PARTITION_TYPE_LEN], const uint8_t *g)
{
        snprintf(out, PARTITION_TYPE_LEN,
                 "%08" PRIX32 "-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", load_le32(g),
                 load_le16(g + 4), load_le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14],
                 g[15]);
}

static char *put_utf8(char *out, uint32_t c)
{
        if (c < 0x80) {
                *out++ = (char)c;
        } else if (c < 0x800) {
                *out++ = (char)(0xc0 | c >> 6);
                *out++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                *out++ = (char)(0xe0 | c >> 12);
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        } else {
                *out++ = (char)(0xf0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 0x3f));
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        }
        return out;
}

static bool is_high(uint32_t unit)
{
        return (unit & 0xfc00) == 0xd800;
}

static bool is_low(uint32_t unit)
{
        return (unit & 0xfc00) == 0xdc00;
}

/* NAME_UNITS of UTF-16 at P. Half a pair becomes U+FFFD. */
static void format_name(char out[PARTITION_NAME_LEN], const uint8_t *p)
{
        for (size_t i = 0; i < NAME_UNITS; i++) {
                uint32_t unit = load_le16(p + 2 * i);
                uint32_t after = i + 1 < NAME_UNITS ? load_le16(p + 2 * (i + 1)) : 0;

                if (!unit)
                        break;
                if (is_high(unit) && is_low(after)) {
                        unit = 0x10000 + ((unit & 0x3ff) << 10) + (after & 0x3ff);
                        i++;
                } else if (is_high(unit) || is_low(unit)) {
                        unit = 0xfffd;
                }
                out = put_utf8(out, unit);
        }
        *out = '\0';
}

/* The header in sector LBA. -EBADMSG: there is none that is right. */
static int read_header(struct volume *v, uint64_t lba, unsigned sector, struct header *out,
                       struct error *err)
{
        uint8_t h[SECTOR_MAX];
        uint32_t len, crc;
        int rc = partition_fetch(v, h, sector, lba * sector, "the header of its GPT", err);

        if (rc < 0)
                return rc;
        len = load_le32(h + 12);
        if (memcmp(h, "EFI PART", 8) != 0 || len < HEADER_MIN || len > sector)
                return -EBADMSG;
        crc = load_le32(h + 16);
        store_le32(h + 16, 0);
        if (checksum_crc32(h, len) != crc || load_le64(h + 24) != lba)
                return -EBADMSG;
        *out = (struct header){.count = load_le32(h + 80),
                               .entry_size = load_le32(h + 84),
                               .entries_crc = load_le32(h + 88)};
        memcpy(out->guid, h + 56, sizeof out->guid);
        return checked_mul(load_le64(h + 72), sector, &out->entries) ? 0 : -EBADMSG;
}

/* The entries of H, which the caller frees. -EBADMSG: their checksum is wrong. */
static int read_entries(struct volume *v, const struct header *h, uint8_t **out, struct error *err)
{
        uint64_t len = (uint64_t)h->count * h->entry_size;
        cleanup_free uint8_t *entries = NULL;
        int rc;

        if (h->entry_size < ENTRY_MIN || h->entry_size % 8 || len == 0 || len > ENTRIES_MAX)
                return -EBADMSG;
        entries = malloc(len);
        if (!entries)
                return -ENOMEM;
        rc = partition_fetch(v, entries, len, h->entries, "its GPT", err);
        if (rc == 0 && checksum_crc32(entries, len) != h->entries_crc)
                rc = -EBADMSG;
        if (rc == 0)
                *out = steal_ptr(&entries);
        return rc;
}

static bool is_unused(const uint8_t *entry)
{
        static const uint8_t unused[16];

        return memcmp(entry, unused, sizeof unused) == 0;
}

static int add(struct partition_table *t, const struct volume *v, const uint8_t *entry,
               unsigned number)
{
        struct partition p = {.number = number,
                              .bootable = (load_le64(entry + 48) & BOOTABLE) != 0};
        uint64_t end = load_le64(entry + 40); /* the last sector, not the one after it */

        /* What is too large for a number of bytes is past the end of any disk. */
        if (!checked_mul(load_le64(entry + 32), t->sector, &p.start))
                p.start = UINT64_MAX;
        if (!checked_add(end, 1, &end) || !checked_mul(end, t->sector, &end))
                end = UINT64_MAX;
        format_guid(p.type, entry);
        format_guid(p.uuid, entry + 16);
        format_name(p.name, entry + 56);
        return partition_table_add(t, v, &p, end);
}

/* The copy whose header is in sector LBA. */
static int read_copy(struct volume *v, uint64_t lba, unsigned sector, struct partition_table *out,
                     struct error *err)
{
        cleanup_free uint8_t *entries = NULL;
        struct header h;
        int rc = read_header(v, lba, sector, &h, err);

        if (rc == 0)
                rc = read_entries(v, &h, &entries, err);
        if (rc < 0)
                return rc;
        out->sector = sector;
        format_guid(out->id, h.guid);
        for (uint32_t i = 0; i < h.count && rc == 0; i++) {
                const uint8_t *entry = entries + (size_t)i * h.entry_size;

                if (!is_unused(entry))
                        rc = add(out, v, entry, i + 1);
        }
        return rc;
}

int gpt_read(struct volume *v, struct partition_table *out, struct error *err)
{
        static const unsigned sectors[] = {MBR_SECTOR, SECTOR_MAX};
        bool lost = false;
        int rc;

        out->label = PARTITIONS_GPT;
        for (unsigned copy = 0; copy < 2; copy++) {
                for (size_t i = 0; i < sizeof sectors / sizeof *sectors; i++) {
                        uint64_t last = v->size / sectors[i];

                        /* Of the disk's last sector; a disk of less than three has no GPT. */
                        if (last < 3)
                                continue;
                        rc = read_copy(v, copy ? last - 1 : 1, sectors[i], out, err);
                        out->from_backup = copy == 1;
                        if (rc == 0 || is_fatal(rc))
                                return rc;
                        lost |= rc == -EIO;
                }
        }
        out->from_backup = false;
        if (lost)
                return -EIO;
        out->problem = "neither copy of its GPT is sound";
        return 0;
}
