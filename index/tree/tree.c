/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/names.h"
#include "index/tree/tree_internal.h"

enum { IDLE_NODES = 65536, ROOM_MIN = 4 };

struct tree *tree_new(const struct tree_ops *ops, void *ctx, bool root_later)
{
        const struct entry root = {.mode = S_IFDIR, .later = root_later};
        struct tree *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        if (ops)
                t->ops = *ops;
        t->ctx = ctx;
        t->idle_limit = IDLE_NODES;
        t->root = node_new(t, &root, "", NULL);
        if (!t->root) {
                arena_fini(&t->arena);
                free(t);
                return NULL;
        }
        t->root->ino = TREE_ROOT_INO;
        t->nodes = 1;
        nametable_init(&t->names);
        TAILQ_INIT(&t->idle);
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->settled, NULL);
        return t;
}

void tree_free(struct tree *t)
{
        if (!t)
                return;
        for (size_t i = 0; i < t->names.capacity; i++)
                if (t->names.slots[i])
                        node_free(t, t->names.slots[i]);
        for (size_t i = 0; i < t->removed.count; i++)
                node_free(t, *array_at(&t->removed, i));
        node_free(t, t->root);
        arena_fini(&t->arena);
        array_free(&t->removed);
        array_free(&t->gone);
        nametable_fini(&t->names);
        pthread_cond_destroy(&t->settled);
        pthread_mutex_destroy(&t->lock);
        free(t);
}

struct node *tree_root(const struct tree *t)
{
        return t->root;
}

struct tree_stats tree_stats(struct tree *t)
{
        scoped_lock(&t->lock);

        return (struct tree_stats){.nodes = t->nodes, .idle = t->idle_nodes};
}

size_t tree_longest(struct tree *t)
{
        scoped_lock(&t->lock);

        return nametable_longest(&t->names);
}

/* ---- growth ---- */

/* Under lock: its maker has made N (BY 1), or N is removed (BY -1). */
static void count_made(struct tree *t, const struct node *n, int by)
{
        struct folder *maker = n->parent->folder->maker;

        t->nodes += (size_t)by;
        if (!maker)
                return;
        maker->made += (uint32_t)by;
        if (maker->is_idle)
                t->idle_nodes += (size_t)by;
}

/* Under lock: a safe name that is free in FOLDER, as a new string. NULL: out of memory. */
static char *unique_name(const struct tree *t, const struct node *folder, const char *raw)
{
        cleanup_free char *safe = name_make_safe(raw);
        struct node *twin = safe ? nametable_find(&t->names, folder, safe) : NULL;

        if (!twin)
                return steal_ptr(&safe);
        /*
         * Start where the last search ended, or each of a million equal names would take up to a
         * million tries.
         */
        for (twin->twins = (uint32_t)max_u64(twin->twins, 2);; twin->twins++) {
                char *numbered = name_number(safe, twin->twins);

                if (!numbered || !nametable_find(&t->names, folder, numbered))
                        return numbered;
                free(numbered);
        }
}

