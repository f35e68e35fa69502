/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree that grows: names, listings that go on while it changes, folders that come and go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/entry.h"
#include "index/tree/tree.h"

static struct node *add(struct node *folder, const char *name, mode_t mode, uint64_t ino)
{
        const struct entry e = {.name = name, .mode = mode, .later = false};
        struct node *n;

        assert_int_equal(tree_add(folder, &e, ino, NULL, &n), 0);
        return n;
}

static struct node *find(struct node *folder, const char *name)
{
        struct node *n = NULL;
        int rc = tree_lookup(folder, name, &n);

        assert_int_equal(rc, n ? 0 : -ENOENT);
        return n;
}

/* The names of FOLDER after POSITION, each with a slash. */
static void expect_list(struct node *folder, uint64_t position, const char *expected)
{
        struct tree_cursor c = {.position = position};
        char got[1024] = "";
        size_t len = 0;
        struct node *n;

        assert_int_equal(tree_open(folder), 0);
        while ((n = tree_next(folder, &c))) {
                len += (size_t)snprintf(got + len, sizeof got - len, "%s/", c.name);
                assert_true(len < sizeof got);
                tree_release(n, 1);
        }
        tree_close(folder);
        assert_string_equal(got, expected);
}

static void finds_what_was_added(void **state)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct node *root = tree_root(t), *folder, *file;
        char *path;

        (void)state;
        folder = add(root, "folder", S_IFDIR, 2);
        file = add(folder, "file", 0, 3);
        assert_ptr_equal(find(root, "folder"), folder);
        assert_ptr_equal(find(folder, "file"), file);
        assert_null(find(root, "file"));
        assert_int_equal(tree_lookup(file, "x", &folder), -ENOTDIR);
        assert_int_equal(tree_open(file), -ENOTDIR);
        assert_int_equal(tree_links(root), 3);
        assert_int_equal(tree_links(file), 1);
        assert_true(S_ISREG(file->mode));
        path = tree_path(file);
        assert_string_equal(path, "folder/file");
        free(path);
        path = tree_path(root);
        assert_string_equal(path, "");
        free(path);
        assert_int_equal(tree_stats(t).nodes, 3);
        tree_free(t);
}

static void keeps_what_entries_say(void **state)
{
        const struct entry_xattr xattrs[] = {{"user.a", "1", 1},
                                             {"security.capability", "\0\1\2", 3}};
        const struct entry link = {.name = "link", .mode = S_IFLNK | 0777, .target = "../a/\x01"};
        const struct entry device = {.name = "null", .mode = S_IFCHR | 0666, .rdev = 0x103};
        const struct entry file = {.name = "file",
                                   .mode = S_IFREG | 04755,
                                   .recorded = true,
                                   .uid = 7,
                                   .gid = 8,
                                   .has_mtime = true,
                                   .mtime = {-5, 999999999},
                                   .size = UINT64_C(1) << 50,
                                   .links = 3,
                                   .xattrs = xattrs,
                                   .xattr_count = 2};
        struct tree *t = tree_new(NULL, NULL, false);
        struct node *n;

        (void)state;
        assert_int_equal(tree_add(tree_root(t), &link, 2, NULL, &n), 0);
        assert_string_equal(tree_extra(n)->target, "../a/\x01");
        assert_int_equal(tree_add(tree_root(t), &device, 3, NULL, &n), 0);
        assert_int_equal(n->rdev, 0x103);
        assert_null(tree_extra(n));
        assert_int_equal(tree_add(tree_root(t), &file, 4, t, &n), 0);
        assert_int_equal(n->mode, S_IFREG | 04755);
        assert_int_equal(n->uid, 7);
        assert_int_equal(n->gid, 8);
        assert_int_equal(n->mtime, -5);
        assert_int_equal(n->mtime_ns, 999999999);
        assert_true(n->size == UINT64_C(1) << 50);
        assert_int_equal(n->flags, NODE_RECORDED | NODE_MTIME);
        assert_int_equal(tree_links(n), 3);
        assert_ptr_equal(n->content, t);
        assert_int_equal(tree_extra(n)->xattrs_len, 7 + 4 + 1 + 20 + 4 + 3);
        assert_string_equal(tree_extra(n)->xattrs, "user.a");
        assert_string_equal(tree_extra(n)->xattrs + 12, "security.capability");
        tree_free(t);
}

