/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sidecars made by somebody who means ill say of the disks: refused at once, or an I/O error
 * where the extents are decoded, which is when they are needed. test_sidecar_hostile.c has the
 * rest.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "tests/fixtures/forgery_fixture.h"

static void test_disk_counts(void **state)
{
        const uint32_t wrong[] = {0, 2, 255, UINT32_MAX};
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le32(g.b.data + SC_DISKS, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_disk_sizes(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        const uint64_t wrong[] = {
            0, 512, FORGERY_SMALL - 1, FORGERY_SMALL + 1, UINT64_C(1) << 51, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(sidecar_disk(&g.b) + SC_DISK_SIZE, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_extent_list_lengths(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint64_t len = load_le64(sidecar_disk(&g.b) + SC_DISK_LEN);
        const uint64_t wrong[] = {0, 1, len - 1, len + 1, UINT64_MAX, UINT64_MAX - SC_DISK + 1};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(sidecar_disk(&g.b) + SC_DISK_LEN, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
                store_le32(sidecar_span(&g.b) + SC_SPAN_LEN, (uint32_t)wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_extents_outside(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        const uint64_t wrong[] = {g.b.len - 1, g.b.len, g.b.len + 1, UINT64_C(1) << 63, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(sidecar_disk(&g.b) + SC_DISK_AT, wrong[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

static void test_spans_that_cannot_be(void **state)
{
        const uint32_t counts[] = {0, 2, 1000, UINT32_MAX};
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                store_le32(sidecar_disk(&g.b) + SC_DISK_SPANS, counts[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        store_le32(sidecar_span(&g.b) + SC_SPAN_NUMBER, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_span(&g.b) + SC_SPAN_STORED, (FORGERY_SMALL + 4095) / 4096 + 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        /* One that the extents do not bear out is known when they are decoded. */
        store_le32(sidecar_span(&g.b) + SC_SPAN_STORED, 1);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_end(&g);
}

/* The lists of extents of disks get other bytes: garbage, and each kind of nonsense. */
static void test_extents(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint64_t len = load_le64(sidecar_disk(&g.b) + SC_DISK_LEN);
        (void)state;

        assert_true(len > 40);
        memset(sidecar_extents(&g.b), 0xff, len);
        forgery_expect(&g, OUTCOME_EIO);
        memset(sidecar_extents(&g.b), 0, len);
        forgery_expect(&g, OUTCOME_EIO);
        /* a block at address -1 */
        memcpy(sidecar_extents(&g.b), "\x06\x01", 2);
        forgery_expect(&g, OUTCOME_EIO);
        /* a block far after the stream's end */
        memcpy(sidecar_extents(&g.b), "\x06\x80\x80\x80\x80\x80\x10", 7);
        forgery_expect(&g, OUTCOME_EIO);
        /* zeros beyond the disk's end */
        memcpy(sidecar_extents(&g.b), "\x80\x80\x80\x80\x10", 5);
        forgery_expect(&g, OUTCOME_EIO);
        /* a lost block */
        memcpy(sidecar_extents(&g.b), "\x07", 1);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_end(&g);
}

/* What is found out late is said, and nothing of it becomes zeros. */
static void test_extents_that_contradict_themselves_are_told_of(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct index_options options = {.sidecar = INDEX_SIDECAR_USE,
                                        .sidecar_path = g.f.index,
                                        .recover_zero = true,
                                        .unwatched = true};
        struct error err = {0};
        uint64_t found = 1;
        struct index *index;
        uint8_t byte;
        (void)state;

        memset(sidecar_extents(&g.b), 0xff, 40);
        sidecar_seal(&g.b);
        fixture_write(g.f.index, g.b.data, g.b.len);
        assert_int_equal(index_open(g.f.archive, &options, &index, &err), 0);
        assert_true(index_sidecar_state(index).loaded);
        assert_false(index_read_failure(index, &err));
        assert_int_equal(disk_read(index_disk(index, 0), &byte, 1, 0), -EIO);
        assert_true(index_read_failure(index, &err));
        assert_non_null(strstr(err.text, g.f.index));
        assert_non_null(strstr(err.text, "contradicts itself"));
        /* It must be tried: no hole. */
        assert_int_equal(disk_next_data(index_disk(index, 0), 0, &found), 0);
        assert_int_equal(found, 0);
        assert_int_equal(disk_next_hole(index_disk(index, 0), 0, &found), 0);
        assert_int_equal(found, FORGERY_SMALL);
        index_close(index);
        forgery_end(&g);
}

/* The file is cut while it is in use: what was taken from it stays. */
static void lose_the_file(enum fixture_kind kind)
{
        struct forgery g = forgery_begin(kind, FORGERY_WIDE);
        struct index *index = sidecar_open(&g.f);

        assert_true(index_sidecar_state(index).loaded);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        assert_int_equal(truncate(g.f.index, 0), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        index_close(index);
        forgery_end(&g);
}

static void test_file_lost_while_in_use_zstd(void **state)
{
        (void)state;
        lose_the_file(FIXTURE_ZSTD);
}

static void test_file_lost_while_in_use_gzip(void **state)
{
        (void)state;
        lose_the_file(FIXTURE_GZIP);
}

static void test_file_lost_before_it_was_needed(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct index *index = sidecar_open(&g.f);
        struct error err = {0};
        (void)state;

        assert_int_equal(truncate(g.f.index, SC_HEADER), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_true(index_read_failure(index, &err));
        assert_non_null(strstr(err.text, g.f.index));
        index_close(index);
        forgery_end(&g);
}

/* A file that is deleted, or replaced, is still there for whoever has it open. */
static void test_file_deleted_while_in_use(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct index *index = sidecar_open(&g.f);
        (void)state;

        assert_int_equal(unlink(g.f.index), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        index_close(index);
        forgery_end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_disk_counts),
            cmocka_unit_test(test_disk_sizes),
            cmocka_unit_test(test_extent_list_lengths),
            cmocka_unit_test(test_extents_outside),
            cmocka_unit_test(test_spans_that_cannot_be),
            cmocka_unit_test(test_extents),
            cmocka_unit_test(test_extents_that_contradict_themselves_are_told_of),
            cmocka_unit_test(test_file_lost_while_in_use_zstd),
            cmocka_unit_test(test_file_lost_while_in_use_gzip),
            cmocka_unit_test(test_file_lost_before_it_was_needed),
            cmocka_unit_test(test_file_deleted_while_in_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
