/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a line of an OVA's manifest says, in the spellings that there are, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/tar/manifest.h"

#define ABC_SHA1   "a9993e364706816aba3e25717850c26c9cd0d89d"
#define ABC_SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* The one line of TEXT. */
static struct manifest_line parse(const char *text, size_t len)
{
        struct manifest_reader r = {.text = text, .len = len};
        struct manifest_line line = {0}, more = {0};

        assert_true(manifest_next(&r, &line));
        assert_false(manifest_next(&r, &more));
        return line;
}

static void assert_digest(const char *text, const char *algorithm, const char *name)
{
        struct manifest_line line = parse(text, strlen(text));

        assert_int_equal(line.kind, MANIFEST_DIGEST);
        assert_string_equal(line.algorithm, algorithm);
        assert_int_equal(line.name_len, strlen(name));
        assert_memory_equal(line.name, name, strlen(name));
}

static void assert_kind(const char *text, enum manifest_kind kind)
{
        assert_int_equal(parse(text, strlen(text)).kind, kind);
}

static void test_a_line_is_algorithm_name_and_digest(void **state)
{
        struct manifest_line line = parse("SHA1(a b.ovf)= " ABC_SHA1 "\n", 56);

        (void)state;
        assert_int_equal(line.kind, MANIFEST_DIGEST);
        assert_string_equal(line.algorithm, "SHA1");
        assert_memory_equal(line.name, "a b.ovf", 7);
        assert_int_equal(line.digest_len, 20);
        assert_memory_equal(line.digest, "\xa9\x99\x3e\x36", 4);
        assert_int_equal(line.digest[19], 0x9d);
}

static void test_spellings(void **state)
{
        (void)state;
        assert_digest("SHA256(x)= " ABC_SHA256, "SHA256", "x");
        assert_digest("SHA2-256(x)= " ABC_SHA256 "\r\n", "SHA256", "x");
        assert_digest("SHA256 (x) = " ABC_SHA256, "SHA256", "x");
        assert_digest("sha256(x)=" ABC_SHA256, "SHA256", "x");
        assert_digest("SHA-1(x)= " ABC_SHA1, "SHA1", "x");
        assert_digest("SHA512(x)= " ABC_SHA256 ABC_SHA256, "SHA512", "x");
        assert_digest("SHA1(x)= A9993E364706816ABA3E25717850C26C9CD0D89D", "SHA1", "x");
}

static void test_a_name_may_hold_what_stands_around_it(void **state)
{
        (void)state;
        assert_digest("SHA1(a (1)= b).vmdk)= " ABC_SHA1, "SHA1", "a (1)= b).vmdk");
}

static void test_an_unknown_algorithm_is_told_from_nonsense(void **state)
{
        (void)state;
        assert_kind("MD5(x)= d41d8cd98f00b204e9800998ecf8427e", MANIFEST_UNKNOWN);
        assert_kind("BLAKE3(x)= what ever", MANIFEST_UNKNOWN);
        assert_kind("(x)= " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1()= " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1(x) " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1 x = " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1)x(= " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1(x)= ", MANIFEST_MALFORMED);
        assert_kind("=", MANIFEST_MALFORMED);
}

static void test_a_digest_has_its_algorithms_length_and_hexadecimal_digits(void **state)
{
        (void)state;
        assert_kind("SHA256(x)= " ABC_SHA1, MANIFEST_MALFORMED);
        assert_kind("SHA1(x)= " ABC_SHA1 "0", MANIFEST_MALFORMED);
        assert_kind("SHA1(x)= " ABC_SHA1 "00", MANIFEST_MALFORMED);
        assert_kind("SHA1(x)= g9993e364706816aba3e25717850c26c9cd0d89d", MANIFEST_MALFORMED);
        assert_kind("SHA512(x)= " ABC_SHA256 ABC_SHA256 ABC_SHA256, MANIFEST_MALFORMED);
}

static void test_a_nul_is_in_no_line(void **state)
{
        static const char text[] = "SHA1(x\0y)= " ABC_SHA1;

        (void)state;
        assert_int_equal(parse(text, sizeof text - 1).kind, MANIFEST_MALFORMED);
}

static void test_an_absurd_name_is_malformed(void **state)
{
        char *text = malloc(1 << 20);

        (void)state;
        assert_non_null(text);
        memset(text, 'n', 1 << 20);
        memcpy(text, "SHA1(", 5);
        memcpy(text + (1 << 20) - 43, ")= " ABC_SHA1, 43);
        assert_int_equal(parse(text, 1 << 20).kind, MANIFEST_MALFORMED);
        free(text);
}

static void test_lines_are_counted_with_the_empty_ones(void **state)
{
        static const char text[] = "\n  \nSHA1(a)= " ABC_SHA1 "\n\r\nnonsense\nSHA1(b)= " ABC_SHA1;
        struct manifest_reader r = {.text = text, .len = sizeof text - 1};
        struct manifest_line line = {0};

        (void)state;
        assert_true(manifest_next(&r, &line));
        assert_int_equal(line.number, 3);
        assert_true(manifest_next(&r, &line));
        assert_int_equal(line.kind, MANIFEST_MALFORMED);
        assert_int_equal(line.number, 5);
        assert_true(manifest_next(&r, &line));
        assert_int_equal(line.kind, MANIFEST_DIGEST);
        assert_int_equal(line.number, 6);
        assert_false(manifest_next(&r, &line));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_line_is_algorithm_name_and_digest),
            cmocka_unit_test(test_spellings),
            cmocka_unit_test(test_a_name_may_hold_what_stands_around_it),
            cmocka_unit_test(test_an_unknown_algorithm_is_told_from_nonsense),
            cmocka_unit_test(test_a_digest_has_its_algorithms_length_and_hexadecimal_digits),
            cmocka_unit_test(test_a_nul_is_in_no_line),
            cmocka_unit_test(test_an_absurd_name_is_malformed),
            cmocka_unit_test(test_lines_are_counted_with_the_empty_ones),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
