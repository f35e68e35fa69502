/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/hashtree_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

struct hashtree *fixture_tree(uint64_t size, size_t memory)
{
        struct hashtree *t;

        assert_int_equal(hashtree_new(size, memory, &t), 0);
        return t;
}

void fixture_put_leaf(struct hashtree *t, struct bytes disk, uint64_t leaf)
{
        uint8_t hash[HASHTREE_LEN];

        assert_int_equal(
            hashtree_sha256(disk.data + leaf * HASHTREE_LEAF, hashtree_leaf_len(t, leaf), hash), 0);
        assert_int_equal(hashtree_put(t, leaf, hash), 0);
}

uint64_t fixture_leaves(uint64_t size)
{
        return (size + HASHTREE_LEAF - 1) / HASHTREE_LEAF;
}

void fixture_put_leaves(struct hashtree *t, struct bytes disk)
{
        for (uint64_t i = 0; i < fixture_leaves(disk.len); i++)
                fixture_put_leaf(t, disk, i);
}

void fixture_plain_root(struct bytes disk, uint8_t out[HASHTREE_LEN])
{
        size_t pieces = (disk.len + HASHTREE_PIECE - 1) / HASHTREE_PIECE;
        cleanup_free uint8_t *hashes = malloc(pieces * HASHTREE_LEN + 1);

        for (size_t i = 0; i < pieces; i++) {
                size_t start = i * HASHTREE_PIECE, count = 0;
                size_t end = (size_t)min_u64(disk.len, start + HASHTREE_PIECE);
                uint8_t leaves[HASHTREE_LEAVES * HASHTREE_LEN];

                for (size_t at = start; at < end; at += HASHTREE_LEAF)
                        hashtree_sha256(disk.data + at, (size_t)min_u64(HASHTREE_LEAF, end - at),
                                        leaves + HASHTREE_LEN * count++);
                hashtree_sha256(leaves, count * HASHTREE_LEN, hashes + i * HASHTREE_LEN);
        }
        hashtree_sha256(hashes, pieces * HASHTREE_LEN, out);
}

struct bytes fixture_tree_disk(void)
{
        struct bytes disk = fixture_mixture(TREE_SIZE, 3);

        /* A piece of zeros. */
        memset(disk.data + HASHTREE_PIECE, 0, HASHTREE_PIECE);
        return disk;
}
