/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk's extents in a stored index, span by span, and the map that they fill on demand. Decoding
 * all of them took most of a mount's time, and most are never asked for.
 *
 *   disk     | span 0 | span 1 | span 2 | span 3 | ...       64 MiB each
 *   tables   | 0, length, blocks, hash | 3, … |              in memory from the start, 32 bytes
 *   extents  | of span 0 | of span 3 |                       in the file, each decoded by itself
 *   map      |unloaded| zeros  | zeros  |unloaded|           at first; what is not named is zeros
 *            | extents| zeros  | zeros  |unloaded|           after a look-up in span 0
 *
 * stored_map_load and stored_map_check check what must hold before a sidecar is used: each span's
 * offset, length, count and hash. The extents themselves are checked when the span is filled: they
 * must cover it, lie within the stream, and store as many blocks as the table says. That fails only
 * if somebody forged the hash, too, or overwrote the file while it was in use. Then the span stays
 * unloaded, and whatever needs it fails each time. Since such a file would pass stored_map_check
 * again, a caller that gets -EBADMSG quarantines it (location.h).
 *
 * Any number of threads may fill spans. Two that fill the same span both decode it, one of them in
 * vain, so that no thread waits for another's disk access.
 */
#ifndef VMAFS_STORED_MAP_H
#define VMAFS_STORED_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "archive/extent.h"

struct extent_map;
struct stored_map;
struct source;

enum {
        STORED_MAP_WINDOW = 1 << 20, /* bytes; enough for any span's extents */
        STORED_MAP_DISKS_MAX =
            1 << 18, /* in one index, since checking each takes a microsecond or two */
};

/*
 * Encode MAP, which is sealed: the disk's head and spans to TABLES, and the extents, which will be
 * at byte AT of the file, to the new string *EXTENTS of *LEN bytes. 0 or -ENOMEM.
 */
int stored_map_write(const struct extent_map *map, uint64_t at, FILE *tables, char **extents,
                     size_t *len);

/*
 * Write to TABLES the head of a disk of SIZE bytes whose archive answers for it: it has no extents,
 * and only how many bytes of its blocks are STORED is worth keeping.
 */
void stored_map_write_total(uint64_t size, uint64_t stored, FILE *tables);

/*
 * Parse the disk whose head is at *TABLES, and advance *TABLES past its spans, at most to END. The
 * extents are in FILE, before byte FILE_END. The caller owns FILE, which must outlive *OUT.
 * stored_map_free frees *OUT. 0, -EINVAL or -ENOMEM.
 */
int stored_map_load(struct source *file, uint64_t file_end, const uint8_t **tables,
                    const uint8_t *end, struct stored_map **out);
void stored_map_free(struct stored_map *k); /* NULL is allowed */

/*
 * Read all extents, through WINDOW of STORED_MAP_WINDOW bytes, and check their hashes. 0,
 * -EINVAL, or -EREMOTEIO if a server does not give them.
 */
int stored_map_check(const struct stored_map *k, void *window);

/* Was it written by stored_map_write_total? */
bool stored_map_is_total(const struct stored_map *k);

/* Bytes of the disk, of its stored blocks, and of its extents in the file. */
uint64_t stored_map_size(const struct stored_map *k);
uint64_t stored_map_stored(const struct stored_map *k);
uint64_t stored_map_extents(const struct stored_map *k);

/*
 * Give MAP unloaded spans where there are extents, and zeros elsewhere. MAP is empty, has the
 * disk's size, and must outlive K. Addresses must be below LIMIT. 0 or -ENOMEM.
 */
int stored_map_attach(struct stored_map *k, struct extent_map *map, uint64_t limit);

/*
 * Fill the unloaded span that holds POS. 0; -EBADMSG if the file contradicts itself; -ENOMEM; or
 * -errno of reading the file. Thread-safe.
 */
int stored_map_fill(struct stored_map *k, uint64_t pos);

/* Does the table say that the whole span that holds POS is stored? Thread-safe. */
bool stored_map_all_data(const struct stored_map *k, uint64_t pos);

/* Pass each extent to TAKE, in disk order, until it fails. Returns as stored_map_fill. */
int stored_map_each(const struct stored_map *k, int (*take)(void *ctx, const struct extent *e),
                    void *ctx);

#endif
