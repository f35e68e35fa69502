/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SHA-256 of a disk as a tree, so that it can be taken in one pass in any order: an archive
 * holds a disk's clusters in the order in which they became available.
 *
 *   root    SHA-256 of the pieces' hashes, in the disk's order
 *   pieces  4 MiB of the disk each: SHA-256 of its leaves' hashes
 *   leaves  64 KiB of the disk each: SHA-256 of its bytes
 *
 * The last piece and the last leaf end where the disk does; what is not stored is zeros. So the
 * root depends on the disk's bytes alone, and anybody can compute it: see vmafs-index(5).
 *
 * The leaves of a piece are kept, 2 KiB for all of them, until the piece is complete: little where
 * the archive is nearly in order, 512 MiB a TiB where it is thoroughly shuffled. Beyond a bound
 * leaves are not taken in, and have to be given once more after the pass.
 *
 * Thread-safe but for new, settle and free.
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

#define HASHTREE_MEMORY ((size_t)1 << 30) /* what all of a tree's unfinished pieces may take */

struct hashtree;

/* The SHA-256 of LEN bytes into OUT. 0, or -ENOTSUP where OpenSSL refuses it. */
int hashtree_sha256(const void *data, size_t len, uint8_t out[HASHTREE_LEN]);

/* For a disk of SIZE bytes, at most; the pass settles less. MEMORY: HASHTREE_MEMORY. */
int hashtree_new(uint64_t size, size_t memory, struct hashtree **out);
void hashtree_free(struct hashtree *t); /* NULL is allowed */

/* Bytes of leaf LEAF: HASHTREE_LEAF but at the disk's end. */
size_t hashtree_leaf_len(const struct hashtree *t, uint64_t leaf);

/* Is the hash of LEAF still to be given? */
bool hashtree_wants(struct hashtree *t, uint64_t leaf);

/*
 * Leaf LEAF has this hash; or all of it, which is HASHTREE_LEAF bytes, is zeros. The first word
 * counts. 0 also where there is no room for it; -ENOMEM, -ENOTSUP.
 */
int hashtree_put(struct hashtree *t, uint64_t leaf, const uint8_t hash[HASHTREE_LEN]);
int hashtree_put_zero(struct hashtree *t, uint64_t leaf);

/* A leaf of PIECE cannot be had: the piece will never be complete. */
void hashtree_spoil(struct hashtree *t, uint64_t piece);

/*
 * The pass is over, and the disk has SIZE bytes. What was hashed beyond them is wanted again, and
 * there is room for all that is.
 */
int hashtree_settle(struct hashtree *t, uint64_t size);

uint64_t hashtree_size(const struct hashtree *t);
uint64_t hashtree_pieces(const struct hashtree *t);

enum hashtree_state { HASHTREE_OPEN, HASHTREE_COMPLETE, HASHTREE_SPOILT };

/* How PIECE stands; its hash into OUT where it is complete. */
enum hashtree_state hashtree_piece(struct hashtree *t, uint64_t piece, uint8_t out[HASHTREE_LEN]);

/* The root into OUT. -ENODATA where a piece is not complete, -ENOTSUP, -ENOMEM. */
int hashtree_root(struct hashtree *t, uint8_t out[HASHTREE_LEN]);

/* The hash of 4 MiB of zeros. */
const uint8_t *hashtree_zero_piece(const struct hashtree *t);

#endif
