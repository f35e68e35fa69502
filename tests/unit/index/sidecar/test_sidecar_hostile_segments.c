/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sidecars made by somebody who means ill, and can compute checksums: their segments and histories.
 * They are refused, or what is read is right or an I/O error. Where the harm is known beforehand,
 * just that has to come of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"
#include "index/index.h"
#include "tests/fixtures/forgery_fixture.h"

/* The last segment that has a history. */
static uint32_t with_history(struct bytes *b)
{
        uint32_t i = sidecar_segments(b);

        while (i-- > 0)
                if (load_le32(sidecar_segment(b, i) + SC_SEG_HISTORY_SIZE) > 0)
                        return i;
        fail_msg("no segment has a history");
        return 0;
}

static void test_points_that_do_not_rise(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        const uint64_t out[] = {0, 1 << 30, UINT64_MAX}, in[] = {0, UINT64_MAX - 1};
        (void)state;

        for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
                store_le64(sidecar_segment(&g.b, 2) + SC_SEG_OUT, out[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
                store_le64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, in[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        /* to be entered, but nobody knows where */
        store_le64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, UINT64_MAX);
        forgery_expect(&g, OUTCOME_REFUSED);
        /* the last one after the archive's end */
        store_le64(sidecar_segment(&g.b, sidecar_segments(&g.b) - 1) + SC_SEG_IN_BIT, UINT64_C(1)
                                                                                          << 40);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_first_segment_is_the_beginning(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        store_le64(sidecar_segment(&g.b, 0) + SC_SEG_OUT, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le64(sidecar_segment(&g.b, 0) + SC_SEG_IN_BIT, 8);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, 0) + SC_SEG_FLAGS, 0);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, 0) + SC_SEG_HISTORY_LEN, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_unknown_segment_flags(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        for (uint32_t flags = 2; flags; flags <<= 1) {
                store_le32(sidecar_segment(&g.b, 1) + SC_SEG_FLAGS, flags);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

/*
 * Points where none are, in the right order: only the hashes can tell. That of a segment includes its
 * place in the stream.
 */
static void test_points_elsewhere(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        const uint64_t move[] = {8, 80, 8000, (uint64_t)-8, (uint64_t)-80};
        (void)state;

        for (size_t i = 0; i < sizeof move / sizeof *move; i++) {
                forgery_add64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, move[i]);
                forgery_expect(&g, OUTCOME_EIO);
                forgery_add64(sidecar_segment(&g.b, 2) + SC_SEG_OUT, move[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        forgery_end(&g);
}

/* The change at AT, of whatever effect, makes no byte wrong. */
static void expect_no_wrong_byte(struct forgery *g, uint8_t *at, uint64_t value)
{
        uint64_t before = load_le64(at);
        enum outcome outcome;

        store_le64(at, value);
        sidecar_seal(&g->b);
        outcome = sidecar_outcome(&g->f, g->b.data, g->b.len);
        assert_true(outcome == OUTCOME_EIO || outcome == OUTCOME_RIGHT);
        store_le64(at, before);
}

/* A few bits on may be the same byte, or padding. */
static void points_elsewhere(enum fixture_kind kind, enum outcome displaced)
{
        struct forgery g = forgery_begin(kind, FORGERY_WIDE);
        uint32_t n = sidecar_segments(&g.b);
        uint8_t *record = sidecar_segment(&g.b, n / 2);

        for (uint64_t move = 1; move <= 33; move += 8)
                expect_no_wrong_byte(&g, record + SC_SEG_IN_BIT,
                                     load_le64(record + SC_SEG_IN_BIT) + move);
        for (uint64_t aux = 1; aux; aux <<= 7)
                expect_no_wrong_byte(&g, record + SC_SEG_AUX, load_le64(record + SC_SEG_AUX) ^ aux);
        forgery_add64(record + SC_SEG_IN_BIT, 80000);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_add64(sidecar_segment(&g.b, n / 2) + SC_SEG_OUT, 1);
        forgery_expect(&g, displaced);
        forgery_end(&g);
}

static void test_points_elsewhere_gzip(void **state)
{
        (void)state;
        points_elsewhere(FIXTURE_GZIP, OUTCOME_REFUSED);
}

static void test_points_elsewhere_lzop(void **state)
{
        (void)state;
        points_elsewhere(FIXTURE_LZOP, OUTCOME_EIO);
}

static void test_any_word_of_the_codec(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        uint64_t random = 11;
        (void)state;

        for (int i = 0; i < 40; i++) {
                uint32_t segment = 1 + (uint32_t)(fixture_random(&random) % 3);

                expect_no_wrong_byte(&g, sidecar_segment(&g.b, segment) + SC_SEG_AUX,
                                     i < 32 ? UINT64_C(1) << 2 * i : fixture_random(&random));
        }
        forgery_end(&g);
}

static void test_wrong_hash_is_an_io_error(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        (void)state;

        forgery_add64(sidecar_parts(&g.b, 2), 1);
        sidecar_seal_segment(&g.b, 2);
        forgery_expect(&g, OUTCOME_EIO);
        /* The archive's own header is in that one, but proves itself. */
        forgery_add64(sidecar_parts(&g.b, 0), 1);
        sidecar_seal_segment(&g.b, 0);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_end(&g);
}

/* What the parts' hashes say and what the segment's says have to be the same. */
static void test_parts_that_contradict_their_segment(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        (void)state;

        forgery_add64(sidecar_segment(&g.b, 2) + SC_SEG_HASH, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_add64(sidecar_parts(&g.b, 2), 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_counts_of_parts(void **state)
{
        static const uint32_t wrong[] = {33, 1000, UINT32_MAX};
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        uint32_t last = sidecar_segments(&g.b) - 1;
        uint32_t count = load_le32(sidecar_segment(&g.b, last) + SC_SEG_PARTS);
        (void)state;

        assert_true(count > 0);
        /* Without resealing: the fixture looks for the disks after the last segment's parts. */
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                uint8_t *at = sidecar_segment(&g.b, last) + SC_SEG_PARTS;
                uint8_t *tables = g.b.data + load_le64(g.b.data + SC_TABLES);

                store_le32(at, wrong[i]);
                store_le64(g.b.data + SC_TABLES_HASH,
                           XXH3_64bits(tables, load_le64(g.b.data + SC_TABLES_LEN)));
                store_le64(g.b.data + SC_HEADER_HASH, XXH3_64bits(g.b.data, SC_HEADER_HASH));
                assert_int_equal(sidecar_outcome(&g.f, g.b.data, g.b.len), OUTCOME_REFUSED);
                store_le32(at, count);
        }
        /* One part too few, whose hash then stands where a disk is looked for. */
        store_le32(sidecar_segment(&g.b, 2) + SC_SEG_PARTS,
                   load_le32(sidecar_segment(&g.b, 2) + SC_SEG_PARTS) - 1);
        sidecar_seal_segment(&g.b, 2);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_histories_outside(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint32_t i = with_history(&g.b);
        uint64_t tables = load_le64(g.b.data + SC_TABLES);
        const uint64_t at[] = {tables, tables - 1, g.b.len, UINT64_MAX, UINT64_MAX - 100};
        (void)state;

        for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
                store_le64(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_AT, at[k]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_SIZE, UINT32_MAX);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_history_lengths(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint32_t i = with_history(&g.b);
        uint32_t len = load_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN);
        (void)state;

        /* more than there is output in front; none, for a blob; a length without a blob */
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, UINT32_MAX);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, 0);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_SIZE, 0);
        forgery_expect(&g, OUTCOME_REFUSED);
        /* another one than the blob has: it is no history, and the point is done without */
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, len + 1);
        forgery_expect(&g, OUTCOME_RIGHT);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, len - 1);
        forgery_expect(&g, OUTCOME_RIGHT);
        forgery_end(&g);
}

static void test_history_over_the_window_is_refused(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct index_options options = {.sidecar = INDEX_SIDECAR_USE,
                                        .sidecar_path = g.f.index,
                                        .window = 1024,
                                        .unwatched = true};
        struct error err = {0};
        struct index *index = NULL;
        (void)state;

        assert_int_equal(index_open(g.f.archive, &options, &index, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "-o window="));
        forgery_end(&g);
}

/* Put BLOB in the place of segment I's history, hash and all. */
static void put_history(struct bytes *b, uint32_t i, const void *blob, size_t size)
{
        uint8_t *record = sidecar_segment(b, i);
        uint64_t at = load_le64(record + SC_SEG_HISTORY_AT);

        assert_true(size <= load_le32(record + SC_SEG_HISTORY_SIZE));
        memcpy(b->data + at, blob, size);
        store_le32(record + SC_SEG_HISTORY_SIZE, (uint32_t)size);
        store_le64(record + SC_SEG_HISTORY_HASH, XXH3_64bits(blob, size));
}

static void test_history_that_is_garbage(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        uint32_t i = with_history(&g.b);
        uint32_t len = load_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN);
        cleanup_free uint8_t *zeros = calloc(1, len);
        uint8_t blob[256] = {0};
        size_t size;
        (void)state;

        put_history(&g.b, i, blob, sizeof blob);
        forgery_expect(&g, OUTCOME_RIGHT);
        /* of the right length, but not what was there: the segment's hash tells */
        size = ZSTD_compress(blob, sizeof blob, zeros, len, 3);
        assert_false(ZSTD_isError(size));
        put_history(&g.b, i, blob, size);
        forgery_expect(&g, OUTCOME_EIO);
        forgery_end(&g);
}

/* A segment may begin with data that refer to nothing before it, and is right all the same. */
static void test_gzip_history_that_is_garbage(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_GZIP, FORGERY_WIDE);
        uint8_t zeros[64] = {0}, blob[256];
        size_t size = ZSTD_compress(blob, sizeof blob, zeros, sizeof zeros, 3);
        uint32_t segments = sidecar_segments(&g.b);
        bool noticed = false;
        (void)state;

        for (uint32_t i = 0; i < segments; i++) {
                enum outcome outcome;

                if (load_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_SIZE) == 0)
                        continue;
                put_history(&g.b, i, blob, size);
                store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, sizeof zeros);
                sidecar_seal(&g.b);
                outcome = sidecar_outcome(&g.f, g.b.data, g.b.len);
                assert_true(outcome == OUTCOME_EIO || outcome == OUTCOME_RIGHT);
                noticed |= outcome == OUTCOME_EIO;
                free(g.b.data);
                g.b = fixture_copy(g.f.sidecar);
        }
        assert_true(noticed);
        put_history(&g.b, with_history(&g.b), zeros, sizeof zeros);
        forgery_expect(&g, OUTCOME_RIGHT);
        forgery_end(&g);
}

