/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The restart points of a compressed member in the sidecar of an OVA: they are used, and whatever
 * somebody writes there who can compute checksums, no byte is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "index/verify/audit.h"
#include "tests/fixtures/forgery_fixture.h"

enum { SEGMENT_MAX = 8 << 20, BLOCK = 4096 };

static struct forgery begin(void)
{
        return forgery_begin(FIXTURE_OVA, FORGERY_WIDE);
}

static uint8_t *head(struct forgery *g)
{
        return sidecar_stream(&g->b);
}

/* Segment I of the member. */
static uint8_t *segment(struct forgery *g, size_t i)
{
        return head(g) + SC_STREAM + i * SC_SEGMENT;
}

static struct archive_stream only_stream(struct index *index)
{
        struct archive *a = index_archive(index);
        struct archive_stream s, none;

        assert_true(a->ops->stream(a, 0, &s));
        assert_false(a->ops->stream(a, 1, &none));
        return s;
}

static void test_a_far_read_decodes_one_segment(void **state)
{
        struct forgery g = begin();
        struct index *index = sidecar_open(&g.f);
        struct error err = {0};
        struct restart_stats stats;
        struct archive_stream s;
        uint8_t block[BLOCK];
        uint64_t at = g.f.disk.len - BLOCK, before;
        (void)state;

        assert_true(index_sidecar_state(index).loaded);
        assert_null(index_sidecar_state(index).problem);
        index_restart_stats(index, &stats);
        assert_in_range(stats.points, 3, 100);
        s = only_stream(index);
        assert_true(s.entered);
        before = stream_work(s.source);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(disk_read(index_disk(index, 1), block, BLOCK, at), BLOCK);
        assert_memory_equal(block, g.f.disk.data + at, BLOCK);
        assert_in_range(stream_work(s.source) - before, 1, SEGMENT_MAX);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        assert_int_equal(index_disk(index, 1)->totals.stored > 0, true);
        index_close(index);
        forgery_end(&g);
}

/* As an index would be that was made before members had restart points in it. */
static void test_an_index_without_them_is_made_anew(void **state)
{
        struct forgery g = begin();
        size_t cut = g.b.len - (size_t)(head(&g) - g.b.data);
        struct error err = {0};
        struct index *index;
        (void)state;

        store_le64(g.b.data + SC_TABLES_LEN, load_le64(g.b.data + SC_TABLES_LEN) - cut);
        g.b.len -= cut;
        sidecar_seal(&g.b);
        fixture_write(g.f.index, g.b.data, g.b.len);
        index = sidecar_open(&g.f);
        assert_false(index_sidecar_state(index).loaded);
        assert_false(only_stream(index).entered);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        index_close(index);
        index = sidecar_open(&g.f);
        assert_true(index_sidecar_state(index).loaded);
        assert_true(only_stream(index).entered);
        index_close(index);
        forgery_end(&g);
}

