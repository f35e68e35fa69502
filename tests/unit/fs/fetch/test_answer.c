/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server says of its answer, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fetch/answer.h"

static struct answer take(const char *const *lines)
{
        struct answer a;

        answer_init(&a);
        for (; *lines; lines++)
                answer_take(&a, *lines, strlen(*lines));
        return a;
}

#define TAKE(...) take((const char *const[]){__VA_ARGS__, NULL})

static void test_a_right_answer(void **state)
{
        struct answer a =
            TAKE("HTTP/1.1 206 Partial Content\r\n", "content-RANGE:bytes 10-19/100\r\n",
                 "Content-Length: 10\r\n", "ETag: \"x\"\r\n",
                 "Last-Modified: Fri, 13 Feb 2009 23:31:30 GMT\r\n",
                 "Date: Fri, 13 Feb 2009 23:31:31 GMT\r\n", "\r\n");

        (void)state;
        assert_null(answer_fault(&a, 10, 20, 100));
        assert_string_equal(a.is.etag, "\"x\"");
        assert_int_equal(answer_time(a.is.modified), 1234567890);
        assert_int_equal(a.date, 1234567891);
}

static void test_wrong_answers(void **state)
{
        static const char *const ranges[] = {"Content-Range: bytes 11-20/100",
                                             "Content-Range: bytes 10-18/100",
                                             "Content-Range: bytes 10-19/101",
                                             "Content-Range: bytes 10-19/*",
                                             "Content-Range: bytes */100",
                                             "Content-Range: bytes 19-10/100",
                                             "Content-Range: bytes 10-19/",
                                             "Content-Range: bytes -19/100",
                                             "Content-Range: pages 10-19/100",
                                             "Content-Range: bytes 10-19/100 or so",
                                             "Content-Range: bytes 10-99999999999999999999/100",
                                             "X: y"};

        (void)state;
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
                struct answer a = TAKE(ranges[i]);

                if (!answer_fault(&a, 10, 20, 100))
                        fail_msg("%s", ranges[i]);
        }
        struct answer encoded = TAKE("Content-Range: bytes 10-19/100", "Content-Encoding: gzip");
        struct answer longer = TAKE("Content-Range: bytes 10-19/100", "Content-Length: 11");

        assert_non_null(answer_fault(&encoded, 10, 20, 100));
        assert_non_null(answer_fault(&longer, 10, 20, 100));
}

/* A proxy's answer to CONNECT, or "100 Continue", comes first. */
static void test_only_the_last_answer_counts(void **state)
{
        struct answer a = TAKE("HTTP/1.1 200 OK", "Content-Range: bytes 1-2/3", "ETag: \"old\"",
                               "HTTP/1.1 206 OK", "Content-Range: bytes 0-2/3");

        (void)state;
        assert_null(answer_fault(&a, 0, 3, 3));
        assert_string_equal(a.is.etag, "");
}

static void test_a_weak_etag_is_none(void **state)
{
        struct answer a = TAKE("ETag: W/\"x\"", "Last-Modified: Fri, 13 Feb 2009 23:31:30 GMT");
        struct validator was = a.is;

        (void)state;
        assert_string_equal(a.is.etag, "");
        assert_false(answer_is_other(&a, &was));
        snprintf(was.modified, sizeof was.modified, "Fri, 13 Feb 2009 23:31:31 GMT");
        assert_true(answer_is_other(&a, &was));
        snprintf(was.etag, sizeof was.etag, "\"x\"");
        assert_true(answer_is_other(&a, &was));
}

static void test_what_is_too_long_or_odd_is_not_taken(void **state)
{
        char line[1000] = "ETag: \"";
        struct answer a;

        (void)state;
        memset(line + 7, 'x', 300);
        line[307] = '"';
        a = TAKE(line, "Retry-After: 1000000", "Retry-After: soon", "ETag: \"\x01\"");
        assert_string_equal(a.is.etag, "");
        assert_int_equal(a.retry_after, 30);
        answer_take(&a, "ETag: \"a\0b\"", 11);
        assert_string_equal(a.is.etag, "");
        assert_int_equal(answer_time("yesterday"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_right_answer),
            cmocka_unit_test(test_wrong_answers),
            cmocka_unit_test(test_only_the_last_answer_counts),
            cmocka_unit_test(test_a_weak_etag_is_none),
            cmocka_unit_test(test_what_is_too_long_or_odd_is_not_taken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