/*
 * Segment I is reached by decoding on from the one before it, whose own history is lost: it is
 * read first, so that nobody has dropped that point before.
 */
static void test_lost_history_of_the_point_that_is_decoded_on_from(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        uint32_t lost = with_history(&g.b);
        uint8_t *next, *buf = malloc(MIB);
        struct restart_stats stats;
        struct index *index;
        (void)state;

        if (lost + 1 == sidecar_segments(&g.b))
                for (lost--; load_le32(sidecar_segment(&g.b, lost) + SC_SEG_HISTORY_SIZE) == 0;)
                        assert_true(lost-- > 0);
        g.b.data[load_le64(sidecar_segment(&g.b, lost) + SC_SEG_HISTORY_AT)] ^= 1;
        next = sidecar_segment(&g.b, lost + 1);
        store_le32(next + SC_SEG_FLAGS, 0);
        store_le32(next + SC_SEG_HISTORY_SIZE, 0);
        store_le32(next + SC_SEG_HISTORY_LEN, 0);
        sidecar_seal(&g.b);
        fixture_write(g.f.index, g.b.data, g.b.len);
        index = sidecar_open(&g.f);
        assert_true(index_sidecar_state(index).loaded);
        index_restart_stats(index, &stats);
        /* Clusters are in order within each half of the archive: go backward over the disk. */
        for (size_t at = g.f.disk.len / MIB; at-- > 0;) {
                assert_int_equal(disk_read(index_disk(index, 0), buf, MIB, at * MIB), MIB);
                assert_memory_equal(buf, g.f.disk.data + at * MIB, MIB);
        }
        assert_int_equal(stats.points, sidecar_segments(&g.b) - 1);
        index_restart_stats(index, &stats);
        assert_int_equal(stats.points, sidecar_segments(&g.b) - 2);
        index_close(index);
        free(buf);
        forgery_end(&g);
}

