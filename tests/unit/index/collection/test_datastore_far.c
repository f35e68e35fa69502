/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A datastore in a bucket, by a store that is a folder on disk and does as it is told. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/remote/remote_part.h"
#include "archive/source/source.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_check.h"
#include "archive/store/pbs/pbs_far.h"
#include "archive/store/pbs/pbs_manifest.h"
#include "archive/store/pbs/pbs_store.h"
#include "archive/store/store.h"
#include "index/collection/datastore.h"
#include "index/tree/tree.h"
#include "tests/fixtures/pbs_writer.h"

#define SNAPSHOT "vm/1/2026-02-01T00:00:00Z"

enum { BIG = (5 << 20) / 2, MEMORY = 64 << 20 };

struct far_store {
        struct store base;
        const char *root;
        int listing, reading; /* 0, or -errno */
        uint64_t version;
        unsigned parts, lists; /* that were asked for */

        /* A list waits here, where not NULL: once when it has begun, and once to end. */
        pthread_barrier_t *gate;
};

static struct pbs_writer w;
static struct far_store store;
static struct shared *shared;
static struct error err;

static int enter(struct store *s, const char *path, struct store_folder *out)
{
        *out = (struct store_folder){.store = s, .fd = -1, .path = strdup(path)};
        return 0;
}

static void leave(struct store_folder *f)
{
        free(f->path);
}

