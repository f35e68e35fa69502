/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/disk_order.h"

#include "index/disk.h"
#include "index/order.h"

void disk_order_find(struct disk *d, struct disk_order *out)
{
        struct order order = {0};
        uint64_t pos = 0, size = d->size, back;

        *out = (struct disk_order){0};
        while (pos < size) {
                struct volume_extent e;

                if (disk_extent(d, pos, size - pos, &e) == 0 && e.kind == VOLUME_RAW) {
                        out->stored += e.len;
                        if (order_add(&order, e.offset, e.len, &back))
                                out->strays += e.len;
                        out->strays -= back;
                }
                pos += e.len;
        }
}

/* A quarter of the cache is for strays, which are kept in units of 32 KiB: see ahead.c. */
uint64_t disk_order_cache(const struct disk_order *o)
{
        return o->strays * 3 / 2 * 4;
}
