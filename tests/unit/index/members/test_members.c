/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of members: what it takes, what is stored, and stored trees that mean ill. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/entry.h"
#include "archive/error.h"
#include "archive/member.h"
#include "archive/source/source.h"
#include "index/members/members.h"
#include "tests/fixtures/members_fixture.h"

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

/* A tree whose arrays are many parts of 64 KiB. */
static struct members *make_large(void)
{
        enum { FOLDERS = 20, MANY = 400 };
        struct members *m = members_new(ROOM);
        char path[64];

        for (unsigned i = 0; i < FOLDERS * MANY; i++) {
                snprintf(path, sizeof path, "folder-%u/a file of some name %u", i / MANY, i);
                assert_int_equal(add_file(m, path), 0);
        }
        assert_int_equal(members_seal(m, 1), 0);
        return m;
}

/* Ask for all names in the folder N of M, which may be anything. False: they cannot be read. */
static bool look_up_all(const struct members *m, const struct members_node *n)
{
        const struct members_names *names;
        const struct members_node *found;
        int rc = members_names(m, n, &names);

        if (rc < 0) {
                assert_int_equal(rc, -EIO);
                return false;
        }
        for (uint64_t i = 0; i < n->count; i++) {
                const char *name = members_shown(m, names, i, members_child(m, n, i));

                assert_true(strlen(name) <= 255);
                members_find(m, n, name, &found);
        }
        assert_int_equal(members_find(m, n, "no such name", &found), -ENOENT);
        return true;
}

/* What is in the folder N of M, as far as it can be read. Returns the new COUNT of TODO. */
static size_t list(const struct members *m, const struct members_node *n,
                   const struct members_node **todo, size_t count)
{
        bool good = look_up_all(m, n);

        for (uint64_t i = 0; i < n->count; i++) {
                const struct members_node *child = members_child(m, n, i);

                assert_true(child || !good);
                if (!child)
                        break;
                assert_true(count < members_count(m));
                todo[count++] = child;
        }
        return count;
}

static void look_at(const struct members *m, const struct members_node *n)
{
        struct entry_xattr *xattrs;
        struct entry e;

        assert_int_equal(members_entry(m, n, &e, &xattrs), 0);
        for (size_t i = 0; i < e.xattr_count; i++)
                assert_true(strlen(e.xattrs[i].name) > 0);
        free(xattrs);
        if (S_ISLNK(n->mode))
                assert_int_equal(strlen(e.target), n->size);
        if (S_ISREG(n->mode)) {
                struct members_volume open;
                struct volume_extent x;
                struct volume *v = members_open(m, n, NULL, &open);

                members_stored(m, n);
                if (v->size)
                        assert_int_equal(v->ops->extent(v, v->size - 1, 1, &x), 0);
        }
}

/* Ask for all that M says, as a mount does. Returns how many nodes can be reached. */
static size_t walk(const struct members *m)
{
        const struct members_node **todo = calloc(members_count(m) + 1, sizeof *todo);
        size_t count = 0, seen = 0;

        assert_non_null(todo);
        todo[count++] = members_get(m, MEMBERS_ROOT);
        while (count) {
                const struct members_node *n = todo[--count];

                assert_true(seen++ < members_count(m));
                look_at(m, n);
                if (S_ISDIR(n->mode))
                        count = list(m, n, todo, count);
        }
        free(todo);
        return seen;
}

