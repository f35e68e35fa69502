/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known about a disk outside its spans: clusters that lie far from all others, and runs
 * longer than a span. Only map.c uses this.
 *
 *   pages   | 0 | 9000 | 70000 | ...          the first cluster of each
 *             |
 *             +-- a list of up to 256 entries; see clusterlist.h
 *
 * Not locked, see map.h.
 */
#ifndef VMAFS_STRAYS_H
#define VMAFS_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/map/clusterlist.h"

/* All zeros is empty. */
struct strays {
        struct stray_page *pages;
        size_t count, capacity;
        size_t last; /* the page that was last added to */
};

void strays_fini(struct strays *s);

/* Free spare room. */
void strays_trim(struct strays *s);

/*
 * Look up CLUSTER. True: OUT is the entry that holds it. False: it is unknown, and OUT's cluster
 * and count say which clusters from it on are, too.
 */
bool strays_find(const struct strays *s, uint64_t cluster, struct cluster_run *out);

/* Add RUN, no part of which is known. 0 or -ENOMEM; after -ENOMEM a part may have been added. */
int strays_add(struct strays *s, const struct cluster_run *run);

/*
 * Remove the first part of an entry that lies in [FROM, END). 1 with that part in OUT, 0 if there
 * is none, or -ENOMEM.
 */
int strays_take(struct strays *s, uint64_t from, uint64_t end, struct cluster_run *out);

/*
 * Are there N or more entries in [FROM, END) on one side of CLUSTER, which lies in it? Approximate.
 */
bool strays_crowded(const struct strays *s, uint64_t cluster, uint64_t from, uint64_t end,
                    size_t n);

#endif
