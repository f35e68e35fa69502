/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compressed bytes of a zstd stream, as far ahead as needed.
 *
 *   | margin | consumed | at … available … end | margin |
 *
 * The margins are for the stand-in header and the empty last block that are written around blocks
 * in order to decode them alone (zstd_segment.h).
 */
#ifndef VMAFS_ZSTD_INPUT_H
#define VMAFS_ZSTD_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct source;

struct zstd_input {
        struct source *source;
        uint64_t pos;   /* of the compressed stream, at AT */
        uint8_t *bytes; /* SIZE bytes between the margins */
        size_t at, end, size;
};

/* The caller keeps IN. 0 or -ENOMEM. */
int zstd_input_init(struct zstd_input *z, struct source *in, uint64_t pos);
void zstd_input_fini(struct zstd_input *z);

/*
 * Make LEN bytes contiguous at *BYTES, which is valid until the next call. Returns how many there
 * are: fewer only at the end of the file. LEN may come from the file, so the caller has to bound
 * it.
 */
ssize_t zstd_input_want(struct zstd_input *z, size_t len, uint8_t **bytes, struct error *err);

/* Skip LEN bytes; those not yet in memory are not even read. */
void zstd_input_skip(struct zstd_input *z, uint64_t len);

/*
 * Go on LEN bytes ahead of where FROM is, which is of the same stream. What FROM has of that is
 * copied, if there is room for it.
 */
void zstd_input_copy(struct zstd_input *z, const struct zstd_input *from, size_t len);

/* Go on at byte POS of the compressed stream. */
void zstd_input_move(struct zstd_input *z, uint64_t pos);

#endif
