/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses: which are taken, what people see of them, and where an S3 object is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/s3.h"
#include "fs/fetch/url.h"

static void test_what_is_an_address(void **state)
{
        (void)state;
        assert_true(url_is("http://h/x") && url_is("HTTPS://h/x") && url_is("s3://b/k"));
        assert_false(url_is("/http://h/x") || url_is("http:/h/x") || url_is("ftp://h/x") ||
                     url_is("file:///etc/passwd") || url_is("a.vma"));
}

static void test_which_are_refused(void **state)
{
        static const char *const bad[] = {"http://",        "https:///x",       "http://me:pw@h/x",
                                          "https://me@h/x", "s3://me:pw@b/k",   "s3:///key",
                                          "http://h/a b",   "http://h/\r\nX: y"};
        static const char *const good[] = {"http://h/x@y", "https://[::1]:80/x?y=@", "s3://b/a b"};

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                if (url_check(bad[i], NULL) == 0)
                        fail_msg("%s", bad[i]);
        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                if (url_check(good[i], NULL) < 0)
                        fail_msg("%s", good[i]);
}

static void check_shown(const char *url, const char *wanted)
{
        cleanup_free char *shown = url_shown(url);

        assert_string_equal(shown, wanted);
}

static void test_a_query_is_not_shown(void **state)
{
        (void)state;
        check_shown("https://h/x.vma?X-Amz-Signature=secret", "https://h/x.vma");
        check_shown("http://h/x#y", "http://h/x");
        check_shown("s3://b/what?", "s3://b/what?");
        check_shown("dir/what?.vma", "dir/what?.vma");
}

static void test_where_a_server_may_send_us(void **state)
{
        bool same;

        (void)state;
        assert_true(url_may_lead("http://h/x", "http://h/y", &same) && same);
        assert_true(url_may_lead("http://h/x", "https://h/y", &same) && !same);
        assert_true(url_may_lead("https://h/x", "https://H/y", &same) && same);
        assert_true(url_may_lead("https://h/x", "https://h.org/y", &same) && !same);
        assert_true(url_may_lead("https://h/x", "https://h:444/y", &same) && !same);
        assert_false(url_may_lead("https://h/x", "http://h/y", &same));
        assert_false(url_may_lead("http://h/x", "file:///etc/passwd", &same));
        assert_false(url_may_lead("http://h/x", "http://me:pw@h/y", &same));
        assert_false(url_may_lead("http://h/x", "ftp://h/y", &same));
}

static void check_beside(const char *url, const char *name, const char *wanted)
{
        cleanup_free char *beside = url_beside(url, name);

        assert_string_equal(beside, wanted);
}

static void test_what_is_beside_has_no_query(void **state)
{
        (void)state;
        check_beside("https://h/d/a.vmdk", "b c.vmdk", "https://h/d/b%20c.vmdk");
        check_beside("https://h/d/a.vmdk?sig=x/y", "s/b?", "https://h/d/s/b%3F");
        check_beside("https://h/a#x/y?z", "b", "https://h/b");
        check_beside("http://h/d/", "b", "http://h/d/b");
        check_beside("http://h:80?q=/x", "b", "http://h:80/b");
        check_beside("http://h", "b", "http://h/b");
        assert_true(url_has_name("http://h/a") && url_has_name("http://h/d/a?b/"));
        assert_false(url_has_name("http://h") || url_has_name("http://h/") ||
                     url_has_name("http://h?a/b") || url_has_name("http://h/d/?a"));
}

static void test_which_are_folders(void **state)
{
        (void)state;
        assert_true(url_is_prefix("s3://b") && url_is_prefix("s3://b/") &&
                    url_is_prefix("S3://b/p/"));
        assert_false(url_is_prefix("s3://b/p") || url_is_prefix("http://h/p/"));
}

static void test_values_in_a_query(void **state)
{
        cleanup_free char *value = url_encode_value("a/b c&d=\xc3\xa4~");

        (void)state;
        assert_string_equal(value, "a%2Fb%20c%26d%3D%C3%A4~");
}

static void check_address(const char *url, const char *endpoint, const char *region,
                          const char *wanted)
{
        cleanup_free char *address = s3_address(url, endpoint, region, NULL);

        if (!wanted)
                assert_null(address);
        else
                assert_string_equal(address, wanted);
}

static void test_where_an_object_is(void **state)
{
        (void)state;
        unsetenv("AWS_ENDPOINT_URL");
        unsetenv("AWS_ENDPOINT_URL_S3");
        check_address("s3://b/k", NULL, "eu-1", "https://b.s3.eu-1.amazonaws.com/k");
        check_address("s3://b.c/k", NULL, "eu-1", "https://s3.eu-1.amazonaws.com/b.c/k");
        check_address("s3://b/k", NULL, "cn-north-1", "https://b.s3.cn-north-1.amazonaws.com.cn/k");
        check_address("s3://b/a/b c+\xc3\xa4?%", "http://h:9/", "r",
                      "http://h:9/b/a/b%20c%2B%C3%A4%3F%25");
        check_address("s3://b/", "http://h:9", "r", "http://h:9/b/");
        check_address("s3://b:1/k", NULL, "r", NULL);
        check_address("s3://b/k", "h:9", "r", NULL);
        check_address("s3://b/k", "http://me:pw@h", "r", NULL);
        setenv("AWS_ENDPOINT_URL", "https://e", 1);
        check_address("s3://b/k", NULL, "r", "https://e/b/k");
        setenv("AWS_ENDPOINT_URL_S3", "https://s", 1);
        check_address("s3://b/k", NULL, "r", "https://s/b/k");
        check_address("s3://b/k", "https://o", "r", "https://o/b/k");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_is_an_address),
            cmocka_unit_test(test_which_are_refused),
            cmocka_unit_test(test_a_query_is_not_shown),
            cmocka_unit_test(test_where_a_server_may_send_us),
            cmocka_unit_test(test_what_is_beside_has_no_query),
            cmocka_unit_test(test_which_are_folders),
            cmocka_unit_test(test_values_in_a_query),
            cmocka_unit_test(test_where_an_object_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
