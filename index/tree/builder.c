/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "index/tree/idmap.h"
#include "index/tree/tree.h"

/* An entry whose parent has not come yet. */
struct pending {
        struct entry entry; /* owns what it points to */
        void *content;
        struct pending *next;    /* that came after it */
        struct pending *waiting; /* for the same parent */
        struct pending *below;   /* in a walk up: the one that it came from */
        const void *walk;        /* the last walk that came here */
        bool placed;
};

/* In a node's links, which have the number of the last walk: the hard link cannot be resolved. */
#define DEAD UINT32_MAX

struct builder {
        struct node *root, *lost;
        uint64_t ino;
        int (*placed)(void *ctx, struct node *n);
        void *ctx;
        struct idmap ids;
        struct pending *first, **last;
        ARRAY(struct node *) links; /* not resolved yet: size has the id, links a mark */
};

struct builder *builder_new(struct node *root, uint64_t ino,
                            int (*placed)(void *ctx, struct node *n), void *ctx)
{
        struct builder *b = calloc(1, sizeof *b);

        if (!b)
                return NULL;
        b->root = root;
        b->ino = ino;
        b->placed = placed;
        b->ctx = ctx;
        b->last = &b->first;
        idmap_init(&b->ids);
        return b;
}

/* ---- entries that wait ---- */

static void pending_free(struct pending *p)
{
        struct entry_xattr *xattrs = (struct entry_xattr *)p->entry.xattrs;

        for (size_t i = 0; xattrs && i < p->entry.xattr_count; i++) {
                free((char *)xattrs[i].name);
                free((void *)xattrs[i].value);
        }
        free(xattrs);
        free((char *)p->entry.name);
        free((char *)p->entry.target);
        free(p);
}

static void cleanup_pending_fn(struct pending **p)
{
        if (*p)
                pending_free(*p);
}

void builder_free(struct builder *b)
{
        struct pending *p, *next;

        if (!b)
                return;
        for (p = b->first; p; p = next) {
                next = p->next;
                pending_free(p);
        }
        idmap_fini(&b->ids);
        array_free(&b->links);
        free(b);
}

static bool copy_xattrs(struct pending *p, const struct entry *e)
{
        struct entry_xattr *xattrs = calloc(e->xattr_count + 1, sizeof *xattrs);

        p->entry.xattrs = xattrs;
        if (!xattrs)
                return false;
        for (size_t i = 0; i < e->xattr_count; i++) {
                void *value = malloc(e->xattrs[i].len + 1);

                xattrs[i] = (struct entry_xattr){
                    .name = strdup(e->xattrs[i].name), .value = value, .len = e->xattrs[i].len};
                if (!value || !xattrs[i].name)
                        return false;
                if (xattrs[i].len)
                        memcpy(value, e->xattrs[i].value, xattrs[i].len);
        }
        return true;
}

/* A copy of E. NULL: out of memory. */
static struct pending *pending_new(const struct entry *e, void *content)
{
        __attribute__((cleanup(cleanup_pending_fn))) struct pending *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->entry = *e;
        p->content = content;
        p->entry.xattrs = NULL;
        p->entry.target = NULL;
        p->entry.name = strdup(e->name);
        if (e->target)
                p->entry.target = strdup(e->target);
        if (!p->entry.name || (e->target && !p->entry.target) || !copy_xattrs(p, e))
                return NULL;
        return steal_ptr(&p);
}

/* Set E aside until its parent comes. */
static int wait(struct builder *b, const struct entry *e, void *content)
{
        struct pending *p = pending_new(e, content);
        struct id *parent, *own;

        if (!p)
                return -ENOMEM;
        *b->last = p;
        b->last = &p->next;
        parent = idmap_get(&b->ids, e->parent);
        if (!parent)
                return -ENOMEM;
        *parent->last = p;
        parent->last = &p->waiting;
        if (!e->id)
                return 0;
        own = idmap_get(&b->ids, e->id);
        if (!own)
                return -ENOMEM;
        if (!own->node && !own->pending)
                own->pending = p;
        return 0;
}

/* ---- hard links ---- */

/* The file with this ID. NULL: there is none yet, or it is a folder. */
static struct node *find_file(const struct builder *b, uint64_t id)
{
        struct id *found = idmap_find(&b->ids, id);
        struct node *n = found ? found->node : NULL;

        if (!n || node_is_folder(n))
                return NULL;
        return n->flags & NODE_LINK ? n->extra->original : n;
}

static int link_or_wait(struct builder *b, struct node *link, uint64_t same_as)
{
        struct node *file = find_file(b, same_as);

        if (file) {
                tree_link(link, file);
                return 0;
        }
        if (array_reserve(&b->links, 1) < 0)
                return -ENOMEM;
        link->size = same_as;
        link->links = 0;
        return array_add(&b->links, link);
}

static bool is_unresolved(const struct node *n)
{
        return (n->flags & NODE_BROKEN) != 0;
}

/*
 * Follow the hard link N to its file, through links to links, which may form a loop. All links on
 * the way get that file. WAY has room for every link.
 */