static void makes_names_safe_and_different(void **state)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct node *root = tree_root(t), *folder = add(root, "f", S_IFDIR, 2);
        char *huge = malloc(100001);

        (void)state;
        memset(huge, 'x', 100000);
        huge[100000] = '\0';
        assert_string_equal(add(root, "..", 0, 3)->name, "%2E%2E");
        assert_string_equal(add(root, "a/b", 0, 4)->name, "a%2Fb");
        assert_string_equal(add(root, "", 0, 5)->name, "%");
        assert_string_equal(add(root, "s~3", 0, 6)->name, "s~3");
        assert_string_equal(add(root, "s", 0, 7)->name, "s");
        assert_string_equal(add(root, "s", 0, 8)->name, "s~2");
        assert_string_equal(add(root, "s", 0, 9)->name, "s~4");
        assert_string_equal(add(folder, "s", 0, 10)->name, "s");
        assert_int_equal(strlen(add(root, huge, 0, 11)->name), 255);
        assert_int_equal(strlen(add(root, huge, 0, 12)->name), 255);
        assert_string_equal(add(root, huge, 0, 13)->name + 253, "~3");
        free(huge);
        tree_free(t);
}

static void lists_go_on_while_a_folder_changes(void **state)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct node *root = tree_root(t), *n;
        struct tree_cursor c = {0};
        char name[2] = "a";

        (void)state;
        for (; *name <= 'h'; name[0]++)
                add(root, name, 0, 2u + (unsigned)*name);
        assert_int_equal(tree_open(root), 0);
        for (int i = 0; i < 3; i++) {
                n = tree_next(root, &c);
                tree_release(n, 1);
        }
        assert_string_equal(c.name, "c");
        /* What was passed, what is next, and what comes later go; something is added. */
        for (const char *gone = "acdf"; *gone; gone++) {
                name[0] = *gone;
                n = find(root, name);
                assert_int_equal(tree_remove(n), 0);
                assert_int_equal(tree_remove(n), 0);
                tree_release(n, 1);
        }
        add(root, "new", 0, 100);
        expect_list(root, c.position, "e/g/h/new/");
        n = tree_next(root, &c);
        assert_string_equal(n->name, "e");
        tree_release(n, 1);
        tree_close(root);
        expect_list(root, 0, "b/e/g/h/new/");
        assert_int_equal(tree_stats(t).nodes, 6);
        tree_free(t);
}

static void what_is_removed_stays_with_who_uses_it(void **state)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct node *folder = add(tree_root(t), "f", S_IFDIR, 2), *file = add(folder, "x", 0, 3);

        (void)state;
        tree_hold(file);
        tree_hold(folder);
        assert_int_equal(tree_remove(folder), 0);
        assert_null(find(tree_root(t), "f"));
        assert_string_equal(add(tree_root(t), "f", S_IFDIR, 4)->name, "f");
        tree_release(folder, 1);
        /* The file still uses it. */
        assert_string_equal(file->parent->name, "f");
        assert_int_equal(tree_links(tree_root(t)), 3);
        tree_release(file, 1);
        assert_int_equal(tree_stats(t).nodes, 2);

        tree_hold(file = add(tree_root(t), "y", 0, 5));
        assert_int_equal(tree_remove(file), 0);
        tree_free(t);
}

/* ---- folders that are filled when they are entered ---- */

/* The root has folders 0, 1 …, each of them files 0, 1 … and one folder that is made with it. */
struct maker {
        int folders, files;
        int fills, empties;
        int fail;
};

static int fill(void *ctx, struct node *folder)
{
        struct maker *m = ctx;
        bool is_root = folder->parent == folder;

        m->fills++;
        for (int i = 0; i < (is_root ? m->folders : m->files); i++) {
                char name[16];
                struct entry e = {
                    .name = name, .mode = is_root ? S_IFDIR : S_IFREG, .later = is_root};

                snprintf(name, sizeof name, "%d", i);
                assert_int_equal(tree_add(folder, &e, folder->ino * 1000 + (unsigned)i, NULL, NULL),
                                 0);
        }
        if (!is_root)
                add(add(folder, "made", S_IFDIR, folder->ino * 1000 + 998), "inner", 0,
                    folder->ino * 1000 + 999);
        return m->fail;
}

