/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads that fail at any byte of an archive, and memory that runs out at any request: an error or
 * the right bytes, and afterwards all is well again. With FAULT_STEP=1 every byte is tried, of
 * other numbers every so many'th; FAULT_LOG names a file that is told what was tried.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/pin.h"
#include "tests/fixtures/faults/inject.h"
#include "tests/fixtures/pin_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

enum {
        DISK = 120000,
        READ_DISK = 600000,
        PIECE = 4096,
        MANY = 64 * PIECE, /* of clusters that are neighbours in the archive and not on the disk */
        STEP = 2003,
};

static const char *const kinds[FIXTURE_KINDS] = {"plain", "zstd", "gzip", "lzop"};

/* What came of a number of faults. */
struct tally {
        unsigned tried, refused, failed, unharmed;
};

static void tell(const char *what, enum fixture_kind kind, const struct tally *t)
{
        const char *log = getenv("FAULT_LOG");
        FILE *out = log ? fopen(log, "a") : NULL;

        print_message("%s, %s: %u tried: %u refused, %u errors, %u unharmed, 0 wrong\n", what,
                      kinds[kind], t->tried, t->refused, t->failed, t->unharmed);
        if (!out)
                return;
        fprintf(out, "%s, %s|%u|%u refused, %u with errors, %u unharmed, 0 wrong\n", what,
                kinds[kind], t->tried, t->refused, t->failed, t->unharmed);
        fclose(out);
}

/*
 * As a mount does it: up to MOST bytes at byte AT, as pieces. All that are had are right. Are all?
 */
static bool lend(struct index *index, struct bytes disk, uint64_t at, size_t most)
{
        static uint8_t memory[MANY];
        struct disk *d = index_disk(index, 0);
        size_t len = (size_t)min_u64(most, disk.len - at);
        struct disk_pin pin;
        ssize_t n;

        memset(memory, 0xa5, len);
        n = disk_gather(d, memory, len, at, &pin);
        assert_true(n > 0 || n == -EIO || n == -ENOMEM);
        assert_true(n < 0 || pin_equals(&pin, disk.data + at, (size_t)n));
        disk_unpin(&pin);
        return n == (ssize_t)len;
}

/* Read all of it, in each way. Bytes are right, or an error of one of these kinds. */
static enum outcome read_disk(struct index *index, struct bytes disk)
{
        enum outcome outcome = OUTCOME_RIGHT;
        uint8_t buf[PIECE];
        size_t lent = 0;

        for (uint64_t at = 0; at < disk.len; at += PIECE) {
                ssize_t n;

                lend(index, disk, at, MANY);
                lent += lend(index, disk, at, PIECE);
                n = disk_read(index_disk(index, 0), buf, PIECE, at);
                if (n < 0) {
                        assert_true(n == -EIO || n == -ENOMEM);
                        outcome = OUTCOME_EIO;
                        continue;
                }
                assert_memory_equal(buf, disk.data + at, (size_t)n);
                if ((size_t)n < PIECE && at + (size_t)n < disk.len)
                        outcome = OUTCOME_EIO;
        }
        /* A fault that strikes once may have struck here, and nowhere else. */
        assert_true(outcome != OUTCOME_RIGHT || lent + 1 >= disk.len / PIECE);
        return outcome;
}

/* Open, scan, read. Whatever fails has a code and says why. */
static enum outcome use(const struct sidecar_fixture *f, enum index_sidecar sidecar)
{
        struct index_options options = {
            .sidecar = sidecar, .sidecar_path = f->index, .threads = 2, .cache_bytes = 4 << 20};
        struct error err = {0};
        struct index *index = NULL;
        enum outcome outcome;
        int rc = index_open(f->archive, &options, &index, &err);

