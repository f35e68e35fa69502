/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds where a damaged bzip2 file goes on. */
#ifndef VMAFS_BZIP2_FIND_H
#define VMAFS_BZIP2_FIND_H

#include <stdint.h>

struct bzip2_reader;

/*
 * Find, at or after bit FROM, the next block of a stream like R's that decodes and has the right
 * checksum, or the header of a stream that begins with such a block. Sets *BIT to where that is, and
 * *AUX to that of a point there. 1, 0 if there is none, or -ENOMEM.
 */
int bzip2_find(const struct bzip2_reader *r, uint64_t from, uint64_t *bit, uint64_t *aux);

#endif
