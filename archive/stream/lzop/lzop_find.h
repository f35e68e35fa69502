/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds where a damaged lzop file goes on. */
#ifndef VMAFS_LZOP_FIND_H
#define VMAFS_LZOP_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct source;

/*
 * Does byte AT look like what follows a block of MEMBER, whose blocks hold at most USUAL bytes:
 * another block, or the member's end (*LAST)?
 */
bool lzop_goes_on(struct source *in, uint64_t at, uint32_t usual, bool *last);

/*
 * Find, at or after FROM, the next member's header with a right checksum, or the next block of
 * USUAL bytes of a member like MEMBER that decompresses and has the right checksum. Sets *AT to its
 * offset, and *AUX to that of a point there. 1, 0 if there is none, or -ENOMEM.
 */
int lzop_find(const struct lzop_reader *member, uint32_t usual, uint64_t from, uint64_t *at,
              uint64_t *aux);

#endif
