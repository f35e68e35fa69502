/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree of nodes that can grow. It is built in one go while an archive is opened (builder.h), or a
 * folder at a time: each is filled when it is first entered, and emptied when the tree has too many
 * nodes that nobody uses.
 *
 *   EMPTY ── entered ──> fill() ──> FILLED ── unused, too many nodes ──> emptied() ──> EMPTY
 *                          └── failed ──> EMPTY
 *
 * What is removed from its folder is emptied as soon as it is unused.
 *
 * A node is in use while somebody holds it: the kernel, once for each lookup, or a caller. A node
 * in use keeps all folders above it. fill must give a node the same inode number each time.
 *
 * Everything is thread-safe except tree_new and tree_free. fill and emptied are called without the
 * lock, by one thread at a time for each folder; others that enter this folder wait for them. gone is
 * called without the lock, too.
 */
#ifndef VMAFS_TREE_H
#define VMAFS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/tree/node.h"

struct entry;
struct tree;

#define TREE_ROOT_INO UINT64_C(1)

struct tree_ops {
        /*
         * Add the nodes of FOLDER, whose entry said "later", with tree_add. 0, or -errno, with
         * which entering the folder fails; it is tried again next time.
         */
        int (*fill)(void *ctx, struct node *folder);

        /* All nodes below FOLDER are freed: free what fill made for them. May be NULL. */
        void (*emptied)(void *ctx, struct node *folder);

        /*
         * A node that was removed from its folder is freed, and what was below it: free CONTENT, which it
         * was added with. The folder that it was in is not emptied meanwhile. May be NULL.
         */
        void (*gone)(void *ctx, void *content);
};

struct tree_stats {
        size_t nodes; /* including the root */
        size_t idle;  /* how many of them are in folders that could be emptied */
};

/*
 * A tree that has only a root. OPS may be NULL if no entry says "later". With ROOT_LATER the root
 * is filled when it is entered. NULL: out of memory.
 */
struct tree *tree_new(const struct tree_ops *ops, void *ctx, bool root_later);

/* Frees all nodes, held or not, without calling emptied. NULL is allowed. */
void tree_free(struct tree *t);

struct node *tree_root(const struct tree *t);

/*
 * Keep at most NODES nodes in folders that nobody uses, 65536 by default. The oldest are emptied
 * first.
 */
void tree_limit(struct tree *t, size_t nodes);

struct tree_stats tree_stats(struct tree *t);

/* How many nodes the slowest lookup compares. Slow: for tests. */
size_t tree_longest(struct tree *t);

/* ---- growth ---- */

/*
 * Add E at the end of FOLDER; E's parent is ignored. The node gets the inode number INO (not 0) and
 * CONTENT. Its name is made safe, and gets a number if FOLDER has that name already. OUT may be
 * NULL. *OUT is not held: it is good while the folder is being filled, or in a tree without fill. 0
 * or -ENOMEM.
 */
int tree_add(struct node *folder, const struct entry *e, uint64_t ino, void *content,
             struct node **out);

/*
 * Remove N, which the caller holds, from its folder. Others that hold it can continue to use it. N
 * is no hard link, and no hard link leads to it. 0 or -ENOMEM.
 */
int tree_remove(struct node *n);

/*
 * Make N, which was added with same_as, another name of ORIGINAL, which is a file and no hard link.
 */
void tree_link(struct node *n, struct node *original);

/* ---- use ---- */

/*
 * Look up NAME in FOLDER, which the caller holds or is the root. *OUT is held for the caller; for a
 * hard link it is the file. 0, -ENOENT, -ENOTDIR, or what fill returned.
 */
int tree_lookup(struct node *folder, const char *name, struct node **out);

void tree_hold(struct node *n);

/* Release COUNT holds of N, which may free it. */
void tree_release(struct node *n, uint64_t count);

/* Is there nothing to be filled in FOLDER, so that tree_lookup and tree_open do not wait for fill? */
bool tree_is_filled(struct node *folder);

/* Fill FOLDER if it is empty, and keep it filled until tree_close. As tree_lookup. */
int tree_open(struct node *folder);
void tree_close(struct node *folder);

/* A position in a listing, with the name there. All 0: the start. */
struct tree_cursor {
        uint64_t position; /* of the last node; stays valid while the folder changes */
        size_t hint;       /* makes the next step fast */
        char name[256];
};

/*
 * Advance *C to the next node of FOLDER, which is open, and return that node, held for the caller;
 * for a hard link, its file. NULL: the end. Nodes that are added or removed during a listing may or
 * may not appear in it; all others appear exactly once.
 */
struct node *tree_next(struct node *folder, struct tree_cursor *c);

/* As st_nlink. */
uint32_t tree_links(struct node *n);

/* The link target and extended attributes of N; NULL if it has neither. */
const struct node_extra *tree_extra(const struct node *n);

/*
 * The path from the root to N, which is held: "a/b/c", or "" for the root itself. A new string;
 * NULL: out of memory.
 */
char *tree_path(const struct node *n);

#endif
