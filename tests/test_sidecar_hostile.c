/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sidecars made by somebody who means ill, and can compute checksums: refused, or what is read is
 * right or an I/O error. Where the harm is known beforehand, just that has to come of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/restart.h"
#include "index/index.h"
#include "tests/fixture_sidecar.h"

#define SMALL (7 * MIB + 1536)
#define WIDE  (20 * MIB)

struct forgery {
        struct sidecar_fixture f;
        struct bytes b; /* a copy of the sidecar, to be changed */
};

static struct forgery begin(enum fixture_kind kind, size_t len)
{
        struct forgery g;

        sidecar_fixture_make(&g.f, kind, len);
        g.b = fixture_copy(g.f.sidecar);
        return g;
}

/* Seal the changed copy, see what comes of it, and start again from the true one. */
static void expect(struct forgery *g, enum outcome outcome)
{
        sidecar_seal(&g->b);
        assert_int_equal(sidecar_outcome(&g->f, g->b.data, g->b.len), outcome);
        free(g->b.data);
        g->b = fixture_copy(g->f.sidecar);
}

static void end(struct forgery *g)
{
        free(g->b.data);
        sidecar_fixture_free(&g->f);
}

static void add64(uint8_t *at, uint64_t n)
{
        store_le64(at, load_le64(at) + n);
}

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

static void test_true_sidecar_passes(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
        (void)state;

        assert_true(sidecar_segments(&g.b) >= 4);
        expect(&g, OUTCOME_RIGHT);
        end(&g);
}

