/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a tree share; nobody else includes this.
 *
 *   tree.c       making, adding, removing, listing
 *   tree_node.c  a node from an entry
 *   use.c        who uses a node; filling folders and emptying them
 */
#ifndef VMAFS_TREE_INTERNAL_H
#define VMAFS_TREE_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "archive/array.h"
#include "index/tree/arena.h"
#include "index/tree/nametable.h"
#include "index/tree/tree.h"

enum folder_state {
        FOLDER_FILLED, /* always, unless its entry said "later" */
        FOLDER_EMPTY,
        FOLDER_BUSY, /* being filled or emptied */
};

/* What only a folder's node has. The tree's lock guards everything from is_idle on. */
struct folder {
        struct tree *tree;
        struct node *node;
        struct folder *maker; /* itself, or the next one above, whose entry said "later"; or NULL */
        struct node_extra *extra; /* as a node's */
        bool later;
        bool is_idle;
        bool removed;           /* it, or a folder above it */
        uint8_t state;          /* enum folder_state */
        int failed;             /* what the last fill has returned, if it failed; else 0 */
        struct node **children; /* by position */
        uint32_t count, room;   /* of children */
        uint32_t subfolders;
        uint32_t made;            /* nodes whose maker it is */
        uint64_t position;        /* of the last child that was added */
        uint64_t busy;            /* children in use, and how often it is open */
        TAILQ_ENTRY(folder) idle; /* if is_idle */
};

TAILQ_HEAD(folder_list, folder);

/* What is to be said of a node that was removed, and freed: its folder is busy until that was said. */
struct gone {
        void *content;
        struct folder *above;
};

struct tree {
        struct tree_ops ops;
        void *ctx;
        struct node *root;
        pthread_mutex_t lock;
        pthread_cond_t settled; /* with lock: a folder is no longer busy */

        /* lock */
        struct arena
            arena; /* has the nodes, unless ops.fill is set: such nodes may be freed one by one */
        struct nametable names;
        struct folder_list idle;       /* folders that may be emptied: the oldest first */
        size_t idle_nodes, idle_limit; /* nodes made by those; the most that are allowed */
        size_t nodes;
        ARRAY(struct node *) removed; /* from their folder, but still in use */
        ARRAY(struct gone) gone;      /* has room for all of REMOVED */
};

static inline struct tree *tree_of(const struct node *n)
{
        return node_is_folder(n) ? n->folder->tree : n->parent->folder->tree;
}

/*
 * A new node NAME for E in PARENT (NULL: it is the root of T). NULL: out of memory.
 */
struct node *node_new(struct tree *t, const struct entry *e, const char *name, struct node *parent);
void node_free(struct tree *t, struct node *n);

/* Under lock: N has one more user. */
void use_hold(struct node *n);

/* Under lock: N has COUNT fewer users. It may be freed. */
void use_release(struct node *n, uint64_t count);

/* Under lock, which it releases meanwhile: fill and hold FOLDER. 0 or -errno. */
int use_enter(struct folder *f);

/*
 * Under lock: keep F, which use_enter has filled and held, as it is until use_close.
 */
void use_open(struct folder *f);
void use_close(struct folder *f);

/*
 * Without lock: say what is gone, empty folders that were removed, and others until no more than
 * idle_limit nodes are left in them.
 */
void use_trim(struct tree *t);

/* Under lock: the index of the first child of F after POSITION. */
size_t tree_child_after(const struct folder *f, uint64_t position);

/* Under lock: F was removed from its folder, with all that is below it. */
void use_remove(struct folder *f);

/* Under lock: remove N from its folder's children and from the names. */
void tree_unlink(struct node *n);

#endif
