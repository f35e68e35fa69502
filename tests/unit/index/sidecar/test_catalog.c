/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cache folder's indexes: which there are, and which go. */
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

#include "index/sidecar/catalog.h"

#define A "00000000000000000000000000000000000000000000000000000000000000aa-5.vmafs"
#define B "00000000000000000000000000000000000000000000000000000000000000bb-7-1000.vmafs"
#define C "00000000000000000000000000000000000000000000000000000000000000cc-9.vmafs"

struct folder {
        char path[64];
        int dir;
};

static int set_up(void **state)
{
        struct folder *f = calloc(1, sizeof *f);

        assert_non_null(f);
        strcpy(f->path, "/tmp/vmafs-catalog.XXXXXX");
        assert_non_null(mkdtemp(f->path));
        f->dir = open(f->path, O_RDONLY | O_DIRECTORY);
        assert_true(f->dir >= 0);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct folder *f = *state;
        char command[100];

        close(f->dir);
        snprintf(command, sizeof command, "rm -rf %s", f->path);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

/* NAME, of LEN bytes, last changed at second TIME. */
static void make(const struct folder *f, const char *name, size_t len, time_t time)
{
        const struct timespec times[2] = {{.tv_sec = time}, {.tv_sec = time}};
        int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
}

static struct catalog read_catalog(const struct folder *f)
{
        struct catalog c;

        assert_int_equal(catalog_read(f->dir, &c), 0);
        return c;
}

static void test_an_empty_folder(void **state)
{
        struct catalog c = read_catalog(*state);

        assert_int_equal(c.count, 0);
        catalog_fini(&c);
}

static void test_only_indexes_are_listed_used_last_first(void **state)
{
        struct folder *f = *state;
        struct catalog c;

        make(f, A, 10, 1000);
        make(f, B, 20, 3000);
        make(f, C, 30, 2000);
        make(f, "README", 1, 1);
        make(f, "x.vmafs", 1, 1);
        make(f, ".vmafs", 1, 1);
        make(f, "0000000000000000000000-1.seen", 1, 1);
        assert_int_equal(mkdirat(f->dir, "0000000000000000000000-1.vmafs", 0700), 0);
        assert_int_equal(symlinkat(A, f->dir, "0000000000000000000000-2.vmafs"), 0);
        c = read_catalog(f);
        assert_int_equal(c.count, 3);
        assert_string_equal(c.items[0].name, B);
        assert_string_equal(c.items[1].name, C);
        assert_string_equal(c.items[2].name, A);
        assert_int_equal(c.items[2].size, 10);
        assert_null(c.items[0].archive);
        assert_false(c.items[0].missing);
        catalog_fini(&c);
}

/* The archive's size is in the index's name, with or without an owner after it. */
static void test_a_note_says_where_the_archive_is(void **state)
{
        struct folder *f = *state;
        struct catalog c;
        char path[80];

        snprintf(path, sizeof path, "%s/archive", f->path);
        make(f, "archive", 7, 1);
        make(f, A, 10, 1000);
        make(f, B, 10, 1000);
        make(f, C, 10, 1000);
        catalog_note(f->dir, B, path);
        c = read_catalog(f);
        assert_string_equal(c.items[0].name, B);
        assert_string_equal(c.items[0].archive, path);
        assert_true(c.items[0].used > 1000);
        assert_false(c.items[0].missing);
        catalog_fini(&c);

        /* Another archive has its name now. */
        make(f, "archive", 8, 1);
        c = read_catalog(f);
        assert_true(c.items[0].missing);
        catalog_fini(&c);
        assert_int_equal(unlinkat(f->dir, "archive", 0), 0);
        c = read_catalog(f);
        assert_true(c.items[0].missing);
        catalog_fini(&c);
}

static void write_note(const struct folder *f, const char *name, const char *text, size_t len)
{
        int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, len), len);
        close(fd);
}

