/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds a tree from entries that come in any order and may contradict each other.
 *
 *   the parent is known       the entry goes into the tree
 *   the parent is not known   the entry waits for it
 *   at the end                an entry whose parent never came, or is below itself, goes into the
 *                             folder ENTRY_LOST_NAME; a hard link to no file is broken
 *
 * The same entries in the same order always give the same tree. A builder is for one thread; others
 * may use the tree meanwhile.
 */
#ifndef VMAFS_BUILDER_H
#define VMAFS_BUILDER_H

#include <stdint.h>

struct builder;
struct entry;
struct node;

/*
 * A builder that adds nodes below ROOT, which outlives it, with the inode numbers INO, INO + 1 …
 * PLACED, which may be NULL, is called for each node once it is in the tree: for a folder before
 * the nodes in it. It returns 0, or -errno, with which the call fails. NULL: out of memory.
 */
struct builder *builder_new(struct node *root, uint64_t ino,
                            int (*placed)(void *ctx, struct node *n), void *ctx);
void builder_free(struct builder *b); /* NULL is allowed */

/* Add E, whose node gets CONTENT. 0, -ENOMEM, or what PLACED returned. */
int builder_add(struct builder *b, const struct entry *e, void *content);

/* No more entries follow: put those that still wait into the tree. Call it once. As builder_add. */
int builder_finish(struct builder *b);

#endif
