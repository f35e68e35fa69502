/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holes of a sparse file, which need not be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/source.h"

enum { PAGE = 4096, DATA = 40 * PAGE, SIZE = 100 * PAGE + 17 };

/* A byte at DATA, and nothing else. */
static struct source *open_sparse(void)
{
        int fd = memfd_create("sparse", MFD_CLOEXEC);
        struct error err = {0};
        struct source *s;

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "x", 1, DATA), 1);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        assert_int_equal(source_open_fd(fd, &s, &err), 0);
        return s;
}

static void test_a_hole_ends_where_data_begin(void **state)
{
        struct source *s = open_sparse();

        (void)state;
        assert_int_equal(source_next_data(s, 0), DATA);
        assert_int_equal(source_next_data(s, DATA - 1), DATA);
        assert_int_equal(source_next_data(s, DATA + 5), DATA + 5);
        source_close(s);
}

static void test_a_hole_at_the_end_ends_there(void **state)
{
        struct source *s = open_sparse();

        (void)state;
        assert_int_equal(source_next_data(s, DATA + PAGE), SIZE);
        assert_int_equal(source_next_data(s, SIZE - 1), SIZE);
        assert_int_equal(source_next_data(s, SIZE), SIZE);
        assert_int_equal(source_next_data(s, SIZE + 5), SIZE + 5);
        source_close(s);
}

static void test_a_slice_knows_the_holes_of_its_file(void **state)
{
        struct source *s = open_sparse(), *slice;

        (void)state;
        assert_int_equal(source_open_slice(s, PAGE, DATA, &slice), 0);
        assert_int_equal(source_next_data(slice, 7), DATA - PAGE);
        source_close(slice);
        assert_int_equal(source_open_slice(s, PAGE, 10, &slice), 0);
        assert_int_equal(source_next_data(slice, 7), 10);
        source_close(slice);
        source_close(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_hole_ends_where_data_begin),
            cmocka_unit_test(test_a_hole_at_the_end_ends_there),
            cmocka_unit_test(test_a_slice_knows_the_holes_of_its_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
