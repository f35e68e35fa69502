/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hash tree of a disk, and the record that is made of it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "index/hashtree.h"
#include "index/index.h"
#include "index/record.h"
#include "tests/fixture_sidecar.h"

enum { THREADS = 4, SC_RECORD = 112 };

/* Whole pieces, a part of one, and a part of a leaf. */
#define SIZE (2 * (uint64_t)HASHTREE_PIECE + 5 * HASHTREE_LEAF + 1536)

static struct hashtree *new_tree(uint64_t size, size_t memory)
{
        struct hashtree *t;

        assert_int_equal(hashtree_new(size, memory, &t), 0);
        return t;
}

static void put_leaf(struct hashtree *t, struct bytes disk, uint64_t leaf)
{
        uint8_t hash[HASHTREE_LEN];

        assert_int_equal(
            hashtree_sha256(disk.data + leaf * HASHTREE_LEAF, hashtree_leaf_len(t, leaf), hash), 0);
        assert_int_equal(hashtree_put(t, leaf, hash), 0);
}

static uint64_t leaves_of(uint64_t size)
{
        return (size + HASHTREE_LEAF - 1) / HASHTREE_LEAF;
}

static void put_all(struct hashtree *t, struct bytes disk)
{
        for (uint64_t i = 0; i < leaves_of(disk.len); i++)
                put_leaf(t, disk, i);
}

/* The root as the manual page says it, by no code of the program's but SHA-256. */
static void plain_root(struct bytes disk, uint8_t out[HASHTREE_LEN])
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

static void expect_root(struct hashtree *t, struct bytes disk)
{
        uint8_t expected[HASHTREE_LEN], root[HASHTREE_LEN];

        plain_root(disk, expected);
        assert_int_equal(hashtree_root(t, root), 0);
        assert_memory_equal(root, expected, HASHTREE_LEN);
}

static struct bytes make_disk(void)
{
        struct bytes disk = fixture_mixture(SIZE, 3);

        /* A piece of zeros. */
        memset(disk.data + HASHTREE_PIECE, 0, HASHTREE_PIECE);
        return disk;
}

/* ---- the tree ---- */

static void test_root_is_as_documented_in_any_order(void **state)
{
        struct bytes disk = make_disk();
        uint64_t count = leaves_of(SIZE);
        (void)state;

        /* Steps that have no divisor in common with the count reach each leaf once. */
        for (uint64_t step = 1; step < count; step += 44) {
                struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);

                assert_int_equal(count, 134);
                for (uint64_t i = 0; i < count; i++)
                        put_leaf(t, disk, (i * step + 7) % count);
                expect_root(t, disk);
                hashtree_free(t);
        }
        free(disk.data);
}

