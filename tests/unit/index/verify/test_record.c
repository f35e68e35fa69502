/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of what disks hold, made of their hash trees. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "index/verify/record.h"
#include "tests/fixtures/hashtree_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { SC_RECORD = 112 };

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
        struct hashtree *t = fixture_tree(disk.len, HASHTREE_MEMORY), *trees[2] = {t, t};
        struct record *r;

        fixture_put_leaves(t, disk);
        assert_int_equal(record_build(trees, 2, 1700000000, &r), 0);
        hashtree_free(t);
        return r;
}

static void test_record_holds_what_was_built(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct record *r = make_record(disk);
        uint8_t root[HASHTREE_LEN];
        (void)state;

        fixture_plain_root(disk, root);
        assert_int_equal(r->time, 1700000000);
        assert_int_equal(r->disk_count, 2);
        for (size_t i = 0; i < 2; i++) {
                assert_true(r->disks[i].size == TREE_SIZE);
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
        struct bytes disk = fixture_tree_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        struct told told;
        (void)state;

        fixture_put_leaves(t, disk);
        told = compare(r, t);
        assert_int_equal(told.changed_count + told.unknown_count, 0);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

/* One byte at AT is another: the range that is told. */
static void expect_changed(uint64_t at, uint64_t start, uint64_t len)
{
        struct bytes disk = fixture_tree_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        struct told told;

        disk.data[at] ^= 1;
        fixture_put_leaves(t, disk);
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
        expect_changed(TREE_SIZE - 1, 2 * (uint64_t)HASHTREE_PIECE,
                       TREE_SIZE - 2 * (uint64_t)HASHTREE_PIECE);
}

static void test_neighbours_are_told_as_one(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        struct told told;
        (void)state;

        disk.data[5] ^= 1;
        disk.data[HASHTREE_PIECE] ^= 1;
        fixture_put_leaf(t, disk, 130);
        hashtree_spoil(t, 2);
        fixture_put_leaves(t, disk);
        told = compare(r, t);
        assert_int_equal(told.changed_count, 1);
        assert_true(told.changed[0][0] == 0 && told.changed[0][1] == 2 * HASHTREE_PIECE);
        assert_int_equal(told.unknown_count, 1);
        assert_true(told.unknown[0][0] == 2 * HASHTREE_PIECE &&
                    told.unknown[0][1] == TREE_SIZE - 2 * HASHTREE_PIECE);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

static void test_disk_of_another_size_has_changed(void **state)
{
        struct bytes disk = fixture_tree_disk();
        struct record *r = make_record(disk);
        struct hashtree *t = fixture_tree(TREE_SIZE - 512, HASHTREE_MEMORY);
        struct told told = compare(r, t);
        (void)state;

        assert_int_equal(told.changed_count, 1);
        assert_true(told.changed[0][0] == 0 && told.changed[0][1] == TREE_SIZE);
        hashtree_free(t);
        record_free(r);
        free(disk.data);
}

static void test_incomplete_tree_is_not_recorded(void **state)
{
        struct hashtree *t = fixture_tree(TREE_SIZE, HASHTREE_MEMORY);
        struct record *r = NULL;
        (void)state;

        assert_int_equal(record_build(&t, 1, 0, &r), -ENODATA);
        assert_null(r);
        hashtree_free(t);
}

static void test_zeros_take_no_room(void **state)
{
        uint64_t size = UINT64_C(1) << 34;
        struct hashtree *t = fixture_tree(size, HASHTREE_MEMORY);
        struct record *r;
        (void)state;

        for (uint64_t i = 0; i < fixture_leaves(size); i++)
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
        struct bytes disk = fixture_tree_disk();
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
            {16, 0},                          /* disks */
            {16, 1},                          /* */
            {16, 3},                          /* */
            {16, UINT32_MAX},                 /* */
            {24, TREE_SIZE + HASHTREE_PIECE}, /* the first one's size: a bit more, unset */
            {24, TREE_SIZE - HASHTREE_PIECE}, /* a bit less, and it is set */
            {24, UINT64_MAX},                 /* */
            {24, UINT64_C(1) << 50},          /* */
            {24 + 40, 1},                     /* pieces that are stored */
            {24 + 40, 3},                     /* */
            {24 + 40, UINT64_MAX},            /* */
            {24 + 40, UINT64_MAX / 32},       /* */
        };
        struct bytes disk = fixture_tree_disk();
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
