/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What partitions.c, mbr.c and gpt.c share; nobody else includes this. */
#ifndef VMAFS_PARTITIONS_INTERNAL_H
#define VMAFS_PARTITIONS_INTERNAL_H

#include "archive/inside/partitions.h"

enum {
        MBR_SECTOR = 512,
        MBR_ENTRIES = 446, /* bytes into the sector */
        MBR_ENTRY = 16,
        MBR_ID = 440,
        MBR_GPT = 0xee, /* the type that says that there is a GPT */
};

struct mbr_entry {
        uint8_t flag, type;
        uint32_t start, count; /* sectors */
};

/* Entry I of 4 in SECTOR. */
struct mbr_entry mbr_entry_load(const uint8_t *sector, unsigned i);

/* Is SECTOR, the first one of a disk, an MBR, rather than a file system's? */
bool mbr_is_one(const uint8_t *sector);

/* Take the entries of SECTOR, which is an MBR, and the logical partitions. As partition_table_read. */
int mbr_read(struct volume *v, const uint8_t *sector, struct partition_table *out,
             struct error *err);

/* The same for the GPT of V, whose MBR says that it has one. */
int gpt_read(struct volume *v, struct partition_table *out, struct error *err);

/*
 * Add P, whose last byte is before END, to T. Of P only number, start and what describes it are
 * set. What is past the end of V is cut off. 0 or -ENOMEM.
 */
int partition_table_add(struct partition_table *t, const struct volume *v, struct partition *p,
                        uint64_t end);

/* volume_read of what WHAT is called ("the MBR"). -ERANGE, without a reason, past the end of V. */
int partition_fetch(struct volume *v, void *buf, size_t len, uint64_t pos, const char *what,
                    struct error *err);

#endif
