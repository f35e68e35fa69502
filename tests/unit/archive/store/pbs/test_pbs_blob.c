/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The envelope of chunks and files, and the keys that open it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_blob.h"
#include "archive/store/pbs/pbs_key.h"
#include "tests/fixtures/pbs_writer.h"

static struct pbs_key *load_key(const struct pbs_writer *w)
{
        char *text = pbsw_key_file(w);
        struct pbs_key *key;

        assert_int_equal(pbs_key_parse(text, strlen(text), NULL, &key, NULL), 0);
        free(text);
        return key;
}

static void expect_decoded(const struct bytes *blob, const struct pbs_key *key,
                           const struct bytes *plain)
{
        uint8_t *out = malloc(plain->len + 1);
        void *grown;

        assert_int_equal(pbs_blob_check(blob->data, blob->len, NULL), 0);
        assert_int_equal(pbs_blob_decode(blob->data, blob->len, key, out, plain->len, NULL),
                         plain->len);
        assert_memory_equal(out, plain->data, plain->len);
        assert_int_equal(pbs_blob_decode_new(blob->data, blob->len, key, plain->len, &grown, NULL),
                         plain->len);
        assert_memory_equal(grown, plain->data, plain->len);
        free(grown);
        free(out);
}

/* WORD is in the reason. */
static void expect_refused(const struct bytes *blob, const struct pbs_key *key, size_t max, int rc,
                           const char *word)
{
        uint8_t *out = malloc(max + 1);
        struct error err;
        void *grown;

        assert_int_equal(pbs_blob_decode(blob->data, blob->len, key, out, max, &err), rc);
        assert_non_null(strstr(err.text, word));
        assert_int_equal(pbs_blob_decode_new(blob->data, blob->len, key, max, &grown, &err), rc);
        free(out);
}

static void test_blobs_of_every_kind_are_decoded(void **state)
{
        struct bytes plain = fixture_mixture(300000, 1), empty = {.data = plain.data};
        struct pbs_writer w;
        struct pbs_key *key;

        (void)state;
        pbsw_start(&w, 7);
        key = load_key(&w);
        for (int kind = 0; kind < 4; kind++) {
                struct bytes blob;

                w.compressed = kind & 1;
                w.encrypted = kind & 2;
                blob = pbsw_blob(&w, plain.data, plain.len);
                assert_int_equal(pbs_blob_is_encrypted(blob.data, blob.len), w.encrypted);
                expect_decoded(&blob, key, &plain);
                free(blob.data);
                blob = pbsw_blob(&w, empty.data, 0);
                expect_decoded(&blob, key, &empty);
                free(blob.data);
        }
        pbs_key_free(key);
        pbsw_finish(&w);
        free(plain.data);
}

static void test_a_wrong_byte_is_found(void **state)
{
        struct bytes plain = fixture_mixture(5000, 2);
        struct pbs_writer w;
        struct pbs_key *key;

        (void)state;
        pbsw_start(&w, 7);
        key = load_key(&w);
        for (int kind = 0; kind < 4; kind++) {
                struct bytes blob;
                uint8_t out[5000];

                w.compressed = kind & 1;
                w.encrypted = kind & 2;
                blob = pbsw_blob(&w, plain.data, plain.len);
                for (size_t i = 0; i < blob.len; i++) {
                        blob.data[i] ^= 0x10;
                        assert_true(
                            pbs_blob_decode(blob.data, blob.len, key, out, sizeof out, NULL) < 0);
                        blob.data[i] ^= 0x10;
                        assert_true(pbs_blob_decode(blob.data, i, key, out, sizeof out, NULL) < 0);
                }
                free(blob.data);
        }
        pbs_key_free(key);
        pbsw_finish(&w);
        free(plain.data);
}

static void test_no_more_than_the_bound_is_decoded(void **state)
{
        struct bytes zeros = {.data = calloc(1, 1 << 20), .len = 1 << 20};

        (void)state;
        for (int compressed = 0; compressed <= 1; compressed++) {
                struct bytes blob = pbsw_plain_blob(zeros.data, zeros.len, compressed);

                expect_refused(&blob, NULL, zeros.len - 1, -EIO, compressed ? "decompress" : "has");
                free(blob.data);
        }
        free(zeros.data);
}

