/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX, the disk images of Hyper-V since 2012. What its files share; nobody else includes this.
 * The specification is [MS-VHDX]. Little-endian, in units of 1 MiB.
 *
 *   vhdx.c       the format: headers and regions, and what an entry of the table means
 *   vhdx_meta.c  the metadata: sizes, and the names of the parent
 *   vhdx_log.c   what the log has of tables, as it will be once that is replayed
 *
 *   0       1 MiB
 *   | two headers, two tables of regions | log | metadata | table | blocks and bitmaps ... |
 */
#ifndef VMAFS_VHDX_H
#define VMAFS_VHDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/blocks/blocks.h"

struct error;
struct source;

enum {
        VHDX_GUID = 16,
        VHDX_UNIT = 1 << 20,
        VHDX_STRAYS_MAX = 64,
};

/* LEN bytes at OFFSET of the file. */
struct vhdx_region {
        uint64_t offset, len;
};

/* What else is kept of an image. */
struct vhdx {
        uint8_t log_guid[VHDX_GUID];
        uint8_t data_guid[VHDX_GUID];   /* changes when the disk does … */
        uint8_t parent_guid[VHDX_GUID]; /* … and what the parent's was */
        struct vhdx_region log, table, metadata;
        struct source *patched; /* the file with the log replayed; NULL: there is nothing in it */
        struct blocks_range strays[VHDX_STRAYS_MAX]; /* what the log writes to apart from tables */
        unsigned stray_count;
};

static inline struct source *vhdx_source(const struct blocks_layer *l, const struct vhdx *v)
{
        return v->patched ? v->patched : l->source;
}

/* Do the LEN bytes at P have the CRC-32C that is stored at their byte AT? */
bool vhdx_has_sum(uint8_t *p, size_t len, size_t at);

void vhdx_format_guid(const uint8_t *g, char out[37]);

/*
 * Read V's log, and replay it in memory: v->patched is set where it has anything. 0; -EIO where it
 * is damaged, -ENOTSUP where it is too large, with the reason in ERR; -ENOMEM.
 */
int vhdx_open_log(const struct blocks_layer *l, struct vhdx *v, struct error *err);

/* What the metadata say, in L and V. 0 or -errno with the reason in ERR. */
int vhdx_read_metadata(struct blocks_layer *l, struct vhdx *v, struct error *err);

#endif
