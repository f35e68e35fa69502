/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small pieces of memory that are all freed at once, without malloc's overhead for each. Not
 * thread-safe.
 */
#ifndef VMAFS_ARENA_H
#define VMAFS_ARENA_H

#include <stddef.h>

#include "archive/array.h"

struct arena {
        ARRAY(char *) blocks;
        size_t left; /* bytes of the last block */
};

/* SIZE bytes of zeros, at most ARENA_MAX, aligned for any pointer or integer. NULL: no memory. */
void *arena_get(struct arena *a, size_t size);
void arena_fini(struct arena *a);

enum { ARENA_MAX = 1024 };

#endif