/* A frame of zstd whose blocks are four bytes each, and 128 KiB of one byte when decompressed. */
static struct bytes endless_blob(size_t blocks)
{
        static const uint8_t head[] = {0x28, 0xb5, 0x2f,
                                       0xfd, 0x00, 0x38};       /* a window of 128 KiB */
        static const uint8_t block[] = {0x02, 0x00, 0x10, 'x'}; /* run, not the last */
        static const uint8_t last[] = {0x03, 0x00, 0x10, 'x'};
        size_t len = 12 + sizeof head + 4 * blocks;
        struct bytes b = pbsw_plain_blob("x", 1, true);
        uint8_t *p = malloc(len), *at = p + 12 + sizeof head;

        memcpy(p, b.data, 8);
        free(b.data);
        memcpy(p + 12, head, sizeof head);
        for (size_t i = 0; i < blocks; i++, at += 4)
                memcpy(at, i + 1 < blocks ? block : last, 4);
        store_le32(p + 8, (uint32_t)crc32(0, p + 12, (unsigned)(len - 12)));
        return (struct bytes){.data = p, .len = len};
}

/* 1 MB that would be 32 GiB; and that it is one that would be decompressed if it were shorter. */
static void test_a_blob_that_expands_without_end_is_refused(void **state)
{
        enum { BOUND = 1 << 20 };
        struct bytes good = endless_blob(4), bad = endless_blob(250000);
        uint8_t *out = malloc(BOUND);
        struct error err = {0};
        void *grown;

        (void)state;
        assert_int_equal(pbs_blob_decode(good.data, good.len, NULL, out, BOUND, &err), 4 << 17);
        assert_int_equal(pbs_blob_decode_new(good.data, good.len, NULL, BOUND, &grown, &err),
                         4 << 17);
        assert_memory_equal(out, grown, 4 << 17);
        free(grown);
        expect_refused(&bad, NULL, BOUND, -EIO, "cannot be decompressed");
        assert_int_equal(pbs_blob_decode_new(bad.data, bad.len, NULL, BOUND, &grown, &err), -EIO);
        assert_non_null(strstr(err.text, "expands to more than"));
        free(out);
        free(good.data);
        free(bad.data);
}

static void test_what_follows_the_frame_is_refused(void **state)
{
        struct bytes blob = pbsw_plain_blob("data", 4, true), longer;
        struct bytes two = {.data = malloc(2 * blob.len), .len = 2 * (blob.len - 12)};

        (void)state;
        memcpy(two.data, blob.data + 12, blob.len - 12);
        memcpy(two.data + blob.len - 12, blob.data + 12, blob.len - 12);
        longer = pbsw_plain_blob(two.data, two.len, false);
        memcpy(longer.data, blob.data, 8);
        expect_refused(&longer, NULL, 100, -EIO, "one whole frame");
        free(longer.data);
        free(two.data);
        free(blob.data);
}

static void test_an_encrypted_blob_needs_its_key(void **state)
{
        struct pbs_writer w, other;
        struct pbs_key *key;
        struct bytes blob;

        (void)state;
        pbsw_start(&w, 7);
        pbsw_start(&other, 8);
        key = load_key(&other);
        w.encrypted = true;
        blob = pbsw_blob(&w, "data", 4);
        expect_refused(&blob, NULL, 100, -EACCES, "keyfile=");
        expect_refused(&blob, key, 100, -EACCES, "another key");
        free(blob.data);
        pbs_key_free(key);
        pbsw_finish(&other);
        pbsw_finish(&w);
}

static void test_an_empty_chunk_of_a_cache_is_named(void **state)
{
        const struct bytes empty = {.data = (uint8_t *)(uintptr_t) "", .len = 0};

        (void)state;
        expect_refused(&empty, NULL, 100, -EIO, "object store");
}

/* ---- keys ---- */

#define WRAPPED                                                                                    \
        "AAECAwQFBgcICQoLDA0OD5H5VRFBBCroh9d7ih4aPrxcazuIr9UFyxHfpG1D"                             \
        "tIB3CyMxnHZIAopMkV53/Q9LzQ=="

/* Under the password "secret". */
static const char scrypt_key[] =
    "{\"kdf\":{\"Scrypt\":{\"n\":16384,\"r\":8,\"p\":1,\"salt\":\"BQgLDhEUFxodICMmKSw"
    "vMjU4Oz5BREdKTVBTVllcX2I=\"}},\"created\":\"2026-11-28T17:13:08+00:00\",\"modifi"
    "ed\":\"2026-11-28T17:13:08+00:00\",\"data\":\"AAECAwQFBgcICQoLDA0OD5H5VRFBBCroh9"
    "d7ih4aPrxcazuIr9UFyxHfpG1DtIB3CyMxnHZIAopMkV53/Q9LzQ==\",\"fingerprint\":\"f9:38"
    ":7f:60:04:ae:4f:82:5e:16:eb:f4:5d:eb:6d:4f:4b:53:9d:c5:a2:bf:77:89:39:bc:e4:2d:d"
    "c:44:a0:b7\"}";

