/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MBR. Logical partitions are a chain in an extended one; each link is a sector like the MBR,
 * with one entry for the partition and one for the next link:
 *
 *   extended ──> [link | logical 5] ──> [link | logical 6] ──> …
 *
 * Their starts count from the link, the links' from the extended partition.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/inside/partitions_internal.h"
#include "archive/volume.h"

enum {
        SIGNATURE = 510, /* bytes into the sector */
        FIRST_LOGICAL = 5,
        LINKS_MAX = 256, /* a chain is as long as that at most, with empty links */
};

struct mbr_entry mbr_entry_load(const uint8_t *sector, unsigned i)
{
        const uint8_t *p = sector + MBR_ENTRIES + (size_t)MBR_ENTRY * i;

        return (struct mbr_entry){
            .flag = p[0], .type = p[4], .start = load_le32(p + 8), .count = load_le32(p + 12)};
}

static bool is_signed(const uint8_t *sector)
{
        return sector[SIGNATURE] == 0x55 && sector[SIGNATURE + 1] == 0xaa;
}

/* The boot sectors of these have the same signature, and code where an MBR has its entries. */
static bool is_file_system(const uint8_t *sector)
{
        return memcmp(sector + 3, "NTFS    ", 8) == 0 || memcmp(sector + 3, "EXFAT   ", 8) == 0 ||
               memcmp(sector + 3, "-FVE-FS-", 8) == 0 || memcmp(sector + 82, "FAT32   ", 8) == 0 ||
               memcmp(sector + 54, "FAT1", 4) == 0 || memcmp(sector + 54, "FAT     ", 8) == 0;
}

bool mbr_is_one(const uint8_t *sector)
{
        if (!is_signed(sector) || is_file_system(sector))
                return false;
        for (unsigned i = 0; i < 4; i++)
                if (mbr_entry_load(sector, i).flag & 0x7f)
                        return false;
        return true;
}

static bool is_extended(const struct mbr_entry *e)
{
        return e->type == 0x05 || e->type == 0x0f || e->type == 0x85;
}

static bool is_used(const struct mbr_entry *e)
{
        return e->type != 0 && e->count != 0;
}

/* Add E, which begins at byte START, as partition NUMBER. */
static int add(struct partition_table *t, const struct volume *v, const struct mbr_entry *e,
               unsigned number, uint64_t start, const char *disk)
{
        struct partition p = {.number = number,
                              .start = start,
                              .bootable = e->flag == 0x80,
                              .extended = is_extended(e)};

        snprintf(p.type, sizeof p.type, "%x", e->type);
        snprintf(p.uuid, sizeof p.uuid, "%s-%02x", disk, number);
        return partition_table_add(t, v, &p, start + (uint64_t)e->count * MBR_SECTOR);
}

/* A chain, and where it was already. */
struct chain {
        uint64_t base;            /* byte of the extended partition */
        uint64_t seen[LINKS_MAX]; /* bytes of its links */
        size_t count;
};

/* May the link at AT be followed? */
static bool enter_link(struct chain *c, uint64_t at, struct partition_table *t)
{
        if (c->count == LINKS_MAX) {
                t->problem = "its chain of logical partitions is too long";
                return false;
        }
        for (size_t i = 0; i < c->count; i++) {
                if (c->seen[i] == at) {
                        t->problem = "its logical partitions form a loop";
                        return false;
                }
        }
        c->seen[c->count++] = at;
        return true;
}

/* The first entry of SECTOR that is a link, if LINK, or a partition. False: there is none. */
static bool find_entry(const uint8_t *sector, bool link, struct mbr_entry *out)
{
        for (unsigned i = 0; i < 4; i++) {
                *out = mbr_entry_load(sector, i);
                if (is_used(out) && is_extended(out) == link)
                        return true;
        }
        return false;
}

/* Read the chain of the extended partition at BASE. *NEXT is the next number. */
static int read_chain(struct volume *v, uint64_t base, const char *disk, unsigned *next,
                      struct partition_table *t, struct error *err)
{
        struct chain c = {.base = base};
        uint8_t sector[MBR_SECTOR];
        struct mbr_entry e;
        uint64_t at = base;

        while (enter_link(&c, at, t)) {
                int rc = partition_fetch(v, sector, sizeof sector, at,
                                         "the list of logical partitions", err);

                if (rc == -ERANGE || (rc == 0 && !is_signed(sector))) {
                        t->problem = "its chain of logical partitions is broken";
                        return 0;
                }
                if (rc == 0 && find_entry(sector, false, &e))
                        rc = add(t, v, &e, (*next)++, at + (uint64_t)e.start * MBR_SECTOR, disk);
                if (rc < 0 || !find_entry(sector, true, &e))
                        return rc;
                at = base + (uint64_t)e.start * MBR_SECTOR;
        }
        return 0;
}

int mbr_read(struct volume *v, const uint8_t *sector, struct partition_table *out,
             struct error *err)
{
        unsigned next = FIRST_LOGICAL;
        char disk[9];
        int rc = 0;

        out->label = PARTITIONS_MBR;
        snprintf(disk, sizeof disk, "%08x", load_le32(sector + MBR_ID));
        snprintf(out->id, sizeof out->id, "0x%s", disk);
        for (unsigned i = 0; i < 4 && rc == 0; i++) {
                struct mbr_entry e = mbr_entry_load(sector, i);

                if (is_used(&e))
                        rc = add(out, v, &e, i + 1, (uint64_t)e.start * MBR_SECTOR, disk);
        }
        for (unsigned i = 0; i < 4 && rc == 0; i++) {
                struct mbr_entry e = mbr_entry_load(sector, i);

                if (is_used(&e) && is_extended(&e))
                        rc = read_chain(v, (uint64_t)e.start * MBR_SECTOR, disk, &next, out, err);
        }
        return rc;
}
