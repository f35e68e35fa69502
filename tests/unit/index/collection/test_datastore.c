/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of a datastore with an archive that is deeper than the stack. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/shared.h"
#include "index/collection/datastore.h"
#include "index/tree/tree.h"
#include "tests/fixtures/pbs_writer.h"
#include "tests/fixtures/pxar_writer.h"

/* A frame for each level would not fit into the stack, however small it is. */
enum { DEPTH = 30000, STACK = 256 << 10 };

static void write_store(struct pbs_writer *w)
{
        struct pxar_writer p;
        uint64_t end;

        pbsw_start(w, 1);
        w->compressed = true;
        pxarw_deep(&p, DEPTH);
        end = p.meta.len;
        pbsw_snapshot(w, "ct/1/2026-02-01T00:00:00Z");
        pbsw_dynamic(w, "root.pxar.didx", p.meta.data, &end, 1);
        pbsw_manifest(w);
        pxarw_free(&p);
}

/* ---- in a thread with a small stack: nothing is asserted there ---- */

struct visit {
        const struct pbs_writer *w;
        struct shared *shared;
        const char *failed; /* NULL: nothing */
};

/* NAME in *N, whose hold goes over to that. */
static bool go_to(struct node **n, const char *name)
{
        struct node *below;
        int rc = tree_lookup(*n, name, &below);

        tree_release(*n, 1);
        *n = rc == 0 ? below : NULL;
        return rc == 0;
}

/* All the way down; the last folder is empty, and sound. */
static bool walk(struct datastore *d)
{
        static const char *const names[] = {"ct", "1", "2026-02-01T00:00:00Z", "root"};
        struct node *n = tree_root(datastore_tree(d));
        bool found = true, empty;
        char why[100];

        tree_hold(n);
        for (size_t i = 0; found && i < sizeof names / sizeof names[0]; i++)
                found = go_to(&n, names[i]);
        for (unsigned i = 0; found && i < DEPTH; i++)
                found = go_to(&n, "d");
        if (!found)
                return false;
        empty = tree_open(n) == 0 && !tree_next(n, &(struct tree_cursor){0});
        tree_close(n);
        empty = empty && !datastore_why(n, why, sizeof why);
        tree_release(n, 1);
        return empty;
}

static void *visit(void *arg)
{
        const struct datastore_key key = {0};
        struct visit *v = arg;
        int dir = open(v->w->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct error err = {0};
        struct datastore *d;

        if (datastore_open(dir, &key, v->shared, &d, &err) < 0) {
                v->failed = "open";
                return NULL;
        }
        if (!walk(d))
                v->failed = "walk";
        datastore_close(d);
        return NULL;
}

/* ---- the test ---- */

static void test_a_tree_of_any_depth_is_walked_and_closed(void **state)
{
        struct pbs_writer w;
        struct visit v = {.w = &w};
        struct error err = {0};
        pthread_attr_t attr;
        pthread_t thread;

        (void)state;
        write_store(&w);
        assert_int_equal(shared_new(0, 1, &v.shared, &err), 0);
        pthread_attr_init(&attr);
        assert_int_equal(pthread_attr_setstacksize(&attr, STACK), 0);
        assert_int_equal(pthread_create(&thread, &attr, visit, &v), 0);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attr);
        assert_null(v.failed);
        shared_free(v.shared);
        pbsw_finish(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_tree_of_any_depth_is_walked_and_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