/* Under lock. */
static int add_child(struct folder *f, struct node *n)
{
        if (f->count == f->room) {
                uint32_t room = f->room ? f->room + f->room / 2 : ROOM_MIN;
                struct node **grown = NULL;

                if (room > f->room)
                        grown = reallocarray(f->children, room, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                f->children = grown;
                f->room = room;
        }
        f->children[f->count++] = n;
        n->position = ++f->position;
        f->subfolders += node_is_folder(n);
        return 0;
}

int tree_add(struct node *folder, const struct entry *e, uint64_t ino, void *content,
             struct node **out)
{
        struct tree *t = tree_of(folder);
        scoped_lock(&t->lock);
        cleanup_free char *name = unique_name(t, folder, e->name);
        struct node *n = name ? node_new(t, e, name, folder) : NULL;

        if (!n)
                return -ENOMEM;
        n->ino = ino;
        n->content = content;
        if (nametable_add(&t->names, n) < 0) {
                node_free(t, n);
                return -ENOMEM;
        }
        if (add_child(folder->folder, n) < 0) {
                nametable_remove(&t->names, n);
                node_free(t, n);
                return -ENOMEM;
        }
        count_made(t, n, 1);
        if (out)
                *out = n;
        return 0;
}

size_t tree_child_after(const struct folder *f, uint64_t position)
{
        return search_first(f->count, m, f->children[m]->position > position);
}

void tree_unlink(struct node *n)
{
        struct folder *f = n->parent->folder;
        size_t i = tree_child_after(f, n->position - 1);

        memmove(f->children + i, f->children + i + 1, (f->count - i - 1) * sizeof(*f->children));
        f->count--;
        f->subfolders -= node_is_folder(n);
        nametable_remove(&f->tree->names, n);
        count_made(f->tree, n, -1);
}

/* Under lock. */
static int remove_node(struct tree *t, struct node *n)
{
        if (n->removed)
                return 0;
        if (array_reserve(&t->removed, 1) < 0 || array_reserve(&t->gone, t->removed.count + 1) < 0)
                return -ENOMEM;
        tree_unlink(n);
        n->removed = true;
        n->position = t->removed.count;
        if (node_is_folder(n))
                use_remove(n->folder);
        return array_add(&t->removed, n);
}

int tree_remove(struct node *n)
{
        struct tree *t = tree_of(n);
        int rc;

        {
                scoped_lock(&t->lock);
                rc = remove_node(t, n);
        }
        use_trim(t);
        return rc;
}

void tree_link(struct node *n, struct node *original)
{
        scoped_lock(&tree_of(n)->lock);

        n->extra->original = original;
        n->flags &= (uint8_t)~NODE_BROKEN;
        original->links++;
}

/* ---- lookups ---- */

/* Under lock: the file that the hard link N stands for, or N itself. */
static struct node *file_of(struct node *n)
{
        return (n->flags & NODE_LINK) && n->extra->original ? n->extra->original : n;
}

int tree_lookup(struct node *folder, const char *name, struct node **out)
{
        struct tree *t = tree_of(folder);
        int rc;

        if (!node_is_folder(folder))
                return -ENOTDIR;
        {
                scoped_lock(&t->lock);
                struct node *n;

                rc = use_enter(folder->folder);
                if (rc < 0)
                        return rc;
                n = nametable_find(&t->names, folder, name);
                if (n)
                        use_hold(*out = file_of(n));
                use_release(folder, 1);
                rc = n ? 0 : -ENOENT;
        }
        use_trim(t);
        return rc;
}

bool tree_is_filled(struct node *folder)
{
        scoped_lock(&tree_of(folder)->lock);

        return !node_is_folder(folder) || folder->folder->state == FOLDER_FILLED;
}

int tree_open(struct node *folder)
{
        struct tree *t = tree_of(folder);
        int rc;

        if (!node_is_folder(folder))
                return -ENOTDIR;
        {
                scoped_lock(&t->lock);
                rc = use_enter(folder->folder);
                if (rc == 0)
                        use_open(folder->folder);
        }
        if (rc == 0)
                use_trim(t);
        return rc;
}

void tree_close(struct node *folder)
{
        struct tree *t = tree_of(folder);

        {
                scoped_lock(&t->lock);
                use_close(folder->folder);
        }
        use_trim(t);
}

/* Under lock. */
static bool is_right(const struct folder *f, const struct tree_cursor *c)
{
        return c->hint <= f->count &&
               (c->hint == 0 || f->children[c->hint - 1]->position <= c->position) &&
               (c->hint == f->count || f->children[c->hint]->position > c->position);
}

struct node *tree_next(struct node *folder, struct tree_cursor *c)
{
        struct folder *f = folder->folder;
        scoped_lock(&f->tree->lock);
        struct node *n;

        if (!is_right(f, c))
                c->hint = tree_child_after(f, c->position);
        if (c->hint == f->count)
                return NULL;
        n = f->children[c->hint++];
        c->position = n->position;
        memcpy(c->name, n->name, (size_t)n->name_len + 1);
        n = file_of(n);
        use_hold(n);
        return n;
}

uint32_t tree_links(struct node *n)
{
        scoped_lock(&tree_of(n)->lock);

        return node_is_folder(n) ? 2 + n->folder->subfolders : n->links;
}

const struct node_extra *tree_extra(const struct node *n)
{
        return node_is_folder(n) ? n->folder->extra : n->extra;
}

char *tree_path(const struct node *n)
{
        size_t len = 0;
        char *path, *at;

        for (const struct node *p = n; p->parent != p; p = p->parent)
                len += p->name_len + 1u;
        path = malloc(len + 1);
        if (!path)
                return NULL;
        at = path + len;
        *at = '\0';
        for (const struct node *p = n; p->parent != p; p = p->parent) {
                *--at = p == n ? '\0' : '/';
                at -= p->name_len;
                memcpy(at, p->name, p->name_len);
        }
        return path;
}
