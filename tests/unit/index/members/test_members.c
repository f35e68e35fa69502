/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of members: what it takes, what is stored, and stored trees that mean ill. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/entry.h"
#include "archive/member.h"
#include "index/members/members.h"

#define ROOM (UINT64_C(1) << 30)

static int add_file(struct members *m, const char *path)
{
        const struct member file = {.path = path, .mode = S_IFREG | 0644, .size = 5, .data = 512};

        return members_add(m, &file);
}

static void add_with(struct members *m, const char *path, const char *xattrs, size_t len)
{
        const struct member file = {
            .path = path, .mode = S_IFREG | 0644, .xattrs = xattrs, .xattrs_len = len};

        assert_int_equal(members_add(m, &file), 0);
}

/* A tree of some of each kind. */
static struct members *make(void)
{
        static const struct member_run run = {4096, 4, 2048};
        static const struct member sparse = {.path = "d/sparse",
                                             .mode = S_IFREG | 0600,
                                             .size = 9000,
                                             .sparse = true,
                                             .runs = &run,
                                             .run_count = 1};
        static const struct member link = {
            .path = "d/link", .mode = S_IFLNK | 0777, .target = "../x"};
        struct members *m = members_new(ROOM);

        assert_non_null(m);
        assert_int_equal(add_file(m, "d/one"), 0);
        assert_int_equal(add_file(m, "d/e/two"), 0);
        assert_int_equal(add_file(m, "d/one"), 0);
        assert_int_equal(members_add(m, &sparse), 0);
        assert_int_equal(members_add(m, &link), 0);
        add_with(m, "x", "user.a\0\1\0\0\0v", 12);
        assert_int_equal(members_seal(m, 1), 0);
        return m;
}

/* Its bytes, which the caller frees. */
static char *stored(struct members *m, size_t *len)
{
        struct members_piece pieces[MEMBERS_PIECES];
        char *out, *at;

        members_store(m, true, pieces);
        *len = 0;
        for (size_t i = 0; i < MEMBERS_PIECES; i++)
                *len += pieces[i].len;
        at = out = malloc(*len);
        assert_non_null(out);
        for (size_t i = 0; i < MEMBERS_PIECES; i++) {
                if (pieces[i].len)
                        memcpy(at, pieces[i].data, pieces[i].len);
                at += pieces[i].len;
        }
        return out;
}

/* Ask for all names in the folder N of M, which may be anything. */
static void look_up_all(const struct members *m, const struct members_node *n)
{
        const struct members_names *names;
        uint32_t found;

        assert_int_equal(members_names(m, n, &names), 0);
        for (uint64_t i = 0; i < n->count; i++) {
                const char *name = members_shown(m, n, names, i);

                assert_true(strlen(name) <= 255);
                members_find(m, n, name, &found);
        }
        assert_int_equal(members_find(m, n, "no such name", &found), -ENOENT);
}

/* Ask for all that M says, as a mount does. Returns how many nodes can be reached. */
static size_t walk(const struct members *m)
{
        uint32_t *todo = calloc(members_count(m) + 1, sizeof *todo);
        size_t count = 1, seen = 0;

        assert_non_null(todo);
        while (count) {
                const struct members_node *n = members_get(m, todo[--count]);
                struct entry_xattr *xattrs;
                struct entry e;

                assert_true(seen++ < members_count(m));
                assert_int_equal(members_entry(m, n, &e, &xattrs), 0);
                for (size_t i = 0; i < e.xattr_count; i++)
                        assert_true(strlen(e.xattrs[i].name) > 0);
                free(xattrs);
                if (S_ISREG(n->mode)) {
                        struct members_volume open;
                        struct volume_extent x;
                        struct volume *v = members_open(m, n, NULL, &open);

                        members_stored(m, n);
                        if (v->size)
                                assert_int_equal(v->ops->extent(v, v->size - 1, 1, &x), 0);
                }
                if (S_ISDIR(n->mode))
                        look_up_all(m, n);
                for (uint64_t i = 0; S_ISDIR(n->mode) && i < n->count; i++) {
                        assert_true(count < members_count(m));
                        todo[count++] = members_children(m, n)[i];
                }
        }
        free(todo);
        return seen;
}

static void test_what_is_stored_is_what_was(void **state)
{
        struct members *m = make(), *loaded = NULL;
        size_t len, again_len;
        char *bytes = stored(m, &len), *again;
        bool chosen = false;

        (void)state;
        assert_int_equal(len % 8, 0);
        assert_int_equal(members_load(bytes, len, &chosen, &loaded), 0);
        assert_true(chosen);
        assert_int_equal(walk(loaded), walk(m));
        bytes = stored(m, &len);
        again = stored(loaded, &again_len);
        assert_int_equal(again_len, len);
        assert_memory_equal(again, bytes, len);
        free(again);
        free(bytes);
        members_free(loaded);
        members_free(m);
}

