/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/members/index_members.h"

#include <errno.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/index_internal.h"
#include "index/members/members.h"
#include "index/tree/tree.h"

/* Numbers of members begin after the root's. */
#define INO_OF(number) (TREE_ROOT_INO + (number))

/* What FOLDER is; the root's node has no content. */
static const struct members_node *member_of(const struct index *index, const struct node *folder)
{
        return folder->content ? folder->content : members_get(index->members, MEMBERS_ROOT);
}

static int add(struct index *index, struct node *folder, const struct members_node *n)
{
        cleanup_free struct entry_xattr *xattrs = NULL;
        struct entry e;
        int rc = members_entry(index->members, n, &e, &xattrs);

        /* Names of one file have one number. */
        return rc < 0 ? rc : tree_add(folder, &e, INO_OF(n->same), (void *)(uintptr_t)n, NULL);
}

static int fill(void *ctx, struct node *folder)
{
        struct index *index = ctx;
        const struct members_node *n;
        int rc = 0;

        if (!index_sealed(index))
                return -EAGAIN;
        if (!index->members)
                return -EIO;
        n = member_of(index, folder);
        for (uint64_t i = 0; i < n->count && rc == 0; i++) {
                const struct members_node *child = members_child(index->members, n, i);

                rc = child ? add(index, folder, child) : -EIO;
        }
        return rc;
}

int index_members_begin(struct index *index)
{
        static const struct tree_ops ops = {.fill = fill};
        struct tree *tree = tree_new(&ops, index, true);

        if (!tree)
                return -ENOMEM;
        tree_free(index->tree);
        index->tree = tree;
        if (!index->members)
                index->members = members_new(MEMBERS_BYTES_MAX);
        return index->members ? 0 : -ENOMEM;
}

int index_members_take(struct index *index, const struct member *member)
{
        return members_add(index->members, member);
}

void index_members_seal(struct index *index)
{
        int rc = index->incomplete ? -EIO : 0;

        if (rc == 0)
                rc = members_show_at_root(index->members, "etc/vzdump/pct.conf");
        if (rc == 0)
                rc = members_show_at_root(index->members, "etc/vzdump/pct.fw");
        if (rc == 0)
                rc = members_seal(index->members, index->archive->info.ctime);
        if (rc == 0)
                return;
        /* Of half a tree nobody could tell what is not in it. */
        members_free(index->members);
        index->members = NULL;
}

bool index_members_ready(const struct index *index, const struct node *folder)
{
        (void)folder;
        return !index->archive->is_tree || index_sealed(index);
}

/* ---- for those who use an index ---- */

bool index_is_tree(const struct index *index)
{
        return index->archive->is_tree;
}

const struct members *index_members(const struct index *index)
{
        return index->archive->is_tree && index_sealed(index) ? index->members : NULL;
}

const struct members_node *index_member_of(const struct index *index, const struct node *n)
{
        const struct members_node *m = n->content;

        if (!index->archive->is_tree || !index_sealed(index) || !index->members)
                return NULL;
        if (n->parent == n)
                return members_get(index->members, MEMBERS_ROOT);
        return m && m->kind == CONTENT_MEMBER ? m : NULL;
}

struct volume *index_member_open(const struct index *index, const struct members_node *m,
                                 struct members_volume *out)
{
        return members_open(index->members, m, index->source, out);
}
