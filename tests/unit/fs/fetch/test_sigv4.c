/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signatures, against the examples that Amazon publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fetch/sigv4.h"

#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

static void check(const struct sigv4_request *r, const char *names, const char *signature)
{
        char out[SIGV4_AUTHORIZATION], wanted[SIGV4_AUTHORIZATION];

        snprintf(wanted, sizeof wanted,
                 "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=%s,"
                 "Signature=%s",
                 r->key_id, r->date, r->region, r->service, names, signature);
        assert_int_equal(sigv4_sign(r, out), 0);
        assert_string_equal(out, wanted);
}

/* "GET Object" of the documentation of S3, "Signature Calculations for the Authorization Header". */
static void test_a_range_of_an_object(void **state)
{
        static const struct sigv4_header headers[] = {{"host", "examplebucket.s3.amazonaws.com"},
                                                      {"range", "bytes=0-9"},
                                                      {"x-amz-content-sha256", SIGV4_EMPTY},
                                                      {"x-amz-date", "20130524T000000Z"}};
        const struct sigv4_request r = {.key_id = "AKIAIOSFODNN7EXAMPLE",
                                        .secret = S3_SECRET,
                                        .region = "us-east-1",
                                        .service = "s3",
                                        .path = "/test.txt",
                                        .query = "",
                                        .headers = headers,
                                        .header_count = 4,
                                        .date = "20130524T000000Z"};

        (void)state;
        check(&r, "host;range;x-amz-content-sha256;x-amz-date",
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

/* "GET Bucket Lifecycle" and "Get Bucket (List Objects)" of the same page: with a query. */
static void test_a_query(void **state)
{
        static const struct sigv4_header headers[] = {{"host", "examplebucket.s3.amazonaws.com"},
                                                      {"x-amz-content-sha256", SIGV4_EMPTY},
                                                      {"x-amz-date", "20130524T000000Z"}};
        struct sigv4_request r = {.key_id = "AKIAIOSFODNN7EXAMPLE",
                                  .secret = S3_SECRET,
                                  .region = "us-east-1",
                                  .service = "s3",
                                  .path = "/",
                                  .query = "lifecycle=",
                                  .headers = headers,
                                  .header_count = 3,
                                  .date = "20130524T000000Z"};

        (void)state;
        check(&r, "host;x-amz-content-sha256;x-amz-date",
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        r.query = "max-keys=2&prefix=J";
        check(&r, "host;x-amz-content-sha256;x-amz-date",
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* get-vanilla of the test suite of the signature itself. */
static void test_another_service(void **state)
{
        static const struct sigv4_header headers[] = {{"host", "example.amazonaws.com"},
                                                      {"x-amz-date", "20150830T123600Z"}};
        const struct sigv4_request r = {.key_id = "AKIDEXAMPLE",
                                        .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                        .region = "us-east-1",
                                        .service = "service",
                                        .path = "/",
                                        .query = "",
                                        .headers = headers,
                                        .header_count = 2,
                                        .date = "20150830T123600Z"};

        (void)state;
        check(&r, "host;x-amz-date",
              "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

static void test_the_date(void **state)
{
        char out[SIGV4_DATE];

        (void)state;
        sigv4_date(1369353600, out);
        assert_string_equal(out, "20130524T000000Z");
}

static void test_what_is_too_long_is_an_error(void **state)
{
        char out[SIGV4_AUTHORIZATION], id[SIGV4_AUTHORIZATION];
        const struct sigv4_request r = {.key_id = id,
                                        .secret = "",
                                        .region = "r",
                                        .service = "s3",
                                        .path = "/",
                                        .query = "",
                                        .date = "20150830T123600Z"};

        (void)state;
        memset(id, 'A', sizeof id - 1);
        id[sizeof id - 1] = '\0';
        assert_true(sigv4_sign(&r, out) < 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_range_of_an_object),
            cmocka_unit_test(test_a_query),
            cmocka_unit_test(test_another_service),
            cmocka_unit_test(test_the_date),
            cmocka_unit_test(test_what_is_too_long_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
