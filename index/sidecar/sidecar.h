/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The persisted index: the result of a scan, so that the next mount need not scan.
 *
 *   +--------+-------+--------------+-------------------+-----------------+--------------------------+
 *   | header | stamp | histories of | extents of the    | members, record | tables: segments, disks, |
 *   | 128    | 40    | restart      | disks, by spans   |                 | their spans; where the   |
 *   |        |       | points       |                   |                 | members are, or segments |
 *   |        |       |              |                   |                 | of compressed members    |
 *   | read at once   | read when they are needed        | read by verify  | read at once             |
 *   +--------+-------+--------------+-------------------+-----------------+--------------------------+
 *
 * vmafs-index(5) describes every byte. A sidecar is untrusted input: everything in it is checked
 * before it is used, and any error in it leads to a new scan. What can only be checked by decoding
 * (stored_map.h, restart_table.h) is checked then, and an error is an I/O error. If extents turn
 * out wrong, the index is quarantined (location.h), so that the next mount scans.
 */
#ifndef VMAFS_SIDECAR_H
#define VMAFS_SIDECAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/sidecar/location.h"
#include "index/sidecar/stamp.h"

struct disk;
struct members;
struct members_source;
struct error;
struct stored_map;
struct stored_stream;
struct record;
struct restart_table;
struct sidecar;

/* What to save. */
struct sidecar_contents {
        struct stamp stamp;
        const char *compression; /* a codec's name, or "none" */
        const char *format;
        uint64_t stream_size;        /* bytes, decompressed */
        struct restart_table *table; /* finished; NULL if the archive is not compressed */
        struct disk **disks;         /* whose maps are sealed */
        size_t disk_count;
        const struct stored_stream *streams; /* of compressed members, with finished tables */
        size_t stream_count;
        struct members *members;     /* sealed, or NULL … */
        bool chosen;                 /* … as members_store */
        const struct record *record; /* or NULL */
};

/*
 * Write the sidecar to PLACE. From then on the table reads histories from that file. Returns 0 and
 * the size in *SIZE, or -errno with the reason in ERR; then an old sidecar stays as it is.
 */
int sidecar_save(struct location *place, const struct sidecar_contents *contents, uint64_t *size,
                 struct error *err);

/*
 * Read and check the sidecar of PLACE that is WHERE. One with a history over WINDOW bytes is
 * refused. Sets *OUT, which sidecar_free frees. -ENOENT if there is none; -EINVAL with the reason
 * in ERR if it cannot be used or is quarantined; -ESTALE if the archive has the same size as the
 * one it was made of, but other ends.
 */
int sidecar_load(struct location *place, enum location_where where, uint64_t window,
                 struct sidecar **out, struct error *err);
void sidecar_free(struct sidecar *s); /* NULL is allowed */

/* Its restart points, which the caller owns from then on. Call it once. NULL: there are none. */
struct restart_table *sidecar_take_table(struct sidecar *s);

/* The same, still owned by the sidecar. */
struct restart_table *sidecar_table(const struct sidecar *s);

/* How many compressed members it has restart points of. */
size_t sidecar_stream_count(const struct sidecar *s);

/*
 * Those of the member of SIZE bytes at byte AT of the archive's stream that is compressed with
 * CODEC: still owned by the sidecar, or the caller's from then on. NULL: there are none, or they
 * were taken.
 */
struct restart_table *sidecar_stream_table(const struct sidecar *s, uint64_t at, uint64_t size,
                                           const char *codec);
struct restart_table *sidecar_take_stream(struct sidecar *s, uint64_t at, uint64_t size,
                                          const char *codec);

/*
 * Read the record from the sidecar of PLACE that is WHERE, even if its tables are wrong, its
 * version is older, or it is quarantined. Sets *OUT, or NULL if there is no record. Fails as
 * sidecar_load, and with -EBADMSG if the record is damaged.
 */
int sidecar_load_record(struct location *place, enum location_where where, struct record **out,
                        struct error *err);

/*
 * Load the tree of members. FROM says whether all of it is read at once, as it always is from a
 * server, and whom to tell of failures. Sets *OUT, which members_free frees, or NULL if there is
 * none, and *CHOSEN as members_load. Fails with the reason in ERR, with -EINVAL if it cannot be used.
 */
int sidecar_load_members(struct sidecar *s, struct members_source *from, struct members **out,
                         bool *chosen, struct error *err);

/* How many disks the archive has. */
uint32_t sidecar_disk_count(const struct sidecar *s);

/* NULL: none. */
const struct stamp *sidecar_stamp(const struct sidecar *s);

const char *sidecar_compression(const struct sidecar *s);
const char *sidecar_format(const struct sidecar *s);

/*
 * Set the size of D, the archive's disk D->number, if it is provisional, and fill its empty map
 * with unloaded spans, whose extents stay in the file. -EINVAL if the sidecar does not fit D.
 */
int sidecar_fill(struct sidecar *s, size_t disk_count, struct disk *d);

/* The file with the extents, which the caller owns from then on. Call it once. */
struct source *sidecar_take_file(struct sidecar *s);

enum location_where sidecar_where(const struct sidecar *s);

/* As location_quarantine. */
int sidecar_quarantine(const struct sidecar *s);

/* The stored map of disk NUMBER, owned by the sidecar, or NULL. */
const struct stored_map *sidecar_disk_stored_map(const struct sidecar *s, uint32_t number);

/* The file's size in bytes. */
uint64_t sidecar_size(const struct sidecar *s);

#endif