static void test_what_is_stored_is_what_was(void **state)
{
        struct members *m = make(), *loaded = NULL;
        struct members_counts counts, again_counts;
        size_t len, again_len;
        char *bytes = members_as_bytes(m, &len), *again;
        bool chosen = false;

        (void)state;
        assert_int_equal(len % 8, 0);
        assert_int_equal(members_of_bytes(bytes, &len, false, NULL, &chosen, &loaded), 0);
        assert_true(chosen);
        members_tally(m, &counts);
        members_tally(loaded, &again_counts);
        assert_memory_equal(&counts, &again_counts, sizeof counts);
        assert_int_equal(walk(loaded), walk(m));
        again = members_as_bytes(loaded, &again_len);
        assert_int_equal(again_len, len);
        assert_memory_equal(again, bytes, len);
        assert_int_equal(members_equal(loaded, m), 1);
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
        char *bytes = members_as_bytes(m, &len);

        (void)state;
        for (size_t at = 0; at < len; at++) {
                char good = bytes[at];

                for (size_t v = 0; v < sizeof values; v++) {
                        struct members *loaded = NULL;
                        bool chosen;

                        bytes[at] = (char)values[v];
                        if (members_of_bytes(bytes, &len, false, NULL, &chosen, &loaded) == 0)
                                walk(loaded);
                        members_free(loaded);
                }
                bytes[at] = good;
        }
        free(bytes);
        members_free(m);
}

static void test_a_stored_tree_that_is_cut_is_refused(void **state)
{
        struct members *m = make(), *loaded;
        size_t len;
        char *good = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        for (size_t n = 0; n < len; n++)
                assert_int_equal(members_of_bytes(good, &n, false, NULL, &chosen, &loaded),
                                 -EBADMSG);
        free(good);
        members_free(m);
}

static void test_a_stored_tree_of_another_hash_is_refused(void **state)
{
        struct members *m = make(), *loaded;
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        struct members_source from = {.len = len, .hash = members_hash_of(bytes, len) ^ 1};
        struct error err = {0};
        int fd = memfd_create("members", 0);
        bool chosen;

        (void)state;
        assert_int_equal(write(fd, bytes, len), len);
        assert_int_equal(source_open_fd(fd, &from.file, &err), 0);
        assert_int_equal(members_load(&from, &chosen, &loaded), -EBADMSG);
        free(bytes);
        members_free(m);
}

static void test_a_tree_of_another_version_is_not_called_damaged(void **state)
{
        struct members *m = make(), *loaded;
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        bytes[4]++;
        assert_int_equal(members_of_bytes(bytes, &len, false, NULL, &chosen, &loaded), -ENOTSUP);
        bytes[4]--;
        bytes[0]++;
        assert_int_equal(members_of_bytes(bytes, &len, true, NULL, &chosen, &loaded), -ENOTSUP);
        free(bytes);
        members_free(m);
}

static void test_wrong_counts_are_refused(void **state)
{
        struct members *m = make(), *loaded;
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        for (size_t at = 80; at < MEMBERS_HEADER; at += 8) {
                bytes[at]++;
                assert_int_equal(members_of_bytes(bytes, &len, true, NULL, &chosen, &loaded),
                                 -EINVAL);
                bytes[at]--;
        }
        free(bytes);
        members_free(m);
}

/* Its bytes may be overwritten. */
static void test_a_tree_that_is_read_whole_needs_no_file(void **state)
{
        struct members *m = make_large(), *loaded;
        struct members_failures failed = {0};
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        assert_int_equal(members_of_bytes(bytes, &len, true, &failed, &chosen, &loaded), 0);
        memset(bytes, 0xff, len);
        assert_int_equal(walk(loaded), walk(m));
        assert_int_equal(members_equal(loaded, m), 1);
        assert_int_equal(failed.count, 0);
        free(bytes);
        members_free(loaded);
        members_free(m);
}

/*
 * Once it was loaded, the file is written to: what was not read before is refused, each time, and
 * what was stays.
 */
