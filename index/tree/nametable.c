/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/nametable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/tree/node.h"
#include "index/tree/siphash.h"

enum { CAPACITY_MIN = 16 };

void nametable_init(struct nametable *t)
{
        *t = (struct nametable){0};
        siphash_key(t->key);
}

void nametable_fini(struct nametable *t)
{
        free(t->slots);
        *t = (struct nametable){0};
}

static uint32_t hash_of(const struct nametable *t, const struct node *folder, const char *name,
                        size_t len)
{
        /*
         * The folder's address, not its inode number: an archive may give many the same number.
         */
        return (uint32_t)siphash(t->key, (uintptr_t)folder, name, len);
}

struct node *nametable_find(const struct nametable *t, const struct node *folder, const char *name)
{
        size_t len = strlen(name), mask = t->capacity - 1;
        uint32_t hash = hash_of(t, folder, name, len);

        if (!t->capacity)
                return NULL;
        for (size_t i = hash & mask; t->slots[i]; i = (i + 1) & mask) {
                struct node *n = t->slots[i];

                if (n->hash == hash && n->parent == folder && n->name_len == len &&
                    memcmp(n->name, name, len) == 0)
                        return n;
        }
        return NULL;
}

static void put(struct node **slots, size_t capacity, struct node *n)
{
        size_t i = n->hash & (capacity - 1);

        while (slots[i])
                i = (i + 1) & (capacity - 1);
        slots[i] = n;
}

static int grow(struct nametable *t)
{
        size_t capacity = t->capacity ? 2 * t->capacity : CAPACITY_MIN;
        struct node **slots = calloc(capacity, sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < t->capacity; i++)
                if (t->slots[i])
                        put(slots, capacity, t->slots[i]);
        free(t->slots);
        t->slots = slots;
        t->capacity = capacity;
        return 0;
}

int nametable_add(struct nametable *t, struct node *n)
{
        if (t->count >= t->capacity / 3 * 2 && grow(t) < 0)
                return -ENOMEM;
        n->hash = hash_of(t, n->parent, n->name, n->name_len);
        put(t->slots, t->capacity, n);
        t->count++;
        return 0;
}

/*
 * Leaves no mark in the slot of N: nodes after it, up to a free slot, move back as far as lookups
 * still find them.
 */
void nametable_remove(struct nametable *t, const struct node *n)
{
        size_t mask = t->capacity - 1, hole = n->hash & mask;

        while (t->slots[hole] != n)
                hole = (hole + 1) & mask;
        for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
                size_t home = t->slots[i]->hash & mask;

                if (((i - home) & mask) < ((i - hole) & mask))
                        continue;
                t->slots[hole] = t->slots[i];
                hole = i;
        }
        t->slots[hole] = NULL;
        t->count--;
}

size_t nametable_longest(const struct nametable *t)
{
        size_t longest = 0;

        for (size_t i = 0; i < t->capacity; i++)
                if (t->slots[i])
                        longest =
                            max_u64(longest, ((i - t->slots[i]->hash) & (t->capacity - 1)) + 1);
        return longest;
}