/* Whatever byte is another one: it is refused, or gives a tree that can be walked. */
static void test_each_byte_of_a_stored_tree_may_be_any(void **state)
{
        static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        struct members *m = make();
        size_t len;
        char *good = stored(m, &len);

        (void)state;
        for (size_t at = 0; at < len; at++) {
                for (size_t v = 0; v < sizeof values; v++) {
                        char *bytes = malloc(len);
                        struct members *loaded = NULL;
                        bool chosen;

                        memcpy(bytes, good, len);
                        bytes[at] = (char)values[v];
                        if (members_load(bytes, len, &chosen, &loaded) == 0)
                                walk(loaded);
                        members_free(loaded);
                }
        }
        free(good);
        members_free(m);
}

static void test_a_stored_tree_that_is_cut_is_refused(void **state)
{
        struct members *m = make(), *loaded;
        size_t len;
        char *good = stored(m, &len);
        bool chosen;

        (void)state;
        for (size_t n = 0; n < len; n++) {
                char *bytes = malloc(n + 1);

                memcpy(bytes, good, n);
                assert_int_equal(members_load(bytes, n, &chosen, &loaded), -EINVAL);
        }
        free(good);
        members_free(m);
}

/* Change number AT of the nodes in a stored tree as CHANGE does: it is refused. */
static void expect_refused(size_t at, void (*change)(struct members_node *n))
{
        struct members *m = make(), *loaded;
        size_t len;
        char *bytes = stored(m, &len);
        bool chosen;

        change((struct members_node *)(bytes + MEMBERS_HEADER) + at);
        assert_int_equal(members_load(bytes, len, &chosen, &loaded), -EINVAL);
        members_free(m);
}

static void be_its_own_child(struct members_node *n)
{
        n->parent = 1;
}

static void lie_in_another_folder(struct members_node *n)
{
        n->parent = 0;
}

static void list_what_is_not_there(struct members_node *n)
{
        n->count = UINT64_C(1) << 40;
}

static void have_a_name_beyond_the_names(struct members_node *n)
{
        n->name = UINT32_MAX - 1;
}

static void be_of_no_kind(struct members_node *n)
{
        n->mode = 0;
}

static void be_another_content(struct members_node *n)
{
        n->kind = 1;
}

static void have_an_extra_that_is_not_there(struct members_node *n)
{
        n->extra = 1000;
}

static void begin_beyond_any_stream(struct members_node *n)
{
        n->data = UINT64_MAX - 1;
}

static void be_another_name_of_a_folder(struct members_node *n)
{
        n->same = 1;
}

static void be_another_name_of_another_kind(struct members_node *n)
{
        n->same = 6;
}

static void be_a_name_of_a_replaced_other(struct members_node *n)
{
        n->same = 7;
}

static void test_nodes_that_cannot_be_are_refused(void **state)
{
        (void)state;
        /* 0: root, 1: d, 2: d/one, which was replaced, 3: d/e, 4: d/e/two … */
        expect_refused(1, be_its_own_child);
        expect_refused(3, lie_in_another_folder);
        expect_refused(3, list_what_is_not_there);
        expect_refused(4, have_a_name_beyond_the_names);
        expect_refused(4, be_of_no_kind);
        expect_refused(4, be_another_content);
        expect_refused(4, have_an_extra_that_is_not_there);
        expect_refused(4, begin_beyond_any_stream);
        /* … 5: d/one, 6: d/sparse, 7: d/link, 8: x */
        expect_refused(4, be_another_name_of_a_folder);
        expect_refused(3, be_another_name_of_a_folder);
        expect_refused(7, be_another_name_of_another_kind);
        expect_refused(8, be_a_name_of_a_replaced_other);
}

/* ---- names ---- */

/* Each name of the root is shown as EXPECTED has it, and is found under that name alone. */
static void expect_names(struct members *m, const char *const *expected, size_t count)
{
        const struct members_names *names;
        const struct members_node *root;
        uint32_t found;

        assert_int_equal(members_seal(m, 1), 0);
        root = members_get(m, MEMBERS_ROOT);
        assert_int_equal(root->count, count);
        assert_int_equal(members_names(m, root, &names), 0);
        for (size_t i = 0; i < count; i++) {
                assert_string_equal(members_shown(m, root, names, i), expected[i]);
                assert_int_equal(members_find(m, root, expected[i], &found), 0);
                assert_int_equal(found, members_children(m, root)[i]);
        }
}

static void test_names_are_made_safe_and_told_apart(void **state)
{
        static const char *const shown[] = {"a%01", "a%01~2", "plain", "%2E%2E", "a%01~2~2", "%FF"};
        struct members *m = members_new(ROOM);
        uint32_t found;

        (void)state;
        add_file(m, "a\1");
        add_file(m, "a%01");
        add_file(m, "plain");
        add_file(m, "..");
        add_file(m, "a%01~2");
        add_file(m, "\xff");
        expect_names(m, shown, 6);
        assert_int_equal(members_find(m, members_get(m, MEMBERS_ROOT), "a\1", &found), -ENOENT);
        members_free(m);
}

static void test_a_plain_folder_needs_no_table_to_be_listed(void **state)
{
        static const char *const shown[] = {"one", "two"};
        const struct members_names *names;
        struct members *m = members_new(ROOM);

        (void)state;
        add_file(m, "one");
        add_file(m, "two");
        expect_names(m, shown, 2);
        assert_int_equal(members_names(m, members_get(m, MEMBERS_ROOT), &names), 0);
        assert_null(names);
        members_free(m);
}

