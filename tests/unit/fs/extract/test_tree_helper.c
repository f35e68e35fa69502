/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that makes a tree's files, by the order in which it is asked for things. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/cleanup.h"
#include "fs/extract/tree_helper.h"

struct fixture {
        char dir[64];
        struct tree_helper helper;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        cleanup_close int dirfd = -1;

        if (!f)
                return -1;
        *state = f;
        f->helper = TREE_HELPER_NONE;
        snprintf(f->dir, sizeof f->dir, "/tmp/test_tree_helper.XXXXXX");
        if (!mkdtemp(f->dir))
                return -1;
        dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dirfd < 0 ? -1 : tree_helper_start(&f->helper, dirfd, false);
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[100];

        tree_helper_end(&f->helper);
        snprintf(command, sizeof command, "rm -rf --one-file-system %s", f->dir);
        free(f);
        return system(command);
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
        char path[200];
        struct stat st;

        snprintf(path, sizeof path, "%s/%s", f->dir, name);
        assert_return_code(lstat(path, &st), errno);
        return st.st_mode & 07777;
}

static void make_file(struct fixture *f, const char *name)
{
        int fd;

        assert_return_code(tree_helper_file(&f->helper, name, &fd), 0);
        close(fd);
}

static const struct tree_attributes program = {.mode = S_IFREG | 06755, .mtime = 1};

static void test_a_program_runs_as_its_owner_once_it_has_one(void **state)
{
        struct fixture *f = *state;
        struct tree_attributes a = program;

        a.uid = geteuid();
        a.gid = getegid();
        make_file(f, "program");
        assert_return_code(tree_helper_own(&f->helper, &a), 0);
        assert_return_code(tree_helper_close(&f->helper, &a), 0);
        assert_int_equal(mode_of(f, "program"), geteuid() == 0 ? 06755 : 0755);
}

/* Its content could not be written, say: then it is not given to its owner, and is root's. */
static void test_a_program_without_its_owner_runs_as_nobody_else(void **state)
{
        struct fixture *f = *state;

        make_file(f, "before");
        assert_return_code(tree_helper_own(&f->helper, &program), 0);
        assert_return_code(tree_helper_close(&f->helper, &program), 0);
        make_file(f, "program");
        assert_return_code(tree_helper_close(&f->helper, &program), 0);
        assert_int_equal(mode_of(f, "program"), 0755);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_a_program_runs_as_its_owner_once_it_has_one, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(test_a_program_without_its_owner_runs_as_nobody_else,
                                            setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