static void emptied(void *ctx, struct node *folder)
{
        (void)folder;
        ((struct maker *)ctx)->empties++;
}

static const struct tree_ops ops = {.fill = fill, .emptied = emptied};

static void fills_a_folder_once(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);
        struct node *folder, *file;

        (void)state;
        assert_int_equal(m.fills, 0);
        folder = find(tree_root(t), "1");
        assert_int_equal(m.fills, 1);
        file = find(folder, "0");
        assert_int_equal(m.fills, 2);
        assert_int_equal(folder->ino, 1001);
        assert_int_equal(file->ino, 1001000);
        assert_null(find(folder, "2"));
        expect_list(folder, 0, "0/1/made/");
        assert_int_equal(m.fills, 2);
        tree_release(file, 1);
        tree_release(folder, 1);
        assert_int_equal(m.empties, 0);
        tree_free(t);
}

static void empties_what_is_not_used(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);
        struct node *folder = find(tree_root(t), "1"), *made = find(folder, "made"),
                    *inner = find(made, "inner");

        (void)state;
        tree_limit(t, 0);
        assert_int_equal(m.empties, 0);
        tree_release(made, 1);
        tree_release(folder, 1);
        assert_int_equal(m.empties, 0);
        assert_int_equal(tree_stats(t).nodes, 1 + 3 + 4);
        /* The last one that keeps folder 1 and the root. */
        tree_release(inner, 1);
        assert_int_equal(m.empties, 2);
        assert_int_equal(tree_stats(t).nodes, 1);
        assert_int_equal(tree_stats(t).idle, 0);

        folder = find(tree_root(t), "1");
        assert_int_equal(folder->ino, 1001);
        tree_release(folder, 1);
        assert_int_equal(m.fills, 3);
        tree_free(t);
}

static void empties_the_oldest_first(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);

        (void)state;
        tree_limit(t, 8);
        for (int i = 0; i < 3; i++) {
                char name[2] = {(char)('0' + i), '\0'};
                struct node *folder = find(tree_root(t), name);

                expect_list(folder, 0, "0/1/made/");
                tree_release(folder, 1);
        }
        /* Each has four nodes, and the root is used by those that are filled. */
        assert_int_equal(m.empties, 1);
        assert_int_equal(tree_stats(t).idle, 8);
        expect_list(tree_root(t), 0, "0/1/2/");
        assert_int_equal(m.fills, 4);
        tree_free(t);
}

static void an_open_folder_stays(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);
        struct node *folder = find(tree_root(t), "2");

        (void)state;
        tree_limit(t, 0);
        assert_int_equal(tree_open(folder), 0);
        tree_release(folder, 1);
        assert_int_equal(m.empties, 0);
        tree_close(folder);
        assert_int_equal(m.empties, 2);
        tree_free(t);
}

static void a_failed_fill_leaves_nothing(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);
        struct node *folder = find(tree_root(t), "2"), *n;

        (void)state;
        m.fail = -EIO;
        assert_int_equal(tree_lookup(folder, "0", &n), -EIO);
        assert_int_equal(tree_open(folder), -EIO);
        assert_int_equal(tree_stats(t).nodes, 4);
        m.fail = 0;
        expect_list(folder, 0, "0/1/made/");
        tree_release(folder, 1);
        tree_free(t);
}

static void a_folder_that_was_removed_can_still_be_filled(void **state)
{
        struct maker m = {.folders = 3, .files = 2};
        struct tree *t = tree_new(&ops, &m, true);
        struct node *folder = find(tree_root(t), "2"), *file;

        (void)state;
        tree_limit(t, 0);
        assert_int_equal(tree_remove(folder), 0);
        file = find(folder, "0");
        tree_release(folder, 1);
        assert_int_equal(file->parent->ino, 1002);
        tree_release(file, 1);
        assert_int_equal(tree_stats(t).nodes, 1);
        tree_free(t);
}

/* ---- what is removed is told, once nobody uses it ---- */

