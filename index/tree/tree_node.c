/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/tree/tree_internal.h"

static void extra_free(struct node_extra *x)
{
        if (!x)
                return;
        free(x->target);
        free(x->xattrs);
        free(x);
}

static void cleanup_extra_fn(struct node_extra **x)
{
        extra_free(*x);
}

/* As in node_extra. */
static bool pack_xattrs(struct node_extra *x, const struct entry *e)
{
        size_t len = 0;
        char *at;

        for (size_t i = 0; i < e->xattr_count; i++)
                len += strlen(e->xattrs[i].name) + 1 + sizeof(uint32_t) + e->xattrs[i].len;
        at = x->xattrs = malloc(len + 1);
        if (!at)
                return false;
        x->xattrs_len = len;
        for (size_t i = 0; i < e->xattr_count; i++) {
                const struct entry_xattr *one = &e->xattrs[i];
                uint32_t value_len = (uint32_t)one->len;

                at = stpcpy(at, one->name) + 1;
                memcpy(at, &value_len, sizeof value_len);
                if (one->len)
                        memcpy(at + sizeof value_len, one->value, one->len);
                at += sizeof value_len + one->len;
        }
        return true;
}

/* False: out of memory. */
static bool make_extra(const struct entry *e, struct node_extra **out)
{
        __attribute__((cleanup(cleanup_extra_fn))) struct node_extra *x = NULL;

        *out = NULL;
        if (!S_ISLNK(e->mode) && !e->xattr_count && !e->same_as)
                return true;
        x = calloc(1, sizeof *x);
        if (!x)
                return false;
        if (S_ISLNK(e->mode)) {
                x->target = strdup(e->target ? e->target : "");
                if (!x->target)
                        return false;
        }
        if (e->xattr_count && !pack_xattrs(x, e))
                return false;
        *out = steal_ptr(&x);
        return true;
}

static struct folder *folder_new(struct tree *t, struct node *n, bool later)
{
        struct folder *f = calloc(1, sizeof *f);
        struct folder *above = n->parent == n ? NULL : n->parent->folder;

        if (!f)
                return NULL;
        f->tree = t;
        f->node = n;
        f->later = later;
        f->maker = later ? f : above ? above->maker : NULL;
        f->state = later ? FOLDER_EMPTY : FOLDER_FILLED;
        f->removed = above && above->removed;
        return f;
}

static void take_attributes(struct node *n, const struct entry *e)
{
        n->mode = e->mode & S_IFMT ? e->mode : S_IFREG | e->mode;
        n->uid = e->uid;
        n->gid = e->gid;
        n->mtime = e->mtime.tv_sec;
        n->mtime_ns = (uint32_t)e->mtime.tv_nsec;
        n->links = e->links ? e->links : 1;
        n->flags = (e->recorded ? NODE_RECORDED : 0) | (e->has_mtime ? NODE_MTIME : 0);
        if (e->same_as && !S_ISDIR(n->mode))
                n->flags |= NODE_LINK | NODE_BROKEN;
        if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
                n->rdev = e->rdev;
        else
                n->size = e->size;
}

struct node *node_new(struct tree *t, const struct entry *e, const char *name, struct node *parent)
{
        size_t len = strlen(name);
        struct node_extra *extra;
        struct node *n;

        if (!make_extra(e, &extra))
                return NULL;
        n = t->ops.fill ? calloc(1, sizeof *n + len + 1)
                        : arena_get(&t->arena, sizeof *n + len + 1);
        if (!n) {
                extra_free(extra);
                return NULL;
        }
        memcpy(n->name, name, len + 1);
        n->name_len = (uint16_t)len;
        n->parent = parent ? parent : n;
        take_attributes(n, e);
        if (!node_is_folder(n)) {
                n->extra = extra;
                return n;
        }
        n->folder = folder_new(t, n, e->later);
        if (!n->folder) {
                extra_free(extra);
                if (t->ops.fill)
                        free(n);
                return NULL;
        }
        n->folder->extra = extra;
        return n;
}

void node_free(struct tree *t, struct node *n)
{
        if (node_is_folder(n)) {
                extra_free(n->folder->extra);
                free(n->folder->children);
                free(n->folder);
        } else {
                extra_free(n->extra);
        }
        if (t->ops.fill)
                free(n);
}
