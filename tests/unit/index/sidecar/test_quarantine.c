/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index whose hashes are right and whose extents cannot be: it is found out when they are
 * needed, and marked so that it is not used again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "index/index.h"
#include "index/sidecar/location.h"
#include "index/verify/audit.h"
#include "index/verify/hashtree.h"
#include "index/verify/record.h"
#include "tests/fixtures/forgery_fixture.h"

enum { NOBODY = 65534, SOMEBODY = 12345 };

static bool is_marked(const char *path)
{
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & S_ISVTX;
}

/* G's index, which may have been made anew, gets extents that cannot be. */
static void forge(struct forgery *g)
{
        free(g->b.data);
        g->b = fixture_file(g->f.index);
        memset(sidecar_extents(&g->b), 0xff, 40);
        sidecar_seal(&g->b);
        fixture_write(g->f.index, g->b.data, g->b.len);
}

static struct forgery begin(enum fixture_kind kind)
{
        struct forgery g = forgery_begin(kind, FORGERY_SMALL);

        forge(&g);
        return g;
}

static struct index *open_used(const struct forgery *g)
{
        struct index *index = sidecar_open(&g->f);

        assert_non_null(index);
        assert_true(index_sidecar_state(index).loaded);
        return index;
}

/* Read with the index of G, which fails. What is said of that is in ERR. */
static void read_in_vain(const struct forgery *g, struct error *err)
{
        struct index *index = open_used(g);

        assert_int_equal(sidecar_read(index, g->f.disk), OUTCOME_EIO);
        assert_true(index_read_failure(index, err));
        index_close(index);
}

/* Open G without its index, which is not used because of WHY, and scan. */
static struct index *open_anew(const struct forgery *g, const char *why)
{
        struct index *index = sidecar_open(&g->f);
        struct error err = {0};

        assert_non_null(index);
        assert_false(index_sidecar_state(index).loaded);
        assert_non_null(strstr(index_sidecar_state(index).problem, why));
        assert_int_equal(index_scan(index, NULL, &err), 0);
        return index;
}

static void expect_made_anew(const struct forgery *g)
{
        struct index *index = open_used(g);

        assert_false(is_marked(g->f.index));
        assert_int_equal(sidecar_read(index, g->f.disk), OUTCOME_RIGHT);
        index_close(index);
}

static void test_it_is_marked_when_a_read_fails(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct error err = {0};
        (void)state;

        read_in_vain(&g, &err);
        assert_true(is_marked(g.f.index));
        assert_int_equal(err.code, EBADMSG);
        assert_non_null(strstr(err.text, g.f.index));
        assert_non_null(strstr(err.text, "is marked"));
        assert_null(strstr(err.text, "delete"));
        forgery_end(&g);
}

static void test_it_is_marked_when_a_seek_fails(void **state)
{
        struct forgery g = begin(FIXTURE_PLAIN);
        struct index *index = open_used(&g);
        uint64_t found;
        (void)state;

        assert_int_equal(disk_next_hole(index_disk(index, 0), 0, &found), 0);
        assert_true(is_marked(g.f.index));
        index_close(index);
        forgery_end(&g);
}

static void test_a_sound_one_is_not_marked(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        (void)state;

        forgery_expect(&g, OUTCOME_RIGHT);
        assert_false(is_marked(g.f.index));
        forgery_end(&g);
}

static void test_the_next_time_another_is_made(void **state)
{
        (void)state;
        for (int kind = FIXTURE_ZSTD; kind <= FIXTURE_LZOP; kind++) {
                struct forgery g = begin((enum fixture_kind)kind);
                struct error err = {0};
                struct index *index;

                read_in_vain(&g, &err);
                index = open_anew(&g, "was found to contradict itself");
                assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
                index_close(index);
                expect_made_anew(&g);
                forgery_end(&g);
        }
}

