/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether an index is of the archive as it is now. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { LEN = 7 * 1024 * 1024 + 1536, OTHER = 12345 };

/* A clock tick must lie between two changes that are to be told apart. */
static void let_time_pass(void)
{
        static const struct timespec ticks = {.tv_nsec = 30000000};

        nanosleep(&ticks, NULL);
}

static struct sidecar_fixture begin(enum fixture_kind kind)
{
        struct sidecar_fixture f;

        sidecar_fixture_make(&f, kind, LEN);
        let_time_pass();
        return f;
}

/* Is the index used, or refused with PROBLEM (NULL: without a word)? All bytes are right. */
static void expect(const struct sidecar_fixture *f, bool used, const char *problem)
{
        struct index *index = sidecar_open(f);
        struct index_sidecar_state state;

        assert_non_null(index);
        state = index_sidecar_state(index);
        assert_int_equal(state.loaded, used);
        if (problem)
                assert_non_null(strstr(state.problem, problem));
        else
                assert_null(state.problem);
        assert_int_equal(index_scan(index, NULL, NULL), 0);
        assert_int_equal(sidecar_read(index, f->disk), OUTCOME_RIGHT);
        index_close(index);
}

/* Nothing of it changes but its ctime. */
static void test_a_plain_archive_must_not_be_touched(void **state)
{
        struct sidecar_fixture f = begin(FIXTURE_PLAIN);
        (void)state;

        expect(&f, true, NULL);
        assert_int_equal(chmod(f.archive, 0600), 0);
        expect(&f, false, "the archive was written to");
        sidecar_fixture_free(&f);
}

static void test_a_copy_of_a_plain_archive_is_another(void **state)
{
        struct sidecar_fixture f = begin(FIXTURE_PLAIN);
        char command[500];
        (void)state;

        snprintf(command, sizeof command, "cp -p %s %s.copy && mv %s.copy %s", f.archive, f.archive,
                 f.archive, f.archive);
        assert_int_equal(system(command), 0);
        expect(&f, false, "the archive was written to");
        sidecar_fixture_free(&f);
}

/* Each segment has its hash. */
static void test_a_compressed_archive_may_be_moved(void **state)
{
        for (int kind = FIXTURE_ZSTD; kind < FIXTURE_KINDS; kind++) {
                struct sidecar_fixture f = begin((enum fixture_kind)kind);
                char moved[110];

                snprintf(moved, sizeof moved, "%s.moved", f.archive);
                assert_int_equal(chmod(f.archive, 0600), 0);
                assert_int_equal(rename(f.archive, moved), 0);
                assert_int_equal(rename(moved, f.archive), 0);
                expect(&f, true, NULL);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

static void test_an_archive_keeps_its_index_with_its_owner(void **state)
{
        (void)state;
        if (geteuid() != 0) {
                fprintf(stderr, "needs root\n");
                skip();
        }
        for (int kind = 0; kind < FIXTURE_KINDS; kind++) {
                struct sidecar_fixture f = begin((enum fixture_kind)kind);

                assert_int_equal(chown(f.archive, OTHER, OTHER), 0);
                expect(&f, false, "the archive belonged to user 0");
                sidecar_fixture_free(&f);
        }
}

/* As versions before this one have left it. */
static void test_without_a_stamp_a_plain_archive_is_scanned(void **state)
{
        for (int kind = 0; kind < FIXTURE_KINDS; kind++) {
                struct sidecar_fixture f = begin((enum fixture_kind)kind);
                struct bytes b = fixture_copy(f.sidecar);

                assert_int_equal(load_le32(b.data + SC_STAMP), SC_HEADER);
                store_le32(b.data + SC_STAMP, 0);
                sidecar_seal(&b);
                fixture_write(f.index, b.data, b.len);
                expect(&f, kind != FIXTURE_PLAIN, NULL);
                free(b.data);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

static void test_a_stamp_is_within_the_file(void **state)
{
        struct sidecar_fixture f = begin(FIXTURE_ZSTD);
        const uint32_t at[] = {1, SC_HEADER - 1, (uint32_t)f.sidecar.len - 39,
                               (uint32_t)f.sidecar.len, UINT32_MAX};
        (void)state;

        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                struct bytes b = fixture_copy(f.sidecar);

                store_le32(b.data + SC_STAMP, at[i]);
                sidecar_seal(&b);
                assert_int_equal(sidecar_outcome(&f, b.data, b.len), OUTCOME_REFUSED);
                free(b.data);
        }
        sidecar_fixture_free(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_plain_archive_must_not_be_touched),
            cmocka_unit_test(test_a_copy_of_a_plain_archive_is_another),
            cmocka_unit_test(test_a_compressed_archive_may_be_moved),
            cmocka_unit_test(test_an_archive_keeps_its_index_with_its_owner),
            cmocka_unit_test(test_without_a_stamp_a_plain_archive_is_scanned),
            cmocka_unit_test(test_a_stamp_is_within_the_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
