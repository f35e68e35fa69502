/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ids of entries while a tree is built (builder.h). Not thread-safe. */
#ifndef VMAFS_IDMAP_H
#define VMAFS_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;
struct pending;

struct id {
        uint64_t id;             /* 0: free */
        struct node *node;       /* the node with this id, once it is in the tree … */
        struct pending *pending; /* … and the entry before that */
        struct pending *first,
            **last; /* entries that wait for it, in the order in which they came */
};

struct idmap {
        struct id *slots;
        size_t capacity; /* 0, or a power of two */
        size_t count;
        uint64_t key[2];
};

void idmap_init(struct idmap *m);
void idmap_fini(struct idmap *m);

/* The slot of ID, which is not 0, valid until the next idmap_get; or NULL. */
struct id *idmap_find(const struct idmap *m, uint64_t id);

/* The same, but adds a slot if there is none. NULL: out of memory. */
struct id *idmap_get(struct idmap *m, uint64_t id);

#endif
