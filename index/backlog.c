/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"

struct waiting {
        STAILQ_ENTRY(waiting) next;
        uint64_t needs;
        uint32_t disk;
        size_t taken, count;
        struct extent extents[];
};

void backlog_init(struct backlog *b)
{
        STAILQ_INIT(&b->list);
}

int backlog_add(struct backlog *b, uint64_t needs, uint32_t disk, const struct extent *extents,
                size_t n)
{
        struct waiting *w = malloc(sizeof *w + n * sizeof *extents);

        if (!w)
                return -ENOMEM;
        *w = (struct waiting){.needs = needs, .disk = disk, .count = n};
        memcpy(w->extents, extents, n * sizeof *extents);
        STAILQ_INSERT_TAIL(&b->list, w, next);
        return 0;
}

static void drop_first(struct backlog *b)
{
        struct waiting *w = STAILQ_FIRST(&b->list);

        STAILQ_REMOVE_HEAD(&b->list, next);
        free(w);
}

size_t backlog_take(struct backlog *b, uint64_t frontier, uint32_t *disk, struct extent *out,
                    size_t max)
{
        struct waiting *w = STAILQ_FIRST(&b->list);
        size_t n;

        if (!w || w->needs > frontier)
                return 0;
        n = (size_t)min_u64(max, w->count - w->taken);
        memcpy(out, w->extents + w->taken, n * sizeof *out);
        *disk = w->disk;
        w->taken += n;
        if (w->taken == w->count)
                drop_first(b);
        return n;
}

void backlog_clear(struct backlog *b)
{
        while (!STAILQ_EMPTY(&b->list))
                drop_first(b);
}
