/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "archive/zlib_block.h"
#include "tests/fixtures/stream_fixture.h"

enum { LEN = 65536, ROOM = 2 * LEN };

static uint8_t packed[ROOM + 64], out[LEN];

static size_t pack(struct bytes plain, int level)
{
        uLongf len = ROOM;

        assert_int_equal(compress2(packed, &len, plain.data, plain.len, level), Z_OK);
        return len;
}

static void test_whole_streams_of_every_kind(void **state)
{
        (void)state;
        for (int level = 0; level <= 9; level += 3) {
                struct bytes plain = level % 2 ? fixture_mixture(LEN, 1) : fixture_noise(LEN, 2);
                size_t len = LEN, in = pack(plain, level);

                memset(packed + in, 0x55, 64); /* what follows is not its business */
                assert_int_equal(zlib_block(packed, in + 64, out, &len), 0);
                assert_int_equal(len, LEN);
                assert_memory_equal(out, plain.data, LEN);
                free(plain.data);
        }
}

static void test_a_short_stream_says_its_length(void **state)
{
        struct bytes plain = fixture_records(1000, 3);
        size_t len = LEN;

        (void)state;
        assert_int_equal(zlib_block(packed, pack(plain, 6), out, &len), 0);
        assert_int_equal(len, 1000);
        free(plain.data);
}

static void test_damage_is_an_error(void **state)
{
        struct bytes plain = fixture_mixture(LEN, 4);
        size_t in = pack(plain, 6);

        (void)state;
        for (size_t at = 0; at < in; at += at < 16 || at + 16 > in ? 1 : in / 50) {
                size_t len = LEN;

                packed[at] ^= 0x10;
                if (zlib_block(packed, in, out, &len) == 0)
                        fail_msg("byte %zu of %zu", at, in);
                packed[at] ^= 0x10;
        }
        free(plain.data);
}

static void test_what_is_cut_off_is_an_error(void **state)
{
        struct bytes plain = fixture_mixture(LEN, 5);
        size_t in = pack(plain, 6), cuts[] = {0, 1, 2, in / 2, in - 5, in - 1};

        (void)state;
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
                size_t len = LEN;

                assert_int_equal(zlib_block(packed, cuts[i], out, &len), -EIO);
        }
        free(plain.data);
}

static void test_what_is_larger_than_the_room_is_an_error(void **state)
{
        struct bytes plain = fixture_records(LEN, 6);
        size_t len = LEN - 1, in = pack(plain, 6);

        (void)state;
        assert_int_equal(zlib_block(packed, in, out, &len), -EIO);
        free(plain.data);
}

/* ---- raw deflate ---- */

static size_t pack_raw(struct bytes plain, int window_bits)
{
        z_stream z = {.next_in = plain.data,
                      .avail_in = (uInt)plain.len,
                      .next_out = packed,
                      .avail_out = ROOM};

        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY),
                         Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        deflateEnd(&z);
        return ROOM - z.avail_out;
}

static void test_a_raw_stream_is_inflated_whatever_follows(void **state)
{
        struct bytes plain = fixture_mixture(LEN, 7);
        size_t in = pack_raw(plain, 12);

        (void)state;
        memset(packed + in, 0x55, 64);
        assert_int_equal(deflate_block(packed, in + 64, 12, out, LEN), 0);
        assert_memory_equal(out, plain.data, LEN);
        memset(out, 0, LEN);
        /* Of what is larger the front is had. */
        assert_int_equal(deflate_block(packed, in, 12, out, LEN / 2), 0);
        assert_memory_equal(out, plain.data, LEN / 2);
        free(plain.data);
}

static void test_a_raw_stream_that_is_short_or_damaged_is_an_error(void **state)
{
        struct bytes plain = fixture_mixture(LEN / 2, 8);
        size_t in = pack_raw(plain, 12);

        (void)state;
        assert_int_equal(deflate_block(packed, in, 12, out, LEN), -EIO);
        assert_int_equal(deflate_block(packed, in / 2, 12, out, LEN / 2), -EIO);
        assert_int_equal(deflate_block(packed, 0, 12, out, LEN / 2), -EIO);
        memset(packed, 0xff, in);
        assert_int_equal(deflate_block(packed, in, 12, out, LEN / 2), -EIO);
        free(plain.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_whole_streams_of_every_kind),
            cmocka_unit_test(test_a_short_stream_says_its_length),
            cmocka_unit_test(test_damage_is_an_error),
            cmocka_unit_test(test_what_is_cut_off_is_an_error),
            cmocka_unit_test(test_what_is_larger_than_the_room_is_an_error),
            cmocka_unit_test(test_a_raw_stream_is_inflated_whatever_follows),
            cmocka_unit_test(test_a_raw_stream_that_is_short_or_damaged_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
