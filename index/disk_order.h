/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of a disk lies out of order in the archive. */
#ifndef VMAFS_DISK_ORDER_H
#define VMAFS_DISK_ORDER_H

#include <stdint.h>

struct disk;

struct disk_order {
        uint64_t stored; /* bytes that lie somewhere as they are */
        uint64_t strays; /* of these, out of order, by order.h */
};

/* Of D, whose index is sealed. It goes through the whole map: up to a second for a TiB. */
void disk_order_find(struct disk *d, struct disk_order *out);

/*
 * How much cache it takes that each stray of D is decoded only once while D is read in sequence,
 * bytes; 0 if it has none.
 */
uint64_t disk_order_cache(const struct disk_order *o);

#endif