static void resolve(struct builder *b, struct node *n, uint32_t walk, struct node **way)
{
        struct node *file = NULL;
        size_t len = 0;

        if (!is_unresolved(n))
                return;
        do {
                const struct id *next = idmap_find(&b->ids, n->size);

                n->links = walk;
                way[len++] = n;
                n = next ? next->node : NULL;
        } while (n && is_unresolved(n) && n->links != walk && n->links != DEAD);
        if (n && !is_unresolved(n) && !node_is_folder(n))
                file = n->flags & NODE_LINK ? n->extra->original : n;
        while (len--) {
                if (file)
                        tree_link(way[len], file);
                else
                        way[len]->links = DEAD;
        }
}

static int resolve_links(struct builder *b)
{
        cleanup_free struct node **way = calloc(b->links.count + 1, sizeof(*way));

        if (!way)
                return -ENOMEM;
        for (size_t i = 0; i < b->links.count; i++)
                resolve(b, *array_at(&b->links, i), (uint32_t)i + 1, way);
        for (size_t i = 0; i < b->links.count; i++) {
                (*array_at(&b->links, i))->links = 1;
                (*array_at(&b->links, i))->size = 0;
        }
        return 0;
}

/* ---- into the tree ---- */

static int add_node(struct builder *b, struct node *folder, const struct entry *e, void *content,
                    struct node **out)
{
        int rc = tree_add(folder, e, b->ino, content, out);

        if (rc < 0)
                return rc;
        b->ino++;
        return b->placed ? b->placed(b->ctx, *out) : 0;
}

/* Put E into FOLDER. *WAITING: the entries that have waited for E. */
static int put(struct builder *b, struct node *folder, const struct entry *e, void *content,
               struct pending **waiting)
{
        struct node *n;
        int rc = add_node(b, folder, e, content, &n);

        *waiting = NULL;
        if (rc < 0)
                return rc;
        if (e->id) {
                struct id *own = idmap_get(&b->ids, e->id);

                if (!own)
                        return -ENOMEM;
                if (!own->node && (!own->pending || &own->pending->entry == e)) {
                        own->node = n;
                        own->pending = NULL;
                        if (node_is_folder(n))
                                *waiting = own->first;
                }
        }
        return n->flags & NODE_LINK ? link_or_wait(b, n, e->same_as) : 0;
}

/* Put P into FOLDER, and below P the entries that waited for it, and so on. */
static int place(struct builder *b, struct node *folder, struct pending *p)
{
        struct pending *todo, **end;
        int rc = put(b, folder, &p->entry, p->content, &todo);

        p->placed = true;
        for (end = &todo; *end; end = &(*end)->waiting)
                ;
        for (; rc == 0 && todo; todo = todo->waiting) {
                struct pending *more;

                if (todo->placed) /* a loop was broken here */
                        continue;
                rc = put(b, idmap_find(&b->ids, todo->entry.parent)->node, &todo->entry,
                         todo->content, &more);
                todo->placed = true;
                for (*end = more; *end; end = &(*end)->waiting)
                        ;
        }
        return rc;
}

static int place_waiting(struct builder *b, struct pending *first)
{
        int rc = 0;

        while (first && rc == 0) {
                struct pending *next = first->waiting;

                first->waiting = NULL;
                rc = place(b, idmap_find(&b->ids, first->entry.parent)->node, first);
                first = next;
        }
        return rc;
}

int builder_add(struct builder *b, const struct entry *e, void *content)
{
        struct node *folder = b->root;
        struct pending *waiting;
        int rc;

        if (e->parent != ENTRY_ROOT) {
                const struct id *parent = idmap_find(&b->ids, e->parent);

                folder = parent ? parent->node : NULL;
        }
        if (!folder || !node_is_folder(folder))
                return wait(b, e, content);
        rc = put(b, folder, e, content, &waiting);
        return rc < 0 ? rc : place_waiting(b, waiting);
}

/* ---- the end ---- */

static int place_lost(struct builder *b, struct pending *p)
{
        static const struct entry lost = {.name = ENTRY_LOST_NAME, .mode = S_IFDIR};
        int rc = 0;

        if (!b->lost)
                rc = add_node(b, b->root, &lost, NULL, &b->lost);
        return rc < 0 ? rc : place(b, b->lost, p);
}

/* The parent of P, if that waits too, or NULL. */
static struct pending *waiting_parent(const struct builder *b, const struct pending *p)
{
        return idmap_find(&b->ids, p->entry.parent)->pending;
}

/*
 * P still waits. Walk up to an entry without a parent, or once round a loop: that entry goes into
 * the lost folder, and the entries below it follow, unless their parent is no folder.
 */
static int rescue(struct builder *b, struct pending *p)
{
        struct pending *top = p, *above;
        int rc;

        p->walk = p;
        p->below = NULL;
        while ((above = waiting_parent(b, top)) && above->walk != p) {
                above->walk = p;
                above->below = top;
                top = above;
        }
        rc = place_lost(b, above ? above : top);
        for (; top && rc == 0; top = top->below)
                if (!top->placed)
                        rc = place_lost(b, top);
        return rc;
}

int builder_finish(struct builder *b)
{
        int rc = 0;

        for (struct pending *p = b->first; p && rc == 0; p = p->next)
                if (!p->placed)
                        rc = rescue(b, p);
        return rc < 0 ? rc : resolve_links(b);
}
