/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk of an index: reading a range of it, and finding its data and holes.
 *
 *   disk_read -> disk_extent ─┬─> volume: the archive's, or the map that the index has of the disk
 *                             └─> what a source has lost of it, or not decoded yet
 *             -> source_pread of what is stored as it is, or volume->read
 *
 * Everything here is thread-safe, even while the index grows. What is not known yet is -EAGAIN; use
 * index_wait and try again.
 */
#ifndef VMAFS_DISK_H
#define VMAFS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/volume.h"
#include "index/map/map.h"
#include "index/map_volume.h"

struct index;
struct node;
struct stored_map;

struct disk {
        int kind; /* CONTENT_DISK, index.h */
        struct node *node;
        char *name;       /* made safe, with its folders: "snapshots/first/disk-a.raw" */
        uint32_t folder;  /* the number of its folder, 0 for the root … */
        const char *leaf; /* … and the name without folders */
        char *device;     /* the archive's own name for it, made safe */
        uint32_t number;
        bool is_part;   /* a partition (inside/parts.h), which disks of an index are not */
        bool in_stream; /* of such a one: the scan has found where the bytes of its disk are */
        bool provisional_size;    /* size is a guess until the index is sealed */
        _Atomic uint64_t size;    /* bytes */
        struct index *index;      /* its lock guards told until it is sealed */
        struct volume *volume;    /* its content: the archive's volume, or … */
        struct map_volume own;    /* … this one, whose map stays empty otherwise */
        bool told;                /* of the archive's volume: the scan has emitted ranges */
        bool counted;             /* likewise; totals are known */
        struct map_totals totals; /* once sealed */
};

/*
 * What [POS, POS + LEN) begins with, as volume_find. POS is below the size. Once the index is
 * sealed nothing is unknown: what still was, is lost. 0, or -errno for OUT->len bytes, none of
 * which can be read: they are neither zeros nor known to be lost.
 */
int disk_extent(struct disk *d, uint64_t pos, uint64_t len, struct volume_extent *out);

/* Does the scan find where the disk's bytes are? Otherwise the archive's volume knows. */
bool disk_is_scanned(const struct disk *d);

/*
 * Read LEN bytes from byte SKIP of E, which begins at POS and is raw or coded. 0 or -errno; -EAGAIN
 * if they are not decoded yet.
 */
int disk_fetch(struct disk *d, const struct volume_extent *e, uint64_t pos, uint64_t skip,
               void *buf, size_t len);

/*
 * Read LEN bytes at OFFSET into BUF. Returns the bytes read: LEN, or fewer at the disk's end or
 * before the first byte that cannot be read; 0 at or past the end. If the first byte cannot be
 * read: -EIO if it is lost or unreadable, -ESTALE if the archive file was written to, -EAGAIN if it
 * is not known yet.
 */
ssize_t disk_read(struct disk *d, void *buf, size_t len, uint64_t offset);

/*
 * disk_read of E, which begins at POS, whatever its kind. SEALED: the index was sealed before E was
 * looked up.
 */
ssize_t disk_read_extent(struct disk *d, const struct volume_extent *e, bool sealed, uint64_t pos,
                         void *buf);

/*
 * The first byte in [POS, END) that is not known yet, or is withheld until its checksum is seen;
 * END if there is none. What is known stays known.
 */
uint64_t disk_first_unknown(struct disk *d, uint64_t pos, uint64_t end);

/*
 * The first offset at or after POS that is data (a reader must try it) or a hole, in blocks of 4
 * KiB; a block with any non-zero byte is data. The end counts as a hole. 0 with *OUT; -EAGAIN if
 * that is not known yet, with the offset to ask again from in *OUT; -ENXIO if POS is at or past the
 * end, or no data follows.
 */
int disk_next_data(struct disk *d, uint64_t pos, uint64_t *out);
int disk_next_hole(struct disk *d, uint64_t pos, uint64_t *out);

/*
 * The value for st_blocks (in units of 512 bytes). While the index grows, it is a number for which
 * neither tar -S nor cp takes the file for empty or full. Then it counts stored and lost blocks, so
 * that nobody skips what cannot be read.
 */
uint64_t disk_allocated(const struct disk *d);

#endif
