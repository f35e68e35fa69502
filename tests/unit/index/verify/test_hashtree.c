/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hash tree of a disk. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/fixtures/hashtree_fixture.h"

enum { THREADS = 4 };

static void expect_root(struct hashtree *t, struct bytes disk)
{
        uint8_t expected[HASHTREE_LEN], root[HASHTREE_LEN];

        fixture_plain_root(disk, expected);
        assert_int_equal(hashtree_root(t, root), 0);
        assert_memory_equal(root, expected, HASHTREE_LEN);
}

static void test_root_is_as_documented_in_any_order(void **state)
{
        struct bytes disk = fixture_tree_disk();
        uint64_t count = fixture_leaves(TREE_SIZE);
        (void)state;

        /* Steps that have no divisor in common with the count reach each leaf once. */
        for (uint64_t step = 1; step < count; step += 44) {
                struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);

                assert_int_equal(count, 134);
                for (uint64_t i = 0; i < count; i++)
                        fixture_put_leaf(t, disk, (i * step + 7) % count);
                expect_root(t, disk);
                hashtree_free(t);
        }
        free(disk.data);
}

static void test_leaf_given_as_zeros_is_one_of_zeros(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        (void)state;

        for (uint64_t i = 0; i < fixture_leaves(TREE_SIZE); i++)
                if (i / HASHTREE_LEAVES == 1)
                        assert_int_equal(hashtree_put_zero(t, i), 0);
                else
                        fixture_put_leaf(t, disk, i);
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

static void test_first_word_counts(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        uint8_t other[HASHTREE_LEN] = {1};
        (void)state;

        for (uint64_t i = 0; i < fixture_leaves(TREE_SIZE); i++) {
                assert_true(hashtree_wants(t, i));
                fixture_put_leaf(t, disk, i);
                assert_false(hashtree_wants(t, i));
                assert_int_equal(hashtree_put(t, i, other), 0);
                assert_int_equal(hashtree_put_zero(t, i), 0);
        }
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

static void test_missing_leaf_leaves_no_root(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        uint8_t hash[HASHTREE_LEN];
        (void)state;

        for (uint64_t i = 0; i < fixture_leaves(TREE_SIZE); i++)
                if (i != 70)
                        fixture_put_leaf(t, disk, i);
        assert_int_equal(hashtree_root(t, hash), -ENODATA);
        assert_int_equal(hashtree_piece(t, 0, hash), HASHTREE_COMPLETE);
        assert_int_equal(hashtree_piece(t, 1, hash), HASHTREE_OPEN);
        assert_int_equal(hashtree_piece(t, 2, hash), HASHTREE_COMPLETE);
        hashtree_free(t);
        free(disk.data);
}

static void test_spoilt_piece_stays_so(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        uint8_t hash[HASHTREE_LEN];
        (void)state;

        fixture_put_leaf(t, disk, 3);
        hashtree_spoil(t, 0);
        fixture_put_leaves(t, disk);
        assert_int_equal(hashtree_piece(t, 0, hash), HASHTREE_SPOILT);
        assert_false(hashtree_wants(t, 4));
        assert_int_equal(hashtree_root(t, hash), -ENODATA);
        hashtree_free(t);
        free(disk.data);
}

static void test_bound_of_memory_costs_only_a_second_time(void **state)
{
        struct bytes disk = fixture_tree_disk();
        /* Room for the pieces, and the leaves of one of them. */
        struct hashtree *t = fixture_tree(TREE_SIZE, 7168);
        (void)state;

        fixture_put_leaf(t, disk, 1);
        fixture_put_leaf(t, disk, 129);
        assert_false(hashtree_wants(t, 1));
        assert_true(hashtree_wants(t, 129));
        for (uint64_t i = 0; i < HASHTREE_LEAVES; i++)
                fixture_put_leaf(t, disk, i);
        /* The first piece is complete, and has made room. */
        fixture_put_leaf(t, disk, 129);
        assert_false(hashtree_wants(t, 129));
        assert_int_equal(hashtree_settle(t, TREE_SIZE), 0);
        fixture_put_leaves(t, disk);
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

/* A disk whose length is known at the end: whole leaves were given, and the last one anew. */
static void settle_provisional(uint64_t size, uint64_t given)
{
        struct bytes disk = fixture_mixture(4 * (size_t)HASHTREE_PIECE, 9);
        struct hashtree *t = fixture_tree(UINT64_C(1) << 50, HASHTREE_MEMORY);

        for (uint64_t i = 0; i < given; i++)
                fixture_put_leaf(t, disk, i);
        assert_int_equal(hashtree_settle(t, size), 0);
        assert_true(hashtree_size(t) == size);
        for (uint64_t i = 0; i < fixture_leaves(size); i++)
                if (hashtree_wants(t, i))
                        fixture_put_leaf(t, disk, i);
        disk.len = size;
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

static void test_length_that_is_known_at_the_end(void **state)
{
        (void)state;
        settle_provisional(2 * (uint64_t)HASHTREE_PIECE, 128);
        settle_provisional(2 * (uint64_t)HASHTREE_PIECE - 100, 128);
        settle_provisional(2 * (uint64_t)HASHTREE_PIECE - HASHTREE_LEAF, 127);
        settle_provisional(HASHTREE_PIECE + 3 * HASHTREE_LEAF, 67);
        settle_provisional(HASHTREE_PIECE + 3 * HASHTREE_LEAF - 1, 67);
        settle_provisional(100, 1);
}

static void test_claimed_size_costs_nothing(void **state)
{
        struct hashtree *t = fixture_tree(UINT64_C(1) << 48, HASHTREE_MEMORY);
        uint8_t hash[HASHTREE_LEN] = {1};
        (void)state;

        assert_int_equal(hashtree_put(t, 1 << 20, hash), 0);
        assert_int_equal(hashtree_piece(t, 0, hash), HASHTREE_OPEN);
        hashtree_spoil(t, (UINT64_C(1) << 48) / HASHTREE_PIECE - 1);
        hashtree_free(t);
}

struct share {
        struct hashtree *tree;
        struct bytes disk;
        uint64_t first;
};

static void *put_share(void *arg)
{
        const struct share *s = arg;
        uint8_t hash[HASHTREE_LEN];

        for (uint64_t i = s->first; i < fixture_leaves(TREE_SIZE); i += THREADS) {
                hashtree_sha256(s->disk.data + i * HASHTREE_LEAF, hashtree_leaf_len(s->tree, i),
                                hash);
                hashtree_put(s->tree, i, hash);
        }
        return NULL;
}

static void test_threads_share_a_tree(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        struct share shares[THREADS];
        pthread_t threads[THREADS];
        (void)state;

        for (size_t i = 0; i < THREADS; i++) {
                shares[i] = (struct share){t, disk, i};
                assert_int_equal(pthread_create(&threads[i], NULL, put_share, &shares[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_root_is_as_documented_in_any_order),
            cmocka_unit_test(test_leaf_given_as_zeros_is_one_of_zeros),
            cmocka_unit_test(test_first_word_counts),
            cmocka_unit_test(test_missing_leaf_leaves_no_root),
            cmocka_unit_test(test_spoilt_piece_stays_so),
            cmocka_unit_test(test_bound_of_memory_costs_only_a_second_time),
            cmocka_unit_test(test_length_that_is_known_at_the_end),
            cmocka_unit_test(test_claimed_size_costs_nothing),
            cmocka_unit_test(test_threads_share_a_tree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
