/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_EXTENT_H
#define VMAFS_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A range of a disk and where its bytes are.
 *
 *   guest    start           start + len
 *            |===================|
 *   archive  addr            addr + len     understood by the archive's reader alone
 *
 * Two addresses are words instead: the range reads as zeros, or the archive should hold it and
 * does not.
 */
struct extent {
        uint64_t start; /* bytes into the disk */
        uint64_t len;   /* bytes */
        uint64_t addr;
};

#define EXTENT_ZERO     UINT64_MAX
#define EXTENT_LOST     (UINT64_MAX - 1)
#define EXTENT_ADDR_MAX ((UINT64_C(1) << 48) - 2) /* the map keeps 48 bits of an address */

/* Is B, which starts where A ends, what follows A in the archive too, so that one can say both? */
static inline bool extent_continues(const struct extent *a, const struct extent *b)
{
        if (a->addr == EXTENT_ZERO || a->addr == EXTENT_LOST)
                return a->addr == b->addr;
        return a->addr + a->len == b->addr;
}

#endif