static void test_a_part_that_has_changed_since_is_refused(void **state)
{
        struct members *m = make_large(), *loaded;
        const struct members_node *root, *first, *last, *found;
        const struct members_names *names;
        struct members_failures failed = {0};
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        assert_int_equal(members_of_bytes(bytes, &len, false, &failed, &chosen, &loaded), 0);
        root = members_get(loaded, MEMBERS_ROOT);
        first = members_child(loaded, root, 0);
        assert_non_null(first);
        assert_int_equal(members_names(loaded, first, &names), 0);
        for (size_t i = 0; i < len; i++)
                bytes[i] ^= 0x55;
        assert_int_equal(failed.count, 0);

        assert_int_equal(members_names(loaded, first, &names), 0);
        assert_int_equal(members_find(loaded, first, "a file of some name 7", &found), 0);
        assert_null(members_child(loaded, root, 19));
        assert_null(members_get(loaded, (uint32_t)members_count(loaded) - 1));
        assert_int_equal(members_names(loaded, root, &names), -EIO);
        assert_int_equal(members_find(loaded, root, "folder-19", &found), -EIO);
        assert_int_equal(failed.count, 4);
        assert_int_equal(failed.last, -EBADMSG);
        assert_int_equal(members_equal(loaded, m), -EBADMSG);

        /* With its bytes, all is as it was. */
        for (size_t i = 0; i < len; i++)
                bytes[i] ^= 0x55;
        last = members_child(loaded, root, 19);
        assert_non_null(last);
        assert_int_equal(members_find(loaded, last, "a file of some name 7999", &found), 0);
        assert_int_equal(members_equal(loaded, m), 1);
        free(bytes);
        members_free(loaded);
        members_free(m);
}

static void test_a_file_that_is_cut_since_is_refused(void **state)
{
        struct members *m = make_large(), *loaded;
        const struct members_node *root;
        struct members_failures failed = {0};
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        (void)state;
        assert_int_equal(members_of_bytes(bytes, &len, false, &failed, &chosen, &loaded), 0);
        len = MEMBERS_HEADER;
        root = members_get(loaded, MEMBERS_ROOT);
        assert_non_null(root);
        assert_null(members_child(loaded, root, 19));
        assert_int_equal(failed.count, 1);
        assert_int_equal(failed.last, -EIO);
        free(bytes);
        members_free(loaded);
        members_free(m);
}

static void *walk_all(void *m)
{
        return (void *)(uintptr_t)walk(m);
}

static void test_threads_may_ask_for_the_same(void **state)
{
        enum { THREADS = 4 };
        struct members *m = make_large(), *loaded;
        size_t len, seen = walk(m);
        char *bytes = members_as_bytes(m, &len);
        pthread_t threads[THREADS];
        bool chosen;

        (void)state;
        assert_int_equal(members_of_bytes(bytes, &len, false, NULL, &chosen, &loaded), 0);
        for (size_t i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, walk_all, loaded), 0);
        for (size_t i = 0; i < THREADS; i++) {
                void *found;

                pthread_join(threads[i], &found);
                assert_int_equal((uintptr_t)found, seen);
        }
        free(bytes);
        members_free(loaded);
        members_free(m);
}

/*
 * Change number AT of the nodes in a stored tree as CHANGE does: the tree is refused as a whole, and
 * as far as it is used, each part of it that is wrong.
 */
static void expect_refused(size_t at, void (*change)(struct members_node *n))
{
        struct members *m = make(), *loaded;
        struct members_failures failed = {0};
        size_t len;
        char *bytes = members_as_bytes(m, &len);
        bool chosen;

        change((struct members_node *)(bytes + MEMBERS_HEADER) + at);
        assert_int_equal(members_of_bytes(bytes, &len, false, &failed, &chosen, &loaded), 0);
        walk(loaded);
        assert_true(failed.count > 0);
        assert_int_equal(failed.last, -EBADMSG);
        assert_int_equal(members_equal(loaded, m), -EBADMSG);
        members_free(loaded);
        assert_int_equal(members_of_bytes(bytes, &len, true, NULL, &chosen, &loaded), -EINVAL);
        free(bytes);
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

static void lead_beyond_the_names(struct members_node *n)
{
        n->target = UINT64_MAX - 3;
}

static void lead_to_what_no_zero_ends(struct members_node *n)
{
        n->size = 2;
}

/* To "../x" and the name after it. */
static void lead_beyond_a_zero(struct members_node *n)
{
        n->size = 6;
}

/* As many as the list has room for. */
static void list_more_than_there_is(struct members_node *n)
{
        n->count = 10;
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
        expect_refused(7, lead_beyond_the_names);
        expect_refused(7, lead_to_what_no_zero_ends);
        expect_refused(7, lead_beyond_a_zero);
        expect_refused(1, list_more_than_there_is);
}

/* Else an index of some megabytes could take hours to check. */
static void test_links_that_share_a_target_are_refused(void **state)
{
        enum { MANY = 20, LONG = 200 };
        struct members *m = members_new(ROOM), *loaded;
        struct members_node *nodes;
        char target[LONG + 1] = {0}, path[16], *bytes;
        struct member link = {.path = path, .mode = S_IFLNK | 0777, .target = target};
        size_t len;
        bool chosen;

        (void)state;
        memset(target, 'x', LONG);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "%u", i);
                assert_int_equal(members_add(m, &link), 0);
                target[1] = '\0';
        }
        assert_int_equal(members_seal(m, 1), 0);
        bytes = members_as_bytes(m, &len);
        assert_int_equal(members_of_bytes(bytes, &len, true, NULL, &chosen, &loaded), 0);
        members_free(loaded);
        nodes = (struct members_node *)(bytes + MEMBERS_HEADER);
        for (unsigned i = 2; i <= MANY; i++) {
                nodes[i].size = LONG;
                nodes[i].target = nodes[1].target;
        }
        assert_int_equal(members_of_bytes(bytes, &len, true, NULL, &chosen, &loaded), -EINVAL);
        free(bytes);
        members_free(m);
}

