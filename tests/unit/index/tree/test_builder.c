/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees from entries in any order, and from such as do not fit together. */
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
#include "index/tree/builder.h"
#include "index/tree/tree.h"

struct built {
        struct tree *tree;
        struct builder *builder;
        size_t placed;
};

/* A node comes after its folder. */
static int placed(void *ctx, struct node *n)
{
        struct built *b = ctx;

        assert_true(n->parent->ino < n->ino);
        assert_int_equal(n->ino, TREE_ROOT_INO + ++b->placed);
        return 0;
}

static struct built start(void)
{
        struct built b = {.tree = tree_new(NULL, NULL, false)};

        return b;
}

static void begin(struct built *b)
{
        b->builder = builder_new(tree_root(b->tree), TREE_ROOT_INO + 1, placed, b);
        assert_non_null(b->builder);
}

static void add(struct built *b, uint64_t id, uint64_t parent, const char *name, mode_t mode)
{
        const struct entry e = {.id = id, .parent = parent, .name = name, .mode = mode};

        assert_int_equal(builder_add(b->builder, &e, NULL), 0);
}

static void add_link(struct built *b, uint64_t id, const char *name, uint64_t same_as)
{
        const struct entry e = {.id = id, .name = name, .same_as = same_as};

        assert_int_equal(builder_add(b->builder, &e, NULL), 0);
}

/* "path/ path path" of all that is below FOLDER. */
static void describe(struct node *folder, char *out)
{
        struct tree_cursor c = {0};
        struct node *n;

        assert_int_equal(tree_open(folder), 0);
        while ((n = tree_next(folder, &c))) {
                char *path = tree_path(folder);

                sprintf(out + strlen(out), "%s%s%s%s ", path, *path ? "/" : "", c.name,
                        node_is_folder(n) ? "/" : "");
                free(path);
                if (node_is_folder(n))
                        describe(n, out);
                tree_release(n, 1);
        }
        tree_close(folder);
}

static void expect_tree(struct built *b, const char *expected)
{
        char got[4096] = "";

        assert_int_equal(builder_finish(b->builder), 0);
        builder_free(b->builder);
        describe(tree_root(b->tree), got);
        assert_string_equal(got, expected);
        assert_int_equal(tree_stats(b->tree).nodes, b->placed + 1);
        tree_free(b->tree);
}

static void parents_come_first(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add(&b, 5, 0, "a", S_IFDIR);
        add(&b, 7, 5, "b", S_IFDIR);
        add(&b, 0, 7, "c", 0);
        add(&b, 0, 5, "d", 0);
        expect_tree(&b, "a/ a/b/ a/b/c a/d ");
}

static void parents_come_later(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add(&b, 0, 7, "c", 0);
        add(&b, 0, 7, "c", S_IFDIR);
        add(&b, 7, 5, "b", S_IFDIR);
        add(&b, 0, 5, "d", 0);
        add(&b, 5, 0, "a", S_IFDIR);
        add(&b, 0, 7, "e", 0);
        expect_tree(&b, "a/ a/b/ a/b/c a/b/c~2/ a/b/e a/d ");
}

static void what_waits_keeps_all_that_was_said(void **state)
{
        struct built b = start();
        char name[] = "link", target[] = "there", key[] = "user.k", value[] = "v";
        const struct entry_xattr xattr = {key, value, 1};
        const struct entry e = {.parent = 1,
                                .name = name,
                                .mode = S_IFLNK,
                                .target = target,
                                .xattrs = &xattr,
                                .xattr_count = 1};
        struct node *folder, *n;

        (void)state;
        begin(&b);
        assert_int_equal(builder_add(b.builder, &e, &b), 0);
        memset(name, '-', 4);
        memset(target, '-', 5);
        memset(key, '-', 6);
        memset(value, '-', 1);
        add(&b, 1, 0, "f", S_IFDIR);
        assert_int_equal(tree_lookup(tree_root(b.tree), "f", &folder), 0);
        assert_int_equal(tree_lookup(folder, "link", &n), 0);
        assert_string_equal(tree_extra(n)->target, "there");
        assert_memory_equal(tree_extra(n)->xattrs, "user.k\0\1\0\0\0v", 12);
        assert_ptr_equal(n->content, &b);
        expect_tree(&b, "f/ f/link ");
}

