/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/source/shared_source.h"
#include "archive/source/source.h"

/* Counts how often it was closed. */
static int closed;

static ssize_t count_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        (void)s;
        memset(buf, (int)offset, len);
        return (ssize_t)len;
}

static void count_close(struct source *s)
{
        (void)s;
        closed++;
}

static const struct source_ops ops = {.name = "file", .pread = count_pread, .close = count_close};

static void test_the_last_handle_closes_what_is_shared(void **state)
{
        struct source below = {.ops = &ops, .size = 100}, *a, *b;
        struct shared_source *s;
        uint8_t byte = 0;
        (void)state;

        assert_int_equal(shared_source_new(&below, &s), 0);
        assert_int_equal(shared_source_open(s, &a), 0);
        assert_int_equal(shared_source_open(s, &b), 0);
        assert_int_equal(a->size, 100);
        source_close(a);
        shared_source_leave(s);
        assert_int_equal(closed, 0);
        assert_int_equal(source_pread(b, &byte, 1, 7), 1);
        assert_int_equal(byte, 7);
        assert_int_equal(source_pread(b, &byte, 1, 100), 0);
        source_close(b);
        assert_int_equal(closed, 1);
}

static void test_without_handles_it_is_closed_at_once(void **state)
{
        struct source below = {.ops = &ops};
        struct shared_source *s;
        int before = closed;
        (void)state;

        assert_int_equal(shared_source_new(&below, &s), 0);
        shared_source_leave(s);
        assert_int_equal(closed, before + 1);
        shared_source_leave(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_the_last_handle_closes_what_is_shared),
            cmocka_unit_test(test_without_handles_it_is_closed_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
