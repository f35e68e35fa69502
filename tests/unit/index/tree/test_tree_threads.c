/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that look up, list and forget while folders are filled, emptied, and grow. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "archive/entry.h"
#include "index/tree/builder.h"
#include "index/tree/tree.h"

enum { THREADS = 6, ROUNDS = 4000, FOLDERS = 8, FILES = 40, VANISHING = 500, CONTENTS = 50 };

struct shared {
        struct tree *tree;
        struct node *live; /* a folder that grows */
        atomic_uint wrong, filled, emptied, added, gone;
        atomic_int there[CONTENTS]; /* 1 while a node that comes and goes has it as its content */
        atomic_int full[FOLDERS];   /* 1 while it is filled: no two threads fill one, or empty it */
};

/* The number that N is called by. */
static unsigned number(const char *name)
{
        return (unsigned)strtoul(name, NULL, 10);
}

static void expect(struct shared *s, bool right)
{
        if (!right)
                s->wrong++;
}

static int fill(void *ctx, struct node *folder)
{
        struct shared *s = ctx;
        unsigned f = number(folder->name);

        /* One that comes and goes. */
        if (folder->content)
                return tree_add(folder, &(struct entry){.name = "x"}, 1, NULL, NULL);
        expect(s, atomic_exchange(&s->full[f], 1) == 0);
        s->filled++;
        for (unsigned i = 0; i < FILES; i++) {
                char name[16];
                const struct entry e = {.name = name, .size = f};

                snprintf(name, sizeof name, "%u", i);
                if (tree_add(folder, &e, 100 * (f + 1) + i, NULL, NULL) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static void emptied(void *ctx, struct node *folder)
{
        struct shared *s = ctx;

        if (folder->content)
                return;
        s->emptied++;
        expect(s, atomic_exchange(&s->full[number(folder->name)], 0) == 1);
}

static void gone(void *ctx, void *content)
{
        struct shared *s = ctx;

        s->gone++;
        expect(s, atomic_exchange((atomic_int *)content, 0) == 1);
}

static unsigned next_random(unsigned *seed)
{
        *seed = *seed * 1103515245 + 12345;
        return *seed >> 16;
}

static void look(struct shared *s, unsigned f, unsigned i)
{
        struct node *folder, *file;
        char name[16];

        snprintf(name, sizeof name, "%u", f);
        if (tree_lookup(tree_root(s->tree), name, &folder) < 0) {
                expect(s, false);
                return;
        }
        snprintf(name, sizeof name, "%u", i);
        expect(s, tree_lookup(folder, name, &file) == 0);
        tree_release(folder, 1);
        tree_hold(file);
        expect(s, file->size == f && file->ino == 100 * (f + 1) + i && number(file->name) == i);
        expect(s, file->parent == folder && tree_links(file) == 1);
        tree_release(file, 2);
}

/* All that was there at the start, each once. */
static void list(struct shared *s, struct node *folder, unsigned least)
{
        struct tree_cursor c = {0};
        struct node *n;
        unsigned count = 0;

        expect(s, tree_open(folder) == 0);
        for (; (n = tree_next(folder, &c)); count++) {
                expect(s, number(c.name) == count);
                tree_release(n, 1);
        }
        tree_close(folder);
        expect(s, count >= least);
}

static void grow(struct shared *s)
{
        char name[16];
        const struct entry e = {.name = name};
        unsigned number = s->added++;

        snprintf(name, sizeof name, "%u", number);
        expect(s, tree_add(s->live, &e, 10000 + number, NULL, NULL) == 0);
}

static void *work(void *arg)
{
        struct shared *s = arg;
        unsigned seed = (unsigned)(uintptr_t)pthread_self();

        for (int i = 0; i < ROUNDS; i++) {
                unsigned f = next_random(&seed) % FOLDERS;
                struct node *folder;
                char name[16];

                look(s, f, next_random(&seed) % FILES);
                if (i % 16)
                        continue;
                snprintf(name, sizeof name, "%u", f);
                expect(s, tree_lookup(tree_root(s->tree), name, &folder) == 0);
                list(s, folder, FILES);
                tree_release(folder, 1);
        }
        return NULL;
}

/* One that adds, and one that lists meanwhile. */
static void *work_growing(void *arg)
{
        struct shared *s = arg;

        for (int i = 0; i < 500; i++)
                grow(s);
        return NULL;
}

static void *work_listing(void *arg)
{
        struct shared *s = arg;

        for (int i = 0; i < 100; i++)
                list(s, s->live, 0);
        return NULL;
}

static void *work_vanishing(void *arg)
{
        struct shared *s = arg;

        for (unsigned i = 0; i < VANISHING; i++) {
                const struct entry e = {
                    .name = "comes and goes", .mode = S_IFDIR, .later = i % 2 == 1};
                struct node *n = NULL, *file;

                expect(s, atomic_exchange(&s->there[i % CONTENTS], 1) == 0);
                expect(s, tree_add(tree_root(s->tree), &e, 20000 + i, &s->there[i % CONTENTS],
                                   NULL) == 0);
                expect(s, tree_lookup(tree_root(s->tree), "comes and goes", &n) == 0);
                expect(s, tree_lookup(n, "x", &file) == (e.later ? 0 : -ENOENT));
                if (e.later)
                        tree_release(file, 1);
                expect(s, n && tree_remove(n) == 0);
                tree_release(n, 1);
        }
        return NULL;
}

static void threads_see_a_whole_tree(void **state)
{
        static const struct tree_ops ops = {.fill = fill, .emptied = emptied, .gone = gone};
        struct shared s = {0};
        pthread_t threads[THREADS + 3];
        void *(*const others[])(void *) = {work_growing, work_listing, work_vanishing};

        (void)state;
        s.tree = tree_new(&ops, &s, false);
        tree_limit(s.tree, FILES);
        for (unsigned f = 0; f <= FOLDERS; f++) {
                char name[16];
                const struct entry e = {.name = name, .mode = S_IFDIR, .later = f < FOLDERS};

                snprintf(name, sizeof name, "%u", f);
                assert_int_equal(tree_add(tree_root(s.tree), &e, 2 + f, NULL, &s.live), 0);
        }
        for (size_t i = 0; i < THREADS + 3; i++)
                assert_int_equal(
                    pthread_create(&threads[i], NULL, i < THREADS ? work : others[i - THREADS], &s),
                    0);
        for (size_t i = 0; i < THREADS + 3; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(s.wrong, 0);
        assert_true(s.filled > FOLDERS);
        assert_true(s.emptied >= FOLDERS - 1);
        list(&s, s.live, 500);
        assert_int_equal(s.wrong, 0);
        tree_limit(s.tree, 0);
        assert_int_equal(s.emptied, s.filled);
        assert_int_equal(s.gone, VANISHING);
        assert_int_equal(tree_stats(s.tree).nodes, 1 + FOLDERS + 1 + 500);
        tree_free(s.tree);
}

/* ---- a fill that fails ---- */

struct failing {
        struct tree *tree;
        atomic_uint entering, fills, right;
};

/* Once all are there. */
static int fail_slowly(void *ctx, struct node *folder)
{
        static const struct timespec tick = {.tv_nsec = 20000000};
        struct failing *f = ctx;

        (void)folder;
        f->fills++;
        for (int i = 0; i < 500 && f->entering < THREADS; i++)
                nanosleep(&tick, NULL);
        nanosleep(&tick, NULL);
        return -EREMOTEIO;
}

static void *enter_in_vain(void *arg)
{
        struct failing *f = arg;

        f->entering++;
        f->right += tree_open(tree_root(f->tree)) == -EREMOTEIO;
        return NULL;
}

static void who_waits_for_a_fill_that_fails_does_not_try_it_again(void **state)
{
        static const struct tree_ops ops = {.fill = fail_slowly};
        struct failing f = {0};
        pthread_t threads[THREADS];

        (void)state;
        f.tree = tree_new(&ops, &f, true);
        for (size_t i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, enter_in_vain, &f), 0);
        for (size_t i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(f.right, THREADS);
        /* One, unless a thread was late. */
        assert_in_range(f.fills, 1, THREADS - 1);
        assert_int_equal(tree_open(tree_root(f.tree)), -EREMOTEIO);
        tree_free(f.tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(threads_see_a_whole_tree),
            cmocka_unit_test(who_waits_for_a_fill_that_fails_does_not_try_it_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