        if (rc < 0) {
                assert_null(index);
                assert_int_equal(err.code, -rc);
                assert_true(strlen(err.text) > 0);
                if (inject_struck())
                        assert_int_equal(rc, -ENOMEM);
                return OUTCOME_REFUSED;
        }
        rc = index_scan(index, NULL, &err);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_true(rc == 0 || strlen(err.text) > 0);
        assert_true(index_sealed(index));
        outcome = read_disk(index, f->disk);
        index_close(index);
        return outcome;
}

static void count(struct tally *t, enum outcome outcome)
{
        t->tried++;
        t->refused += outcome == OUTCOME_REFUSED;
        t->failed += outcome == OUTCOME_EIO;
        t->unharmed += outcome == OUTCOME_RIGHT;
}

/* ---- reads ---- */

static uint64_t step(void)
{
        const char *s = getenv("FAULT_STEP");
        uint64_t n = s ? strtoull(s, NULL, 10) : STEP;

        return n ? n : STEP;
}

static struct tally try_reads(const struct sidecar_fixture *f, enum index_sidecar sidecar,
                              enum read_fault fault)
{
        struct bytes archive = fixture_file(f->archive);
        struct tally t = {0};

        for (uint64_t at = 0; at < archive.len; at += step()) {
                inject_read(f->archive, fault, at);
                count(&t, use(f, sidecar));
        }
        inject_nothing();
        assert_int_equal(use(f, sidecar), OUTCOME_RIGHT);
        free(archive.data);
        return t;
}

static void test_reads(void **state)
{
        for (enum fixture_kind kind = 0; kind < FIXTURE_KINDS; kind++) {
                struct sidecar_fixture f;
                struct tally t;

                sidecar_fixture_make(&f, kind, READ_DISK);
                t = try_reads(&f, INDEX_SIDECAR_NONE, READ_FAILS);
                tell("a read of the archive fails", kind, &t);
                /* Only what nobody reads is missed by nobody: after the disk's end, in its block.
                 */
                assert_true(t.refused > 0 && t.unharmed * 50 < t.tried);
                t = try_reads(&f, INDEX_SIDECAR_NONE, READ_ENDS);
                tell("the archive ends early", kind, &t);
                assert_true(t.refused > 0 && t.unharmed * 50 < t.tried);
                t = try_reads(&f, INDEX_SIDECAR_NONE, READ_STOPS);
                tell("a read of the archive stops short", kind, &t);
                assert_int_equal(t.unharmed, t.tried);
                t = try_reads(&f, INDEX_SIDECAR_USE, READ_FAILS);
                tell("a read fails, with a kept index", kind, &t);
                assert_true(t.refused > 0 && t.unharmed * 50 < t.tried);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

/* ---- memory ---- */

/* Each request for memory of USE fails in turn, alone or with all that follow. */
static struct tally try_memory(const struct sidecar_fixture *f, enum index_sidecar sidecar,
                               bool rest)
{
        struct tally t = {0};

        for (uint64_t nth = 1;; nth++) {
                enum outcome outcome;

                inject_no_memory(nth, rest);
                outcome = use(f, sidecar);
                inject_nothing();
                if (!inject_struck()) {
                        assert_int_equal(outcome, OUTCOME_RIGHT);
                        return t;
                }
                count(&t, outcome);
                assert_true(fixture_count(f->dir) <= 2); /* the archive and its index */
        }
}

static void check_memory(enum index_sidecar sidecar, const char *what)
{
        for (enum fixture_kind kind = 0; kind < FIXTURE_KINDS; kind++) {
                struct sidecar_fixture f;
                struct tally t;
                char text[100];

                sidecar_fixture_make(&f, kind, DISK);
                t = try_memory(&f, sidecar, false);
                snprintf(text, sizeof text, "no memory once, %s", what);
                tell(text, kind, &t);
                assert_true(t.refused > 0);
                t = try_memory(&f, sidecar, true);
                snprintf(text, sizeof text, "no memory from then on, %s", what);
                tell(text, kind, &t);
                assert_true(t.refused > 0);
                assert_int_equal(use(&f, INDEX_SIDECAR_USE), OUTCOME_RIGHT);
                sidecar_fixture_free(&f);
        }
}

static void test_memory_while_scanning(void **state)
{
        (void)state;
        check_memory(INDEX_SIDECAR_NONE, "scanning");
}

static void test_memory_while_the_index_is_kept(void **state)
{
        (void)state;
        check_memory(INDEX_SIDECAR_BUILD, "keeping the index");
}

static void test_memory_while_the_index_is_used(void **state)
{
        (void)state;
        check_memory(INDEX_SIDECAR_USE, "using a kept index");
}

/* ---- keeping the index ---- */

/* Scan and keep the index. How often a step that could fail was there is for the caller to find. */
static void keep(const struct sidecar_fixture *f)
{
        char problem[400] = "";

        assert_int_equal(sidecar_build(f, problem, sizeof problem), 0);
        if (inject_struck() && problem[0])
                assert_non_null(strstr(problem, "No space left"));
}

/* A kept index, if there is one, is used; without one all is well too. */
static void check_kept(const struct sidecar_fixture *f, bool kept)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_USE, .sidecar_path = f->index, .threads = 1};
        struct error err = {0};
        struct index *index;

        assert_int_equal(access(f->index, F_OK), kept ? 0 : -1);
        assert_int_equal(index_open(f->archive, &options, &index, &err), 0);
        assert_int_equal(index_sidecar_state(index).loaded, kept);
        assert_null(index_sidecar_state(index).problem);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(read_disk(index, f->disk), OUTCOME_RIGHT);
        index_close(index);
}