static void test_a_note_that_is_nonsense_is_none(void **state)
{
        static const char note[] =
            "00000000000000000000000000000000000000000000000000000000000000aa-5.seen";
        struct folder *f = *state;
        static char pages[100000];
        const struct {
                const char *text;
                size_t len;
        } wrong[] = {{"", 0}, {"relative", 8}, {"/a\0b", 4}};

        make(f, A, 10, 1000);
        memset(pages, '/', sizeof pages);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct catalog c;

                write_note(f, note, wrong[i].text, wrong[i].len);
                c = read_catalog(f);
                assert_null(c.items[0].archive);
                assert_false(c.items[0].missing);
                catalog_fini(&c);
        }
        write_note(f, note, pages, sizeof pages);
        {
                struct catalog c = read_catalog(f);

                /* Cut: nothing is there, or the root is, which is no file. */
                assert_int_equal(c.count, 1);
                catalog_fini(&c);
        }
}

static void test_a_note_follows_no_link_and_waits_for_nobody(void **state)
{
        static const char note[] =
            "00000000000000000000000000000000000000000000000000000000000000aa-5.seen";
        struct folder *f = *state;
        struct catalog c;
        struct stat st;

        make(f, A, 10, 1000);
        assert_int_equal(symlinkat("victim", f->dir, note), 0);
        catalog_note(f->dir, A, "/archive");
        assert_int_equal(fstatat(f->dir, "victim", &st, 0), -1);
        assert_int_equal(unlinkat(f->dir, note, 0), 0);
        assert_int_equal(mkfifoat(f->dir, note, 0600), 0);
        catalog_note(f->dir, A, "/archive");
        c = read_catalog(f);
        assert_int_equal(c.count, 1);
        assert_null(c.items[0].archive);
        catalog_fini(&c);
        /* No name of the folder's other files is taken for an index's. */
        catalog_note(f->dir, "README", "/archive");
        catalog_note(f->dir, "../x", "/archive");
        assert_int_equal(fstatat(f->dir, "README.seen", &st, 0), -1);
}

static void test_limits(void **state)
{
        struct catalog_entry entries[] = {
            {.size = 100, .used = 5000, .missing = true},
            {.size = 100, .used = 4000},
            {.size = 100, .used = 3000},
            {.size = UINT64_MAX, .used = 2000},
        };
        const struct catalog c = {.items = entries, .count = 4};
        const struct catalog_limits none = {.size_max = UINT64_MAX},
                                    missing = {.missing = true, .size_max = UINT64_MAX},
                                    older = {.older = 4000, .size_max = UINT64_MAX},
                                    size = {.size_max = 200},
                                    both = {.missing = true, .size_max = 200};
        (void)state;

        assert_false(catalog_drops(&c, 0, &none));
        assert_false(catalog_drops(&c, 2, &none));
        assert_true(catalog_drops(&c, 3, &none)); /* sizes overflow: it is not counted as small */
        assert_true(catalog_drops(&c, 0, &missing));
        assert_false(catalog_drops(&c, 1, &missing));
        assert_false(catalog_drops(&c, 1, &older));
        assert_true(catalog_drops(&c, 2, &older));
        assert_false(catalog_drops(&c, 1, &size));
        assert_true(catalog_drops(&c, 2, &size));
        /* What goes anyway takes no room. */
        assert_true(catalog_drops(&c, 0, &both));
        assert_false(catalog_drops(&c, 2, &both));
        assert_true(catalog_drops(&c, 3, &both));
}

static void test_an_index_goes_with_its_note(void **state)
{
        struct folder *f = *state;
        struct catalog c;

        make(f, A, 10, 1000);
        make(f, C, 10, 2000);
        catalog_note(f->dir, A, "/archive");
        c = read_catalog(f);
        assert_string_equal(c.items[0].name, A);
        assert_int_equal(catalog_remove(f->dir, &c.items[0]), 0);
        assert_int_equal(catalog_remove(f->dir, &c.items[0]), 0); /* it is gone already */
        catalog_fini(&c);
        c = read_catalog(f);
        assert_int_equal(c.count, 1);
        assert_string_equal(c.items[0].name, C);
        catalog_fini(&c);
        assert_int_equal(faccessat(f->dir,
                                   "0000000000000000000000000000000000000000000000000000000000"
                                   "0000aa-5.seen",
                                   F_OK, 0),
                         -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_an_empty_folder, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_only_indexes_are_listed_used_last_first, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_a_note_says_where_the_archive_is, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_a_note_that_is_nonsense_is_none, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_a_note_follows_no_link_and_waits_for_nobody,
                                            set_up, tear_down),
            cmocka_unit_test(test_limits),
            cmocka_unit_test_setup_teardown(test_an_index_goes_with_its_note, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
