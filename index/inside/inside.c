/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/inside/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/index_internal.h"
#include "index/inside/parts.h"
#include "index/tree/tree.h"

/* Far from those of what the archive holds. Each disk has room for its partitions' numbers. */
#define FIRST_INO      (UINT64_C(1) << 40)
#define INO_OF(number) (FIRST_INO + ((uint64_t)(number) << 16))

/* "disk-a.parts" for "disk-a.raw". A new string, or NULL. */
static char *folder_name(const char *leaf)
{
        size_t len = strlen(leaf);
        char *name;

        if (len > 4 && strcmp(leaf + len - 4, ".raw") == 0)
                len -= 4;
        return asprintf(&name, "%.*s.parts", (int)len, leaf) < 0 ? NULL : name;
}

static int add_folder(struct index *index, struct disk *d)
{
        cleanup_free char *name = folder_name(d->leaf);
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

int inside_begin(struct index *index)
{
        int rc = 0;

        /* Nodes that were made stay: there are few, and index_find relies on it. */
        tree_limit(index->tree, SIZE_MAX);
        for (size_t i = 0; i < index->disks.count && rc == 0; i++)
                rc = add_folder(index, index->disks.items[i]);
        return rc;
}

void inside_free(struct index *index)
{
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

int inside_fill(void *ctx, struct node *folder)
{
        (void)ctx;
        return fill_parts(index_parted_of(folder), folder);
}

bool inside_ready(const struct node *folder)
{
        struct parted *p = index_parted_of(folder);

        return !p || parted_ready(p);
}
