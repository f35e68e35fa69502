/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sidecars made by somebody who means ill, and can compute checksums: their header and
 * tables. They are refused, or what is wrong is an I/O error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/forgery_fixture.h"

static void test_true_sidecar_passes(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        (void)state;

        assert_true(sidecar_segments(&g.b) >= 4);
        forgery_expect(&g, OUTCOME_RIGHT);
        forgery_end(&g);
}

static void test_other_versions(void **state)
{
        static const uint32_t others[] = {0, 1, 2, 3, 5, UINT32_MAX};
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                struct index *index;

                store_le32(g.b.data + SC_VERSION, others[i]);
                sidecar_seal(&g.b);
                fixture_write(g.f.index, g.b.data, g.b.len);
                index = sidecar_open(&g.f);
                assert_non_null(strstr(index_sidecar_state(index).problem, "another version"));
                index_close(index);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_of_another_archive(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct sidecar_fixture other;
        struct index *index;
        (void)state;

        sidecar_fixture_make(&other, FIXTURE_ZSTD, FORGERY_SMALL + 4096);
        assert_int_equal(sidecar_outcome(&g.f, other.sidecar.data, other.sidecar.len),
                         OUTCOME_REFUSED);
        index = sidecar_open(&g.f);
        assert_non_null(strstr(index_sidecar_state(index).problem, "another archive"));
        index_close(index);
        sidecar_fixture_free(&other);
        forgery_end(&g);
}

/* One that says it belongs here, of an archive that is alike at both ends. */
static void test_of_another_archive_with_a_forged_identity(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct sidecar_fixture other;
        enum outcome outcome;
        (void)state;

        sidecar_fixture_make(&other, FIXTURE_ZSTD, FORGERY_WIDE);
        memcpy(other.sidecar.data + SC_IDENTITY, g.b.data + SC_IDENTITY, 40);
        sidecar_seal(&other.sidecar);
        outcome = sidecar_outcome(&g.f, other.sidecar.data, other.sidecar.len);
        assert_int_equal(outcome, OUTCOME_REFUSED);
        sidecar_fixture_free(&other);
        forgery_end(&g);
}

static void test_names_in_the_header(void **state)
{
        static const char *const wrong[] = {"gzip", "none",     "lzop",    "",
                                            "zst",  "zstd\x01", "zstdzstd"};
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                memset(g.b.data + SC_COMPRESSION, 0, 8);
                memcpy(g.b.data + SC_COMPRESSION, wrong[i], strlen(wrong[i]));
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        memcpy(g.b.data + SC_COMPRESSION, "zstd\0\0\0x", 8);
        forgery_expect(&g, OUTCOME_REFUSED);
        memcpy(g.b.data + SC_FORMAT, "qcow2", 5);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_table_bounds(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        const uint64_t wrong[] = {0,           1,       SC_HEADER - 1,     g.b.len,
                                  g.b.len + 1, 1 << 20, UINT64_C(1) << 63, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(g.b.data + SC_TABLES, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
                store_le64(g.b.data + SC_TABLES_LEN, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_segment_counts(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint32_t n = sidecar_segments(&g.b);
        const uint32_t wrong[] = {0, 1, n - 1, n + 1, 1000, UINT32_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le32(g.b.data + SC_SEGMENTS, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_segments_of_what_is_not_compressed(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_PLAIN, FORGERY_SMALL);
        (void)state;

        store_le32(g.b.data + SC_SEGMENTS, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_add64(g.b.data + SC_STREAM_SIZE, 4096);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_stream_sizes(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint64_t size = load_le64(g.b.data + SC_STREAM_SIZE);
        const uint64_t wrong[] = {
            0, 1, UINT64_C(4) << 20, size + (UINT64_C(32) << 20), UINT64_MAX - 1, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(g.b.data + SC_STREAM_SIZE, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        /* The last segment has another length, so its hash is wrong. */
        store_le64(g.b.data + SC_STREAM_SIZE, size + 1);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_true_sidecar_passes),
            cmocka_unit_test(test_other_versions),
            cmocka_unit_test(test_of_another_archive),
            cmocka_unit_test(test_of_another_archive_with_a_forged_identity),
            cmocka_unit_test(test_names_in_the_header),
            cmocka_unit_test(test_table_bounds),
            cmocka_unit_test(test_segment_counts),
            cmocka_unit_test(test_segments_of_what_is_not_compressed),
            cmocka_unit_test(test_stream_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