static void test_leaf_given_as_zeros_is_one_of_zeros(void **state)
{
        struct bytes disk = make_disk();
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        (void)state;

        for (uint64_t i = 0; i < leaves_of(SIZE); i++)
                if (i / HASHTREE_LEAVES == 1)
                        assert_int_equal(hashtree_put_zero(t, i), 0);
                else
                        put_leaf(t, disk, i);
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

static void test_first_word_counts(void **state)
{
        struct bytes disk = make_disk();
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        uint8_t other[HASHTREE_LEN] = {1};
        (void)state;

        for (uint64_t i = 0; i < leaves_of(SIZE); i++) {
                assert_true(hashtree_wants(t, i));
                put_leaf(t, disk, i);
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
        struct bytes disk = make_disk();
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        uint8_t hash[HASHTREE_LEN];
        (void)state;

        for (uint64_t i = 0; i < leaves_of(SIZE); i++)
                if (i != 70)
                        put_leaf(t, disk, i);
        assert_int_equal(hashtree_root(t, hash), -ENODATA);
        assert_int_equal(hashtree_piece(t, 0, hash), HASHTREE_COMPLETE);
        assert_int_equal(hashtree_piece(t, 1, hash), HASHTREE_OPEN);
        assert_int_equal(hashtree_piece(t, 2, hash), HASHTREE_COMPLETE);
        hashtree_free(t);
        free(disk.data);
}

static void test_spoilt_piece_stays_so(void **state)
{
        struct bytes disk = make_disk();
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        uint8_t hash[HASHTREE_LEN];
        (void)state;

        put_leaf(t, disk, 3);
        hashtree_spoil(t, 0);
        put_all(t, disk);
        assert_int_equal(hashtree_piece(t, 0, hash), HASHTREE_SPOILT);
        assert_false(hashtree_wants(t, 4));
        assert_int_equal(hashtree_root(t, hash), -ENODATA);
        hashtree_free(t);
        free(disk.data);
}

static void test_bound_of_memory_costs_only_a_second_time(void **state)
{
        struct bytes disk = make_disk();
        /* Room for the pieces, and the leaves of one of them. */
        struct hashtree *t = new_tree(SIZE, 7168);
        (void)state;

        put_leaf(t, disk, 1);
        put_leaf(t, disk, 129);
        assert_false(hashtree_wants(t, 1));
        assert_true(hashtree_wants(t, 129));
        for (uint64_t i = 0; i < HASHTREE_LEAVES; i++)
                put_leaf(t, disk, i);
        /* The first piece is complete, and has made room. */
        put_leaf(t, disk, 129);
        assert_false(hashtree_wants(t, 129));
        assert_int_equal(hashtree_settle(t, SIZE), 0);
        put_all(t, disk);
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

/* A disk whose length is known at the end: whole leaves were given, and the last one anew. */
static void settle_late(uint64_t size, uint64_t given)
{
        struct bytes disk = fixture_mixture(4 * (size_t)HASHTREE_PIECE, 9);
        struct hashtree *t = new_tree(UINT64_C(1) << 50, HASHTREE_MEMORY);

        for (uint64_t i = 0; i < given; i++)
                put_leaf(t, disk, i);
        assert_int_equal(hashtree_settle(t, size), 0);
        assert_true(hashtree_size(t) == size);
        for (uint64_t i = 0; i < leaves_of(size); i++)
                if (hashtree_wants(t, i))
                        put_leaf(t, disk, i);
        disk.len = size;
        expect_root(t, disk);
        hashtree_free(t);
        free(disk.data);
}

static void test_length_that_is_known_at_the_end(void **state)
{
        (void)state;
        settle_late(2 * (uint64_t)HASHTREE_PIECE, 128);
        settle_late(2 * (uint64_t)HASHTREE_PIECE - 100, 128);
        settle_late(2 * (uint64_t)HASHTREE_PIECE - HASHTREE_LEAF, 127);
        settle_late(HASHTREE_PIECE + 3 * HASHTREE_LEAF, 67);
        settle_late(HASHTREE_PIECE + 3 * HASHTREE_LEAF - 1, 67);
        settle_late(100, 1);
}

static void test_claimed_size_costs_nothing(void **state)
{
        struct hashtree *t = new_tree(UINT64_C(1) << 48, HASHTREE_MEMORY);
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

        for (uint64_t i = s->first; i < leaves_of(SIZE); i += THREADS) {
                hashtree_sha256(s->disk.data + i * HASHTREE_LEAF, hashtree_leaf_len(s->tree, i),
                                hash);
                hashtree_put(s->tree, i, hash);
        }
        return NULL;
}

static void test_threads_share_a_tree(void **state)
{
        struct bytes disk = make_disk();
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
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

/* ---- the record ---- */

struct told {
        uint64_t changed[8][2], unknown[8][2];
        size_t changed_count, unknown_count;
};

static void tell_changed(void *ctx, uint64_t start, uint64_t len)
{
        struct told *t = ctx;

        assert_true(t->changed_count < 8);
        t->changed[t->changed_count][0] = start;
        t->changed[t->changed_count++][1] = len;
}

static void tell_unknown(void *ctx, uint64_t start, uint64_t len)
{
        struct told *t = ctx;

        assert_true(t->unknown_count < 8);
        t->unknown[t->unknown_count][0] = start;
        t->unknown[t->unknown_count++][1] = len;
}

static struct told compare(const struct record *r, struct hashtree *tree)
{
        struct told told = {0};
        struct record_sink sink = {&told, tell_changed, tell_unknown};

        record_compare(&r->disks[0], tree, &sink);
        return told;
}

/* Of a tree of DISK, twice. */
static struct record *make_record(struct bytes disk)
{
        struct hashtree *t = new_tree(disk.len, HASHTREE_MEMORY), *trees[2] = {t, t};
        struct record *r;

        put_all(t, disk);
        assert_int_equal(record_build(trees, 2, 1700000000, &r), 0);
        hashtree_free(t);
        return r;
}

static void test_record_holds_what_was_built(void **state)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        uint8_t root[HASHTREE_LEN];
        (void)state;

        plain_root(disk, root);
        assert_int_equal(r->time, 1700000000);
        assert_int_equal(r->disk_count, 2);
        for (size_t i = 0; i < 2; i++) {
                assert_true(r->disks[i].size == SIZE);
                assert_memory_equal(r->disks[i].root, root, HASHTREE_LEN);
        }
        /* Two pieces of three are stored. */
        assert_int_equal(r->disks[0].stored[0], 5);
        assert_int_equal(r->len, 24 + 2 * (48 + 1 + 2 * 32));
        record_free(r);
        free(disk.data);
}

static void test_same_disk_agrees(void **state)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        struct told told;
        (void)state;

        put_all(t, disk);
        told = compare(r, t);
        assert_int_equal(told.changed_count + told.unknown_count, 0);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

/* One byte at AT is another: the range that is told. */
static void expect_changed(uint64_t at, uint64_t start, uint64_t len)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        struct told told;

        disk.data[at] ^= 1;
        put_all(t, disk);
        told = compare(r, t);
        assert_int_equal(told.unknown_count, 0);
        assert_int_equal(told.changed_count, 1);
        assert_true(told.changed[0][0] == start && told.changed[0][1] == len);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

static void test_change_is_located(void **state)
{
        (void)state;
        expect_changed(0, 0, HASHTREE_PIECE);
        expect_changed(HASHTREE_PIECE - 1, 0, HASHTREE_PIECE);
        /* In zeros, which are not stored. */
        expect_changed(HASHTREE_PIECE + 70000, HASHTREE_PIECE, HASHTREE_PIECE);
        expect_changed(SIZE - 1, 2 * (uint64_t)HASHTREE_PIECE, SIZE - 2 * (uint64_t)HASHTREE_PIECE);
}

static void test_neighbours_are_told_as_one(void **state)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        struct told told;
        (void)state;

        disk.data[5] ^= 1;
        disk.data[HASHTREE_PIECE] ^= 1;
        put_leaf(t, disk, 130);
        hashtree_spoil(t, 2);
        put_all(t, disk);
        told = compare(r, t);
        assert_int_equal(told.changed_count, 1);
        assert_true(told.changed[0][0] == 0 && told.changed[0][1] == 2 * HASHTREE_PIECE);
        assert_int_equal(told.unknown_count, 1);
        assert_true(told.unknown[0][0] == 2 * HASHTREE_PIECE &&
                    told.unknown[0][1] == SIZE - 2 * HASHTREE_PIECE);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

static void test_disk_of_another_size_has_changed(void **state)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = new_tree(SIZE - 512, HASHTREE_MEMORY);
        struct told told = compare(r, t);
        (void)state;

        assert_int_equal(told.changed_count, 1);
        assert_true(told.changed[0][0] == 0 && told.changed[0][1] == SIZE);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

static void test_incomplete_tree_is_not_recorded(void **state)
{
        struct hashtree *t = new_tree(SIZE, HASHTREE_MEMORY);
        struct record *r = NULL;
        (void)state;

        assert_int_equal(record_build(&t, 1, 0, &r), -ENODATA);
        assert_null(r);
        hashtree_free(t);
}

static void test_zeros_take_no_room(void **state)
{
        uint64_t size = UINT64_C(1) << 34;
        struct hashtree *t = new_tree(size, HASHTREE_MEMORY);
        struct record *r;
        (void)state;

        for (uint64_t i = 0; i < leaves_of(size); i++)
                assert_int_equal(hashtree_put_zero(t, i), 0);
        assert_int_equal(record_build(&t, 1, 0, &r), 0);
        assert_int_equal(r->len, 24 + 48 + size / HASHTREE_PIECE / 8);
        record_free(r);
        hashtree_free(t);
}

/* ---- a record that is damaged, or made by somebody who means ill ---- */

/* What record_parse makes of LEN bytes. */
static int parse(const uint8_t *data, size_t len, bool seal)
{
        uint8_t *bytes = malloc(len + 1);
        struct record *r = NULL;
        int rc;

        memcpy(bytes, data, len);
        if (seal && len >= 8)
                store_le64(bytes, XXH3_64bits(bytes + 8, len - 8));
        rc = record_parse(bytes, len, &r);
        record_free(r);
        return rc;
}

static void test_damaged_record_is_refused(void **state)
{
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        (void)state;

        assert_int_equal(parse(r->bytes, r->len, false), 0);
        for (size_t at = 0; at < r->len; at++) {
                r->bytes[at] ^= (uint8_t)(1 << at % 8);
                assert_int_equal(parse(r->bytes, r->len, false), -EINVAL);
                r->bytes[at] ^= (uint8_t)(1 << at % 8);
        }
        for (size_t len = 0; len < r->len; len++) {
                assert_int_equal(parse(r->bytes, len, false), -EINVAL);
                assert_int_equal(parse(r->bytes, len, true), -EINVAL);
        }
        record_free(r);
        free(disk.data);
}

static void test_forged_record_is_refused(void **state)
{
        static const struct {
                size_t at;
                uint64_t value;
        } forgeries[] = {
            {16, 0},                     /* disks */
            {16, 1},                     /* */
            {16, 3},                     /* */
            {16, UINT32_MAX},            /* */
            {24, SIZE + HASHTREE_PIECE}, /* the first one's size: a bit more, unset */
            {24, SIZE - HASHTREE_PIECE}, /* a bit less, and it is set */
            {24, UINT64_MAX},            /* */
            {24, UINT64_C(1) << 50},     /* */
            {24 + 40, 1},                /* pieces that are stored */
            {24 + 40, 3},                /* */
            {24 + 40, UINT64_MAX},       /* */
            {24 + 40, UINT64_MAX / 32},  /* */
        };
        struct bytes disk = make_disk();
        struct record *r = make_record(disk);
        (void)state;

        for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
                uint8_t saved[8];

                memcpy(saved, r->bytes + forgeries[i].at, 8);
                store_le64(r->bytes + forgeries[i].at, forgeries[i].value);
                /* A piece more is possible where its bit is in the same byte: it is one of zeros.
                 */
                assert_int_equal(parse(r->bytes, r->len, true), i == 4 ? 0 : -EINVAL);
                memcpy(r->bytes + forgeries[i].at, saved, 8);
        }
        r->bytes[24 + 48] |= 0x80;
        assert_int_equal(parse(r->bytes, r->len, true), -EINVAL);
        record_free(r);
        free(disk.data);
}

static int load_record(const struct sidecar_fixture *f, struct record **out)
{
        struct index *index = sidecar_open(f);
        struct error err = {0};
        int rc = index_load_record(index, out, &err);

        index_close(index);
        return rc;
}

/* The sidecar says that its record is at AT. */
static void forge_place(struct sidecar_fixture *f, uint64_t at)
{
        struct bytes b = fixture_copy(f->sidecar);
        struct record *r = NULL;

        store_le64(b.data + SC_RECORD, at);
        sidecar_seal(&b);
        fixture_write(f->index, b.data, b.len);
        assert_int_equal(load_record(f, &r), -EBADMSG);
        assert_null(r);
        free(b.data);
}

static void test_record_elsewhere_in_the_sidecar_is_refused(void **state)
{
        struct sidecar_fixture f;
        struct record *r = NULL;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, 7 * MIB);
        assert_int_equal(load_record(&f, &r), 0);
        assert_null(r);
        forge_place(&f, 1);
        forge_place(&f, SC_HEADER);
        forge_place(&f, load_le64(f.sidecar.data + SC_TABLES));
        forge_place(&f, load_le64(f.sidecar.data + SC_TABLES) + 1);
        forge_place(&f, f.sidecar.len);
        forge_place(&f, UINT64_MAX);
        sidecar_fixture_free(&f);
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
            cmocka_unit_test(test_record_holds_what_was_built),
            cmocka_unit_test(test_same_disk_agrees),
            cmocka_unit_test(test_change_is_located),
            cmocka_unit_test(test_neighbours_are_told_as_one),
            cmocka_unit_test(test_disk_of_another_size_has_changed),
            cmocka_unit_test(test_incomplete_tree_is_not_recorded),
            cmocka_unit_test(test_zeros_take_no_room),
            cmocka_unit_test(test_damaged_record_is_refused),
            cmocka_unit_test(test_forged_record_is_refused),
            cmocka_unit_test(test_record_elsewhere_in_the_sidecar_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
