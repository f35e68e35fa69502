/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checksum is libxxhash's, however the bytes are cut, and a copy of its state goes on alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/stream/zstd/zstd_checksum.h"
#include "tests/fixtures/stream_fixture.h"

enum { MOST = 4096 };

static void test_of_every_length(void **state)
{
        struct bytes noise = fixture_noise(MOST, 1);
        (void)state;

        for (size_t len = 0; len < MOST; len++) {
                struct zstd_checksum c;

                zstd_checksum_reset(&c);
                zstd_checksum_update(&c, noise.data, len);
                assert_true(zstd_checksum_digest(&c) == XXH64(noise.data, len, 0));
        }
        free(noise.data);
}

static void test_in_pieces_of_every_length(void **state)
{
        struct bytes noise = fixture_noise(MOST + 1, 2);
        uint64_t wanted = XXH64(noise.data + 1, MOST, 0);
        (void)state;

        for (size_t piece = 1; piece < 100; piece++) {
                struct zstd_checksum c;

                zstd_checksum_reset(&c);
                for (size_t at = 0; at < MOST; at += piece)
                        zstd_checksum_update(&c, noise.data + 1 + at, min_u64(piece, MOST - at));
                assert_true(zstd_checksum_digest(&c) == wanted);
        }
        free(noise.data);
}

static void test_a_copy_goes_on(void **state)
{
        struct bytes noise = fixture_noise(MOST, 3);
        (void)state;

        for (size_t at = 0; at < 200; at++) {
                struct zstd_checksum first, second;

                zstd_checksum_reset(&first);
                zstd_checksum_update(&first, noise.data, at);
                second = first;
                zstd_checksum_update(&first, noise.data, MOST);
                zstd_checksum_update(&second, noise.data + at, MOST - at);
                assert_true(zstd_checksum_digest(&second) == XXH64(noise.data, MOST, 0));
        }
        free(noise.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_of_every_length),
            cmocka_unit_test(test_in_pieces_of_every_length),
            cmocka_unit_test(test_a_copy_goes_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
