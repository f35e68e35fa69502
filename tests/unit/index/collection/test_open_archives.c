/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which archives of a folder are open: few at a time, those in use always, and none for ever. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/shared.h"
#include "index/collection/open_archives.h"
#include "index/index.h"
#include "index/site.h"
#include "tests/fixtures/vma_fixture.h"

enum { MANY = OPEN_IDLE_MAX + 8, NUMBERS = 64, THREADS = 8 };

struct fixture {
        struct backup files[MANY];
        struct archive_slot slots[MANY];
        struct open_archives *set;
        struct index_options options;
        _Atomic unsigned opened, closed;
        bool taken[NUMBERS];
        int64_t now; /* seconds */
};

static int open_site(void *ctx, unsigned number, const char *path, struct site **out,
                     struct error *err)
{
        struct fixture *f = ctx;

        assert_false(f->taken[number]);
        f->taken[number] = true;
        return site_open(path, &f->options, out, err);
}

static void leave(void *ctx, unsigned number)
{
        struct fixture *f = ctx;

        assert_true(f->taken[number]);
        f->taken[number] = false;
}

static void *opened(void *ctx, struct open_archive *a)
{
        struct fixture *f = ctx;

        (void)a;
        f->opened++;
        return f;
}

static void closing(void *ctx, void *attached)
{
        struct fixture *f = ctx;

        assert_ptr_equal(attached, f);
        f->closed++;
}

static void scanned(void *ctx, struct open_archive *a, int rc, const struct error *err)
{
        (void)ctx;
        (void)a;
        (void)rc;
        (void)err;
}

static int64_t now(void *ctx)
{
        return ((struct fixture *)ctx)->now;
}

static void start(struct fixture *f, unsigned numbers)
{
        const struct open_archives_ops ops = {.ctx = f,
                                              .numbers = numbers,
                                              .site = open_site,
                                              .leave = leave,
                                              .opened = opened,
                                              .closing = closing,
                                              .scanned = scanned,
                                              .now = now};
        struct error err = {0};

        memset(f, 0, sizeof *f);
        for (unsigned i = 0; i < MANY; i++) {
                f->files[i] = backup_start();
                backup_device(&f->files[i], 1, "drive-scsi0", BACKUP_CLUSTER);
                backup_header(&f->files[i]);
                backup_cluster(&f->files[i], 1, 0, 0xffff);
                backup_finish(&f->files[i]);
        }
        assert_int_equal(shared_new(1 << 20, 1, &f->options.shared, &err), 0);
        f->set = open_archives_new(&ops, &f->options);
        assert_non_null(f->set);
}

static void finish(struct fixture *f)
{
        open_archives_free(f->set);
        assert_int_equal(f->opened, f->closed);
        for (unsigned i = 0; i < NUMBERS; i++)
                assert_false(f->taken[i]);
        shared_free(f->options.shared);
        for (unsigned i = 0; i < MANY; i++)
                backup_end(&f->files[i]);
}

static int try_to_get(struct fixture *f, unsigned i, struct open_archive **out)
{
        return open_archives_get(f->set, &f->slots[i], f->files[i].path, out, NULL);
}

static struct open_archive *get(struct fixture *f, unsigned i)
{
        struct open_archive *a;

        assert_int_equal(try_to_get(f, i, &a), 0);
        return a;
}

static void use(struct fixture *f, unsigned i)
{
        open_archives_put(get(f, i));
}

static bool is_open(const struct fixture *f, unsigned i)
{
        return f->slots[i].open != NULL;
}

/* Can the disk of A be read? */
static void expect_readable(struct open_archive *a)
{
        struct error err = {0};

        assert_int_equal(index_scan(a->index, NULL, &err), 0);
        backup_expect_pattern(index_disk(a->index, 0), 1, 0);
}

/* ---- tests ---- */

static void test_those_used_last_stay_open(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, NUMBERS);
        for (unsigned i = 0; i < MANY; i++) {
                use(&f, i);
                assert_true(open_archives_count(f.set) <= OPEN_IDLE_MAX);
        }
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(is_open(&f, i), i >= MANY - OPEN_IDLE_MAX);
        assert_int_equal(f.opened, MANY);
        /* What is open is used again, and is the last to go then. */
        use(&f, MANY - OPEN_IDLE_MAX);
        assert_int_equal(f.opened, MANY);
        use(&f, 0);
        assert_true(is_open(&f, MANY - OPEN_IDLE_MAX));
        assert_false(is_open(&f, MANY - OPEN_IDLE_MAX + 1));
        finish(&f);
}

