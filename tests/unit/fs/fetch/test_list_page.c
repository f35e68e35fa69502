/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of a bucket, right and wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/error.h"
#include "fs/fetch/list_page.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3/\">"
#define TAIL "<IsTruncated>false</IsTruncated></ListBucketResult>"

struct taken {
        char keys[10][64];
        struct list_key last;
        size_t count;
        int rc;
};

static int take(void *ctx, const struct list_key *key)
{
        struct taken *t = ctx;

        assert_true(t->count < 10);
        snprintf(t->keys[t->count++], sizeof t->keys[0], "%s%s", key->is_prefix ? "+" : "",
                 key->key);
        t->last = *key;
        return t->rc;
}

static int parse(const char *text, size_t len, struct list_page *page, struct taken *t)
{
        /* Of its exact size, so that a sanitizer sees what is read past it. */
        char *copy = malloc(len + (len == 0));
        struct error err = {0};
        int rc;

        memcpy(copy, text, len);
        rc = list_page_parse(copy, len, page, take, t, &err);
        free(copy);
        if (rc == -EREMOTEIO)
                assert_non_null(strstr(err.text, "is not understood at byte"));
        return rc;
}

static struct taken right(const char *text, struct list_page *page)
{
        struct taken t = {0};

        assert_int_equal(parse(text, strlen(text), page, &t), 0);
        return t;
}

static void wrong(const char *text)
{
        struct list_page page;
        struct taken t = {0};

        assert_int_equal(parse(text, strlen(text), &page, &t), -EREMOTEIO);
        /* Not even what came before it. */
        assert_int_equal(t.count, 0);
}

static void test_a_right_page(void **state)
{
        struct list_page page;
        struct taken t = right(
            HEAD "<Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount>"
                 "<IsTruncated>true</IsTruncated><NextContinuationToken>1&amp;2</"
                 "NextContinuationToken>"
                 "<Contents><Key>p/a.vma</Key><LastModified>2009-02-13T23:31:30.000Z</LastModified>"
                 "<ETag>&quot;x&quot;</ETag><Size>42</Size><Owner><ID>1</ID></Owner></Contents>\n"
                 "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes></ListBucketResult>\n",
            &page);

        (void)state;
        assert_int_equal(t.count, 2);
        assert_string_equal(t.keys[0], "p/a.vma");
        assert_string_equal(t.keys[1], "+p/d/");
        assert_true(page.goes_on);
        assert_string_equal(page.token, "1&2");
}

static struct list_key one(const char *fields)
{
        struct list_page page;
        char text[400];

        snprintf(text, sizeof text, HEAD "<Contents><Key>a</Key>%s</Contents>" TAIL, fields);
        return right(text, &page).last;
}

static void test_what_is_said_of_an_object(void **state)
{
        struct list_key key = one("<Size>42</Size><ETag>x</ETag>"
                                  "<LastModified>2009-02-13T23:31:30.123Z</LastModified>");

        (void)state;
        assert_int_equal(key.size, 42);
        assert_int_equal(key.mtime, 1234567890);
        assert_int_equal(key.len, 1);
        assert_false(key.is_prefix);
}

static void test_versions_differ(void **state)
{
        uint64_t version = one("<Size>1</Size><ETag>x</ETag>").version;

        (void)state;
        assert_true(one("<Size>1</Size><ETag>x</ETag>").version == version);
        assert_true(one("<Size>1</Size><ETag>y</ETag>").version != version);
        assert_true(one("<Size>2</Size><ETag>x</ETag>").version != version);
        assert_true(one("<Size>1</Size><ETag>x</ETag><LastModified>1</LastModified>").version !=
                    version);
}

static void test_keys_as_in_a_url(void **state)
{
        struct list_page page;
        /* That they are is said after them. */
        struct taken t = right(HEAD "<Contents><Key>a+b%2B%c3%a4%00</Key><Size>1</Size></Contents>"
                                    "<EncodingType>url</EncodingType>" TAIL,
                               &page);

        (void)state;
        assert_memory_equal(t.keys[0], "a b+\xc3\xa4", 7);
        assert_int_equal(t.last.len, 7);
        t = right(HEAD "<Contents><Key>a+b%2B</Key><Size>1</Size></Contents>" TAIL, &page);
        assert_string_equal(t.keys[0], "a+b%2B");
        wrong(HEAD "<Contents><Key>%zz</Key><Size>1</Size></Contents>"
                   "<EncodingType>url</EncodingType>" TAIL);
        wrong(HEAD "<Contents><Key>%2</Key><Size>1</Size></Contents>"
                   "<EncodingType>url</EncodingType>" TAIL);
        wrong(HEAD "<EncodingType>rot13</EncodingType>" TAIL);
}