static int list(const struct store_folder *f, int (*each)(void *ctx, const struct dir_name *n),
                void *ctx, struct error *e)
{
        int root = open(store.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir, rc;
        pthread_barrier_t *gate = store.gate;

        store.lists++;
        if (gate) {
                pthread_barrier_wait(gate);
                pthread_barrier_wait(gate);
        }
        if (store.listing)
                return error_set(e, -store.listing, "told");
        dir = dir_open_below(root, f->path);
        close(root);
        rc = dir_list(dir, each, ctx);
        close(dir);
        return rc;
}

static ssize_t read_part(struct store *s, const char *path, struct remote_part *part, void **out,
                         struct error *e)
{
        char whole[512];
        ssize_t n;
        int fd;

        (void)s;
        store.parts++;
        snprintf(whole, sizeof whole, "%s/%s", store.root, path);
        if (store.reading)
                return error_set(e, -store.reading, "told");
        fd = open(whole, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return error_set(e, errno, "%s", strerror(errno));
        part->size = (uint64_t)lseek(fd, 0, SEEK_END);
        part->version = store.version;
        if (part->size > part->max) {
                close(fd);
                return error_set(e, EFBIG, "is big");
        }
        *out = malloc((size_t)min_u64(part->len, part->size) + 1);
        n = pread(fd, *out, (size_t)min_u64(part->len, part->size), (off_t)part->offset);
        close(fd);
        return n;
}

static void close_store(struct store *s)
{
        (void)s;
}

static const struct store_ops ops = {.settle = 1,
                                     .enter = enter,
                                     .leave = leave,
                                     .list = list,
                                     .part = read_part,
                                     .close = close_store};

static int setup(void **state)
{
        (void)state;
        err = (struct error){0};
        pbsw_start(&w, 1);
        pbsw_snapshot(&w, SNAPSHOT);
        pbsw_file(&w, "qemu-server.conf.blob", "name: a\n", 8);
        pbsw_manifest(&w);
        store = (struct far_store){.base.ops = &ops, .root = w.root, .version = 1};
        return shared_new(MEMORY, 1, &shared, &err);
}

static int teardown(void **state)
{
        (void)state;
        shared_free(shared);
        pbsw_finish(&w);
        return 0;
}

/* ---- files ---- */

static struct pbs_far *open_far(void)
{
        struct pbs_far *f;

        assert_int_equal(pbs_far_open(&store.base, shared, &f, &err), 0);
        return f;
}

static struct bytes write_big(void)
{
        struct bytes big = fixture_mixture(BIG, 3);
        FILE *f = fopen(pbsw_path(&w, "big"), "w");

        assert_int_equal(fwrite(big.data, 1, BIG, f), BIG);
        fclose(f);
        return big;
}

static void test_a_file_is_fetched_in_pieces_once(void **state)
{
        struct pbs_far *f = open_far();
        struct bytes big = write_big();
        char *got = malloc(BIG + 1);
        struct source *s;

        (void)state;
        assert_int_equal(pbs_far_source(f, SNAPSHOT, "big", &s, &err), 0);
        assert_int_equal(s->size, BIG);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(source_pread_all(s, got, BIG, 0), 0);
                assert_memory_equal(got, big.data, BIG);
        }
        assert_int_equal(source_pread(s, got, 1, BIG), 0);
        assert_int_equal(store.parts, 3);
        source_close(s);
        pbs_far_close(f);
        free(got);
        free(big.data);
}

static void test_a_file_that_is_replaced_is_stale(void **state)
{
        struct pbs_far *f = open_far();
        struct bytes big = write_big();
        struct source *s;
        char byte;

        (void)state;
        assert_int_equal(pbs_far_source(f, SNAPSHOT, "big", &s, &err), 0);
        store.version = 2;
        assert_int_equal(source_pread(s, &byte, 1, BIG - 1), -ESTALE);
        store.version = 1;
        store.reading = -EREMOTEIO;
        assert_int_equal(source_pread(s, &byte, 1, BIG - 1), -EREMOTEIO);
        store.reading = 0;
        assert_int_equal(source_pread(s, &byte, 1, BIG - 1), 1);
        assert_int_equal(unlink(pbsw_path(&w, "big")), 0);
        assert_int_equal(source_pread(s, &byte, 1, BIG / 2), -ESTALE);
        source_close(s);
        pbs_far_close(f);
        free(big.data);
}

static void test_what_is_read_as_a_whole_has_a_bound(void **state)
{
        struct pbs_far *f = open_far();
        struct bytes big = write_big();
        void *out;

        (void)state;
        assert_int_equal(pbs_far_read(f, SNAPSHOT, "big", BIG, &out, &err), BIG);
        free(out);
        assert_int_equal(pbs_far_read(f, SNAPSHOT, "big", BIG - 1, &out, &err), -EIO);
        assert_int_equal(pbs_far_read(f, SNAPSHOT, "none", BIG, &out, &err), -ENOENT);
        assert_int_equal(pbs_far_has(f, SNAPSHOT, "big", NULL), 1);
        assert_int_equal(pbs_far_has(f, SNAPSHOT, "none", NULL), 0);
        pbs_far_close(f);
        free(big.data);
}

static void test_what_is_no_datastore(void **state)
{
        struct pbs_far *f;

        (void)state;
        store.root = "/proc/self/task";
        assert_int_equal(pbs_far_open(&store.base, shared, &f, &err), -EMEDIUMTYPE);
        store.listing = -EREMOTEIO;
        assert_int_equal(pbs_far_open(&store.base, shared, &f, &err), -EREMOTEIO);
}

/* ---- folders ---- */

static bool has(struct datastore *d, const char *name)
{
        struct node *root = tree_root(datastore_tree(d)), *n;
        int rc = tree_lookup(root, name, &n);

        if (rc == 0)
                tree_release(n, 1);
        return rc == 0;
}

/* Until the folder was listed once more. */
static int refresh(struct datastore *d)
{
        static const struct timespec tick = {.tv_nsec = 2000000};
        unsigned lists = store.lists;
        int rc = 0;

        while (rc == 0 && store.lists == lists) {
                nanosleep(&tick, NULL);
                rc = datastore_refresh(d, tree_root(datastore_tree(d)));
        }
        return rc;
}

static void test_what_was_listed_stays_while_the_server_is_down(void **state)
{
        const struct datastore_key none = {0};
        struct datastore *d;

        (void)state;
        assert_int_equal(datastore_open_far(&store.base, &none, shared, &d, &err), 0);
        assert_true(has(d, "vm"));
        pbsw_snapshot(&w, "ct/1/2026-02-01T00:00:00Z");
        pbsw_manifest(&w);
        store.listing = -EREMOTEIO;
        assert_int_equal(refresh(d), 0);
        assert_true(has(d, "vm"));
        assert_false(has(d, "ct"));
        store.listing = 0;
        assert_int_equal(refresh(d), 0);
        assert_true(has(d, "ct"));
        store.listing = -EACCES;
        assert_int_equal(refresh(d), 0);
        assert_true(has(d, "vm"));
        datastore_close(d);
}

static void count(void *ctx, const struct node *n, const struct error *why)
{
        unsigned *told = ctx;

        (void)n;
        assert_string_equal(why->text, "cannot be listed: told");
        ++*told;
}

static void test_what_the_server_says_is_told_once(void **state)
{
        const struct datastore_key none = {0};
        struct datastore *d;
        unsigned told = 0;

        (void)state;
        assert_int_equal(datastore_open_far(&store.base, &none, shared, &d, &err), 0);
        datastore_observe(d, count, &told);
        assert_true(has(d, "vm"));
        store.listing = -EACCES;
        refresh(d);
        refresh(d);
        assert_int_equal(told, 1);
        store.listing = 0;
        refresh(d);
        assert_int_equal(told, 1);
        store.listing = -EREMOTEIO;
        refresh(d);
        assert_int_equal(told, 2);
        datastore_close(d);
}

static void *refresh_once(void *d)
{
        refresh(d);
        return NULL;
}

static size_t count_names(struct datastore *d)
{
        struct node *root = tree_root(datastore_tree(d)), *n;
        struct tree_cursor cursor = {0};
        size_t count = 0;

        assert_int_equal(tree_open(root), 0);
        while ((n = tree_next(root, &cursor))) {
                count++;
                tree_release(n, 1);
        }
        tree_close(root);
        return count;
}

static void test_nobody_else_waits_for_a_list_that_takes_long(void **state)
{
        static const struct timespec settle = {.tv_nsec = 20000000};
        const struct datastore_key none = {0};
        pthread_barrier_t gate;
        struct datastore *d;
        pthread_t thread;
        unsigned lists;

        (void)state;
        assert_int_equal(datastore_open_far(&store.base, &none, shared, &d, &err), 0);
        assert_int_equal(count_names(d), 1);
        pbsw_snapshot(&w, "ct/1/2026-02-01T00:00:00Z");
        pbsw_manifest(&w);
        assert_int_equal(pthread_barrier_init(&gate, NULL, 2), 0);
        store.gate = &gate;
        assert_int_equal(pthread_create(&thread, NULL, refresh_once, d), 0);
        pthread_barrier_wait(&gate);
        store.gate = NULL;
        lists = store.lists;
        /* By now it is too old, and still being fetched. */
        nanosleep(&settle, NULL);
        assert_int_equal(datastore_refresh(d, tree_root(datastore_tree(d))), 0);
        assert_int_equal(store.lists, lists);
        assert_int_equal(count_names(d), 1);
        pthread_barrier_wait(&gate);
        pthread_join(thread, NULL);
        /* On a machine that is very slow it was not waited for. */
        for (int i = 0; i < 5000 && count_names(d) < 2; i++)
                nanosleep(&settle, NULL);
        assert_int_equal(count_names(d), 2);
        pthread_barrier_destroy(&gate);
        datastore_close(d);
}

/* ---- what is stored ---- */

enum { CHUNK = 4096, CHUNKS = 34000 /* more than a piece has of the table */ };

static struct node *look_up(struct datastore *d, const char *const *names, size_t count)
{
        struct node *n = tree_root(datastore_tree(d)), *next;

        for (size_t i = 0; i < count; i++) {
                assert_int_equal(tree_lookup(n, names[i], &next), 0);
                if (i > 0)
                        tree_release(n, 1);
                n = next;
        }
        return n;
}

static void test_what_is_stored_is_counted_once_the_server_gives_the_tables(void **state)
{
        static const char *const names[] = {"vm", "2", "2026-02-01T00:00:00Z",
                                            "disk-drive-scsi0.raw"};
        const struct datastore_key none = {0};
        char *disk = calloc(CHUNKS, CHUNK);
        struct datastore *d;
        struct node *n;

        (void)state;
        disk[0] = 1;
        pbsw_snapshot(&w, "vm/2/2026-02-01T00:00:00Z");
        pbsw_fixed(&w, "drive-scsi0.img.fidx", disk, (size_t)CHUNKS * CHUNK, CHUNK);
        pbsw_manifest(&w);
        free(disk);
        assert_int_equal(datastore_open_far(&store.base, &none, shared, &d, &err), 0);
        n = look_up(d, names, sizeof names / sizeof *names);
        store.reading = -EREMOTEIO;
        assert_false(datastore_is_counted(n));
        assert_int_equal(datastore_stored(n), -EREMOTEIO);
        assert_false(datastore_is_counted(n));
        store.reading = 0;
        assert_int_equal(datastore_stored(n), CHUNK);
        assert_true(datastore_is_counted(n));
        store.reading = -EREMOTEIO;
        assert_int_equal(datastore_stored(n), CHUNK);
        tree_release(n, 1);
        datastore_close(d);
}

/* ---- verify ---- */

static int take_fault(void *ctx, const struct pbs_fault *f)
{
        unsigned *faults = ctx;

        (void)f;
        ++*faults;
        return 0;
}

static void test_what_a_server_does_not_give_is_no_fault(void **state)
{
        struct pbs_store *s;
        struct pbs_check *c;
        unsigned faults = 0;

        (void)state;
        assert_int_equal(pbs_store_open_far(&store.base, NULL, shared, &s, &err), 0);
        assert_int_equal(pbs_check_new(s, shared->pool, &c), 0);
        assert_int_equal(pbs_check_snapshot(c, SNAPSHOT, take_fault, &faults, &err), 0);
        store.reading = -EREMOTEIO;
        assert_int_equal(pbs_check_snapshot(c, SNAPSHOT, take_fault, &faults, &err), -EREMOTEIO);
        assert_string_equal(err.text, "cannot be fetched: told");
        assert_int_equal(faults, 0);
        store.reading = -EACCES;
        assert_int_equal(pbs_check_snapshot(c, SNAPSHOT, take_fault, &faults, &err), 0);
        assert_int_equal(faults, 1);
        pbs_check_free(c);
        pbs_store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_a_file_is_fetched_in_pieces_once),
            TEST(test_a_file_that_is_replaced_is_stale),
            TEST(test_what_is_read_as_a_whole_has_a_bound),
            TEST(test_what_is_no_datastore),
            TEST(test_what_was_listed_stays_while_the_server_is_down),
            TEST(test_what_the_server_says_is_told_once),
            TEST(test_nobody_else_waits_for_a_list_that_takes_long),
            TEST(test_what_is_stored_is_counted_once_the_server_gives_the_tables),
            TEST(test_what_a_server_does_not_give_is_no_fault),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
