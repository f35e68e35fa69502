/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two million entries: how much memory one takes, and that no choice of names, ids or order makes a
 * tree slow. Not by time: by how many nodes a lookup looks at; what takes the square of their
 * number would not end in a test's time.
 */
#include <errno.h>
#include <malloc.h>
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

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MANY = 200000 }; /* each takes many times the memory then */
#else
enum { MANY = 2000000 };
#endif

enum {
        ENTRY_BYTES = 200, /* at most */
        LONGEST = 100,     /* nodes that a lookup looks at; by chance it is about 40 */
        BITS = 21,         /* 2^21 is more than MANY */
};

static size_t allocated(void)
{
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}

static void add(struct builder *b, uint64_t id, uint64_t parent, const char *name, mode_t mode)
{
        const struct entry e = {.id = id, .parent = parent, .name = name, .mode = mode};

        assert_int_equal(builder_add(b, &e, NULL), 0);
}

/* How many entries there are in FOLDER, each held once and let go of. */
static size_t count(struct node *folder)
{
        struct tree_cursor c = {0};
        struct node *n;
        size_t found = 0;

        assert_int_equal(tree_open(folder), 0);
        for (; (n = tree_next(folder, &c)); found++) {
                struct node *again;

                assert_int_equal(tree_lookup(folder, c.name, &again), 0);
                assert_ptr_equal(again, n);
                tree_release(n, 2);
        }
        tree_close(folder);
        return found;
}

static void an_entry_takes_little_memory(void **state)
{
        size_t before = allocated(), most = 0;
        struct tree *t = tree_new(NULL, NULL, false);
        struct builder *b = builder_new(tree_root(t), 2, NULL, NULL);
        struct node *n;

        (void)state;
        /* A folder for each 20 files. */
        for (unsigned i = 0; i < MANY; i++) {
                char name[32];
                bool folder = i % 20 == 0;

                snprintf(name, sizeof name, "entry-%07u.txt", i);
                add(b, folder ? i + 1 : 0, folder ? 0 : i - i % 20 + 1, name, folder ? S_IFDIR : 0);
                if (i % 1000 == 0 && allocated() - before > most)
                        most = allocated() - before;
        }
        assert_int_equal(builder_finish(b), 0);
        builder_free(b);
        assert_int_equal(tree_stats(t).nodes, MANY + 1);
        if (allocated() - before > most)
                most = allocated() - before;
        print_message("%zu bytes an entry, %zu at most while it grew\n",
                      (allocated() - before) / MANY, most / MANY);
        assert_true(allocated() - before <= (size_t)MANY * ENTRY_BYTES);
        assert_true(most <= (size_t)MANY * ENTRY_BYTES);
        assert_true(tree_longest(t) < LONGEST);
        assert_int_equal(count(tree_root(t)), MANY / 20);
        assert_int_equal(tree_lookup(tree_root(t), "entry-0000020.txt", &n), 0);
        assert_int_equal(count(n), 19);
        tree_free(t);
}

/*
 * "Ez" and "FY" are the same to hash * 33 + c, and to hash * 31 + c "Aa" and "BB" are: names of
 * such pairs all have one hash there.
 */
static void colliding_names_are_found_as_fast(const char *zero, const char *one, unsigned many)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct builder *b = builder_new(tree_root(t), 2, NULL, NULL);

        for (unsigned i = 0; i < many; i++) {
                char name[2 * BITS + 1];

                for (unsigned bit = 0; bit < BITS; bit++)
                        memcpy(name + 2 * bit, i >> bit & 1 ? one : zero, 2);
                name[2 * BITS] = '\0';
                add(b, 0, 0, name, 0);
        }
        assert_int_equal(builder_finish(b), 0);
        builder_free(b);
        assert_true(tree_longest(t) < LONGEST);
        assert_int_equal(count(tree_root(t)), many);
        tree_free(t);
}

static void two_million_names_of_one_bucket(void **state)
{
        (void)state;
        colliding_names_are_found_as_fast("Ez", "FY", MANY);
        colliding_names_are_found_as_fast("Aa", "BB", MANY / 10);
}

static void two_million_times_one_name(void **state)
{
        struct tree *t = tree_new(NULL, NULL, false);
        struct builder *b = builder_new(tree_root(t), 2, NULL, NULL);
        struct node *n;
        char last[16];

        (void)state;
        for (unsigned i = 0; i < MANY; i++)
                add(b, 0, 0, "x", 0);
        assert_int_equal(builder_finish(b), 0);
        builder_free(b);
        snprintf(last, sizeof last, "x~%d", MANY);
        assert_int_equal(tree_lookup(tree_root(t), last, &n), 0);
        assert_int_equal(n->ino, MANY + 1);
        tree_free(t);
}

/* The deepest tree, each entry before its parent: what waits is put into the tree in one go. */
static void a_million_deep_from_below(void **state)
{
        enum { DEEP = MANY / 2 };
        struct tree *t = tree_new(NULL, NULL, false);
        struct builder *b = builder_new(tree_root(t), 2, NULL, NULL);
        struct node *n, *held = NULL;
        size_t depth = 0;

        (void)state;
        for (unsigned i = DEEP; i > 0; i--)
                add(b, i, i - 1, "d", S_IFDIR);
        assert_int_equal(builder_finish(b), 0);
        builder_free(b);
        for (n = tree_root(t); tree_lookup(n, "d", &held) == 0; n = held)
                depth++;
        assert_int_equal(depth, DEEP);
        for (; n->parent != n; n = n->parent)
                tree_release(n, 1);
        assert_int_equal(n->refs, 0);
        tree_free(t);
}

/* One loop through all of them, of folders and of files; and links each to the one after it. */
static void long_loops_and_chains(void **state)
{
        enum { LONG = MANY / 4 };
        struct tree *t = tree_new(NULL, NULL, false);
        struct builder *b = builder_new(tree_root(t), 2, NULL, NULL);

        (void)state;
        for (unsigned i = 0; i < LONG; i++) {
                add(b, 1 + i, 1 + (i + 1) % LONG, "folder", S_IFDIR);
                add(b, LONG + 1 + i, LONG + 1 + (i + 1) % LONG, "file", 0);
        }
        for (unsigned i = 0; i < LONG; i++) {
                const struct entry e = {
                    .id = 2 * LONG + 1 + i, .name = "link", .same_as = 2 * LONG + 2 + i};

                assert_int_equal(builder_add(b, &e, NULL), 0);
        }
        assert_int_equal(builder_finish(b), 0);
        builder_free(b);
        assert_int_equal(tree_stats(t).nodes, 3 * LONG + 2);
        tree_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_entry_takes_little_memory),
            cmocka_unit_test(two_million_names_of_one_bucket),
            cmocka_unit_test(two_million_times_one_name),
            cmocka_unit_test(a_million_deep_from_below),
            cmocka_unit_test(long_loops_and_chains),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