static void test_tables_of_other_members(void **state)
{
        static const size_t fields[] = {SC_STREAM_AT, SC_STREAM_IN};
        static const uint64_t add[] = {1, (uint64_t)-1, UINT64_C(1) << 63, 512};
        struct forgery g = begin();
        (void)state;

        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                for (size_t k = 0; k < sizeof add / sizeof *add; k++) {
                        forgery_add64(head(&g) + fields[i], add[k]);
                        forgery_expect(&g, OUTCOME_REFUSED);
                }
        memcpy(head(&g) + SC_STREAM_CODEC, "zstd", 4);
        forgery_expect(&g, OUTCOME_REFUSED);
        memset(head(&g) + SC_STREAM_CODEC, 0, 8);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

static void test_sizes_that_cannot_be(void **state)
{
        static const uint64_t sizes[] = {0, 1, UINT64_MAX, UINT64_MAX / 8, UINT64_C(1) << 62};
        static const uint32_t counts[] = {0, 1, UINT32_MAX, 1 << 24};
        struct forgery g = begin();
        (void)state;

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                store_le64(head(&g) + SC_STREAM_IN, sizes[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
                store_le64(head(&g) + SC_STREAM_OUT, sizes[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                store_le32(head(&g) + SC_STREAM_SEGMENTS, counts[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        store_le32(head(&g) + SC_STREAM_ZERO, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le64(segment(&g, 1) + SC_SEG_HISTORY_AT, UINT64_MAX - 8);
        forgery_expect(&g, OUTCOME_REFUSED);
        store_le32(segment(&g, 1) + SC_SEG_HISTORY_LEN, UINT32_MAX);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

/* Put COUNT copies of the LEN bytes at PIECE at the end of G's sidecar. */
static void add_to_tables(struct forgery *g, const uint8_t *piece, size_t len, size_t count)
{
        struct bytes more = {.data = malloc(g->b.len + len * count), .len = g->b.len + len * count};

        assert_non_null(more.data);
        memcpy(more.data, g->b.data, g->b.len);
        for (size_t i = 0; i < count; i++)
                memcpy(more.data + g->b.len + i * len, piece, len);
        store_le64(more.data + SC_TABLES_LEN, load_le64(more.data + SC_TABLES_LEN) + len * count);
        free(g->b.data);
        g->b = more;
}

static void test_too_many_members(void **state)
{
        static const size_t counts[] = {1, 1000, 2000000};
        struct forgery g = begin();
        uint8_t empty[SC_STREAM] = {0};
        size_t len = g.b.len - (size_t)(head(&g) - g.b.data);
        cleanup_free uint8_t *again = malloc(len);
        (void)state;

        memcpy(empty + SC_STREAM_CODEC, "gzip", 4);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                add_to_tables(&g, empty, sizeof empty, counts[i]);
                forgery_expect(&g, OUTCOME_REFUSED);
        }
        /* two tables for one member */
        assert_non_null(again);
        memcpy(again, head(&g), len);
        add_to_tables(&g, again, len, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        add_to_tables(&g, empty, 8, 1);
        forgery_expect(&g, OUTCOME_REFUSED);
        forgery_end(&g);
}

/* Only the hashes can tell that these are no points. */
static void test_points_elsewhere(void **state)
{
        static const uint64_t move[] = {8, 80, (uint64_t)-8};
        struct forgery g = begin();
        (void)state;

        for (size_t i = 0; i < sizeof move / sizeof *move; i++) {
                forgery_add64(segment(&g, 1) + SC_SEG_IN_BIT, move[i]);
                forgery_expect(&g, OUTCOME_EIO);
        }
        forgery_end(&g);
}

/* The stamp of the sidecar at PATH says that FILE is what it was made of. */
static void stamp_again(const char *path, const char *file)
{
        struct bytes b = fixture_file(path);
        uint8_t *stamp = b.data + load_le32(b.data + SC_STAMP);
        struct stat st;

        assert_int_equal(stat(file, &st), 0);
        store_le64(stamp + 16,
                   (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
        store_le64(stamp + 24,
                   (uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec);
        store_le64(stamp + 32, XXH3_64bits(stamp, 32));
        fixture_write(path, b.data, b.len);
        free(b.data);
}

/* As when the medium gives other bytes: the file's times do not tell. */
static void test_a_member_that_has_rotted(void **state)
{
        struct forgery g = begin();
        struct bytes ova = fixture_file(g.f.archive);
        struct error err = {0};
        struct index *index;
        (void)state;

        ova.data[ova.len / 2] ^= 0x10;
        fixture_write(g.f.archive, ova.data, ova.len);
        stamp_again(g.f.index, g.f.archive);
        index = sidecar_open(&g.f);
        assert_true(index_sidecar_state(index).loaded);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_true(index_read_failure(index, &err));
        assert_non_null(strstr(err.text, "what it was when it was indexed"));
        index_close(index);
        free(ova.data);
        forgery_end(&g);
}

/* Change the first hash of segment 0's parts, and the segment's own with it. */
static void forge_segment(struct forgery *g)
{
        uint8_t *first = segment(g, 0);
        uint8_t *parts = segment(g, load_le32(head(g) + SC_STREAM_SEGMENTS));
        size_t len = (size_t)load_le32(first + SC_SEG_PARTS) * SC_PART;
        cleanup_free uint8_t *hashed = calloc(1, 8 + len);

        assert_non_null(hashed);
        parts[0] ^= 1;
        memcpy(hashed + 8, parts, len);
        store_le64(first + SC_SEG_HASH, XXH3_64bits(hashed, 8 + len));
        sidecar_seal(&g->b);
        fixture_write(g->f.index, g->b.data, g->b.len);
}

static void test_verify_says_that_the_index_differs(void **state)
{
        struct forgery g = begin();
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_LATER, .sidecar_path = g.f.index, .threads = 1};
        struct error err = {0};
        struct index *index;
        struct audit a;
        (void)state;

        forge_segment(&g);
        assert_int_equal(index_open(g.f.archive, &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(audit_run(index, &a), 0);
        assert_true(a.sidecars[LOCATION_OWN].differs);
        assert_int_equal(a.differences[0].disk, 1);
        assert_true(a.differences[0].offset >= only_stream(index).at);
        audit_fini(&a);
        index_close(index);
        forgery_end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_far_read_decodes_one_segment),
            cmocka_unit_test(test_an_index_without_them_is_made_anew),
            cmocka_unit_test(test_tables_of_other_members),
            cmocka_unit_test(test_sizes_that_cannot_be),
            cmocka_unit_test(test_too_many_members),
            cmocka_unit_test(test_points_elsewhere),
            cmocka_unit_test(test_a_member_that_has_rotted),
            cmocka_unit_test(test_verify_says_that_the_index_differs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
