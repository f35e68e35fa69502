/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a damaged lzop file goes on. */
#ifndef VMAFS_LZOP_FIND_H
#define VMAFS_LZOP_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct source;

/*
 * Does what stands at byte AT look like what follows a block of MEMBER, whose blocks hold at most
 * USUAL bytes: another block, or the member's end? *LAST: it is the end.
 */
bool lzop_goes_on(struct source *in, uint64_t at, uint32_t usual, bool *last);

/*
 * Find the next member's header, whose checksum is right, or the next block of USUAL bytes of a
 * member like MEMBER, which decompresses and has the right checksum, at or behind FROM. *AT is
 * where, *AUX that of a point there. 1, 0 where there is none, -ENOMEM.
 */
int lzop_find(const struct lzop_reader *member, uint32_t usual, uint64_t from, uint64_t *at,
              uint64_t *aux);

#endif
