/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that makes extract's files does not believe the one that asks: that one may be under
 * the control of an archive.
 */
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
#include <unistd.h>

#include <cmocka.h>

#include "archive/cleanup.h"
#include "fs/extract/extract_helper.h"

struct fixture {
        char dir[64];   /* with a file "outside" … */
        char below[80]; /* … and the folder that may be written to */
        struct extract_helper maker;
};

static int begin(struct fixture *f, bool force)
{
        cleanup_close int dirfd = open(f->below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        f->maker = EXTRACT_HELPER_NONE;
        return extract_helper_start(&f->maker, dirfd, force);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        char outside[96];
        int fd;

        snprintf(f->dir, sizeof f->dir, "/tmp/test_maker.XXXXXX");
        if (!mkdtemp(f->dir))
                return -1;
        snprintf(f->below, sizeof f->below, "%s/below", f->dir);
        snprintf(outside, sizeof outside, "%s/outside", f->dir);
        fd = open(outside, O_WRONLY | O_CREAT | O_EXCL, 0600);
        close(fd);
        *state = f;
        return fd < 0 || mkdir(f->below, 0700) < 0 ? -1 : begin(f, false);
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[100];

        extract_helper_end(&f->maker);
        snprintf(command, sizeof command, "rm -rf --one-file-system %s", f->dir);
        free(f);
        return system(command);
}

/* The mode of PATH below the directory, 0: there is none. */
static mode_t mode_of(const struct fixture *f, const char *path)
{
        char name[200];
        struct stat st;

        snprintf(name, sizeof name, "%s/%s", f->below, path);
        return lstat(name, &st) < 0 ? 0 : st.st_mode;
}

static void test_a_file_is_made_written_and_named(void **state)
{
        struct fixture *f = *state;
        struct made file;
        uint32_t folder;

        assert_int_equal(extract_helper_folder(&f->maker, 0, "d", &folder), 0);
        assert_int_equal(extract_helper_make(&f->maker, folder, "a.partial", "a", &file), 0);
        assert_int_equal(write(file.fd, "x", 1), 1);
        assert_int_equal(extract_helper_close(&f->maker, &file), 0);
        assert_int_equal(file.fd, -1);
        assert_int_equal(extract_helper_reopen(&f->maker, &file), 0);
        assert_int_equal(pwrite(file.fd, "y", 1, 1), 1);
        assert_int_equal(extract_helper_finish(&f->maker, &file), 0);
        assert_int_equal(mode_of(f, "d/a"), S_IFREG | 0600);
        assert_int_equal(mode_of(f, "d"), S_IFDIR | 0700);
        assert_int_equal(mode_of(f, "d/a.partial"), 0);
        assert_int_equal(extract_helper_look(&f->maker, folder, "a"), -EEXIST);
        assert_int_equal(extract_helper_look(&f->maker, folder, "b"), 0);
}

static void test_no_name_leads_out(void **state)
{
        static const char *const names[] = {"", ".", "..", "../outside", "/etc/passwd", "a/b"};
        struct fixture *f = *state;
        struct made file;
        uint32_t folder;

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                assert_int_equal(extract_helper_folder(&f->maker, 0, names[i], &folder), -EINVAL);
                assert_int_equal(extract_helper_look(&f->maker, 0, names[i]), -EINVAL);
                assert_int_equal(extract_helper_make(&f->maker, 0, "a.partial", names[i], &file),
                                 -EINVAL);
                assert_int_equal(extract_helper_make(&f->maker, 0, names[i], "a", &file), -EINVAL);
                assert_int_equal(file.fd, -1);
        }
        assert_int_equal(mode_of(f, "a"), 0);
}

static void test_a_link_is_no_folder(void **state)
{
        struct fixture *f = *state;
        char link[100];
        uint32_t folder;

        snprintf(link, sizeof link, "%s/l", f->below);
        assert_int_equal(symlink(f->dir, link), 0);
        assert_int_equal(extract_helper_folder(&f->maker, 0, "l", &folder), -ENOTDIR);
}

static void test_a_folder_that_became_a_link_is_left_alone(void **state)
{
        struct fixture *f = *state;
        char folder_path[100];
        struct made file;
        uint32_t folder;

        assert_int_equal(extract_helper_folder(&f->maker, 0, "d", &folder), 0);
        snprintf(folder_path, sizeof folder_path, "%s/d", f->below);
        assert_int_equal(rmdir(folder_path), 0);
        assert_int_equal(symlink(f->dir, folder_path), 0);
        assert_int_equal(extract_helper_make(&f->maker, folder, "a.partial", "a", &file), -ENOTDIR);
}

static void test_numbers_are_those_of_what_was_made(void **state)
{
        struct fixture *f = *state;
        struct made other = {.number = 7, .fd = -1}, file;
        uint32_t folder;

        assert_int_equal(extract_helper_folder(&f->maker, 1, "d", &folder), -EINVAL);
        assert_int_equal(extract_helper_make(&f->maker, UINT32_MAX, "a.partial", "a", &file),
                         -EINVAL);
        assert_int_equal(extract_helper_reopen(&f->maker, &other), -EINVAL);
        assert_int_equal(extract_helper_make(&f->maker, 0, "a.partial", "a", &file), 0);
        other = (struct made){.number = file.number, .fd = -1};
        assert_int_equal(extract_helper_reopen(&f->maker, &other), -EINVAL);
        assert_int_equal(extract_helper_finish(&f->maker, &file), 0);
        assert_int_equal(extract_helper_reopen(&f->maker, &other), -EINVAL);
}

static void test_without_force_nothing_is_replaced(void **state)
{
        struct fixture *f = *state;
        struct made file;

        assert_int_equal(extract_helper_make(&f->maker, 0, "a.partial", "a", &file), 0);
        assert_int_equal(extract_helper_finish(&f->maker, &file), 0);
        assert_int_equal(extract_helper_make(&f->maker, 0, "b.partial", "a", &file), 0);
        assert_int_equal(extract_helper_finish(&f->maker, &file), -EEXIST);
        assert_int_equal(extract_helper_make(&f->maker, 0, "a", "c", &file), -EEXIST);
}

static void test_folders_go_only_so_deep(void **state)
{
        struct fixture *f = *state;
        uint32_t folder = 0;
        int depth = 0;

        while (extract_helper_folder(&f->maker, folder, "d", &folder) == 0)
                depth++;
        assert_int_equal(depth, 64);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_a_file_is_made_written_and_named),
            TEST(test_no_name_leads_out),
            TEST(test_a_link_is_no_folder),
            TEST(test_a_folder_that_became_a_link_is_left_alone),
            TEST(test_numbers_are_those_of_what_was_made),
            TEST(test_without_force_nothing_is_replaced),
            TEST(test_folders_go_only_so_deep),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
