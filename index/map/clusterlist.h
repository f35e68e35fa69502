/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sorted list of clusters of 64 KiB, for ranges in which few clusters are known. It holds at most
 * 2048 entries, all of one size: while the list grows, whole bytes for each field, 8 in all for
 * data with masks in an archive of 1 TiB, 4 for zeros anywhere; once it is trimmed, as few bits as
 * the largest entry needs.
 *
 *   list    | base, widths | entry | entry | ...
 *   entry   | cluster - base | clusters - 1 | word |
 *             0 to 34          0 to 34        0 to 64 bits
 *
 * word.h explains words. A word's address is stored as its distance from the lowest, and its mask
 * is left out if no entry is ragged.
 *
 * Not locked; its owner serialises changes.
 */
#ifndef VMAFS_CLUSTERLIST_H
#define VMAFS_CLUSTERLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clusterlist;

/* COUNT clusters in a row. The first is WORD, and the others continue it. */
struct cluster_run {
        uint64_t cluster, count;
        uint64_t word;
};

/* An empty list, for clusters from BASE on; free it with free. NULL: out of memory. */
struct clusterlist *clusterlist_new(uint64_t base);

size_t clusterlist_count(const struct clusterlist *l); /* entries */
size_t clusterlist_bytes(const struct clusterlist *l); /* of the entries */

/* Entry number I, below the count. */
struct cluster_run clusterlist_get(const struct clusterlist *l, size_t i);

/* The number of the first entry that ends after CLUSTER, or the count. */
size_t clusterlist_search(const struct clusterlist *l, uint64_t cluster);

/*
 * Add RUN, no part of which is in the list: as entry number I, which clusterlist_search found for
 * it, or to an entry that it continues. *L may move. 0 or -ENOMEM.
 */
int clusterlist_insert(struct clusterlist **l, size_t i, const struct cluster_run *run);

/*
 * Remove the first part of an entry that lies in [FROM, END). *L may move. Returns 1 with that part
 * in OUT, 0 if there is none, or -ENOMEM.
 */
int clusterlist_take(struct clusterlist **l, uint64_t from, uint64_t end, struct cluster_run *out);

/*
 * Move the entries from number I on to a new list *UPPER. Both are encoded as narrowly as their
 * entries allow. 0 or -ENOMEM.
 */
int clusterlist_split(struct clusterlist **l, size_t i, struct clusterlist **upper);

/* Free spare room, since nothing more comes. A later change has to encode the whole list anew. */
void clusterlist_trim(struct clusterlist **l);

#endif