static void what_has_no_parent_is_found(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add(&b, 0, 99, "orphan", 0);
        add(&b, 3, 98, "folder", S_IFDIR);
        add(&b, 0, 3, "in it", 0);
        add(&b, 0, 0, "lost+found", 0);
        add(&b, 4, 0, "file", 0);
        add(&b, 0, 4, "in a file", 0);
        expect_tree(&b, "lost+found file lost+found~2/ lost+found~2/orphan lost+found~2/folder/ "
                        "lost+found~2/folder/in it lost+found~2/in a file ");
}

static void loops_of_parents_are_cut(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add(&b, 0, 1, "below", 0);
        add(&b, 1, 3, "a", S_IFDIR);
        add(&b, 2, 1, "b", S_IFDIR);
        add(&b, 3, 2, "c", S_IFDIR);
        add(&b, 4, 4, "self", S_IFDIR);
        add(&b, 5, 6, "x", 0);
        add(&b, 6, 5, "y", 0);
        expect_tree(&b, "lost+found/ lost+found/a/ lost+found/a/below lost+found/a/b/ "
                        "lost+found/a/b/c/ lost+found/self/ lost+found/x lost+found/y ");
}

/* The first that has an id keeps it, whether it waits or not. */
static void ids_that_come_twice(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add(&b, 1, 0, "first", S_IFDIR);
        add(&b, 1, 0, "second", S_IFDIR);
        add(&b, 0, 1, "x", 0);
        add(&b, 2, 3, "waits", S_IFDIR);
        add(&b, 2, 0, "does not", S_IFDIR);
        add(&b, 0, 2, "y", 0);
        add(&b, 3, 0, "parent", S_IFDIR);
        add(&b, UINT64_MAX, 0, "far", S_IFDIR);
        add(&b, 0, UINT64_MAX, "z", 0);
        expect_tree(&b, "first/ first/x second/ does not/ parent/ parent/waits/ parent/waits/y "
                        "far/ far/z ");
}

static struct node *find(struct built *b, const char *name)
{
        struct node *n;

        assert_int_equal(tree_lookup(tree_root(b->tree), name, &n), 0);
        return n;
}

static void expect_broken(struct built *b, const char *name)
{
        struct node *n = find(b, name);

        assert_true(n->flags & NODE_BROKEN);
        assert_int_equal(tree_links(n), 1);
        assert_int_equal(n->size, 0);
}

static void hard_links_are_one_file(void **state)
{
        const struct entry waits = {.parent = 8, .name = "waits", .same_as = 1};
        struct built b = start();
        struct node *file, *folder, *n;

        (void)state;
        begin(&b);
        add_link(&b, 3, "before", 1);
        add_link(&b, 4, "chain", 3);
        add(&b, 1, 0, "file", 0);
        add_link(&b, 0, "after", 1);
        assert_int_equal(builder_add(b.builder, &waits, NULL), 0);
        add(&b, 8, 0, "folder", S_IFDIR);
        assert_int_equal(builder_finish(b.builder), 0);
        builder_free(b.builder);
        file = find(&b, "file");
        assert_ptr_equal(find(&b, "before"), file);
        assert_ptr_equal(find(&b, "chain"), file);
        assert_ptr_equal(find(&b, "after"), file);
        folder = find(&b, "folder");
        assert_int_equal(tree_lookup(folder, "waits", &n), 0);
        assert_ptr_equal(n, file);
        assert_int_equal(tree_links(file), 5);
        assert_false(file->flags & NODE_BROKEN);
        tree_free(b.tree);
}

static void hard_links_to_nothing_are_broken(void **state)
{
        struct built b = start();

        (void)state;
        begin(&b);
        add_link(&b, 1, "nothing", 99);
        add_link(&b, 2, "self", 2);
        add_link(&b, 3, "loop", 4);
        add_link(&b, 4, "loop back", 3);
        add_link(&b, 5, "to a loop", 3);
        add_link(&b, 6, "to a folder", 7);
        add_link(&b, 0, "to a broken one", 1);
        add(&b, 7, 0, "folder", S_IFDIR);
        assert_int_equal(builder_finish(b.builder), 0);
        builder_free(b.builder);
        expect_broken(&b, "nothing");
        expect_broken(&b, "self");
        expect_broken(&b, "loop");
        expect_broken(&b, "loop back");
        expect_broken(&b, "to a loop");
        expect_broken(&b, "to a folder");
        expect_broken(&b, "to a broken one");
        tree_free(b.tree);
}

