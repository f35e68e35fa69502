/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/array.h"

typedef ARRAY(uint32_t) numbers;

static void test_elements_stay_in_order(void **state)
{
        numbers a = {0};

        (void)state;
        for (uint32_t i = 0; i < 10000; i++) {
                assert_int_equal(array_add(&a, 3 * i), 0);
                assert_true(a.count <= a.room);
        }
        assert_int_equal(a.count, 10000);
        for (uint32_t i = 0; i < 10000; i++)
                assert_int_equal(*array_at(&a, i), 3 * i);
        assert_int_equal(*array_last(&a), 29997);
        array_free(&a);
        assert_null(a.items);
        assert_int_equal(a.count, 0);
        assert_int_equal(a.room, 0);
}

static void test_reserved_room_is_not_moved(void **state)
{
        numbers a = {0};
        uint32_t *items;

        (void)state;
        assert_int_equal(array_reserve(&a, 1000), 0);
        assert_int_equal(a.count, 0);
        items = a.items;
        for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(array_add(&a, i), 0);
        assert_ptr_equal(a.items, items);
        array_free(&a);
}

static void test_too_many_are_enomem(void **state)
{
        numbers a = {0};

        (void)state;
        assert_int_equal(array_add(&a, 7), 0);
        assert_int_equal(array_reserve(&a, SIZE_MAX / 2), -ENOMEM);
        assert_int_equal(array_reserve(&a, SIZE_MAX - 1), -ENOMEM);
        assert_int_equal(a.count, 1);
        assert_int_equal(*array_at(&a, 0), 7);
        array_free(&a);
}

static int status_of_reading(size_t count, size_t at)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                numbers a = {0};
                struct rlimit none = {0};

                setrlimit(RLIMIT_CORE, &none);
                for (size_t i = 0; i < count; i++)
                        if (array_add(&a, 1) < 0)
                                _exit(2);
                _exit(*array_at(&a, at) == 1 ? 0 : 3);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void test_no_such_element_ends_the_process(void **state)
{
        static const struct {
                size_t count, at;
                bool there;
        } reads[] = {{0, 0, false}, {1, 0, true},         {1, 1, false},
                     {9, 8, true},  {9, SIZE_MAX, false}, {9, 10, false}};

        (void)state;
        for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
                int status = status_of_reading(reads[i].count, reads[i].at);

                if (reads[i].there)
                        assert_int_equal(status, 0);
                else
                        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        }
}

static void test_search_finds_the_first(void **state)
{
        uint32_t sorted[40];

        (void)state;
        for (size_t count = 0; count <= 40; count++) {
                for (size_t i = 0; i < count; i++)
                        sorted[i] = (uint32_t)(i / 3 * 2); /* each three times */
                for (uint32_t sought = 0; sought <= 30; sought++) {
                        size_t want = 0;

                        while (want < count && sorted[want] < sought)
                                want++;
                        assert_int_equal(search_first(count, m, sorted[m] >= sought), want);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_elements_stay_in_order),
            cmocka_unit_test(test_reserved_room_is_not_moved),
            cmocka_unit_test(test_too_many_are_enomem),
            cmocka_unit_test(test_no_such_element_ends_the_process),
            cmocka_unit_test(test_search_finds_the_first),
        };

        return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
