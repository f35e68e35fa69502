/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/inside/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/index_internal.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"
#include "index/tree/tree.h"

/* Far from those of what the archive holds. Each disk has room for its partitions' numbers. */
#define GROUPS_INO     (UINT64_C(1) << 41)
#define FIRST_INO      (UINT64_C(1) << 40)
#define INO_OF(number) (FIRST_INO + ((uint64_t)(number) << 16))

char *inside_folder_name(const char *disk)
{
        size_t len = strlen(disk);
        char *name;

        if (len > 4 && strcmp(disk + len - 4, ".raw") == 0)
                len -= 4;
        return asprintf(&name, "%.*s.parts", (int)len, disk) < 0 ? NULL : name;
}

static int add_folder(struct index *index, struct disk *d)
{
        cleanup_free char *name = inside_folder_name(d->leaf);
        struct entry e = {.name = name, .mode = S_IFDIR, .later = true};
        struct index_folder *folder;
        struct parted *parted;
        struct node *n;
        int rc = name ? 0 : -ENOMEM;

        if (rc == 0)
                rc = array_reserve(&index->parted, 1);
        if (rc == 0)
                rc = tree_add(d->node->parent, &e, INO_OF(d->number), NULL, &n);
        if (rc == 0)
                rc = intake_place_folder(index, n);
        if (rc < 0)
                return rc;
        folder = n->content;
        rc = parted_new(d, folder, &parted);
        if (rc < 0)
                return rc;
        folder->parted = parted;
        return array_add(&index->parted, parted);
}

/* The folder of volume groups. */
static int add_groups(struct index *index)
{
        static const struct entry e = {.name = INSIDE_GROUPS_NAME, .mode = S_IFDIR, .later = true};
        struct node *n;
        int rc = tree_add(tree_root(index->tree), &e, GROUPS_INO, NULL, &n);

        if (rc == 0)
                rc = intake_place_folder(index, n);
        return rc < 0 ? rc : groups_new(index, n->content, &index->groups);
}

int inside_begin(struct index *index)
{
        int rc = 0;

        /* Nodes that were made stay: there are few, and index_find relies on it. */
        tree_limit(index->tree, SIZE_MAX);
        for (size_t i = 0; i < index->disks.count && rc == 0; i++)
                rc = add_folder(index, index->disks.items[i]);
        return rc == 0 && index->disks.count ? add_groups(index) : rc;
}

void inside_free(struct index *index)
{
        groups_free(index->groups);
        for (size_t i = 0; i < index->parted.count; i++)
                parted_free(index->parted.items[i]);
        array_free(&index->parted);
}

static int fill_parts(struct parted *p, struct node *folder)
{
        int rc = parted_load(p, NULL);

        for (size_t i = 0; i < p->count && rc == 0; i++) {
                struct part *part = &p->parts[i];
                struct entry e = {.name = part->disk.leaf, .size = part->disk.size};
                struct node *n;

                rc = tree_add(folder, &e, INO_OF(p->disk->number) + part->entry->number,
                              &part->disk, &n);
                if (rc == 0)
                        part_set_node(part, n);
        }
        /* The tree frees the nodes of a folder that is not filled. */
        for (size_t i = 0; i < p->count && rc < 0; i++)
                part_set_node(&p->parts[i], NULL);
        return rc;
}

static int fill_group(struct groups *g, size_t number, struct node *folder)
{
        struct group *group = &g->list[number];
        struct entry e = {.name = group->folder->leaf, .mode = S_IFDIR};
        uint64_t ino = GROUPS_INO + ((number + 1) << 16);
        struct node *n, *below;
        int rc = tree_add(folder, &e, ino, group->folder, &below);

        for (size_t i = 0; i < group->count && rc == 0; i++) {
                struct part *part = &group->volumes[i].part;

                e = (struct entry){.name = part->disk.leaf, .size = part->disk.size};
                rc = tree_add(below, &e, ino + i + 1, &part->disk, &n);
                if (rc == 0)
                        part_set_node(part, n);
        }
        return rc;
}

static void forget_nodes(struct groups *g)
{
        for (size_t i = 0; i < g->count; i++)
                for (size_t k = 0; k < g->list[i].count; k++)
                        part_set_node(&g->list[i].volumes[k].part, NULL);
}

static int fill_groups(struct groups *g, struct node *folder)
{
        int rc = groups_load(g);

        if (rc < 0)
                return rc;
        for (size_t i = 0; i < g->count && rc == 0; i++)
                rc = fill_group(g, i, folder);
        if (rc < 0)
                forget_nodes(g);
        return rc;
}

/* Is N the folder of volume groups? */
static struct groups *groups_of(const struct index *index, const struct node *n)
{
        return index->groups && n->content == index->groups->folder ? index->groups : NULL;
}

bool inside_has(const struct index *index, const struct node *n)
{
        return index_parted_of(n) || (node_is_folder(n) && groups_of(index, n));
}

int inside_fill(void *ctx, struct node *folder)
{
        struct groups *g = groups_of(ctx, folder);

        return g ? fill_groups(g, folder) : fill_parts(index_parted_of(folder), folder);
}

bool inside_ready(const struct index *index, const struct node *folder)
{
        struct parted *p = index_parted_of(folder);
        struct groups *g = groups_of(index, folder);

        if (g)
                return groups_ready(g);
        return !p || parted_ready(p);
}

/* ---- by name ---- */

static struct part *find_partition(struct parted *p, const char *name)
{
        size_t count = parted_count(p);

        for (size_t i = 0; i < count; i++)
                if (strcmp(p->parts[i].disk.name, name) == 0)
                        return &p->parts[i];
        return NULL;
}

static struct part *find_logical(struct groups *g, const char *name)
{
        size_t count = groups_count(g);

        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < g->list[i].count; k++)
                        if (strcmp(g->list[i].volumes[k].part.disk.name, name) == 0)
                                return &g->list[i].volumes[k].part;
        return NULL;
}

/* Is PATH the folder F, or below it? */
static bool is_in(const char *path, const struct index_folder *f)
{
        size_t len = strlen(f->name);

        return strncmp(path, f->name, len) == 0 && strchr("/", path[len]);
}

struct part *inside_find(const struct index *index, const char *name)
{
        for (size_t i = 0; i < index->parted.count; i++)
                if (is_in(name, index->parted.items[i]->folder))
                        return find_partition(index->parted.items[i], name);
        return index->groups ? find_logical(index->groups, name) : NULL;
}

bool inside_is_ready(const struct index *index, const char *path)
{
        struct part *part = inside_find(index, path);

        if (part)
                return part_ready(part);
        for (size_t i = 0; i < index->parted.count; i++)
                if (is_in(path, index->parted.items[i]->folder))
                        return parted_ready(index->parted.items[i]);
        return !index->groups || groups_ready(index->groups);
}
