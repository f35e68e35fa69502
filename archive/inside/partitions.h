/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The partition table of a disk: an MBR with its logical partitions, or a GPT.
 *
 *   MBR   sector 0: four entries, of which an extended one leads to a chain of logical partitions
 *   GPT   sector 1, or the disk's last sector: a header, which says where the entries are
 *
 * Nothing of a table is believed that does not fit the disk: each partition is a range of the disk,
 * whatever else its entry says. Sectors of an MBR have 512 bytes, those of a GPT 512 or 4096.
 */
#ifndef VMAFS_PARTITIONS_H
#define VMAFS_PARTITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"

struct error;
struct volume;

enum partition_label { PARTITIONS_NONE, PARTITIONS_MBR, PARTITIONS_GPT };

enum {
        PARTITIONS_MAX = 256, /* so many of a disk are taken, as Linux does */
        PARTITION_TYPE_LEN = 37,
        PARTITION_NAME_LEN = 36 * 3 + 1,
};

struct partition {
        unsigned number;               /* as Linux counts: from 1, logical ones from 5 */
        uint64_t start;                /* bytes into the disk */
        uint64_t len;                  /* bytes; 0 where nothing of it is on the disk */
        char type[PARTITION_TYPE_LEN]; /* a GUID, or hexadecimal: "83" */
        char uuid[PARTITION_TYPE_LEN]; /* as Linux's PARTUUID */
        char name[PARTITION_NAME_LEN]; /* UTF-8; "" if it has none */
        bool bootable;
        bool extended;       /* it only holds logical partitions */
        const char *problem; /* what is wrong with it, after "it"; or NULL */
        unsigned overlaps;   /* the number of the first one that it shares bytes with; or 0 */
};

struct partition_table {
        enum partition_label label;
        char id[PARTITION_TYPE_LEN]; /* a GUID, or hexadecimal: "0x0a1b2c3d" */
        unsigned sector;             /* bytes */
        bool from_backup;            /* the GPT at the disk's beginning is damaged */
        const char *problem;         /* what is wrong with the table, a sentence; or NULL */
        size_t left_out;             /* how many are not in the list because of PARTITIONS_MAX */
        ARRAY(struct partition) list;
};

/*
 * Read the table of V into *OUT, which partition_table_free frees in any case. A disk without one
 * is no error: the label is PARTITIONS_NONE. -EAGAIN where what is needed is not known yet, -EIO
 * where it is lost, or as volume_read; with the reason in ERR.
 */
int partition_table_read(struct volume *v, struct partition_table *out, struct error *err);

void partition_table_free(struct partition_table *t);

/* "none", "mbr", "gpt". */
const char *partition_label_name(enum partition_label label);

#endif
