/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk, its hash tree, and what its root has to be. */
#ifndef VMAFS_TESTS_HASHTREE_FIXTURE_H
#define VMAFS_TESTS_HASHTREE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "index/verify/hashtree.h"
#include "tests/fixture_stream.h"

/* Whole pieces, a part of one, and a part of a leaf. */
#define TREE_SIZE (2 * (uint64_t)HASHTREE_PIECE + 5 * HASHTREE_LEAF + 1536)

/* A disk of TREE_SIZE bytes, of which one piece is zeros. Freed by the caller. */
struct bytes fixture_tree_disk(void);

/* As hashtree_new, which must work. */
struct hashtree *fixture_tree(uint64_t size, size_t memory);

/* How many leaves a disk of SIZE bytes has. */
uint64_t fixture_leaves(uint64_t size);

/* Put the hash of one leaf of DISK, of all of them. */
void fixture_put_leaf(struct hashtree *t, struct bytes disk, uint64_t leaf);
void fixture_put_leaves(struct hashtree *t, struct bytes disk);

/* The root as the manual page says it, by no code of the program's but SHA-256. */
void fixture_plain_root(struct bytes disk, uint8_t out[HASHTREE_LEN]);

#endif
