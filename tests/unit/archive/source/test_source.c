/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of a plain file while it is open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/source.h"

enum { SIZE = 20000 };

struct fixture {
        char dir[32], path[48], other[48];
        struct source *source;
};

static void fill(const char *path, const char *mode, char byte, size_t len)
{
        FILE *f = fopen(path, mode);

        assert_non_null(f);
        for (size_t i = 0; i < len; i++)
                fputc(byte, f);
        assert_int_equal(fclose(f), 0);
}

/* A clock tick must lie between two changes that are to be told apart. */
static void let_time_pass(void)
{
        static const struct timespec ticks = {.tv_nsec = 30000000};

        nanosleep(&ticks, NULL);
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        struct error err = {0};

        assert_non_null(f);
        snprintf(f->dir, sizeof f->dir, "/tmp/vmafs-source-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof f->path, "%s/a", f->dir);
        snprintf(f->other, sizeof f->other, "%s/b", f->dir);
        fill(f->path, "w", 'a', SIZE);
        let_time_pass();
        if (source_open_file(f->path, &f->source, &err) < 0)
                fail_msg("%s", err.text);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        source_close(f->source);
        unlink(f->path);
        unlink(f->other);
        rmdir(f->dir);
        free(f);
        return 0;
}

/* All of it is there, and as it was. */
static void check_sound(struct fixture *f)
{
        char buf[SIZE + 1];

        assert_int_equal(source_pread(f->source, buf, sizeof buf, 0), SIZE);
        for (size_t i = 0; i < SIZE; i++)
                assert_int_equal(buf[i], 'a');
        assert_int_equal(source_check(f->source, NULL), 0);
}

/* No byte is given any more, from nowhere. */
static void check_fails(struct fixture *f, int rc)
{
        struct error err = {0};
        char byte;

        assert_int_equal(source_pread(f->source, &byte, 1, 0), rc);
        assert_int_equal(source_pread(f->source, &byte, 1, SIZE - 1), rc);
        assert_int_equal(source_check(f->source, &err), rc);
        assert_int_equal(err.code, -rc);
        assert_true(strlen(err.text) > 0);
}

static void test_an_untouched_file_is_sound(void **state)
{
        check_sound(*state);
        let_time_pass();
        check_sound(*state);
}

static void test_overwritten_in_place(void **state)
{
        struct fixture *f = *state;

        check_sound(f);
        fill(f->path, "r+", 'b', 1);
        check_fails(f, -ESTALE);
}

static void test_once_changed_it_stays_so(void **state)
{
        struct fixture *f = *state;
        struct stat st;

        assert_int_equal(stat(f->path, &st), 0);
        fill(f->path, "r+", 'b', 1);
        check_fails(f, -ESTALE);
        fill(f->path, "r+", 'a', 1);
        assert_int_equal(
            utimensat(AT_FDCWD, f->path, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
        check_fails(f, -ESTALE);
}

/* As rsync --inplace --times leaves it. */
static void test_another_archive_under_the_old_mtime(void **state)
{
        struct fixture *f = *state;
        struct stat st;

        assert_int_equal(stat(f->path, &st), 0);
        fill(f->path, "r+", 'b', SIZE);
        assert_int_equal(
            utimensat(AT_FDCWD, f->path, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
        check_fails(f, -ESTALE);
}

static void test_grown(void **state)
{
        struct fixture *f = *state;

        fill(f->path, "a", 'a', 1);
        check_fails(f, -ESTALE);
}

static void test_cut(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(truncate(f->path, SIZE - 1), 0);
        check_fails(f, -EIO);
}

static void test_cut_to_nothing(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(truncate(f->path, 0), 0);
        check_fails(f, -EIO);
}

/* New names, owners and links change the ctime, and nothing that matters. */
static void test_metadata_may_change(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(chmod(f->path, 0400), 0);
        check_sound(f);
        let_time_pass();
        assert_int_equal(link(f->path, f->other), 0);
        check_sound(f);
        assert_int_equal(unlink(f->other), 0);
        check_sound(f);
        let_time_pass();
        assert_int_equal(rename(f->path, f->other), 0);
        check_sound(f);
}

static void test_a_replaced_file_stays_readable(void **state)
{
        struct fixture *f = *state;

        fill(f->other, "w", 'b', SIZE);
        assert_int_equal(rename(f->other, f->path), 0);
        check_sound(f);
}

static void test_a_removed_file_stays_readable(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(unlink(f->path), 0);
        check_sound(f);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            with_file(test_an_untouched_file_is_sound),
            with_file(test_overwritten_in_place),
            with_file(test_once_changed_it_stays_so),
            with_file(test_another_archive_under_the_old_mtime),
            with_file(test_grown),
            with_file(test_cut),
            with_file(test_cut_to_nothing),
            with_file(test_metadata_may_change),
            with_file(test_a_replaced_file_stays_readable),
            with_file(test_a_removed_file_stays_readable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
