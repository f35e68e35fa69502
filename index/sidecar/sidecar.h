/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The persisted index: what one scan found out, so that the next mount need not scan.
 *
 *   +--------+--------------+-------------------+-----------------+--------------------------+
 *   | header | histories of | extents of the    | record          | tables: segments, disks, |
 *   | 128    | restart      | disks, by spans   |                 | their spans              |
 *   |        | points       |                   |                 |                          |
 *   |        | read when they are needed        | read by verify  | read at once             |
 *   +--------+--------------+-------------------+-----------------+--------------------------+
 *
 * vmafs-index(5) describes every byte. A sidecar is input like any other: everything in it is
 * checked before it is believed, and whatever is wrong with it means a new scan. What can only be
 * known by decoding (stored_map.h, restart.h) is checked when that is done, and is an I/O error then; an
 * index whose extents turn out so is condemned (location.h), so that the next time there is a scan.
 */
#ifndef VMAFS_SIDECAR_H
#define VMAFS_SIDECAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/sidecar/location.h"

struct disk;
struct error;
struct kept;
struct record;
struct restart_table;
struct sidecar;
struct source;

/* What is saved. */
struct sidecar_contents {
        const char *compression; /* a codec's name, or "none" */
        const char *format;
        uint64_t stream_size;        /* bytes, decompressed */
        struct restart_table *table; /* finished; NULL where nothing is compressed */
        struct disk **disks;         /* whose maps are sealed */
        size_t disk_count;
        const struct record *record; /* or NULL */
};

/*
 * Write the sidecar to PLACE. Its table reads histories from the file from then on. 0 and *SIZE,
 * its bytes; or -errno with the reason in ERR; then there is no new sidecar, and an old one stays.
 */
int sidecar_save(struct place *place, const struct sidecar_contents *contents, uint64_t *size,
                 struct error *err);

/*
 * Read and check the sidecar of PLACE that is WHERE; one with a history over WINDOW bytes is
 * refused. Sets *OUT, freed by sidecar_free. -ENOENT where there is none, -EINVAL with the reason
 * in ERR for one that cannot be used or is condemned, -ESTALE where the archive has other ends than
 * the one it was made of, and the same size.
 */
int sidecar_load(struct place *place, enum place_where where, uint64_t window, struct sidecar **out,
                 struct error *err);
void sidecar_free(struct sidecar *s); /* NULL is allowed */

/* Its restart points, which become the caller's: once, and NULL where there are none. */
struct restart_table *sidecar_take_table(struct sidecar *s);

/* The same, which stay the sidecar's. */
struct restart_table *sidecar_table(const struct sidecar *s);

/*
 * The record in the sidecar of PLACE that is WHERE, whatever is wrong with its tables, also in one
 * of an older version or one that is condemned. Sets *OUT, NULL where it has none. Fails as
 * sidecar_load, and with -EBADMSG where the record is damaged.
 */
int sidecar_load_record(struct place *place, enum place_where where, struct record **out,
                        struct error *err);

const char *sidecar_compression(const struct sidecar *s);
const char *sidecar_format(const struct sidecar *s);

/*
 * Give D, number D->number of the archive, whose map is empty, its late size and its extents: they
 * are kept in the file. -EINVAL where the sidecar does not fit it.
 */
int sidecar_fill(struct sidecar *s, size_t disk_count, struct disk *d);

/*
 * The file that the extents are kept in, and the same for place_condemn as *FD. Both become the
 * caller's: once.
 */
struct source *sidecar_take_file(struct sidecar *s, int *fd);

/* As place_condemn. */
int sidecar_condemn(const struct sidecar *s);

/* What it says of disk NUMBER; NULL: nothing. It stays the sidecar's. */
const struct kept *sidecar_disk_kept(const struct sidecar *s, uint32_t number);

/* Bytes of the file. */
uint64_t sidecar_size(const struct sidecar *s);

#endif
