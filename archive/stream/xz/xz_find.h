/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds where a damaged xz file goes on: by the indexes at the ends of its streams, which say where
 * each block begins and how long it is; where they are damaged themselves, by the sizes in a
 * block's own header; else by the next header whose checksum is right.
 */
#ifndef VMAFS_XZ_FIND_H
#define VMAFS_XZ_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include <lzma.h>

struct source;
struct xz_reader;

/* The indexes of a file. */
struct xz_map {
        lzma_index *index; /* NULL: not read, or of no use */
        bool tried;
        lzma_index_iter at; /* the last block that was looked at: later calls are for later ones */
        bool ended;
};

/* A block that cannot be decoded. */
struct xz_extent {
        uint64_t end; /* byte of the file after it */
        uint64_t unpadded, uncompressed;
};

void xz_map_fini(struct xz_map *m);

/* How long is R's current block? False: nothing says it that can be believed. 1, 0, -ENOMEM. */
int xz_measure_block(struct xz_map *m, const struct xz_reader *r, struct xz_extent *out);

/*
 * Find the next header of a stream or of a block like R's, at or after byte FROM. Sets *AT to its
 * offset, and *AUX to that of a point there. 1, 0 if there is none, or -ENOMEM.
 */
int xz_find(const struct xz_reader *r, uint64_t from, uint64_t *at, uint64_t *aux);

#endif