static int two_in_each(void *ctx, struct node *folder)
{
        static const struct entry file = {.name = "file", .mode = S_IFREG},
                                  deeper = {.name = "deeper", .mode = S_IFDIR, .later = true};

        assert_int_equal(tree_add(folder, &file, folder->ino * 2, NULL, NULL), 0);
        return tree_add(folder, &deeper, folder->ino * 2 + 1, ctx, NULL);
}

struct ends {
        unsigned gone, emptied;
        void *content; /* of what was told last */
};

static void count_gone(void *ctx, void *content)
{
        struct ends *e = ctx;

        e->gone++;
        e->content = content;
}

static void count_emptied(void *ctx, struct node *folder)
{
        (void)folder;
        ((struct ends *)ctx)->emptied++;
}

static const struct tree_ops told = {
    .fill = two_in_each, .emptied = count_emptied, .gone = count_gone};

static void what_is_removed_is_told_once_it_is_unused(void **state)
{
        struct ends e = {0};
        struct tree *t = tree_new(&told, &e, true);
        struct node *file = find(tree_root(t), "file"), *again;

        (void)state;
        assert_int_equal(tree_remove(file), 0);
        tree_hold(file);
        tree_release(file, 1);
        assert_int_equal(e.gone, 0);
        tree_release(file, 1);
        assert_int_equal(e.gone, 1);
        assert_null(e.content);
        /* The folder goes on. */
        assert_non_null(again = find(tree_root(t), "deeper"));
        tree_release(again, 1);
        assert_int_equal(e.emptied, 0);
        assert_int_equal(tree_stats(t).nodes, 2);
        tree_free(t);
        assert_int_equal(e.gone, 1);
}

static void a_folder_that_is_removed_is_emptied_at_once(void **state)
{
        struct ends e = {0};
        struct tree *t = tree_new(&told, &e, true);
        struct node *top = find(tree_root(t), "deeper"), *middle = find(top, "deeper");
        struct node *low = find(middle, "deeper"), *file = find(low, "file");
        void *content = top->content;

        (void)state;
        tree_release(low, 1);
        tree_release(middle, 1);
        assert_int_equal(tree_remove(top), 0);
        tree_release(top, 1);
        assert_int_equal(e.emptied, 0);
        assert_int_equal(tree_stats(t).nodes, 8);
        /* The last one who uses anything below it. */
        tree_release(file, 1);
        assert_int_equal(e.emptied, 3);
        assert_int_equal(e.gone, 1);
        assert_ptr_equal(e.content, content);
        assert_int_equal(tree_stats(t).nodes, 2);
        tree_free(t);
}

static void what_is_idle_below_a_removed_folder_goes_with_it(void **state)
{
        struct ends e = {0};
        struct tree *t = tree_new(&told, &e, true);
        struct node *top = find(tree_root(t), "deeper"), *middle = find(top, "deeper");

        (void)state;
        tree_release(find(middle, "file"), 1);
        tree_release(middle, 1);
        assert_int_equal(tree_remove(top), 0);
        assert_int_equal(e.emptied, 2);
        assert_int_equal(e.gone, 0);
        /* Whoever still has it may look into it. */
        tree_release(find(top, "file"), 1);
        assert_int_equal(e.emptied, 3);
        tree_release(top, 1);
        assert_int_equal(e.gone, 1);
        assert_int_equal(tree_stats(t).nodes, 2);
        tree_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(finds_what_was_added),
            cmocka_unit_test(keeps_what_entries_say),
            cmocka_unit_test(makes_names_safe_and_different),
            cmocka_unit_test(lists_go_on_while_a_folder_changes),
            cmocka_unit_test(what_is_removed_stays_with_who_uses_it),
            cmocka_unit_test(fills_a_folder_once),
            cmocka_unit_test(empties_what_is_not_used),
            cmocka_unit_test(empties_the_oldest_first),
            cmocka_unit_test(an_open_folder_stays),
            cmocka_unit_test(a_failed_fill_leaves_nothing),
            cmocka_unit_test(a_folder_that_was_removed_can_still_be_filled),
            cmocka_unit_test(what_is_removed_is_told_once_it_is_unused),
            cmocka_unit_test(a_folder_that_is_removed_is_emptied_at_once),
            cmocka_unit_test(what_is_idle_below_a_removed_folder_goes_with_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
