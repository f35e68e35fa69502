/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SHA-256 of a disk as a tree, which can be computed in one pass in any order: a backup holds a
 * disk's clusters in the order in which they were written.
 *
 *   root    SHA-256 of the pieces' hashes, in the disk's order
 *   pieces  4 MiB of the disk each: SHA-256 of its leaves' hashes
 *   leaves  64 KiB of the disk each: SHA-256 of its bytes
 *
 * The last piece and the last leaf end with the disk. What is not stored counts as zeros. So the
 * root depends only on the disk's bytes, and anybody can compute it: see vmafs-index(5).
 *
 * The leaf hashes of a piece, 2 KiB, are kept until the piece is complete. That is little memory if
 * the archive is nearly in order, and 512 MiB a TiB if it is thoroughly shuffled. Beyond the budget
 * leaves are ignored, and have to be added again after the pass.
 *
 * Thread-safe, except for new, settle and free.
 */
#ifndef VMAFS_HASHTREE_H
#define VMAFS_HASHTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        HASHTREE_LEAF = 65536,
        HASHTREE_LEAVES = 64, /* of a piece */
        HASHTREE_PIECE = HASHTREE_LEAF * HASHTREE_LEAVES,
        HASHTREE_LEN = 32, /* bytes of a hash */
};

#define HASHTREE_MEMORY ((size_t)1 << 30) /* budget for a tree's unfinished pieces */

struct hashtree;

/* Compute the SHA-256 of LEN bytes. 0, or -ENOTSUP if OpenSSL refuses it. */
int hashtree_sha256(const void *data, size_t len, uint8_t out[HASHTREE_LEN]);

/*
 * Create the tree of a disk of at most SIZE bytes; hashtree_settle sets the final size. MEMORY is
 * usually HASHTREE_MEMORY.
 */
int hashtree_new(uint64_t size, size_t memory, struct hashtree **out);
void hashtree_free(struct hashtree *t); /* NULL is allowed */

/* The length of leaf LEAF in bytes: HASHTREE_LEAF, except at the disk's end. */
size_t hashtree_leaf_len(const struct hashtree *t, uint64_t leaf);

/* Is the hash of LEAF still missing? */
bool hashtree_wants(struct hashtree *t, uint64_t leaf);

/*
 * Add the hash of leaf LEAF; or add it as HASHTREE_LEAF zeros. The first call for a leaf counts.
 * Returns 0, also if there is no budget for it; -ENOMEM or -ENOTSUP.
 */
int hashtree_put(struct hashtree *t, uint64_t leaf, const uint8_t hash[HASHTREE_LEN]);
int hashtree_put_zero(struct hashtree *t, uint64_t leaf);

/* A leaf of PIECE cannot be read, so the piece will never be complete. */
void hashtree_spoil(struct hashtree *t, uint64_t piece);

/*
 * The pass is over, and the disk has SIZE bytes. Hashes that reach beyond them are missing again,
 * and the budget no longer applies.
 */
int hashtree_settle(struct hashtree *t, uint64_t size);

uint64_t hashtree_size(const struct hashtree *t);
uint64_t hashtree_pieces(const struct hashtree *t);

enum hashtree_state { HASHTREE_OPEN, HASHTREE_COMPLETE, HASHTREE_SPOILT };

/* The state of PIECE. If it is complete, OUT gets its hash. */
enum hashtree_state hashtree_piece(struct hashtree *t, uint64_t piece, uint8_t out[HASHTREE_LEN]);

/* Compute the root. -ENODATA if a piece is incomplete, -ENOTSUP, -ENOMEM. */
int hashtree_root(struct hashtree *t, uint8_t out[HASHTREE_LEN]);

/* The hash of 4 MiB of zeros. */
const uint8_t *hashtree_zero_piece(const struct hashtree *t);

#endif