/* None is kept of a plain archive without being asked for; it is scanned each time. */
static void test_the_next_time_a_plain_archive_is_scanned(void **state)
{
        struct forgery g = begin(FIXTURE_PLAIN);
        char problem[400] = "";
        struct error err = {0};
        (void)state;

        read_in_vain(&g, &err);
        for (int i = 0; i < 2; i++) {
                struct index *index = open_anew(&g, "was found to contradict itself");

                assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
                index_close(index);
        }
        assert_int_equal(sidecar_build(&g.f, problem, sizeof problem), 0);
        assert_string_equal(problem, "");
        expect_made_anew(&g);
        forgery_end(&g);
}

/* What was filled, and what others fill, does not change with the file's mode. */
static void test_those_who_use_it_go_on(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_WIDE);
        struct index *index = open_used(&g);
        (void)state;

        assert_int_equal(chmod(g.f.index, 0600 | S_ISVTX), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_RIGHT);
        index_close(index);
        forgery_end(&g);
}

struct reader {
        struct index *index;
        size_t told, untrue;
};

static void *read_and_ask(void *arg)
{
        struct reader *r = arg;
        uint8_t byte;

        for (int i = 0; i < 200; i++) {
                struct error err = {0};

                r->untrue += disk_read(index_disk(r->index, 0), &byte, 1, 0) != -EIO;
                if (!index_read_failure(r->index, &err))
                        continue; /* another has been told */
                r->told++;
                r->untrue += !strstr(err.text, "is marked");
        }
        return NULL;
}

/* Whoever is told that it is marked is told the truth, whichever thread was the first. */
static void test_many_readers_find_out_at_once(void **state)
{
        enum { READERS = 8 };
        struct forgery g = begin(FIXTURE_PLAIN);
        struct index *index = open_used(&g);
        struct reader readers[READERS];
        pthread_t threads[READERS];
        size_t told = 0;
        (void)state;

        for (size_t i = 0; i < READERS; i++) {
                readers[i] = (struct reader){.index = index};
                assert_int_equal(pthread_create(&threads[i], NULL, read_and_ask, &readers[i]), 0);
        }
        for (size_t i = 0; i < READERS; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(readers[i].untrue, 0);
                told += readers[i].told;
        }
        assert_true(told > 0);
        assert_true(is_marked(g.f.index));
        index_close(index);
        forgery_end(&g);
}

/* ---- the record ---- */