/* ---- names ---- */

/* Each name of the root is shown as EXPECTED has it, and is found under that name alone. */
static void expect_names(struct members *m, const char *const *expected, size_t count)
{
        const struct members_names *names;
        const struct members_node *root;
        const struct members_node *found;

        assert_int_equal(members_seal(m, 1), 0);
        root = members_get(m, MEMBERS_ROOT);
        assert_int_equal(root->count, count);
        assert_int_equal(members_names(m, root, &names), 0);
        for (size_t i = 0; i < count; i++) {
                assert_string_equal(members_shown(m, names, i, members_child(m, root, i)),
                                    expected[i]);
                assert_int_equal(members_find(m, root, expected[i], &found), 0);
                assert_ptr_equal(found, members_child(m, root, i));
        }
}

static void test_names_are_made_safe_and_told_apart(void **state)
{
        static const char *const shown[] = {"a%01", "a%01~2", "plain", "%2E%2E", "a%01~2~2", "%FF"};
        struct members *m = members_new(ROOM);
        const struct members_node *found;

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
        const struct members_node *found;

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
                assert_int_equal(members_find(m, root,
                                              members_shown(m, names, i, members_child(m, root, i)),
                                              &found),
                                 0);
                assert_int_equal(members_number(m, found), i + 1);
        }
        members_free(m);
}

static void test_a_name_in_a_large_folder_is_found(void **state)
{
        enum { MANY = 10000 };
        struct members *m = members_new(ROOM);
        char path[32];
        const struct members_node *found;

        (void)state;
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "d/%u", i);
                assert_int_equal(add_file(m, path), 0);
        }
        assert_int_equal(members_seal(m, 1), 0);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(path, sizeof path, "%u", i);
                assert_int_equal(members_find(m, members_get(m, 1), path, &found), 0);
                assert_int_equal(members_number(m, found), i + 2);
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
            cmocka_unit_test(test_a_stored_tree_of_another_hash_is_refused),
            cmocka_unit_test(test_a_tree_of_another_version_is_not_called_damaged),
            cmocka_unit_test(test_wrong_counts_are_refused),
            cmocka_unit_test(test_links_that_share_a_target_are_refused),
            cmocka_unit_test(test_a_tree_that_is_read_whole_needs_no_file),
            cmocka_unit_test(test_a_part_that_has_changed_since_is_refused),
            cmocka_unit_test(test_a_file_that_is_cut_since_is_refused),
            cmocka_unit_test(test_threads_may_ask_for_the_same),
            cmocka_unit_test(test_a_member_takes_less_than_200_bytes),
            cmocka_unit_test(test_a_tree_stays_below_its_limit),
            cmocka_unit_test(test_attributes_count_towards_the_limit),
            cmocka_unit_test(test_equal_attributes_are_kept_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
