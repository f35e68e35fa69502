/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vmdk/vmdk_marked.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/array.h"

struct vmdk_marked_grain {
        uint32_t number; /* its low half */
        uint32_t sector;
};

void vmdk_marked_fini(struct vmdk_marked *m)
{
        for (size_t i = 0; i < VMDK_MARKED_LISTS; i++)
                array_free(&m->lists[i]);
        *m = (struct vmdk_marked){0};
}

int vmdk_marked_add(struct vmdk_marked *m, uint64_t number, uint32_t sector)
{
        struct vmdk_marked_list *l = &m->lists[number >> 32];

        if (m->count == VMDK_MARKED_MAX)
                return -E2BIG;
        if (array_add(l, ((struct vmdk_marked_grain){(uint32_t)number, sector})) < 0)
                return -ENOMEM;
        m->count++;
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct vmdk_marked_grain *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

/* Most files have them in the disk's order. */
static bool is_sorted(const struct vmdk_marked_list *l)
{
        for (size_t i = 1; i < l->count; i++)
                if (l->items[i].number < l->items[i - 1].number)
                        return false;
        return true;
}

/* Returns how many numbers were there more than once, and are dropped. */
static size_t sort_list(struct vmdk_marked_list *l)
{
        size_t kept = 0, twice = 0, n;

        if (!is_sorted(l))
                qsort(l->items, l->count, sizeof *l->items, compare);
        for (size_t i = 0; i < l->count; i += n) {
                n = 1;
                while (i + n < l->count && l->items[i + n].number == l->items[i].number)
                        n++;
                if (n == 1)
                        l->items[kept++] = l->items[i];
                else
                        twice++;
        }
        l->count = kept;
        return twice;
}

size_t vmdk_marked_sort(struct vmdk_marked *m)
{
        size_t twice = 0;

        m->count = 0;
        for (size_t i = 0; i < VMDK_MARKED_LISTS; i++) {
                twice += sort_list(&m->lists[i]);
                m->count += m->lists[i].count;
        }
        return twice;
}

bool vmdk_marked_next(const struct vmdk_marked *m, uint64_t *number, uint32_t *sector)
{
        uint32_t from = (uint32_t)*number;

        for (uint64_t i = *number >> 32; i < VMDK_MARKED_LISTS; i++, from = 0) {
                const struct vmdk_marked_list *l = &m->lists[i];
                size_t at = search_first(l->count, k, l->items[k].number >= from);

                if (at == l->count)
                        continue;
                *number = i << 32 | l->items[at].number;
                *sector = l->items[at].sector;
                return true;
        }
        return false;
}