static void keep_record(const struct forgery *g)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_LATER, .sidecar_path = g->f.index, .threads = 1};
        struct error err = {0};
        struct hashtree *t;
        struct record *r;
        struct index *index;

        assert_int_equal(hashtree_new(FORGERY_SMALL, HASHTREE_MEMORY, &t), 0);
        for (uint64_t i = 0; i * HASHTREE_LEAF < FORGERY_SMALL; i++)
                assert_int_equal(hashtree_put_zero(t, i), 0);
        assert_int_equal(record_build(&t, 1, 1700000000, &r), 0);
        assert_int_equal(index_open(g->f.archive, &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        index_keep(index, r);
        assert_null(index_sidecar_state(index).problem);
        index_close(index);
        record_free(r);
        hashtree_free(t);
}

static void expect_record(struct index *index)
{
        struct error err = {0};
        struct record *r = NULL;

        assert_int_equal(index_load_record(index, &r, &err), 0);
        assert_non_null(r);
        assert_int_equal(r->time, 1700000000);
        record_free(r);
}

static void test_its_record_is_taken_over(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct error err = {0};
        struct index *index;
        (void)state;

        keep_record(&g);
        forge(&g);
        read_in_vain(&g, &err);
        index = open_anew(&g, "was found to contradict itself");
        expect_record(index);
        index_close(index);
        expect_made_anew(&g);
        index = open_used(&g);
        expect_record(index);
        index_close(index);
        forgery_end(&g);
}

/* ---- another file, and other failures ---- */

static void test_a_newer_one_of_its_name_is_left_alone(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct index *index = open_used(&g);
        char problem[400] = "";
        (void)state;

        assert_int_equal(sidecar_build(&g.f, problem, sizeof problem), 0);
        assert_string_equal(problem, "");
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        index_close(index);
        expect_made_anew(&g);
        forgery_end(&g);
}

static void test_what_has_its_name_by_a_link_is_left_alone(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct index *index = open_used(&g);
        (void)state;

        assert_int_equal(unlink(g.f.index), 0);
        assert_int_equal(symlink(g.f.archive, g.f.index), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_false(is_marked(g.f.archive));
        index_close(index);
        forgery_end(&g);
}

/* Root reads anybody's index, but without capabilities it changes nobody's mode. */
static void test_one_that_cannot_be_marked_is_to_be_deleted(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct error err = {0};
        struct index *index;
        (void)state;

        if (geteuid() != 0) {
                forgery_end(&g);
                skip();
        }
        index = open_used(&g);
        assert_int_equal(seteuid(NOBODY), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_int_equal(seteuid(0), 0);
        assert_false(is_marked(g.f.index));
        assert_true(index_read_failure(index, &err));
        assert_non_null(strstr(err.text, g.f.index));
        assert_non_null(strstr(err.text, "delete it"));
        index_close(index);
        forgery_end(&g);
}

/* It is found out without a mark when it is opened again. */
static void test_one_that_is_cut_is_not_marked(void **state)
{
        struct forgery g = forgery_begin(FIXTURE_ZSTD, FORGERY_SMALL);
        struct index *index = open_used(&g);
        (void)state;

        assert_int_equal(truncate(g.f.index, SC_HEADER), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_false(is_marked(g.f.index));
        index_close(index);
        index_close(open_anew(&g, "was cut off"));
        expect_made_anew(&g);
        forgery_end(&g);
}

/* Somebody has put a good one there, with cp(1). */
static void test_one_that_is_written_to_is_not_marked(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct index *index = open_used(&g);
        const struct timespec touched[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1700000000}};
        struct error err = {0};
        (void)state;

        fixture_write(g.f.index, g.f.sidecar.data, g.f.sidecar.len);
        assert_int_equal(utimensat(AT_FDCWD, g.f.index, touched, 0), 0);
        assert_int_equal(sidecar_read(index, g.f.disk), OUTCOME_EIO);
        assert_true(index_read_failure(index, &err));
        assert_int_equal(err.code, ESTALE);
        index_close(index);
        expect_made_anew(&g);
        forgery_end(&g);
}

/* ---- verify ---- */

static void test_verify_marks_it(void **state)
{
        struct forgery g = begin(FIXTURE_ZSTD);
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_LATER, .sidecar_path = g.f.index, .threads = 1};
        struct error err = {0};
        struct index *index;
        struct audit audit;
        (void)state;

        assert_int_equal(index_open(g.f.archive, &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(audit_run(index, &audit), 0);
        assert_non_null(strstr(audit.sidecars[LOCATION_OWN].problem, "contradicts itself"));
        assert_false(audit.sidecars[LOCATION_OWN].differs);
        assert_int_equal(audit.count, 0);
        assert_true(is_marked(g.f.index));
        audit_fini(&audit);
        index_close(index);
        forgery_end(&g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_it_is_marked_when_a_read_fails),
            cmocka_unit_test(test_it_is_marked_when_a_seek_fails),
            cmocka_unit_test(test_a_sound_one_is_not_marked),
            cmocka_unit_test(test_the_next_time_another_is_made),
            cmocka_unit_test(test_the_next_time_a_plain_archive_is_scanned),
            cmocka_unit_test(test_those_who_use_it_go_on),
            cmocka_unit_test(test_many_readers_find_out_at_once),
            cmocka_unit_test(test_its_record_is_taken_over),
            cmocka_unit_test(test_a_newer_one_of_its_name_is_left_alone),
            cmocka_unit_test(test_what_has_its_name_by_a_link_is_left_alone),
            cmocka_unit_test(test_one_that_cannot_be_marked_is_to_be_deleted),
            cmocka_unit_test(test_one_that_is_cut_is_not_marked),
            cmocka_unit_test(test_one_that_is_written_to_is_not_marked),
            cmocka_unit_test(test_verify_marks_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
