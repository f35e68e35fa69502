/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder of archives whose names come and go, by a store that makes them up. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/store/dir/dir.h"
#include "archive/store/store.h"
#include "index/collection/archives.h"
#include "index/collection/open_archives.h"
#include "index/options.h"
#include "index/tree/tree.h"

enum { NAMES = 200, ROUNDS = 60, SLACK = 100 /* bytes a name that came and went */ };

struct made_up {
        struct store base;
        unsigned round;
        const char *ending;
};

static int enter(struct store *s, const char *path, struct store_folder *out)
{
        *out = (struct store_folder){.store = s, .fd = -1, .path = strdup(path)};
        return out->path ? 0 : -ENOMEM;
}

static void leave(struct store_folder *f)
{
        free(f->path);
}

static int look(const struct store_folder *f, struct store_state *out)
{
        (void)f;
        *out = (struct store_state){0};
        return 0;
}

/* In a folder called "kept", one name; elsewhere that folder, and others each time. */
static int list(const struct store_folder *f, int (*each)(void *ctx, const struct dir_name *n),
                void *ctx, struct error *err)
{
        const struct made_up *m = (const struct made_up *)f->store;
        struct dir_name n = {.name = "kept", .kind = DIR_FOLDER};
        char name[64];
        int rc = *f->path ? 0 : each(ctx, &n);

        (void)err;
        for (unsigned i = 0; rc == 0 && i < NAMES; i++) {
                snprintf(name, sizeof name, "%u-%u%s", m->round, i, m->ending);
                n = (struct dir_name){.name = name,
                                      .kind = dir_is_archive(name) ? DIR_ARCHIVE : DIR_FILE};
                rc = each(ctx, &n);
        }
        return rc;
}

static void close_store(struct store *s)
{
        (void)s;
}

static const struct store_ops ops = {
    .enter = enter, .leave = leave, .look = look, .list = list, .close = close_store};

static int open_no_site(void *ctx, unsigned number, const char *path, struct site **out,
                        struct error *err)
{
        (void)ctx;
        (void)number;
        (void)path;
        (void)out;
        return error_set(err, EIO, "told");
}

static void leave_site(void *ctx, unsigned number)
{
        (void)ctx;
        (void)number;
}

static struct archives *start(struct made_up *m, const char *ending)
{
        static const struct open_archives_ops open = {
            .numbers = 4, .site = open_no_site, .leave = leave_site};
        static const struct archives_hidden none;
        static const struct index_options options;
        struct archives *a;

        *m = (struct made_up){.base.ops = &ops, .ending = ending};
        assert_int_equal(archives_open(&m->base, &none, &open, &options, &a, NULL), 0);
        return a;
}

/* Until FOLDER has the names of this round: a list is good for some time. */
static void refresh(struct archives *a, const struct made_up *m, struct node *folder)
{
        static const struct timespec tick = {.tv_nsec = 2000000};
        char name[64];
        struct node *n = NULL;

        snprintf(name, sizeof name, "%u-0%s", m->round, m->ending);
        for (int i = 0; i < 10000 && !n; i++) {
                assert_int_equal(archives_refresh(a, folder, NULL), 0);
                if (tree_lookup(folder, name, &n) < 0)
                        nanosleep(&tick, NULL);
        }
        assert_non_null(n);
        tree_release(n, 1);
}

/* Look at all there is in FOLDER, and into its archives. */
static void walk(struct node *folder)
{
        struct tree_cursor c = {0};
        struct node *n;

        assert_int_equal(tree_open(folder), 0);
        while ((n = tree_next(folder, &c))) {
                if (node_is_folder(n) && archives_kind(n) == ARCHIVES_ARCHIVE) {
                        assert_int_equal(tree_open(n), 0);
                        tree_close(n);
                }
                tree_release(n, 1);
        }
        tree_close(folder);
}

static void check_growth(const char *ending, bool below)
{
        struct made_up m;
        struct archives *a = start(&m, ending);
        struct node *root = tree_root(archives_tree(a)), *folder = root;
        size_t before = 0, after;

        if (below)
                assert_int_equal(tree_lookup(root, "kept", &folder), 0);
        for (; m.round < ROUNDS; m.round++) {
                /* Until then it is about what the first ones left. */
                if (m.round == ROUNDS / 4)
                        before = mallinfo2().uordblks;
                refresh(a, &m, folder);
                walk(folder);
        }
        after = mallinfo2().uordblks;
        if (after > before)
                assert_in_range((after - before) / (NAMES * (ROUNDS - ROUNDS / 4)), 0, SLACK);
        if (below)
                tree_release(folder, 1);
        archives_close(a);
}

static void test_names_that_have_gone_take_no_memory(void **state)
{
        (void)state;
        check_growth(".log", false);
        check_growth(".log", true);
}

static void test_archives_that_have_gone_take_no_memory(void **state)
{
        (void)state;
        check_growth(".vma", false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_names_that_have_gone_take_no_memory),
            cmocka_unit_test(test_archives_that_have_gone_take_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
