/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which nodes are in use. A node in use makes its folder busy, and a busy folder is in use itself.
 * A folder that fill has filled holds its own node, so that it is emptied before the folder above
 * it.
 */
#include <errno.h>

#include "archive/cleanup.h"
#include "index/tree/tree_internal.h"

/* Under lock. */
static void leave_idle(struct folder *f)
{
        if (!f->is_idle)
                return;
        TAILQ_REMOVE(&f->tree->idle, f, idle);
        f->tree->idle_nodes -= f->made;
        f->is_idle = false;
}

/* Under lock. */
static void enter_idle(struct folder *f)
{
        if (!f->later || f->busy || f->state != FOLDER_FILLED || f->is_idle)
                return;
        if (f->removed)
                TAILQ_INSERT_HEAD(&f->tree->idle, f, idle);
        else
                TAILQ_INSERT_TAIL(&f->tree->idle, f, idle);
        f->tree->idle_nodes += f->made;
        f->is_idle = true;
}

/* No recursion: a tree may be a million levels deep. */
void use_hold(struct node *n)
{
        while (n->refs++ == 0 && n->parent != n) {
                struct folder *above = n->parent->folder;

                above->busy++;
                leave_idle(above);
                n = above->node;
        }
}

/*
 * Under lock: a node below F that has no children, or F's own node. Nothing below F is in use, and
 * each folder there was added when F was filled, or is empty.
 */
static struct node *deepest(const struct folder *f)
{
        for (;;) {
                struct node *last;

                if (!f->count)
                        return f->node;
                last = f->children[f->count - 1];
                if (!node_is_folder(last))
                        return last;
                f = last->folder;
        }
}

/* Under lock: free all below F. */
static void clear(struct folder *f)
{
        struct node *n;

        while ((n = deepest(f)) != f->node) {
                tree_unlink(n);
                node_free(f->tree, n);
        }
}

/* Under lock: the next node after N, which is TOP or below it: first what is below N. NULL: the end. */
static struct node *next_below(const struct node *top, struct node *n)
{
        if (node_is_folder(n) && n->folder->count > 0)
                return n->folder->children[0];
        while (n != top) {
                const struct folder *above = n->parent->folder;
                size_t i = tree_child_after(above, n->position);

                if (i < above->count)
                        return above->children[i];
                n = n->parent;
        }
        return NULL;
}

void use_remove(struct folder *f)
{
        for (struct node *n = f->node; n; n = next_below(f->node, n)) {
                if (!node_is_folder(n))
                        continue;
                n->folder->removed = true;
                /* To the front. */
                if (n->folder->is_idle) {
                        leave_idle(n->folder);
                        enter_idle(n->folder);
                }
        }
}

/* Under lock: nobody uses N any more, which was removed from its folder. */
static void forget_removed(struct tree *t, struct node *n)
{
        struct node *last = *array_last(&t->removed);

        *array_at(&t->removed, n->position) = last;
        t->removed.count--;
        last->position = n->position;
        if (node_is_folder(n))
                clear(n->folder);
        node_free(t, n);
}

void use_release(struct node *n, uint64_t count)
{
        for (;;) {
                struct folder *above = n->parent->folder;
                struct gone gone = {n->content, above};
                bool is_root = n->parent == n;

                n->refs -= count < n->refs ? count : n->refs;
                if (n->refs || is_root)
                        return;
                if (n->removed) {
                        forget_removed(above->tree, n);
                        /* The rest is done once that was said. */
                        if (above->tree->ops.gone && array_add(&above->tree->gone, gone) == 0)
                                return;
                }
                above->busy--;
                enter_idle(above);
                n = above->node;
                count = 1;
        }
}

void tree_hold(struct node *n)
{
        scoped_lock(&tree_of(n)->lock);

        use_hold(n);
}

void tree_release(struct node *n, uint64_t count)
{
        struct tree *t = tree_of(n);

        {
                scoped_lock(&t->lock);
                if (!n->refs || !count)
                        return;
                use_release(n, count);
        }
        use_trim(t);
}

/* ---- filling and emptying ---- */

/* Under lock: F is no longer busy. */
static void settle(struct folder *f, enum folder_state state)
{
        f->state = (uint8_t)state;
        pthread_cond_broadcast(&f->tree->settled);
}

int use_enter(struct folder *f)
{
        struct tree *t = f->tree;
        bool waited = false;
        int rc;

        use_hold(f->node);
        for (; f->state == FOLDER_BUSY; waited = true)
                pthread_cond_wait(&t->settled, &t->lock);
        if (f->state == FOLDER_FILLED)
                return 0;
        /* Otherwise each would try again in turn, and wait for a server that does not answer. */
        if (waited && f->failed) {
                rc = f->failed;
                use_release(f->node, 1);
                return rc;
        }
        f->state = FOLDER_BUSY;
        pthread_mutex_unlock(&t->lock);
        rc = t->ops.fill(t->ctx, f->node);
        pthread_mutex_lock(&t->lock);
        f->failed = rc;
        if (rc == 0) {
                use_hold(f->node); /* as long as it is filled */
                settle(f, FOLDER_FILLED);
                enter_idle(f);
                return 0;
        }
        clear(f);
        settle(f, FOLDER_EMPTY);
        use_release(f->node, 1);
        return rc;
}

void use_open(struct folder *f)
{
        f->busy++;
        leave_idle(f);
}

void use_close(struct folder *f)
{
        f->busy--;
        enter_idle(f);
        use_release(f->node, 1);
}

/* Under lock, which it releases meanwhile. */
static void say_gone(struct tree *t)
{
        while (t->gone.count > 0) {
                struct gone g = t->gone.items[--t->gone.count];

                pthread_mutex_unlock(&t->lock);
                t->ops.gone(t->ctx, g.content);
                pthread_mutex_lock(&t->lock);
                g.above->busy--;
                enter_idle(g.above);
                use_release(g.above->node, 1);
        }
}

/* Under lock: the next folder to empty, now marked busy; or NULL. */
static struct folder *take_idle(struct tree *t)
{
        struct folder *f = TAILQ_FIRST(&t->idle);

        if (!f || (!f->removed && t->idle_nodes <= t->idle_limit))
                return NULL;
        leave_idle(f);
        f->state = FOLDER_BUSY;
        clear(f);
        return f;
}

void use_trim(struct tree *t)
{
        scoped_lock(&t->lock);
        struct folder *f;

        say_gone(t);
        while ((f = take_idle(t))) {
                if (t->ops.emptied) {
                        pthread_mutex_unlock(&t->lock);
                        t->ops.emptied(t->ctx, f->node);
                        pthread_mutex_lock(&t->lock);
                }
                settle(f, FOLDER_EMPTY);
                use_release(f->node, 1);
                say_gone(t);
        }
}

void tree_limit(struct tree *t, size_t nodes)
{
        {
                scoped_lock(&t->lock);
                t->idle_limit = nodes;
        }
        use_trim(t);
}