/* Each is cut to the same 255 bytes. */
static void test_a_thousand_names_that_are_cut_alike_are_found(void **state)
{
        enum { MANY = 1000, LONG = 300 };
        const struct members_node *root;
        const struct members_names *names;
        struct members *m = members_new(ROOM);
        char path[LONG + 16];
        uint32_t found;

        (void)state;
        memset(path, 'x', LONG);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path + LONG, 16, "%u", i);
                assert_int_equal(add_file(m, path), 0);
        }
        assert_int_equal(members_seal(m, 1), 0);
        root = members_get(m, MEMBERS_ROOT);
        assert_int_equal(members_names(m, root, &names), 0);
        for (unsigned i = 0; i < MANY; i++) {
                assert_int_equal(members_find(m, root, members_shown(m, root, names, i), &found),
                                 0);
                assert_int_equal(found, i + 1);
        }
        members_free(m);
}

static void test_a_name_in_a_large_folder_is_found(void **state)
{
        enum { MANY = 10000 };
        struct members *m = members_new(ROOM);
        char path[32];
        uint32_t found;

        (void)state;
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "d/%u", i);
                assert_int_equal(add_file(m, path), 0);
        }
        assert_int_equal(members_seal(m, 1), 0);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "%u", i);
                assert_int_equal(members_find(m, members_get(m, 1), path, &found), 0);
                assert_int_equal(found, i + 2);
        }
        assert_int_equal(members_find(m, members_get(m, 1), "x", &found), -ENOENT);
        members_free(m);
}

static void test_a_member_takes_less_than_200_bytes(void **state)
{
        enum { MANY = 100000 };
        struct members *m = members_new(ROOM);
        char path[64];

        (void)state;
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "usr/share/%u/package-%u.list", i / 100, i);
                assert_int_equal(add_file(m, path), 0);
        }
        assert_true(members_bytes(m) < (uint64_t)MANY * 200);
        assert_int_equal(members_seal(m, 1), 0);
        assert_true(members_bytes(m) < (uint64_t)MANY * 100);
        members_free(m);
}

static void test_a_tree_stays_below_its_limit(void **state)
{
        enum { LIMIT = 1 << 20 };
        struct members *m = members_new(LIMIT);
        char path[32];
        unsigned i = 0;
        int rc = 0;

        (void)state;
        for (; rc == 0; i++) {
                snprintf(path, sizeof path, "%u", i);
                rc = add_file(m, path);
        }
        assert_int_equal(rc, -E2BIG);
        assert_true(i > LIMIT / 200);
        assert_true(members_bytes(m) < LIMIT + 4096);
        members_free(m);
}

static void test_attributes_count_towards_the_limit(void **state)
{
        enum { LIMIT = 1 << 20, LEN = 60000 };
        struct members *m = members_new(LIMIT);
        char *xattrs = calloc(1, LEN);
        const uint32_t value = LEN - 12;
        char path[32];
        int rc = 0;

        (void)state;
        memcpy(xattrs, "user.ab", 8);
        memcpy(xattrs + 8, &value, sizeof value);
        for (unsigned i = 0; rc == 0; i++) {
                const struct member file = {
                    .path = path, .mode = S_IFREG, .xattrs = xattrs, .xattrs_len = LEN};

                assert_true(i < 100);
                snprintf(path, sizeof path, "%u", i);
                memcpy(xattrs + 12, path, strlen(path));
                rc = members_add(m, &file);
        }
        assert_int_equal(rc, -E2BIG);
        free(xattrs);
        members_free(m);
}

static void test_equal_attributes_are_kept_once(void **state)
{
        struct members *m = members_new(ROOM);
        uint64_t before;
        char path[32];

        (void)state;
        add_with(m, "first", "user.a\0\1\0\0\0v", 12);
        before = members_bytes(m);
        for (unsigned i = 0; i < 100; i++) {
                snprintf(path, sizeof path, "%u", i);
                add_with(m, path, "user.a\0\1\0\0\0v", 12);
        }
        assert_true(members_bytes(m) < before + UINT64_C(100) * 80);
        members_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_is_stored_is_what_was),
            cmocka_unit_test(test_names_are_made_safe_and_told_apart),
            cmocka_unit_test(test_a_plain_folder_needs_no_table_to_be_listed),
            cmocka_unit_test(test_a_thousand_names_that_are_cut_alike_are_found),
            cmocka_unit_test(test_a_name_in_a_large_folder_is_found),
            cmocka_unit_test(test_each_byte_of_a_stored_tree_may_be_any),
            cmocka_unit_test(test_a_stored_tree_that_is_cut_is_refused),
            cmocka_unit_test(test_nodes_that_cannot_be_are_refused),
            cmocka_unit_test(test_a_member_takes_less_than_200_bytes),
            cmocka_unit_test(test_a_tree_stays_below_its_limit),
            cmocka_unit_test(test_attributes_count_towards_the_limit),
            cmocka_unit_test(test_equal_attributes_are_kept_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
