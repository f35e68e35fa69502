/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed streams that end where they must not: what is before a cut is there to the last
 * byte; what only looks like a cut is not believed for so much.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/stream_fixture.h"

enum { PLAIN = 6 * 1024 * 1024 };

/* How much of Z there is before the first gap; all of it is right. */
static uint64_t front(struct bytes z, struct bytes plain)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = 8 * MIB};
        struct source_lost_range gap = {0};
        struct error err = {0};
        struct source *s;
        uint8_t *got = malloc(PLAIN);
        uint64_t end;

        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, &err), 0);
        stream_release(s);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, &err), 0);
        assert_int_equal(source_damage(s, &err), -EIO);
        if (!source_find_lost(s, 0, &gap))
                gap.start = end;
        assert_true(gap.start <= plain.len);
        if (gap.start > 0)
                assert_int_equal(source_pread(s, got, gap.start, 0), (ssize_t)gap.start);
        assert_memory_equal(got, plain.data, gap.start);
        source_close(s);
        free(got);
        return gap.start;
}

/* What zlib has of Z. */
static uint64_t inflated(struct bytes z)
{
        uint8_t *out = malloc(PLAIN);
        z_stream s = {
            .next_in = z.data, .avail_in = (uInt)z.len, .next_out = out, .avail_out = PLAIN};

        assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
        inflate(&s, Z_SYNC_FLUSH);
        inflateEnd(&s);
        free(out);
        return s.total_out;
}

static void test_cut_gzip(void **state)
{
        struct bytes plain = fixture_mixture(PLAIN, 1);
        struct bytes z = fixture_pipe(plain, "gzip -1 -c");
        (void)state;

        for (size_t i = 1; i < 12; i++) {
                struct bytes cut = {z.data, z.len / 12 * i + i * 7};

                assert_int_equal(front(cut, plain), inflated(cut));
        }
        free(plain.data);
        free(z.data);
}

/* Each block is there whole or not at all. */
static void test_cut_zstd(void **state)
{
        struct bytes plain = fixture_mixture(PLAIN, 2);
        struct bytes z = fixture_compress(plain, 1, 0, 0, 1);
        unsigned whole = 0;
        (void)state;

        for (size_t i = 1; i < 12; i++) {
                struct bytes cut = {z.data, z.len / 12 * i + i * 7};
                struct bytes longer = {z.data, min_u64(z.len - 1, cut.len + 3 * 128 * 1024)};
                uint64_t got = front(cut, plain), more = front(longer, plain);

                assert_true(more >= got && got % 4096 == 0);
                whole += got + MIB > PLAIN * (uint64_t)cut.len / z.len;
        }
        /* A block that seems to end where the file does is there by chance, seldom. */
        assert_true(whole >= 8);
        free(plain.data);
        free(z.data);
}

/* A file system that has lost the tail of a file may show zeros there. */
static void test_zeros_instead_of_the_tail(void **state)
{
        struct bytes plain = fixture_mixture(PLAIN, 3);
        struct bytes gz = fixture_pipe(plain, "gzip -1 -c");
        struct bytes zst = fixture_compress(plain, 1, 0, 0, 1);
        (void)state;

        for (size_t zeros = 100; zeros < gz.len / 2; zeros = zeros * 9) {
                memset(gz.data + gz.len - zeros, 0, zeros);
                front(gz, plain);
                memset(zst.data + zst.len - zeros, 0, zeros);
                front(zst, plain);
        }
        free(plain.data);
        free(gz.data);
        free(zst.data);
}

/* Out of step, and the file ends before that is noticed. */
static void test_damage_near_the_end(void **state)
{
        struct bytes plain = fixture_mixture(PLAIN, 4);
        struct bytes z = fixture_pipe(plain, "gzip -1 -c");
        uint8_t *sound = malloc(z.len);
        uint64_t seed = 5;
        (void)state;

        memcpy(sound, z.data, z.len);
        for (int round = 0; round < 24; round++) {
                size_t at = z.len - 9 - fixture_random(&seed) % 20000;

                memcpy(z.data, sound, z.len);
                for (int i = 0; i < 40 && at + (size_t)i < z.len - 8; i++)
                        z.data[at + (size_t)i] = (uint8_t)fixture_random(&seed);
                front(z, plain);
        }
        free(sound);
        free(plain.data);
        free(z.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_cut_gzip),
            cmocka_unit_test(test_cut_zstd),
            cmocka_unit_test(test_zeros_instead_of_the_tail),
            cmocka_unit_test(test_damage_near_the_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
