/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts how often each of many slots is named: never, once, or more often. Two bits a slot.
 */
#ifndef VMAFS_VMDK_SLOTS_H
#define VMAFS_VMDK_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All 0: nothing is named. */
struct vmdk_slots {
        uint64_t *once, *twice; /* a bit each; NULL until one is named */
        uint64_t count;         /* slots that there are, then */
};

/* A run of slots that are named equally often. */
struct vmdk_slot_run {
        uint64_t first, count;
        bool twice;
};

void vmdk_slots_fini(struct vmdk_slots *s);

/* Name slot NUMBER of COUNT, which is the same in each call. 0 or -ENOMEM. */
int vmdk_slots_add(struct vmdk_slots *s, uint64_t count, uint64_t number);

/* The first run of named slots from slot FROM on. False: there is none. */
bool vmdk_slots_next(const struct vmdk_slots *s, uint64_t from, struct vmdk_slot_run *out);

#endif