static void test_a_key_with_a_password_is_opened(void **state)
{
        char fingerprint[PBS_FINGERPRINT_TEXT];
        struct pbs_key *key;

        (void)state;
        assert_int_equal(pbs_key_parse(scrypt_key, strlen(scrypt_key), "secret", &key, NULL), 0);
        pbs_key_fingerprint(key, fingerprint);
        assert_string_equal(fingerprint, "f9:38:7f:60:04:ae:4f:82");
        pbs_key_free(key);
}

static void expect_no_key(const char *text, const char *password, int rc, const char *word)
{
        struct pbs_key *key;
        struct error err;

        assert_int_equal(pbs_key_parse(text, strlen(text), password, &key, &err), rc);
        assert_non_null(strstr(err.text, word));
}

static void test_a_wrong_password_is_said(void **state)
{
        (void)state;
        expect_no_key(scrypt_key, "wrong", -EACCES, "does not open");
        expect_no_key(scrypt_key, NULL, -EACCES, "passfile=");
}

static void test_what_is_no_key_is_refused(void **state)
{
        (void)state;
        expect_no_key("", NULL, -EINVAL, "no JSON");
        expect_no_key("}{", NULL, -EINVAL, "no JSON");
        expect_no_key("{}", NULL, -EINVAL, "length");
        expect_no_key("{\"kdf\":null,\"data\":\"AAAA\"}", NULL, -EINVAL, "length");
        expect_no_key("{\"kdf\":null,\"data\":7}", NULL, -EINVAL, "length");
        expect_no_key("{\"data\":", NULL, -EINVAL, "no JSON");
        expect_no_key("{\"data\"}", NULL, -EINVAL, "damaged");
}

static void test_a_key_of_another_fingerprint_is_refused(void **state)
{
        (void)state;
        expect_no_key("{\"data\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
                      "\"fingerprint\":\"00:11\"}",
                      NULL, -EINVAL, "fingerprint");
}

/* What asks for a terabyte, or for hours. */
static void test_parameters_of_a_bomb_are_refused(void **state)
{
        static const char data[] = "\"salt\":\"AAAA\"}},\"data\":\"" WRAPPED "\"}";
        static const char *const kdfs[] = {
            "{\"Scrypt\":{\"n\":1073741824,\"r\":8,\"p\":1,",
            "{\"Scrypt\":{\"n\":65536,\"r\":8,\"p\":1000000,",
            "{\"Scrypt\":{\"n\":9223372036854775807,\"r\":9223372036854775807,\"p\":1,",
            "{\"PBKDF2\":{\"iter\":9223372036854775807,",
        };

        (void)state;
        for (size_t i = 0; i < sizeof kdfs / sizeof kdfs[0]; i++) {
                char text[512];

                snprintf(text, sizeof text, "{\"kdf\":%s%s", kdfs[i], data);
                expect_no_key(text, "secret", -ENOTSUP, "asks for");
        }
        expect_no_key("{\"kdf\":{\"Other\":{}},\"data\":\"" WRAPPED "\"}", "secret", -EINVAL,
                      "not known");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_blobs_of_every_kind_are_decoded),
            cmocka_unit_test(test_a_wrong_byte_is_found),
            cmocka_unit_test(test_no_more_than_the_bound_is_decoded),
            cmocka_unit_test(test_a_blob_that_expands_without_end_is_refused),
            cmocka_unit_test(test_what_follows_the_frame_is_refused),
            cmocka_unit_test(test_an_encrypted_blob_needs_its_key),
            cmocka_unit_test(test_an_empty_chunk_of_a_cache_is_named),
            cmocka_unit_test(test_a_key_with_a_password_is_opened),
            cmocka_unit_test(test_a_wrong_password_is_said),
            cmocka_unit_test(test_what_is_no_key_is_refused),
            cmocka_unit_test(test_a_key_of_another_fingerprint_is_refused),
            cmocka_unit_test(test_parameters_of_a_bomb_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