static void test_future_version(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        struct index *index;
        (void)state;

        store_le32(g.b.data + SC_VERSION, 2);
        sidecar_seal(&g.b);
        fixture_write(g.f.index, g.b.data, g.b.len);
        index = sidecar_open(&g.f);
        assert_non_null(strstr(index_sidecar_state(index).problem, "another version"));
        index_close(index);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_of_another_archive(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        struct sidecar_fixture other;
        struct index *index;
        (void)state;

        sidecar_fixture_make(&other, FIXTURE_ZSTD, SMALL + 4096);
        assert_int_equal(sidecar_outcome(&g.f, other.sidecar.data, other.sidecar.len),
                         OUTCOME_REFUSED);
        index = sidecar_open(&g.f);
        assert_non_null(strstr(index_sidecar_state(index).problem, "another archive"));
        index_close(index);
        sidecar_fixture_free(&other);
        end(&g);
}

/* One that says it belongs here, of an archive that is alike at both ends. */
static void test_of_another_archive_with_a_forged_identity(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        struct sidecar_fixture other;
        enum outcome outcome;
        (void)state;

        sidecar_fixture_make(&other, FIXTURE_ZSTD, WIDE);
        memcpy(other.sidecar.data + SC_IDENTITY, g.b.data + SC_IDENTITY, 40);
        sidecar_seal(&other.sidecar);
        outcome = sidecar_outcome(&g.f, other.sidecar.data, other.sidecar.len);
        assert_int_equal(outcome, OUTCOME_REFUSED);
        sidecar_fixture_free(&other);
        end(&g);
}

static void test_names_in_the_header(void **state)
{
        static const char *const wrong[] = {"gzip", "none",     "lzop",    "",
                                            "zst",  "zstd\x01", "zstdzstd"};
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                memset(g.b.data + SC_COMPRESSION, 0, 8);
                memcpy(g.b.data + SC_COMPRESSION, wrong[i], strlen(wrong[i]));
                expect(&g, OUTCOME_REFUSED);
        }
        memcpy(g.b.data + SC_COMPRESSION, "zstd\0\0\0x", 8);
        expect(&g, OUTCOME_REFUSED);
        memcpy(g.b.data + SC_FORMAT, "qcow2", 5);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_table_bounds(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        const uint64_t wrong[] = {0,           1,       SC_HEADER - 1,     g.b.len,
                                  g.b.len + 1, 1 << 20, UINT64_C(1) << 63, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(g.b.data + SC_TABLES, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
                store_le64(g.b.data + SC_TABLES_LEN, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

static void test_segment_counts(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint32_t n = sidecar_segments(&g.b);
        const uint32_t wrong[] = {0, 1, n - 1, n + 1, 1000, UINT32_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le32(g.b.data + SC_SEGMENTS, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

static void test_segments_of_what_is_not_compressed(void **state)
{
        struct forgery g = begin(FIXTURE_PLAIN, SMALL);
        (void)state;

        store_le32(g.b.data + SC_SEGMENTS, 1);
        expect(&g, OUTCOME_REFUSED);
        add64(g.b.data + SC_STREAM_SIZE, 4096);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_disk_counts(void **state)
{
        const uint32_t wrong[] = {0, 2, 255, UINT32_MAX};
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le32(g.b.data + SC_DISKS, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

static void test_disk_sizes(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        const uint64_t wrong[] = {0, 512, SMALL - 1, SMALL + 1, UINT64_C(1) << 51, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(sidecar_disk(&g.b) + SC_DISK_SIZE, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

static void test_extent_list_lengths(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint64_t len = load_le64(sidecar_disk(&g.b) + SC_DISK_LEN);
        const uint64_t wrong[] = {0, 1, len - 1, len + 1, UINT64_MAX, UINT64_MAX - SC_DISK + 1};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(sidecar_disk(&g.b) + SC_DISK_LEN, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

/* The lists of extents of disks get other bytes: garbage, and each kind of nonsense. */
static void test_extents(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint64_t len = load_le64(sidecar_disk(&g.b) + SC_DISK_LEN);
        (void)state;

        assert_true(len > 40);
        memset(sidecar_disk(&g.b) + SC_DISK, 0xff, len);
        expect(&g, OUTCOME_REFUSED);
        memset(sidecar_disk(&g.b) + SC_DISK, 0, len);
        expect(&g, OUTCOME_REFUSED);
        /* a block at address -1 */
        memcpy(sidecar_disk(&g.b) + SC_DISK, "\x06\x01", 2);
        expect(&g, OUTCOME_REFUSED);
        /* a block far behind the stream's end */
        memcpy(sidecar_disk(&g.b) + SC_DISK, "\x06\x80\x80\x80\x80\x80\x10", 7);
        expect(&g, OUTCOME_REFUSED);
        /* zeros beyond the disk's end */
        memcpy(sidecar_disk(&g.b) + SC_DISK, "\x80\x80\x80\x80\x10", 5);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_stream_sizes(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint64_t size = load_le64(g.b.data + SC_STREAM_SIZE);
        const uint64_t wrong[] = {
            0, 1, UINT64_C(4) << 20, size + (UINT64_C(32) << 20), UINT64_MAX - 1, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(g.b.data + SC_STREAM_SIZE, wrong[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        /* The last segment has another length, so its hash is wrong. */
        store_le64(g.b.data + SC_STREAM_SIZE, size + 1);
        expect(&g, OUTCOME_EIO);
        end(&g);
}

static void test_points_that_do_not_rise(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
        const uint64_t out[] = {0, 1 << 30, UINT64_MAX}, in[] = {0, UINT64_MAX - 1};
        (void)state;

        for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
                store_le64(sidecar_segment(&g.b, 2) + SC_SEG_OUT, out[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
                store_le64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, in[i]);
                expect(&g, OUTCOME_REFUSED);
        }
        /* to be entered, but nobody knows where */
        store_le64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, UINT64_MAX);
        expect(&g, OUTCOME_REFUSED);
        /* the last one behind the archive's end */
        store_le64(sidecar_segment(&g.b, sidecar_segments(&g.b) - 1) + SC_SEG_IN_BIT, UINT64_C(1)
                                                                                          << 40);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_first_segment_is_the_beginning(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        (void)state;

        store_le64(sidecar_segment(&g.b, 0) + SC_SEG_OUT, 1);
        expect(&g, OUTCOME_REFUSED);
        store_le64(sidecar_segment(&g.b, 0) + SC_SEG_IN_BIT, 8);
        expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, 0) + SC_SEG_FLAGS, 0);
        expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, 0) + SC_SEG_HISTORY_LEN, 1);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_unknown_segment_flags(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        (void)state;

        for (uint32_t flags = 2; flags; flags <<= 1) {
                store_le32(sidecar_segment(&g.b, 1) + SC_SEG_FLAGS, flags);
                expect(&g, OUTCOME_REFUSED);
        }
        end(&g);
}

/* Points where none are, in the right order: only the hashes can tell. */
static void test_points_elsewhere(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
        const uint64_t move[] = {8, 80, 8000, (uint64_t)-8, (uint64_t)-80};
        (void)state;

        for (size_t i = 0; i < sizeof move / sizeof *move; i++) {
                add64(sidecar_segment(&g.b, 2) + SC_SEG_IN_BIT, move[i]);
                expect(&g, OUTCOME_EIO);
                add64(sidecar_segment(&g.b, 2) + SC_SEG_OUT, move[i]);
                expect(&g, OUTCOME_EIO);
        }
        end(&g);
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
static void points_elsewhere(enum fixture_kind kind)
{
        struct forgery g = begin(kind, WIDE);
        uint32_t n = sidecar_segments(&g.b);
        uint8_t *record = sidecar_segment(&g.b, n / 2);

        for (uint64_t move = 1; move <= 33; move += 8)
                expect_no_wrong_byte(&g, record + SC_SEG_IN_BIT,
                                     load_le64(record + SC_SEG_IN_BIT) + move);
        for (uint64_t aux = 1; aux; aux <<= 7)
                expect_no_wrong_byte(&g, record + SC_SEG_AUX, load_le64(record + SC_SEG_AUX) ^ aux);
        add64(record + SC_SEG_IN_BIT, 80000);
        expect(&g, OUTCOME_EIO);
        add64(sidecar_segment(&g.b, n / 2) + SC_SEG_OUT, 1);
        expect(&g, OUTCOME_EIO);
        end(&g);
}

static void test_points_elsewhere_gzip(void **state)
{
        (void)state;
        points_elsewhere(FIXTURE_GZIP);
}

static void test_points_elsewhere_lzop(void **state)
{
        (void)state;
        points_elsewhere(FIXTURE_LZOP);
}

static void test_any_word_of_the_codec(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
        uint64_t random = 11;
        (void)state;

        for (int i = 0; i < 40; i++) {
                uint32_t segment = 1 + (uint32_t)(fixture_random(&random) % 3);

                expect_no_wrong_byte(&g, sidecar_segment(&g.b, segment) + SC_SEG_AUX,
                                     i < 32 ? UINT64_C(1) << 2 * i : fixture_random(&random));
        }
        end(&g);
}

static void test_wrong_hash_is_an_io_error(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
        (void)state;

        add64(sidecar_segment(&g.b, 2) + SC_SEG_HASH, 1);
        expect(&g, OUTCOME_EIO);
        /* the archive's own header cannot be read */
        add64(sidecar_segment(&g.b, 0) + SC_SEG_HASH, 1);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_histories_outside(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint32_t i = with_history(&g.b);
        uint64_t tables = load_le64(g.b.data + SC_TABLES);
        const uint64_t at[] = {tables, tables - 1, g.b.len, UINT64_MAX, UINT64_MAX - 100};
        (void)state;

        for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
                store_le64(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_AT, at[k]);
                expect(&g, OUTCOME_REFUSED);
        }
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_SIZE, UINT32_MAX);
        expect(&g, OUTCOME_REFUSED);
        end(&g);
}

static void test_history_lengths(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint32_t i = with_history(&g.b);
        uint32_t len = load_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN);
        (void)state;

        /* more than there is output in front; none, for a blob; a length without a blob */
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, UINT32_MAX);
        expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, 0);
        expect(&g, OUTCOME_REFUSED);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_SIZE, 0);
        expect(&g, OUTCOME_REFUSED);
        /* another one than the blob has: it is no history, and the point is done without */
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, len + 1);
        expect(&g, OUTCOME_RIGHT);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, len - 1);
        expect(&g, OUTCOME_RIGHT);
        end(&g);
}

static void test_history_over_the_window_is_refused(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_USE, .sidecar_path = g.f.index, .window = 1024};
        struct error err = {0};
        struct index *index = NULL;
        (void)state;

        assert_int_equal(index_open(g.f.archive, &options, &index, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "-o window="));
        end(&g);
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
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        uint32_t i = with_history(&g.b);
        uint32_t len = load_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN);
        cleanup_free uint8_t *zeros = calloc(1, len);
        uint8_t blob[256] = {0};
        size_t size;
        (void)state;

        put_history(&g.b, i, blob, sizeof blob);
        expect(&g, OUTCOME_RIGHT);
        /* of the right length, but not what was there: the segment's hash tells */
        size = ZSTD_compress(blob, sizeof blob, zeros, len, 3);
        assert_false(ZSTD_isError(size));
        put_history(&g.b, i, blob, size);
        expect(&g, OUTCOME_EIO);
        end(&g);
}

static void test_gzip_history_that_is_garbage(void **state)
{
        struct forgery g = begin(FIXTURE_GZIP, SMALL);
        uint32_t i = with_history(&g.b);
        uint8_t zeros[64] = {0}, blob[256];
        size_t size = ZSTD_compress(blob, sizeof blob, zeros, sizeof zeros, 3);
        (void)state;

        put_history(&g.b, i, blob, size);
        store_le32(sidecar_segment(&g.b, i) + SC_SEG_HISTORY_LEN, sizeof zeros);
        expect(&g, OUTCOME_EIO);
        put_history(&g.b, i, zeros, sizeof zeros);
        expect(&g, OUTCOME_RIGHT);
        end(&g);
}

/*
 * Segment I is reached by decoding on from the one in front of it, whose own history is lost: it is
 * read first, so that nobody has dropped that point before.
 */
static void test_lost_history_of_the_point_that_is_decoded_on_from(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, WIDE);
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
        end(&g);
}

/* The file is changed while it is in use. */
static void lose_the_file(enum fixture_kind kind)
{
        struct forgery g = begin(kind, WIDE);
        struct index *index = sidecar_open(&g.f);

        assert_true(index_sidecar_state(index).loaded);
        assert_int_equal(truncate(g.f.index, 0), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        index_close(index);
        end(&g);
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

/* Any fifth bit of the tables, with right checksums: never a wrong byte that a hash can tell. */
static void test_any_bit_of_the_segments(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD, SMALL);
        size_t bits = (size_t)sidecar_segments(&g.b) * SC_SEGMENT * 8;
        (void)state;

        for (size_t bit = 0; bit < bits; bit += 5) {
                sidecar_segment(&g.b, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
                sidecar_seal(&g.b);
                assert_int_not_equal(sidecar_outcome(&g.f, g.b.data, g.b.len), OUTCOME_WRONG);
                sidecar_segment(&g.b, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_true_sidecar_passes),
            cmocka_unit_test(test_future_version),
            cmocka_unit_test(test_of_another_archive),
            cmocka_unit_test(test_of_another_archive_with_a_forged_identity),
            cmocka_unit_test(test_names_in_the_header),
            cmocka_unit_test(test_table_bounds),
            cmocka_unit_test(test_segment_counts),
            cmocka_unit_test(test_segments_of_what_is_not_compressed),
            cmocka_unit_test(test_disk_counts),
            cmocka_unit_test(test_disk_sizes),
            cmocka_unit_test(test_extent_list_lengths),
            cmocka_unit_test(test_extents),
            cmocka_unit_test(test_stream_sizes),
            cmocka_unit_test(test_points_that_do_not_rise),
            cmocka_unit_test(test_first_segment_is_the_beginning),
            cmocka_unit_test(test_unknown_segment_flags),
            cmocka_unit_test(test_points_elsewhere),
            cmocka_unit_test(test_points_elsewhere_gzip),
            cmocka_unit_test(test_points_elsewhere_lzop),
            cmocka_unit_test(test_any_word_of_the_codec),
            cmocka_unit_test(test_wrong_hash_is_an_io_error),
            cmocka_unit_test(test_histories_outside),
            cmocka_unit_test(test_history_lengths),
            cmocka_unit_test(test_history_over_the_window_is_refused),
            cmocka_unit_test(test_history_that_is_garbage),
            cmocka_unit_test(test_gzip_history_that_is_garbage),
            cmocka_unit_test(test_lost_history_of_the_point_that_is_decoded_on_from),
            cmocka_unit_test(test_file_lost_while_in_use_zstd),
            cmocka_unit_test(test_file_lost_while_in_use_gzip),
            cmocka_unit_test(test_any_bit_of_the_segments),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
