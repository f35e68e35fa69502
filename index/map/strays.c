/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/strays.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "index/map/word.h"

enum { PAGE_ENTRIES = 256, PAGES_MIN = 4 };

struct stray_page {
        uint64_t first; /* cluster: its entries lie from here up to the next page's first */
        struct clusterlist *list;
};

void strays_fini(struct strays *s)
{
        for (size_t i = 0; i < s->count; i++)
                free(s->pages[i].list);
        free(s->pages);
        *s = (struct strays){0};
}

void strays_trim(struct strays *s)
{
        struct stray_page *pages;

        for (size_t i = 0; i < s->count; i++)
                clusterlist_trim(&s->pages[i].list);
        if (s->count == s->capacity || s->count == 0)
                return;
        pages = realloc(s->pages, s->count * sizeof *pages);
        if (!pages)
                return;
        s->pages = pages;
        s->capacity = s->count;
}

/* The page in whose range CLUSTER lies. There is at least one page. */
static size_t page_of(const struct strays *s, uint64_t cluster)
{
        size_t after = search_first(s->count, m, s->pages[m].first > cluster);

        return after > 0 ? after - 1 : 0;
}

/* Where the range of page P ends. */
static uint64_t page_end(const struct strays *s, size_t p)
{
        return p + 1 < s->count ? s->pages[p + 1].first : UINT64_MAX;
}

/* The page of CLUSTER. Try the last one used first, since most clusters come in order. */
static size_t page_to_fill(const struct strays *s, uint64_t cluster)
{
        size_t p = s->last;

        if (p < s->count && s->pages[p].first <= cluster && cluster < page_end(s, p))
                return p;
        return page_of(s, cluster);
}

bool strays_find(const struct strays *s, uint64_t cluster, struct cluster_run *out)
{
        *out = (struct cluster_run){.cluster = cluster, .count = UINT64_MAX - cluster};
        if (s->count == 0)
                return false;
        for (size_t p = page_of(s, cluster); p < s->count; p++) {
                const struct clusterlist *l = s->pages[p].list;
                size_t i = clusterlist_search(l, cluster);
                struct cluster_run found;

                if (i == clusterlist_count(l))
                        continue;
                found = clusterlist_get(l, i);
                if (found.cluster <= cluster) {
                        *out = found;
                        return true;
                }
                out->count = found.cluster - cluster;
                return false;
        }
        return false;
}

/* ---- growing ---- */

static int insert_page(struct strays *s, size_t at, uint64_t first, struct clusterlist *take_list)
{
        if (s->count == s->capacity) {
                size_t capacity = s->capacity + s->capacity / 2 + PAGES_MIN;
                struct stray_page *pages = realloc(s->pages, capacity * sizeof *pages);

                if (!pages) {
                        free(take_list);
                        return -ENOMEM;
                }
                s->pages = pages;
                s->capacity = capacity;
        }
        memmove(&s->pages[at + 1], &s->pages[at], (s->count - at) * sizeof *s->pages);
        s->pages[at] = (struct stray_page){first, take_list};
        s->count++;
        return 0;
}

static int new_page(struct strays *s, size_t at, uint64_t first)
{
        struct clusterlist *list = clusterlist_new(first);

        return list ? insert_page(s, at, first, list) : -ENOMEM;
}

/* Make room in page P, which is full, for an entry that begins with CLUSTER. */
static int split_page(struct strays *s, size_t p, uint64_t cluster)
{
        struct clusterlist *upper;
        struct cluster_run first;
        int rc;

        /* The entry comes in order: add a page, so that all others stay full. */
        if (p + 1 == s->count &&
            clusterlist_search(s->pages[p].list, cluster) == clusterlist_count(s->pages[p].list))
                return new_page(s, p + 1, cluster);
        rc = clusterlist_split(&s->pages[p].list, PAGE_ENTRIES / 2, &upper);
        if (rc < 0)
                return rc;
        first = clusterlist_get(upper, 0);
        return insert_page(s, p + 1, first.cluster, upper);
}

int strays_add(struct strays *s, const struct cluster_run *run)
{
        struct cluster_run left = *run;
        int rc = s->count ? 0 : new_page(s, 0, 0);

        while (rc == 0 && left.count) {
                size_t p = page_to_fill(s, left.cluster);
                struct cluster_run part = left;
                struct clusterlist **list = &s->pages[p].list;

                if (clusterlist_count(*list) >= PAGE_ENTRIES) {
                        rc = split_page(s, p, left.cluster);
                        continue;
                }
                part.count = min_u64(left.count, page_end(s, p) - left.cluster);
                rc = clusterlist_insert(list, clusterlist_search(*list, part.cluster), &part);
                s->last = p;
                left.cluster += part.count;
                left.count -= part.count;
                left.word = word_plus(left.word, part.count);
        }
        return rc;
}

int strays_take(struct strays *s, uint64_t from, uint64_t end, struct cluster_run *out)
{
        int rc = 0;

        for (size_t p = s->count ? page_of(s, from) : 0;
             rc == 0 && p < s->count && s->pages[p].first < end; p++)
                rc = clusterlist_take(&s->pages[p].list, from, end, out);
        return rc;
}

bool strays_crowded(const struct strays *s, uint64_t cluster, uint64_t from, uint64_t end, size_t n)
{
        const struct clusterlist *l;
        size_t i;

        if (s->count == 0)
                return false;
        l = s->pages[page_to_fill(s, cluster)].list;
        i = clusterlist_search(l, cluster);
        if (i >= n && clusterlist_get(l, i - n).cluster >= from)
                return true;
        return i + n <= clusterlist_count(l) && clusterlist_get(l, i + n - 1).cluster < end;
}
