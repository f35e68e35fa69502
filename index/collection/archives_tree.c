/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Archives of a folder that are trees of files: which there are, and whether they are in use. */
#include <errno.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "index/collection/archives_internal.h"

/* Under lock: a number that no tree has. -ENOMEM. */
static int take_free(struct archives *a, struct node *folder, uint32_t *id)
{
        for (size_t i = 0; i < a->trees.count; i++)
                if (!*array_at(&a->trees, i)) {
                        *array_at(&a->trees, i) = folder;
                        *id = (uint32_t)i;
                        return 0;
                }
        *id = (uint32_t)a->trees.count;
        return array_add(&a->trees, folder);
}

int archives_note_tree(struct archives *a, struct node *folder, bool is_tree)
{
        struct place *p = place_of(folder);
        scoped_lock(&a->lock);
        int rc = is_tree && !p->is_tree ? take_free(a, folder, &p->tree) : 0;

        if (rc == 0)
                p->is_tree |= is_tree;
        return rc;
}

void archives_drop_tree(struct archives *a, struct place *p)
{
        if (p->is_tree)
                *array_at(&a->trees, p->tree) = NULL;
        p->is_tree = false;
}

bool archives_is_tree(const struct node *n)
{
        return place_of(n)->is_tree;
}

uint32_t archives_tree_id(const struct node *n)
{
        return place_of(n)->tree;
}

struct node *archives_tree_node(struct archives *a, uint32_t id)
{
        scoped_lock(&a->lock);

        return id < a->trees.count ? *array_at(&a->trees, id) : NULL;
}

void archives_count_lookups(struct archives *a, uint32_t id, int64_t by)
{
        struct node *n = NULL;
        bool begins = false, ends = false;

        {
                scoped_lock(&a->lock);

                if (id < a->trees.count && by)
                        n = *array_at(&a->trees, id);
                if (n) {
                        struct place *p = place_of(n);

                        begins = p->tree_holds == 0;
                        p->tree_holds += (uint64_t)by;
                        ends = p->tree_holds == 0;
                }
        }
        if (begins && !ends)
                tree_hold(n);
        else if (ends && !begins)
                tree_release(n, 1);
}
