/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose index is believed: one rule for every place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/source/source.h"
#include "tests/fixtures/location_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { OTHER = 12345 };

/* The three places, each with an index in it that we have made. */
struct places {
        const char *choice;
        enum location_where where;
        char path[400];
};

static void make_index(struct folder *f, struct places *at, int number)
{
        *at = (struct places){.choice = number == 0 ? f->index : NULL,
                              .where = number == 1 ? LOCATION_BESIDE : LOCATION_OWN};
        setenv("XDG_CACHE_HOME", f->dir, 1);
        folder_require(folder_place(f, at->choice) == 0, __LINE__);
        snprintf(at->path, sizeof at->path, "%s", location_path(f->p, at->where));
        if (at->where == LOCATION_BESIDE)
                fixture_write(at->path, FOLDER_INDEX, sizeof FOLDER_INDEX);
        else
                folder_require(folder_keep(f) == 0, __LINE__);
        folder_require(chmod(at->path, 0644) == 0, __LINE__);
}

/* With what the place is opened now. */
static int open_index(struct folder *f, const struct places *at)
{
        int fd;

        folder_require(folder_place(f, at->choice) == 0, __LINE__);
        fd = location_open(f->p, at->where, &f->err);
        if (fd >= 0)
                close(fd);
        return fd < 0 ? fd : 0;
}

static void expect_refused(struct folder *f, const struct places *at, const char *why)
{
        folder_require(open_index(f, at) == -EPERM, __LINE__);
        folder_require(strstr(f->err.text, why) != NULL, __LINE__);
}

static void judge_modes(struct folder *f)
{
        static const mode_t others_write[] = {0664, 0646, 0666, 0602, 0020};

        for (int i = 0; i < 3; i++) {
                struct places at;

                make_index(f, &at, i);
                folder_require(open_index(f, &at) == 0, __LINE__);
                for (size_t m = 0; m < sizeof others_write / sizeof *others_write; m++) {
                        folder_require(chmod(at.path, others_write[m] | 0400) == 0, __LINE__);
                        expect_refused(f, &at, "others may write to it");
                }
                folder_require(chmod(at.path, 0400) == 0, __LINE__);
                folder_require(open_index(f, &at) == 0, __LINE__);
        }
}

static void test_others_must_not_be_able_to_write(void **state)
{
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_as_user(judge_modes, &f), 0);
        folder_remove(&f);
}

/* Of the three that root has made: root believes its own, and nobody else's. */
static void test_who_must_own_it(void **state)
{
        struct folder f;
        (void)state;

        if (geteuid() != 0) {
                fprintf(stderr, "needs root\n");
                skip();
        }
        for (int i = 0; i < 2; i++) {
                struct places at;

                folder_make(&f);
                make_index(&f, &at, i);
                assert_int_equal(open_index(&f, &at), 0);
                assert_int_equal(chown(at.path, OTHER, OTHER), 0);
                assert_int_equal(open_index(&f, &at), -EPERM);
                assert_non_null(strstr(f.err.text, "belongs to user 12345"));
                /* Neither the group nor the archive's owner is a reason. */
                assert_int_equal(chown(f.archive, OTHER, OTHER), 0);
                assert_int_equal(chown(at.path, OTHER, 0), 0);
                assert_int_equal(open_index(&f, &at), -EPERM);
                assert_int_equal(chown(at.path, 0, OTHER), 0);
                assert_int_equal(open_index(&f, &at), 0);
                folder_remove(&f);
        }
}

/* None is followed, waited for or read. A link to one that would do is refused as well. */
static void judge_kinds(struct folder *f)
{
        for (int i = 1; i < 3; i++) {
                struct places at;
                char good[420];

                make_index(f, &at, i);
                snprintf(good, sizeof good, "%s.good", at.path);
                folder_require(rename(at.path, good) == 0, __LINE__);
                folder_require(symlink(good, at.path) == 0, __LINE__);
                expect_refused(f, &at, "it is a link");
                folder_require(unlink(at.path) == 0, __LINE__);
                folder_require(mkfifo(at.path, 0600) == 0, __LINE__);
                expect_refused(f, &at, "no regular file");
                folder_require(unlink(at.path) == 0, __LINE__);
                folder_require(mkdir(at.path, 0700) == 0, __LINE__);
                expect_refused(f, &at, "no regular file");
                folder_require(rmdir(at.path) == 0, __LINE__);
                /* Who has made it can have given it several names. */
                folder_require(link(good, at.path) == 0, __LINE__);
                folder_require(open_index(f, &at) == 0, __LINE__);
        }
}

static void test_only_regular_files(void **state)
{
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_as_user(judge_kinds, &f), 0);
        folder_remove(&f);
}

static void test_two_owners_have_two_names(void **state)
{
        char first[400];
        struct folder f;
        (void)state;

        if (geteuid() != 0) {
                fprintf(stderr, "needs root\n");
                skip();
        }
        folder_make(&f);
        setenv("XDG_CACHE_HOME", f.dir, 1);
        assert_int_equal(folder_place(&f, f.index), 0);
        assert_int_equal(seteuid(NOBODY), 0);
        assert_int_equal(folder_place(&f, NULL), 0);
        snprintf(first, sizeof first, "%s", location_path(f.p, LOCATION_OWN));
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(chown(f.archive, OTHER, OTHER), 0);
        source_close(f.file);
        assert_int_equal(source_open_file(f.archive, &f.file, &f.err), 0);
        assert_int_equal(seteuid(NOBODY), 0);
        assert_int_equal(folder_place(&f, NULL), 0);
        assert_string_not_equal(location_path(f.p, LOCATION_OWN), first);
        assert_non_null(strstr(location_path(f.p, LOCATION_OWN), "-12345.vmafs"));
        assert_int_equal(seteuid(0), 0);
        folder_remove(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_others_must_not_be_able_to_write),
            cmocka_unit_test(test_who_must_own_it),
            cmocka_unit_test(test_only_regular_files),
            cmocka_unit_test(test_two_owners_have_two_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
