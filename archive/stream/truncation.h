/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream that ends where it must not: was it cut off, or is something else wrong near its end?
 *
 * What is in front of a cut was decoded from sound input, and is right to its last byte. But what
 * runs out of step on damage makes nonsense of the rest, and may come to the end of the file
 * before it makes none at all. So a file is taken for cut off only where its last bytes do not look
 * like the end of a stream of its length, nor like what a file system puts in place of data that
 * it has lost. Looking so by chance costs what is in front of the cut a part of its credit.
 */
#ifndef VMAFS_CUTOFF_H
#define VMAFS_CUTOFF_H

#include <stdbool.h>
#include <stdint.h>

struct source;

/* FILE, in which the last gzip member has given MADE bytes so far. */
bool cutoff_gzip(struct source *file, uint64_t made);

/* FILE, the last frame of which ends in a checksum, or not. */
bool cutoff_zstd(struct source *file, bool checksum);

#endif
