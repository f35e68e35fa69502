/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the grains are that were found by their markers. 8 bytes a grain.
 *
 * Used in three steps: add all, sort them, ask.
 */
#ifndef VMAFS_VMDK_MARKED_H
#define VMAFS_VMDK_MARKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        VMDK_MARKED_LISTS = 4,     /* of 2^32 grain numbers each: more than a part has */
        VMDK_MARKED_MAX = 1 << 27, /* grains: 8 TiB of the usual ones, and 1 GiB of memory */
};

/* By number, after vmdk_marked_sort. */
struct vmdk_marked_list {
        struct vmdk_marked_grain *items;
        size_t count, room;
};

struct vmdk_marked {
        struct vmdk_marked_list lists[VMDK_MARKED_LISTS];
        size_t count; /* in all of them */
};

void vmdk_marked_fini(struct vmdk_marked *m);

/*
 * Grain NUMBER, below 2^34, is at SECTOR. 0; -ENOMEM; -E2BIG where there are VMDK_MARKED_MAX, and
 * it is not added.
 */
int vmdk_marked_add(struct vmdk_marked *m, uint64_t number, uint32_t sector);

/* Also drops numbers that occur more than once. Returns how many those were. */
size_t vmdk_marked_sort(struct vmdk_marked *m);

/*
 * The first grain from NUMBER on, with its SECTOR. False: there is none.
 */
bool vmdk_marked_next(const struct vmdk_marked *m, uint64_t *number, uint32_t *sector);

#endif
