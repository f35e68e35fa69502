/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A span's extents as bytes, in guest order and without gaps. Each extent is
 *
 *   varint  (4 KiB blocks << 2) | kind
 *   varint  kind 2 only: zigzag of (address - where the data before ended)
 *
 *   kind 0 zeros, 1 data that goes on where the data before ended, 2 data elsewhere, 3 lost
 *
 * A varint has 7 bits a byte, lowest first. The top bit is set if more bytes follow.
 */
#ifndef VMAFS_EXTENTCODE_H
#define VMAFS_EXTENTCODE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "archive/extent.h"

/*
 * The state: where the previous data ended; 0 at the start. Writing and reading a span take one
 * each.
 */
struct extentcode {
        uint64_t end;
};

/*
 * Write E, whose address is one of data, EXTENT_ZERO or EXTENT_LOST. ferror(OUT) tells of errors.
 */
void extentcode_write(struct extentcode *c, const struct extent *e, FILE *out);

/*
 * Read the next extent, which starts at byte START of the disk, from *AT, which advances up to END.
 * 0 or -EINVAL.
 */
int extentcode_read(struct extentcode *c, uint64_t start, const uint8_t **at, const uint8_t *end,
                    struct extent *e);

#endif