/* ---- entries at random ---- */

static unsigned next_random(uint64_t *seed, unsigned below)
{
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned)(*seed >> 33) % below;
}

/* Few ids and names, so that they come twice, never, later, and in loops. Returns how many. */
static unsigned add_random(struct built *b, uint64_t seed)
{
        static const char *const names[] = {"a", "b", "..", "a~2", ENTRY_LOST_NAME, ""};
        unsigned count = next_random(&seed, 40);

        for (unsigned i = 0; i < count; i++) {
                const struct entry e = {.id = next_random(&seed, 12),
                                        .parent = next_random(&seed, 12),
                                        .name = names[next_random(&seed, 6)],
                                        .mode = next_random(&seed, 3) ? S_IFDIR : S_IFREG,
                                        .same_as =
                                            next_random(&seed, 4) ? 0 : next_random(&seed, 12)};

                assert_int_equal(builder_add(b->builder, &e, NULL), 0);
        }
        return count;
}

/* What of a tree can be reached, each node by its name: in *LINKS hard links that have a file. */
static size_t reach(struct node *folder, char *story, size_t *links)
{
        struct tree_cursor c = {0};
        size_t found = 0;
        struct node *n;

        assert_int_equal(tree_open(folder), 0);
        while ((n = tree_next(folder, &c))) {
                struct node *again;

                assert_int_equal(tree_lookup(folder, c.name, &again), 0);
                assert_ptr_equal(again, n);
                tree_release(again, 1);
                found++;
                *links +=
                    !node_is_folder(n) && (n->parent != folder || strcmp(n->name, c.name) != 0);
                sprintf(story + strlen(story), "%s:%ju:%u ", c.name, (uintmax_t)n->ino,
                        tree_links(n));
                if (node_is_folder(n))
                        found += reach(n, story, links);
                tree_release(n, 1);
        }
        tree_close(folder);
        return found;
}

static size_t build_random(uint64_t seed, char *story)
{
        struct built b = start();
        size_t links = 0, count, found;
        struct node *lost = NULL;

        begin(&b);
        count = add_random(&b, seed);
        assert_int_equal(builder_finish(b.builder), 0);
        builder_free(b.builder);
        found = reach(tree_root(b.tree), story, &links);
        /* All of them are there, and one folder more at most. */
        assert_int_equal(found, b.placed);
        assert_in_range(found, count, count + 1);
        if (found > count)
                assert_int_equal(tree_lookup(tree_root(b.tree), ENTRY_LOST_NAME, &lost), 0);
        tree_free(b.tree);
        return links;
}

static void any_entries_make_one_tree(void **state)
{
        static char first[65536], second[65536];
        size_t links = 0;

        (void)state;
        for (uint64_t seed = 1; seed <= 3000; seed++) {
                first[0] = second[0] = '\0';
                links += build_random(seed, first);
                build_random(seed, second);
                assert_string_equal(first, second);
        }
        assert_true(links > 0);
}

static int refuse(void *ctx, struct node *n)
{
        (void)ctx;
        return strcmp(n->name, "bad") == 0 ? -ECANCELED : 0;
}

static void who_is_told_can_end_it(void **state)
{
        const struct entry bad = {.name = "bad"}, waits = {.parent = 1, .name = "bad"},
                           folder = {.id = 1, .name = "f", .mode = S_IFDIR};
        struct built b = start();

        (void)state;
        b.builder = builder_new(tree_root(b.tree), 2, refuse, NULL);
        assert_int_equal(builder_add(b.builder, &bad, NULL), -ECANCELED);
        assert_int_equal(builder_add(b.builder, &waits, NULL), 0);
        assert_int_equal(builder_add(b.builder, &folder, NULL), -ECANCELED);
        builder_free(b.builder);
        tree_free(b.tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(parents_come_first),
            cmocka_unit_test(parents_come_later),
            cmocka_unit_test(what_waits_keeps_all_that_was_said),
            cmocka_unit_test(what_has_no_parent_is_found),
            cmocka_unit_test(loops_of_parents_are_cut),
            cmocka_unit_test(ids_that_come_twice),
            cmocka_unit_test(hard_links_are_one_file),
            cmocka_unit_test(hard_links_to_nothing_are_broken),
            cmocka_unit_test(any_entries_make_one_tree),
            cmocka_unit_test(who_is_told_can_end_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
