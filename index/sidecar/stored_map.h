/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk's extents as a kept index has them, span by span, and the map that they fill. Decoding
 * all of them took most of a mount's time; most of them nobody ever asks for.
 *
 *   disk     | span 0 | span 1 | span 2 | span 3 | ...       64 MiB each
 *   tables   | 0, length, blocks, hash | 3, … |              in memory from the start, 32 bytes
 * each extents  | of span 0 | of span 3 |                       in the file, each decoded by itself
 *   map      |  kept  | zeros  | zeros  |  kept  |           at first; what is not named is zeros
 *            | extents| zeros  | zeros  |  kept  |           after a look-up in span 0
 *
 * What must hold of a sidecar before it is used is looked at in kept_load and kept_check: each
 * span's place, length, count and hash. What its extents say is looked at when the span is filled:
 * that they cover it, lie within the stream and store as many blocks as the table says. That can
 * only fail where somebody has forged the hash too, or the file was overwritten in use: then the
 * span stays kept, and whatever needs it fails, each time. A file whose hashes are right would pass
 * kept_check the next time, too: whoever is told -EBADMSG condemns it (location.h).
 *
 * Any number of threads may fill; two that fill one span both decode it, and one of them in vain,
 * so that nobody waits for another's disk.
 */
#ifndef VMAFS_KEPT_H
#define VMAFS_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "archive/extent.h"

struct extent_map;
struct kept;
struct source;

enum {
        KEPT_WINDOW = 1 << 20,    /* bytes of the file, which hold any span's extents */
        KEPT_DISKS_MAX = 1 << 18, /* in one index: looking at each takes a microsecond or two */
};

/*
 * Write what MAP, which is sealed, says: to TABLES the disk's head and spans, to *EXTENTS, a new
 * string of *LEN bytes, the extents, which the file has from byte AT on. 0 or -ENOMEM.
 */
int kept_write(const struct extent_map *map, uint64_t at, FILE *tables, char **extents,
               size_t *len);

/*
 * The disk whose head is *TABLES, which is moved behind its spans and stays below END. Their
 * extents are those of FILE, in front of its byte FILE_END; FILE stays the caller's, and outlives
 * *OUT, which kept_free frees. 0, -EINVAL or -ENOMEM.
 */
int kept_load(struct source *file, uint64_t file_end, const uint8_t **tables, const uint8_t *end,
              struct kept **out);
void kept_free(struct kept *k); /* NULL is allowed */

/*
 * Read all the extents, through WINDOW of KEPT_WINDOW bytes, and compare them with their hashes. 0
 * or -EINVAL.
 */
int kept_check(const struct kept *k, void *window);

/* Bytes of the disk, of its blocks that are stored, and of its extents in the file. */
uint64_t kept_size(const struct kept *k);
uint64_t kept_stored(const struct kept *k);
uint64_t kept_extents(const struct kept *k);

/*
 * MAP, which is empty, of the same size, and outlives K, becomes kept where there are extents and
 * zeros elsewhere. Their addresses are below LIMIT. 0 or -ENOMEM.
 */
int kept_attach(struct kept *k, struct extent_map *map, uint64_t limit);

/*
 * Fill the span that holds POS, which is kept. 0, -EBADMSG where what the file says cannot be
 * true, -ENOMEM, or what reading the file gave. Thread-safe.
 */
int kept_fill(struct kept *k, uint64_t pos);

/* Is, by the table, all of the span that holds POS stored? Thread-safe. */
bool kept_all_stored(const struct kept *k, uint64_t pos);

/* Give each extent to TAKE, from the disk's beginning to its end, until it fails. As kept_fill. */
int kept_walk(const struct kept *k, int (*take)(void *ctx, const struct extent *e), void *ctx);

#endif
