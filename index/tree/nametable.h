/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes of a tree by folder and name: one hash table with open addressing. Its key is random,
 * so nobody can make an archive whose names collide. Not thread-safe.
 */
#ifndef VMAFS_NAMETABLE_H
#define VMAFS_NAMETABLE_H

#include <stddef.h>
#include <stdint.h>

struct node;

struct nametable {
        struct node **slots; /* capacity many; NULL: free */
        size_t capacity;     /* 0, or a power of two */
        size_t count;
        uint64_t key[2];
};

void nametable_init(struct nametable *t);
void nametable_fini(struct nametable *t); /* the nodes stay */

/* The node NAME in FOLDER, or NULL. */
struct node *nametable_find(const struct nametable *t, const struct node *folder, const char *name);

/* Add N. No node has its folder and name yet. 0 or -ENOMEM. */
int nametable_add(struct nametable *t, struct node *n);

/* Remove N, which is in T. */
void nametable_remove(struct nametable *t, const struct node *n);

/* How many nodes the slowest lookup of a node in T compares. Slow: for tests. */
size_t nametable_longest(const struct nametable *t);

#endif