/* Each step of keeping an index fails in turn, with an OLD one in its place or without. */
static void test_no_room_at_any_step(void **state)
{
        for (int old = 0; old < 2; old++) {
                struct tally t = {0};
                struct sidecar_fixture f;

                sidecar_fixture_make(&f, FIXTURE_ZSTD, DISK);
                for (uint64_t nth = 1;; nth++) {
                        if (!old)
                                unlink(f.index);
                        inject_step(nth, false);
                        keep(&f);
                        inject_nothing();
                        if (!inject_struck())
                                break;
                        t.tried++;
                        check_kept(&f, access(f.index, F_OK) == 0);
                        assert_true(!old || access(f.index, F_OK) == 0);
                        assert_int_equal(fixture_count(f.dir), 1 + (access(f.index, F_OK) == 0));
                }
                assert_true(t.tried > 5);
                t.unharmed = t.tried;
                tell(old ? "no room for a new index" : "no room for an index", FIXTURE_ZSTD, &t);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

/* Did the child that keeps the index come to the step at which it is killed? */
static bool is_killed(const struct sidecar_fixture *f, uint64_t nth)
{
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
                inject_step(nth, true);
                keep(f);
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        return WIFSIGNALED(status);
}

/* What a killed process leaves goes when the next index is kept. */
static void test_killed_at_any_step(void **state)
{
        for (int old = 0; old < 2; old++) {
                struct tally t = {0};
                struct sidecar_fixture f;

                sidecar_fixture_make(&f, FIXTURE_GZIP, DISK);
                for (uint64_t nth = 1;; nth++) {
                        if (!old)
                                unlink(f.index);
                        if (!is_killed(&f, nth))
                                break;
                        t.tried++;
                        assert_true(!old || access(f.index, F_OK) == 0);
                        check_kept(&f, access(f.index, F_OK) == 0);
                        keep(&f);
                        assert_int_equal(fixture_count(f.dir), 2);
                }
                assert_true(t.tried > 5);
                t.unharmed = t.tried;
                tell(old ? "killed while keeping a new index" : "killed while keeping an index",
                     FIXTURE_GZIP, &t);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_reads),
            cmocka_unit_test(test_memory_while_scanning),
            cmocka_unit_test(test_memory_while_the_index_is_kept),
            cmocka_unit_test(test_memory_while_the_index_is_used),
            cmocka_unit_test(test_no_room_at_any_step),
            cmocka_unit_test(test_killed_at_any_step),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