/* Any fifth bit of the tables, with right checksums: never a wrong byte that a hash can tell. */
static void test_any_bit_of_the_segments(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        size_t bits = (size_t)sidecar_segments(&g.b) * SC_SEGMENT * 8;
        (void)state;

        for (size_t bit = 0; bit < bits; bit += 5) {
                sidecar_segment(&g.b, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
                sidecar_seal(&g.b);
                assert_int_not_equal(sidecar_outcome(&g.f, g.b.data, g.b.len), OUTCOME_WRONG);
                sidecar_segment(&g.b, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        forgery_end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_points_that_do_not_rise),
            cmocka_unit_test(test_first_segment_is_the_beginning),
            cmocka_unit_test(test_unknown_segment_flags),
            cmocka_unit_test(test_points_elsewhere),
            cmocka_unit_test(test_points_elsewhere_gzip),
            cmocka_unit_test(test_points_elsewhere_lzop),
            cmocka_unit_test(test_any_word_of_the_codec),
            cmocka_unit_test(test_wrong_hash_is_an_io_error),
            cmocka_unit_test(test_parts_that_contradict_their_segment),
            cmocka_unit_test(test_counts_of_parts),
            cmocka_unit_test(test_histories_outside),
            cmocka_unit_test(test_history_lengths),
            cmocka_unit_test(test_history_over_the_window_is_refused),
            cmocka_unit_test(test_history_that_is_garbage),
            cmocka_unit_test(test_gzip_history_that_is_garbage),
            cmocka_unit_test(test_lost_history_of_the_point_that_is_decoded_on_from),
            cmocka_unit_test(test_any_bit_of_the_segments),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
