/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that has what lies around an archive does not believe the one that asks: that one may
 * be under the control of the archive.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/format.h"
#include "fs/process/index_helper.h"
#include "index/index.h"
#include "index/site.h"

struct fixture {
        char dir[64];
        char archive[80], index[80]; /* DIR/d/a and DIR/i */
        struct site *site;
        struct index_helper keeper;
};

static void make_file(const struct fixture *f, const char *name, const char *content)
{
        char path[100];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", f->dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        fputs(content, file);
        assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        char folder[80];

        snprintf(f->dir, sizeof f->dir, "/tmp/test_keeper.XXXXXX");
        if (!mkdtemp(f->dir))
                return -1;
        snprintf(folder, sizeof folder, "%s/d", f->dir);
        snprintf(f->archive, sizeof f->archive, "%s/d/a", f->dir);
        snprintf(f->index, sizeof f->index, "%s/i", f->dir);
        f->keeper = INDEX_HELPER_NONE;
        *state = f;
        if (mkdir(folder, 0700) < 0)
                return -1;
        make_file(f, "d/a", "archive");
        make_file(f, "d/beside", "beside");
        make_file(f, "outside", "outside");
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[100];

        site_close(f->site);
        index_helper_end(&f->keeper);
        snprintf(command, sizeof command, "rm -rf --one-file-system %s", f->dir);
        free(f);
        return system(command);
}

static void begin(struct fixture *f, enum neighbour_reach backing)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_BUILD, .sidecar_path = f->index, .backing = backing};
        struct error err = {0};

        assert_int_equal(site_open(f->archive, &options, &f->site, &err), 0);
        assert_int_equal(index_helper_start(&f->keeper, f->site, &err), 0);
}

/* Open NAME; 0 or -errno. */
static int open_neighbour(const struct fixture *f, const char *name, enum neighbour_reach reach)
{
        int fd = f->site->neighbours.open(&f->site->neighbours, name, reach);

        if (fd < 0)
                return fd;
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        close(fd);
        return 0;
}

static void test_only_what_was_allowed_is_opened(void **state)
{
        struct fixture *f = *state;
        char outside[100];

        begin(f, NEIGHBOUR_BESIDE);
        snprintf(outside, sizeof outside, "%s/outside", f->dir);
        assert_int_equal(open_neighbour(f, "beside", NEIGHBOUR_BESIDE), 0);
        assert_int_equal(open_neighbour(f, "../outside", NEIGHBOUR_BESIDE), -EXDEV);
        assert_int_equal(open_neighbour(f, outside, NEIGHBOUR_BESIDE), -EXDEV);
        assert_int_equal(open_neighbour(f, "beside", NEIGHBOUR_BELOW), -EXDEV);
        assert_int_equal(open_neighbour(f, outside, NEIGHBOUR_ANYWHERE), -EXDEV);
        assert_int_equal(open_neighbour(f, "beside", (enum neighbour_reach)3), -EINVAL);
}

static void test_below_means_below(void **state)
{
        struct fixture *f = *state;
        char outside[100];

        begin(f, NEIGHBOUR_BELOW);
        snprintf(outside, sizeof outside, "%s/outside", f->dir);
        assert_int_equal(open_neighbour(f, "beside", NEIGHBOUR_BELOW), 0);
        assert_int_equal(open_neighbour(f, "../outside", NEIGHBOUR_BELOW), -EXDEV);
        assert_int_equal(open_neighbour(f, outside, NEIGHBOUR_BELOW), -EXDEV);
        assert_int_equal(open_neighbour(f, outside, NEIGHBOUR_ANYWHERE), -EXDEV);
}

static int keep(struct shelf *s, const char *name)
{
        int fd = s->ops->create(s);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, SHELF_MAGIC, 8), 8);
        close(fd);
        return s->ops->commit(s, name);
}

static void test_an_index_has_the_path_that_was_asked_for(void **state)
{
        struct fixture *f = *state;
        struct stat st;

        begin(f, NEIGHBOUR_BESIDE);
        assert_int_equal(keep(f->site->shelf, "../../other"), 0);
        assert_int_equal(stat(f->index, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void test_nothing_but_an_index_is_marked(void **state)
{
        struct fixture *f = *state;
        struct shelf *s;
        struct stat st;
        int fd;

        begin(f, NEIGHBOUR_BESIDE);
        s = f->site->shelf;
        assert_int_equal(s->ops->quarantine(s, LOCATION_OWN), -EBADF);
        assert_int_equal(keep(s, ""), 0);
        fd = s->ops->open(s, LOCATION_OWN, "");
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        close(fd);
        assert_int_equal(s->ops->quarantine(s, LOCATION_OWN), 0);
        assert_int_equal(stat(f->index, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | S_ISVTX | 0600);
        assert_int_equal(s->ops->quarantine(s, (enum location_where)5), -EINVAL);
}

static void test_what_is_asked_of_one_that_is_gone_fails(void **state)
{
        struct fixture *f = *state;

        begin(f, NEIGHBOUR_BESIDE);
        assert_int_equal(kill(f->keeper.helper.pid, SIGKILL), 0);
        assert_int_equal(open_neighbour(f, "beside", NEIGHBOUR_BESIDE), -EPIPE);
        assert_int_equal(f->site->shelf->ops->create(f->site->shelf), -EPIPE);
        assert_int_equal(f->site->shelf->ops->lock(f->site->shelf), -EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_only_what_was_allowed_is_opened),
            TEST(test_below_means_below),
            TEST(test_an_index_has_the_path_that_was_asked_for),
            TEST(test_nothing_but_an_index_is_marked),
            TEST(test_what_is_asked_of_one_that_is_gone_fails),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
