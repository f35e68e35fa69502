/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of a disk's data lie out of order in the archive.
 *
 *   disk      | a | b | c | d | e | f |           in this order they are shown to order_add
 *   archive   | d | …  …  | a | b | c | e | f |   d was stored early: a stray
 *
 * What is in order goes on near where the data in order before it ended. Where so much goes on
 * elsewhere that it is no stray (the disk continues after another one's data, say), that is where
 * the order continues, and what was called a stray there is taken back.
 */
#ifndef VMAFS_ORDER_H
#define VMAFS_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* A place in the archive, with LEN bytes that lie there in order. */
struct order_line {
        uint64_t first, end;
        uint64_t len; /* 0: nothing */
};

enum { ORDER_OTHERS = 4 };

struct order {
        struct order_line line; /* where the order has come to … */
        /* … and where it may continue, the last that went on first: several, so that a stray does
           not displace the one that goes on. */
        struct order_line others[ORDER_OTHERS];
};

/*
 * The disk's next data are LEN bytes at ADDR. Are they out of order? If not, *BACK are the bytes
 * that were called strays before, and are in order after all: those from o->line.first on.
 */
bool order_add(struct order *o, uint64_t addr, uint64_t len, uint64_t *back);

#endif