static void test_references(void **state)
{
        struct list_page page;
        struct taken t = right(HEAD "<Contents><Key>&lt;&#65;&#x42;&#xe4;&#x20ac;&#x1F600;</Key>"
                                    "<Size>1</Size></Contents>" TAIL,
                               &page);

        (void)state;
        assert_string_equal(t.keys[0], "<AB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
        wrong(HEAD "<Contents><Key>&other;</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>&#xd800;</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>&#x110000;</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>&#99999999999;</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>&#-1;</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>&amp</Key><Size>1</Size></Contents>" TAIL);
}

static void test_what_is_no_such_page(void **state)
{
        (void)state;
        wrong("");
        wrong("<html><body>no</body></html>");
        wrong("<Error><Code>x</Code></Error>");
        wrong("<ListBucketResult>");
        wrong("<ListBucketResult></ListBucketResult><ListBucketResult></ListBucketResult>");
        wrong("x<ListBucketResult></ListBucketResult>");
        wrong("<ListBucketResult></Other>");
        wrong("</ListBucketResult>");
        wrong("<ListBucketResult a></ListBucketResult>");
        wrong("<ListBucketResult a=\"<\"></ListBucketResult>");
        wrong("<?xml version=\"1.0\"");
        wrong("<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult></ListBucketResult>");
        wrong("<ListBucketResult><!-- --></ListBucketResult>");
        wrong("<ListBucketResult><![CDATA[x]]></ListBucketResult>");
        wrong("<ListBucketResult><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a>"
              "</ListBucketResult>");
}

static void test_objects_that_are_wrong(void **state)
{
        (void)state;
        wrong(HEAD "<Contents><Key>a</Key><Size>1</Size></Contents><Contents><Key>b</Key>"
                   "</Contents>" TAIL);
        wrong(HEAD "<Contents><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>a</Key><Size>-1</Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>a</Key><Size></Size></Contents>" TAIL);
        wrong(HEAD "<Contents><Key>a</Key><Size>9999999999999999999</Size></Contents>" TAIL);
        wrong(HEAD "<IsTruncated>maybe</IsTruncated></ListBucketResult>");
        /* There is more, and nobody could ask for it. */
        wrong(HEAD "<IsTruncated>true</IsTruncated></ListBucketResult>");
}

static void test_long_keys(void **state)
{
        static char text[20000], key[2 * LIST_KEY_MAX];
        struct list_page page;

        (void)state;
        memset(key, 'k', LIST_KEY_MAX);
        snprintf(text, sizeof text, HEAD "<Contents><Key>%s</Key><Size>1</Size></Contents>" TAIL,
                 key);
        assert_int_equal(right(text, &page).last.len, LIST_KEY_MAX);
        key[LIST_KEY_MAX] = 'k';
        snprintf(text, sizeof text, HEAD "<Contents><Key>%s</Key><Size>1</Size></Contents>" TAIL,
                 key);
        wrong(text);
        snprintf(text, sizeof text, HEAD "<NextContinuationToken>%s%s</NextContinuationToken>" TAIL,
                 key, key);
        wrong(text);
}

static void test_each_beginning_of_a_page(void **state)
{
        static const char text[] = HEAD "<Contents><Key>a&amp;%20</Key><Size>1</Size></Contents>"
                                        "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
                                        "<Empty/><EncodingType>url</EncodingType>" TAIL;

        (void)state;
        for (size_t len = 0; len < sizeof text - 1; len++) {
                struct list_page page;
                struct taken t = {0};

                assert_int_equal(parse(text, len, &page, &t), -EREMOTEIO);
        }
}

static void test_who_takes_them_may_stop(void **state)
{
        static const char text[] = HEAD "<Contents><Key>a</Key><Size>1</Size></Contents>"
                                        "<Contents><Key>b</Key><Size>1</Size></Contents>" TAIL;
        struct list_page page;
        struct taken t = {.rc = -E2BIG};

        (void)state;
        assert_int_equal(parse(text, sizeof text - 1, &page, &t), -E2BIG);
        assert_int_equal(t.count, 1);
}

static void test_times(void **state)
{
        (void)state;
        assert_int_equal(list_time("2009-02-13T23:31:30Z"), 1234567890);
        assert_int_equal(list_time("2009-02-13T23:31:30.000Z"), 1234567890);
        assert_int_equal(list_time("2009-02-13"), 0);
        assert_int_equal(list_time("2009-02-13T23:31:30+01:00"), 0);
        assert_int_equal(list_time(""), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_right_page),
            cmocka_unit_test(test_what_is_said_of_an_object),
            cmocka_unit_test(test_versions_differ),
            cmocka_unit_test(test_keys_as_in_a_url),
            cmocka_unit_test(test_references),
            cmocka_unit_test(test_what_is_no_such_page),
            cmocka_unit_test(test_objects_that_are_wrong),
            cmocka_unit_test(test_long_keys),
            cmocka_unit_test(test_each_beginning_of_a_page),
            cmocka_unit_test(test_who_takes_them_may_stop),
            cmocka_unit_test(test_times),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
