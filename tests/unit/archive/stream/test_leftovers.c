/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/source/source.h"
#include "archive/stream/leftovers.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/stream_fixture.h"

#define KIB     UINT64_C(1024)
#define SEGMENT (8 * MIB)

static struct leftovers *setup(void)
{
        struct leftovers *s = calloc(1, sizeof *s);

        assert_non_null(s);
        leftovers_init(s);
        return s;
}

static void tear_down(struct leftovers *s)
{
        leftovers_fini(s);
        free(s);
}

/* Read the segment at START but for LEN bytes at AT. */
static void read_around(struct leftovers *s, uint64_t start, uint64_t at, uint64_t len)
{
        leftovers_note(s, start, SEGMENT, 0, at);
        leftovers_note(s, start, SEGMENT, at + len, SEGMENT - at - len);
}

/* A cluster that begins in the middle of a step is kept with both its ends. */
static void test_what_is_left_is_kept_whole(void **state)
{
        struct leftovers *s = setup();
        struct left_segment left;
        (void)state;

        read_around(s, 16 * MIB, MIB + 512, 64 * KIB);
        assert_false(leftovers_leave(s, 24 * MIB - 1, 64 * MIB, &left));
        assert_true(leftovers_leave(s, 24 * MIB, 64 * MIB, &left));
        assert_int_equal(left.start, 16 * MIB);
        assert_int_equal(left.len, SEGMENT);
        assert_int_equal(left.count, 3);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(left.units[i], MIB / STRAY_UNIT + i);
        /* It is told once. */
        assert_false(leftovers_leave(s, 24 * MIB, 64 * MIB, &left));
        tear_down(s);
}

static void test_headers_between_clusters_are_not_kept(void **state)
{
        struct leftovers *s = setup();
        struct left_segment left;
        (void)state;

        read_around(s, 0, MIB, 512);
        assert_true(leftovers_leave(s, SEGMENT, 0, &left));
        assert_int_equal(left.count, 0);
        tear_down(s);
}

static void test_what_is_left_at_the_ends(void **state)
{
        struct leftovers *s = setup();
        struct left_segment left;
        (void)state;

        leftovers_note(s, 0, SEGMENT - 100, 64 * KIB, SEGMENT - 128 * KIB);
        assert_true(leftovers_leave(s, SEGMENT, SEGMENT, &left));
        assert_int_equal(left.units[0], 0);
        assert_int_equal(left.units[left.count - 1], SEGMENT / STRAY_UNIT - 1);
        assert_true(left.count <= 6);
        tear_down(s);
}

/* A segment of which little was read was not read in sequence: nothing of it is kept. */
static void test_random_reads_leave_nothing(void **state)
{
        struct leftovers *s = setup();
        struct left_segment left;
        (void)state;

        for (uint64_t at = 0; at < SEGMENT; at += 2 * STRAY_STEP)
                leftovers_note(s, 0, SEGMENT, at, 512);
        assert_false(leftovers_leave(s, SEGMENT, SEGMENT, &left));
        assert_true(leftovers_much_read(s, 0, 1, MIB));
        assert_false(leftovers_much_read(s, 1, MIB, 1));
        tear_down(s);
}

/* However many segments are read, what was read last is known, and what makes no sense ignored. */
static void test_memory_is_bounded(void **state)
{
        struct leftovers *s = setup();
        struct left_segment left;
        (void)state;

        for (uint64_t i = 0; i < 4 * STRAY_SEGMENTS; i++)
                read_around(s, i * SEGMENT, MIB, 64 * KIB);
        leftovers_note(s, 1, SEGMENT, SEGMENT - 1, 2);
        leftovers_note(s, 1, SEGMENT, UINT64_MAX, 2);
        leftovers_note(s, 1, UINT64_MAX, 0, 2);
        for (size_t i = 0; i < STRAY_SEGMENTS; i++)
                assert_true(leftovers_leave(s, UINT64_MAX / 2, UINT64_MAX, &left));
        assert_false(leftovers_leave(s, UINT64_MAX / 2, UINT64_MAX, &left));
        tear_down(s);
}

enum { CLUSTER = 64 << 10, EVERY = 32 };

static bool is_stray(size_t at)
{
        return at / CLUSTER % EVERY == 5;
}

static void read_cluster(struct source *s, struct bytes plain, size_t at)
{
        static uint8_t buf[CLUSTER];

        assert_int_equal(source_pread(s, buf, CLUSTER, at), CLUSTER);
        assert_memory_equal(buf, plain.data + at, CLUSTER);
}

/*
 * Read all of a stream but every 32nd cluster, and then these, with a cache that holds a small part
 * of it: what is decoded is little more than the stream.
 */
static void test_a_stray_is_decoded_once(void **state)
{
        struct bytes plain = fixture_mixture(96 * MIB, 3);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct stream_options o = {.threads = 1, .cache_bytes = 32 * MIB};
        struct source *in, *s;
        uint64_t end, before;
        (void)state;

        in = fixture_source(z.data, z.len);
        assert_int_equal(stream_probe(in, &o, &s, NULL), 0);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        for (size_t at = 0; at < plain.len; at += CLUSTER)
                if (!is_stray(at))
                        read_cluster(s, plain, at);
        before = stream_work(s);
        assert_true(before <= plain.len + plain.len / 4);
        for (size_t at = 0; at < 64 * MIB; at += CLUSTER)
                if (is_stray(at))
                        read_cluster(s, plain, at);
        assert_true(stream_work(s) - before <= 8 * MIB);
        source_close(s);
        free(plain.data);
        free(z.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_is_left_is_kept_whole),
            cmocka_unit_test(test_headers_between_clusters_are_not_kept),
            cmocka_unit_test(test_what_is_left_at_the_ends),
            cmocka_unit_test(test_random_reads_leave_nothing),
            cmocka_unit_test(test_memory_is_bounded),
            cmocka_unit_test(test_a_stray_is_decoded_once),
        };

        return cmocka_run_group_tests_name("leftovers", tests, NULL, NULL);
}