static void test_one_in_use_is_not_closed(void **state)
{
        struct open_archive *first, *second;
        struct fixture f;

        (void)state;
        start(&f, NUMBERS);
        first = get(&f, 0);
        second = get(&f, 1);
        open_archives_hold(second);
        open_archives_put(second);
        for (int round = 0; round < 2; round++)
                for (unsigned i = 2; i < MANY; i++)
                        use(&f, i);
        f.now += 10 * OPEN_IDLE_SECONDS;
        open_archives_close_idle(f.set);
        assert_int_equal(open_archives_count(f.set), 2);
        assert_ptr_equal(f.slots[0].open, first);
        assert_ptr_equal(f.slots[1].open, second);
        expect_readable(first);
        expect_readable(second);
        open_archives_put(first);
        open_archives_put(second);
        finish(&f);
}

static void test_one_is_closed_after_a_minute_without_use(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, NUMBERS);
        f.now = 1000;
        use(&f, 0);
        use(&f, 1);
        f.now += OPEN_IDLE_SECONDS - 1;
        open_archives_close_idle(f.set);
        assert_int_equal(open_archives_count(f.set), 2);
        use(&f, 1);
        f.now++;
        open_archives_close_idle(f.set);
        assert_false(is_open(&f, 0));
        assert_true(is_open(&f, 1));
        f.now += OPEN_IDLE_SECONDS - 1;
        open_archives_close_idle(f.set);
        assert_int_equal(open_archives_count(f.set), 0);
        /* It is the same when it is opened again. */
        use(&f, 0);
        assert_int_equal(f.opened, 3);
        finish(&f);
}

static void test_as_many_as_there_are_numbers_can_be_in_use(void **state)
{
        struct open_archive *a[4], *more;
        struct fixture f;

        (void)state;
        start(&f, 4);
        for (unsigned i = 0; i < 4; i++)
                a[i] = get(&f, i);
        assert_int_equal(try_to_get(&f, 4, &more), -EMFILE);
        /* One that is idle makes room, although few are. */
        open_archives_put(a[2]);
        more = get(&f, 4);
        assert_false(is_open(&f, 2));
        a[2] = more;
        for (unsigned i = 0; i < 4; i++)
                open_archives_put(a[i]);
        finish(&f);
}

static void test_a_file_that_was_written_to_is_stale(void **state)
{
        struct open_archive *a;
        struct fixture f;

        (void)state;
        start(&f, NUMBERS);
        use(&f, 0);
        open_archives_drop(f.set, &f.slots[0]);
        assert_int_equal(open_archives_count(f.set), 0);
        assert_int_equal(pwrite(f.files[0].fd, "more", 4, lseek(f.files[0].fd, 0, SEEK_END)), 4);
        assert_int_equal(try_to_get(&f, 0, &a), -ESTALE);
        assert_int_equal(f.opened, f.closed);
        /* Another slot is another file. */
        f.slots[0] = (struct archive_slot){0};
        use(&f, 0);
        finish(&f);
}

static void test_what_cannot_be_opened_leaves_nothing_open(void **state)
{
        struct open_archive *a;
        struct fixture f;

        (void)state;
        start(&f, NUMBERS);
        assert_int_equal(open_archives_get(f.set, &f.slots[0], "/dev/null/absent", &a, NULL),
                         -ENOTDIR);
        /* What opened nothing has taken the number all the same. */
        memset(f.taken, 0, sizeof f.taken);
        assert_int_equal(ftruncate(f.files[1].fd, 100), 0);
        assert_true(try_to_get(&f, 1, &a) < 0);
        assert_int_equal(open_archives_count(f.set), 0);
        assert_null(open_archives_peek(f.set, &f.slots[1]));
        finish(&f);
}

/* ---- several at once ---- */

struct crowd {
        struct fixture *f;
        _Atomic unsigned failed;
};

static void *use_many(void *arg)
{
        struct crowd *c = arg;

        for (unsigned i = 0; i < 2 * MANY; i++) {
                struct open_archive *a;

                if (try_to_get(c->f, i % 3, &a) < 0)
                        c->failed++;
                else
                        open_archives_put(a);
        }
        return NULL;
}

static void test_several_threads_open_one_once(void **state)
{
        struct fixture f;
        struct crowd crowd = {.f = &f};
        pthread_t threads[THREADS];

        (void)state;
        start(&f, NUMBERS);
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, use_many, &crowd), 0);
        for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(crowd.failed, 0);
        assert_int_equal(f.opened, 3);
        finish(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_those_used_last_stay_open),
            cmocka_unit_test(test_one_in_use_is_not_closed),
            cmocka_unit_test(test_one_is_closed_after_a_minute_without_use),
            cmocka_unit_test(test_as_many_as_there_are_numbers_can_be_in_use),
            cmocka_unit_test(test_a_file_that_was_written_to_is_stale),
            cmocka_unit_test(test_what_cannot_be_opened_leaves_nothing_open),
            cmocka_unit_test(test_several_threads_open_one_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
