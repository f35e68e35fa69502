/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk of an index: reading a range of it, and finding its data and holes.
 *
 *   disk_read -> map_find -> archive->ops->read -> source_pread
 *                  | kept_fill, where that part of the map is kept still
 *
 * Everything here is thread-safe, also while the index grows: what is not seen yet is -EAGAIN,
 * which index_wait turns into an answer later.
 */
#ifndef VMAFS_DISK_H
#define VMAFS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "index/map/map.h"

struct archive;
struct index;
struct kept;

struct disk {
        char *name;       /* safe, with the folders it is in: "snapshots/first/disk-a.raw" */
        uint32_t folder;  /* the number of the innermost one, 0 for the root … */
        const char *leaf; /* … and the name without them */
        char *device;     /* the archive's own name for it, made safe */
        uint32_t number;
        bool late_size;        /* size is a guess until the index is sealed */
        _Atomic uint64_t size; /* bytes */
        struct index *index;   /* whose lock guards map until it is sealed */
        struct extent_map *map;
        struct kept *kept;        /* fills map as it is needed; NULL where nothing is kept */
        struct map_totals totals; /* once sealed */
};

/*
 * Read LEN bytes at OFFSET into BUF. Returns the bytes read: LEN, or fewer at the disk's end or in
 * front of the first byte that cannot be had. 0 at or behind the end. Where already the first
 * byte cannot be had: -EIO for lost or unreadable, -ESTALE where the archive file was written to,
 * -EAGAIN for not seen yet.
 */
ssize_t disk_read(struct disk *d, void *buf, size_t len, uint64_t offset);

/*
 * The extent that holds POS, as map_find, which is below the size. MAP_KEPT: what the kept index
 * says of it cannot be had, nor can its bytes.
 */
void disk_find(struct disk *d, uint64_t pos, struct extent *out);

/* As map_next_data and map_next_hole. What cannot be had of the kept index is data. */
int disk_next_data(struct disk *d, uint64_t pos, uint64_t *out);
int disk_next_hole(struct disk *d, uint64_t pos, uint64_t *out);

/*
 * What stat is to say in st_blocks (units of 512 bytes). While the index grows it is a number
 * that keeps both tar -S and cp from taking the file for empty or for full; then the stored and
 * lost blocks, so that nobody skips what cannot be read.
 */
uint64_t disk_allocated(const struct disk *d);

#endif
