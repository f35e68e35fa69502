/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lost_ranges.h"

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"

void lost_ranges_init(struct lost_ranges *g)
{
        *g = (struct lost_ranges){0};
        pthread_mutex_init(&g->lock, NULL);
}

void lost_ranges_fini(struct lost_ranges *g)
{
        array_free(&g->list);
        pthread_mutex_destroy(&g->lock);
}

int lost_ranges_add(struct lost_ranges *g, struct source_lost_range gap)
{
        scoped_lock(&g->lock);
        size_t n = g->list.count;
        int rc;

        while (n > 0 && (g->list.items[n - 1].end >= gap.start || n == LOST_RANGES_MAX)) {
                const struct source_lost_range *last = array_at(&g->list, --n);

                gap.start = min_u64(gap.start, last->start);
                gap.exact = gap.exact && last->exact;
        }
        g->list.count = n;
        rc = array_add(&g->list, gap);
        g->count = g->list.count;
        return rc;
}

bool lost_ranges_find(struct lost_ranges *g, uint64_t from, struct source_lost_range *gap)
{
        size_t i;

        if (g->count == 0)
                return false;
        scoped_lock(&g->lock);
        i = search_first(g->list.count, m, g->list.items[m].end > from);
        if (i == g->list.count)
                return false;
        *gap = *array_at(&g->list, i);
        return true;
}

bool lost_ranges_touch(struct lost_ranges *g, uint64_t start, size_t len)
{
        struct source_lost_range gap;

        return lost_ranges_find(g, start, &gap) && gap.start < start + len;
}
