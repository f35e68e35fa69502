/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sidecars that are damaged: refused, and built anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "tests/fixtures/sidecar_fixture.h"

#define SMALL (7 * MIB + 1536)

/* Each byte of the sidecar, one at a time, is another one; of histories every sixteenth. */
static void flip_everything(enum fixture_kind kind, size_t step)
{
        struct sidecar_fixture f;
        size_t refused = 0;

        sidecar_fixture_make(&f, kind, SMALL);
        for (size_t at = 0; at < f.sidecar.len; at += step) {
                struct bytes b = fixture_copy(f.sidecar);
                bool history = at >= SC_HEADER + SC_STAMP_LEN && &b.data[at] < sidecar_extents(&b);
                enum outcome outcome;

                if (history && at % 16) {
                        free(b.data);
                        continue;
                }
                b.data[at] ^= (uint8_t)(1 << at % 8);
                outcome = sidecar_outcome(&f, b.data, b.len);
                /* A history is looked at when it is needed, and done without when it is bad. */
                assert_int_equal(outcome, history ? OUTCOME_RIGHT : OUTCOME_REFUSED);
                refused += outcome == OUTCOME_REFUSED;
                free(b.data);
        }
        assert_true(refused > SC_HEADER / step);
        sidecar_fixture_free(&f);
}

static void test_flipped_zstd(void **state)
{
        (void)state;
        flip_everything(FIXTURE_ZSTD, 1);
}

static void test_flipped_gzip(void **state)
{
        (void)state;
        flip_everything(FIXTURE_GZIP, 7);
}

static void test_flipped_lzop(void **state)
{
        (void)state;
        flip_everything(FIXTURE_LZOP, 1);
}

static void test_flipped_plain(void **state)
{
        (void)state;
        flip_everything(FIXTURE_PLAIN, 1);
}

static void test_truncated_at_every_byte(void **state)
{
        struct sidecar_fixture f;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, SMALL);
        for (size_t len = 0; len < f.sidecar.len; len++)
                assert_int_equal(sidecar_outcome(&f, f.sidecar.data, len), OUTCOME_REFUSED);
        sidecar_fixture_free(&f);
}

static void test_bytes_behind_the_end(void **state)
{
        struct sidecar_fixture f;
        struct bytes b;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, SMALL);
        b = fixture_copy(f.sidecar);
        b.data[b.len] = 0;
        assert_int_equal(sidecar_outcome(&f, b.data, b.len + 1), OUTCOME_REFUSED);
        free(b.data);
        sidecar_fixture_free(&f);
}

/* What is refused is built again, and works the next time. */
static void test_refused_sidecar_is_replaced(void **state)
{
        struct error err = {0};
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, SMALL);
        f.sidecar.data[SC_STREAM_SIZE] ^= 1;
        fixture_write(f.index, f.sidecar.data, f.sidecar.len);
        index = sidecar_open(&f);
        assert_false(index_sidecar_state(index).loaded);
        assert_non_null(strstr(index_sidecar_state(index).problem, f.index));
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        index = sidecar_open(&f);
        assert_true(index_sidecar_state(index).loaded);
        assert_null(index_sidecar_state(index).problem);
        index_close(index);
        sidecar_fixture_free(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_flipped_zstd),
            cmocka_unit_test(test_flipped_gzip),
            cmocka_unit_test(test_flipped_lzop),
            cmocka_unit_test(test_flipped_plain),
            cmocka_unit_test(test_truncated_at_every_byte),
            cmocka_unit_test(test_bytes_behind_the_end),
            cmocka_unit_test(test_refused_sidecar_is_replaced),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
