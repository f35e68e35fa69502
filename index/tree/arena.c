/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/arena.h"

#include <stdint.h>

#include "archive/bytes.h"

enum { BLOCK = 65536 - 64 }; /* a few pages, with malloc's own bytes */

void *arena_get(struct arena *a, size_t size)
{
        size_t wanted = round_up(size, sizeof(uint64_t));
        char *block;

        if (a->left < wanted) {
                if (array_reserve(&a->blocks, 1) < 0)
                        return NULL;
                block = calloc(1, BLOCK);
                if (!block)
                        return NULL;
                array_add(&a->blocks, block);
                a->left = BLOCK;
        }
        a->left -= wanted;
        return *array_last(&a->blocks) + a->left;
}

void arena_fini(struct arena *a)
{
        for (size_t i = 0; i < a->blocks.count; i++)
                free(a->blocks.items[i]);
        array_free(&a->blocks);
}
