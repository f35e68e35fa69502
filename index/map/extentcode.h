/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A span's extents as bytes, in guest order and without gaps. Each is
 *
 *   varint  (4 KiB blocks << 2) | kind
 *   varint  kind 2 only: zigzag of (address - where the data before ended)
 *
 *   kind 0 zeros, 1 data that goes on where the data before ended, 2 data elsewhere, 3 lost
 *
 * A varint has 7 bits a byte, lowest first, and a set top bit where more follow.
 */
#ifndef VMAFS_EXTENTCODE_H
#define VMAFS_EXTENTCODE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "archive/extent.h"

/* Where the data before ended; 0 at the start. One for writing a span, one for reading it. */
struct extentcode {
        uint64_t end;
};

/* Write E, whose address is of data, EXTENT_ZERO or EXTENT_LOST. Errors stay in OUT's ferror. */
void extentcode_write(struct extentcode *c, const struct extent *e, FILE *out);

/*
 * Read the next one, which starts at START, from *AT, which is moved on and stays below END. 0,
 * or -EINVAL.
 */
int extentcode_read(struct extentcode *c, uint64_t start, const uint8_t **at, const uint8_t *end,
                    struct extent *e);

#endif
