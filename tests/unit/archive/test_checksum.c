/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sums are those of the libraries that define them, whichever code computes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>
#include <zlib.h>

/* Before what may replace it. */
static uint64_t plain_xxh3(const void *data, size_t len)
{
        return XXH3_64bits(data, len);
}

#include "archive/checksum.h"

enum { MOST = 70000 }; /* Adler-32 is reduced each 5552 bytes */

/* Of every length that may take another way, at each alignment, and all bits set: the greatest
 * sums. */
static void each_range(void (*check)(const uint8_t *data, size_t len))
{
        uint8_t *bytes = malloc(MOST + 64);
        uint32_t seed = 1;

        assert_non_null(bytes);
        for (int ones = 0; ones < 2; ones++) {
                for (size_t i = 0; i < MOST + 64; i++) {
                        seed = seed * 1103515245 + 12345;
                        bytes[i] = ones ? 0xff : (uint8_t)(seed >> 16);
                }
                for (size_t len = 0; len < 700; len++)
                        check(bytes + len % 64, len);
                for (size_t len = 700; len < MOST; len += 613)
                        check(bytes + len % 64, len);
        }
        free(bytes);
}

static void check_adler32(const uint8_t *data, size_t len)
{
        assert_int_equal(checksum_adler32(data, len), adler32_z(1, data, len));
}

static void check_crc32(const uint8_t *data, size_t len)
{
        assert_int_equal(checksum_crc32(data, len), crc32_z(0, data, len));
}

static void check_xxh3(const uint8_t *data, size_t len)
{
        XXH3_state_t *state = XXH3_createState();

        assert_non_null(state);
        XXH3_64bits_reset(state);
        XXH3_64bits_update(state, data, len / 3);
        XXH3_64bits_update(state, data + len / 3, len - len / 3);
        assert_true(XXH3_64bits_digest(state) == plain_xxh3(data, len));
        assert_true(XXH3_64bits(data, len) == plain_xxh3(data, len));
        XXH3_freeState(state);
}

static void test_adler32_is_zlibs(void **state)
{
        (void)state;
        each_range(check_adler32);
}

/* The value that RFC 3720 and all others give. */
static void test_crc32c_has_its_known_value(void **state)
{
        static const uint8_t zeros[32];

        (void)state;
        assert_int_equal(checksum_crc32c("123456789", 9), 0xe3069283);
        assert_int_equal(checksum_crc32c(zeros, sizeof zeros), 0x8a9136aa);
        assert_int_equal(checksum_crc32c("", 0), 0);
}

static void test_crc32_is_zlibs(void **state)
{
        (void)state;
        each_range(check_crc32);
}

static void test_xxh3_is_xxhashs(void **state)
{
        (void)state;
        each_range(check_xxh3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_adler32_is_zlibs),
            cmocka_unit_test(test_crc32_is_zlibs),
            cmocka_unit_test(test_crc32c_has_its_known_value),
            cmocka_unit_test(test_xxh3_is_xxhashs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
