/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/selection.h"

#include <fnmatch.h>
#include <string.h>

#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"
#include "index/tree/node.h"

/* A name that contains wildcards also matches itself literally. */
static bool matches(const char *word, const char *name)
{
        return strcmp(word, name) == 0 || fnmatch(word, name, FNM_PATHNAME) == 0;
}

bool selection_is_name(const char *name, const struct index *index)
{
        const struct node *n = index_find(index, name);

        return n && !node_is_folder(n);
}

bool selection_has_disk(const char *word, const struct disk *d)
{
        return matches(word, d->name) ||
               (strcmp(word, d->device) == 0 && !selection_is_name(word, d->index));
}

bool selection_has_file(const char *word, const struct index_file *f)
{
        return matches(word, f->name);
}

bool selection_has_any(const char *word, const struct index *index)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                if (selection_has_disk(word, index_disk(index, i)))
                        return true;
        for (size_t i = 0; i < index_file_count(index); i++)
                if (selection_has_file(word, index_file(index, i)))
                        return true;
        return false;
}

struct disk *selection_find_disk(const char *word, const struct index *index)
{
        struct disk *by_device = NULL;

        for (size_t i = 0; i < index_disk_count(index); i++) {
                struct disk *d = index_disk(index, i);

                if (strcmp(word, d->name) == 0)
                        return d;
                if (!by_device && strcmp(word, d->device) == 0)
                        by_device = d;
        }
        return by_device;
}

bool selection_is_inside(const char *word)
{
        return strstr(word, ".parts/") || strncmp(word, "lvm/", 4) == 0;
}

static struct disk *next_partition(struct selection_walk *at)
{
        for (; at->disk < index_disk_count(at->index); at->disk++, at->part = 0) {
                struct parted *p = index_parted(at->index, at->disk);

                if (p && parted_load(p, NULL) == 0 && at->part < p->count)
                        return &p->parts[at->part++].disk;
        }
        return NULL;
}

static struct disk *next_logical(struct selection_walk *at)
{
        struct groups *g = index_groups(at->index);

        if (!g || groups_load(g) < 0)
                return NULL;
        for (; at->group < g->count; at->group++, at->part = 0)
                if (at->part < g->list[at->group].count)
                        return &g->list[at->group].volumes[at->part++].part.disk;
        return NULL;
}

/* The next partition, or after all of them the next logical volume. */
static struct disk *next_part(struct selection_walk *at)
{
        struct disk *d = next_partition(at);

        return d ? d : next_logical(at);
}

struct disk *selection_next_part(struct selection_walk *at, char *const *words, int count)
{
        struct disk *d;

        while ((d = next_part(at)))
                for (int i = 0; i < count; i++)
                        if (selection_is_inside(words[i]) && matches(words[i], d->name))
                                return d;
        return NULL;
}
