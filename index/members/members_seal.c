/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/members/members_internal.h"

/* Bytes are stored in whole words. 0 or -ENOMEM. */
#define PAD(array)                                                                                 \
        ({                                                                                         \
                int padded_ = 0;                                                                   \
                                                                                                   \
                while (padded_ == 0 && (array)->count % sizeof(uint64_t))                          \
                        padded_ = array_add((array), '\0');                                        \
                padded_;                                                                           \
        })

/* Give back the memory that ARRAY does not need. */
#define SHRINK(array)                                                                              \
        do {                                                                                       \
                void *shrunk_ =                                                                    \
                    reallocarray((array)->items, (array)->count + 1, sizeof *(array)->items);      \
                                                                                                   \
                if (shrunk_)                                                                       \
                        (array)->items = shrunk_;                                                  \
        } while (0)

/* Names of one file count each other. */
static void count_links(struct members *m)
{
        struct members_node *nodes = m->nodes.items;

        for (size_t i = 0; i < m->nodes.count; i++)
                nodes[i].links = 0;
        for (size_t i = 0; i < m->nodes.count; i++) {
                struct members_node *first = &nodes[nodes[i].same];

                if (!(nodes[i].flags & MEMBERS_GONE) && first->links < UINT16_MAX)
                        first->links++;
        }
        for (size_t i = 0; i < m->nodes.count; i++)
                nodes[i].links = nodes[nodes[i].same].links;
        /* A folder is its own twice, and each folder in it is a name of it. */
        for (size_t i = 0; i < m->nodes.count; i++)
                if (S_ISDIR(nodes[i].mode))
                        nodes[i].links = 2;
        for (size_t i = 1; i < m->nodes.count; i++) {
                struct members_node *folder = &nodes[nodes[i].parent];

                if (S_ISDIR(nodes[i].mode) && !(nodes[i].flags & MEMBERS_GONE) &&
                    folder->links < UINT16_MAX)
                        folder->links++;
        }
}

/* Those of one folder side by side. */
static int list_children(struct members *m)
{
        struct members_node *nodes = m->nodes.items;
        uint64_t at = 0;

        m->children = calloc(m->nodes.count + 2, sizeof *m->children);
        if (!m->children)
                return -ENOMEM;
        for (size_t i = 0; i < m->nodes.count; i++)
                if (S_ISDIR(nodes[i].mode))
                        nodes[i].first = nodes[i].count = 0;
        for (size_t i = 1; i < m->nodes.count; i++)
                if (!(nodes[i].flags & MEMBERS_GONE))
                        nodes[nodes[i].parent].count++;
        for (size_t i = 0; i < m->nodes.count; i++) {
                if (!S_ISDIR(nodes[i].mode))
                        continue;
                nodes[i].first = at;
                at += nodes[i].count;
                nodes[i].count = 0;
        }
        for (size_t i = 1; i < m->nodes.count; i++) {
                struct members_node *folder = &nodes[nodes[i].parent];

                if (!(nodes[i].flags & MEMBERS_GONE))
                        m->children[folder->first + folder->count++] = (uint32_t)i;
        }
        m->child_count = (size_t)round_up(at, 2);
        return 0;
}

int members_seal(struct members *m, int64_t fallback)
{
        for (size_t i = 0; i < m->nodes.count; i++)
                if (m->nodes.items[i].flags & MEMBERS_IMPLIED)
                        m->nodes.items[i].mtime = fallback;
        count_links(m);
        m->shown = shown_names_new();
        if (!m->shown || list_children(m) < 0 || PAD(&m->names) < 0 || PAD(&m->blob) < 0)
                return -ENOMEM;
        free(m->slots);
        m->slots = NULL;
        m->slot_count = 0;
        array_free(&m->last_path);
        SHRINK(&m->nodes);
        SHRINK(&m->names);
        SHRINK(&m->extras);
        SHRINK(&m->blob);
        SHRINK(&m->runs);
        return 0;
}
