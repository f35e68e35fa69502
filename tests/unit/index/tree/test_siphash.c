/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SipHash-2-4 against the vectors of its authors: the key is 00 01 02 …, the message 00 01 02 … */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/tree/siphash.h"

static uint64_t hash_first(size_t len)
{
        uint8_t bytes[64];
        uint64_t key[2];

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)i;
        key[0] = load_le64(bytes);
        key[1] = load_le64(bytes + 8);
        return siphash(key, load_le64(bytes), bytes + 8, len - 8);
}

static void gives_the_published_values(void **state)
{
        (void)state;
        assert_true(hash_first(8) == UINT64_C(0x93f5f5799a932462));
        assert_true(hash_first(9) == UINT64_C(0x9e0082df0ba9e4b0));
        assert_true(hash_first(15) == UINT64_C(0xa129ca6149be45e5));
        assert_true(hash_first(16) == UINT64_C(0x3f2acc7f57c29bdb));
}

static void keys_differ(void **state)
{
        uint64_t a[2], b[2];

        (void)state;
        siphash_key(a);
        siphash_key(b);
        assert_true(a[0] != b[0] || a[1] != b[1]);
        assert_true(siphash(a, 1, "name", 4) != siphash(b, 1, "name", 4));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(gives_the_published_values),
            cmocka_unit_test(keys_differ),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
