/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lost_ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

void gaps_init(struct gaps *g)
{
        *g = (struct gaps){0};
        pthread_mutex_init(&g->lock, NULL);
}

void gaps_fini(struct gaps *g)
{
        free(g->list);
        pthread_mutex_destroy(&g->lock);
}

static int grow(struct gaps *g)
{
        size_t capacity = g->capacity ? g->capacity * 2 : 16;
        struct source_gap *grown = reallocarray(g->list, capacity, sizeof *grown);

        if (!grown)
                return -ENOMEM;
        g->list = grown;
        g->capacity = capacity;
        return 0;
}

int gaps_add(struct gaps *g, struct source_gap gap)
{
        scoped_lock(&g->lock);
        size_t n = g->count;

        /* What is not believed in front of one may reach into those before it. */
        while (n > 0 && g->list[n - 1].end >= gap.start)
                gap.start = min_u64(gap.start, g->list[--n].start);
        if (n == GAPS_MAX)
                return -E2BIG;
        if (n == g->capacity && grow(g) < 0)
                return -ENOMEM;
        g->list[n] = gap;
        g->count = n + 1;
        return 0;
}

bool gaps_touch(struct gaps *g, uint64_t start, size_t len)
{
        size_t low = 0, high;

        if (g->count == 0)
                return false;
        scoped_lock(&g->lock);
        /* The first gap that ends behind START. */
        for (high = g->count; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (g->list[middle].end > start)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low < g->count && g->list[low].start < start + len;
}
