/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of a source all at once: the right bytes in few reads, or an error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "tests/fixtures/faults/inject.h"
#include "tests/fixtures/stream_fixture.h"

enum {
        SIZE = 40000,
        PIECES = 200,
        ROOM = 256,    /* in memory for each piece … */
        UNTOUCHED = 7, /* … and what is there as long as nothing is read into it */
        TOGETHER = 64, /* pieces that one read takes */
};

struct fixture {
        int fd; /* of a file in memory */
        char path[64];
        struct bytes content;
        struct source *source;
        struct source_piece pieces[PIECES];
        size_t count;
        uint8_t memory[PIECES][ROOM];
};

static int set_up(void **state)
{
        /* So long before it is opened that the clock, which ticks, shows a write after that. */
        static const struct timespec ticks = {.tv_nsec = 30000000};
        struct fixture *f = calloc(1, sizeof *f);
        struct error err = {0};

        assert_non_null(f);
        f->content = fixture_noise(SIZE, 3);
        f->fd = memfd_create("pieces", MFD_CLOEXEC);
        assert_int_equal(pwrite(f->fd, f->content.data, SIZE, 0), SIZE);
        nanosleep(&ticks, NULL);
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
        if (source_open_file(f->path, &f->source, &err) < 0)
                fail_msg("%s", err.text);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        inject_nothing();
        source_close(f->source);
        close(f->fd);
        free(f->content.data);
        free(f);
        return 0;
}

static void no_pieces(struct fixture *f)
{
        f->count = 0;
        memset(f->memory, UNTOUCHED, sizeof f->memory);
}

/* LEN bytes at OFFSET into the memory number PLACE. */
static void want_at(struct fixture *f, uint64_t offset, size_t len, size_t place)
{
        assert_true(len < ROOM && f->count < PIECES && place < PIECES);
        f->pieces[f->count++] = (struct source_piece){offset, f->memory[place], len};
}

/* Memory far from that of the piece before, and in another order. */
static void want(struct fixture *f, uint64_t offset, size_t len)
{
        want_at(f, offset, len, (f->count * 77 + 5) % PIECES);
}

/* COUNT pieces of LEN bytes from OFFSET on, each after the one before. */
static void want_neighbours(struct fixture *f, uint64_t offset, size_t len, size_t count)
{
        for (size_t i = 0; i < count; i++)
                want(f, offset + i * len, len);
}

/* Each piece has its bytes, as SOURCE has them from BASE of the content on, and no byte more. */
static void check_gathered(struct fixture *f, struct source *source, uint64_t base)
{
        struct source_piece wanted[PIECES];

        memcpy(wanted, f->pieces, sizeof wanted);
        assert_int_equal(source_gather(source, f->pieces, f->count), 0);
        for (size_t i = 0; i < f->count; i++) {
                const struct source_piece *p = &wanted[i];
                const uint8_t *end = (const uint8_t *)p->buf + p->len;

                assert_memory_equal(p->buf, f->content.data + base + p->offset, p->len);
                assert_int_equal(*end, UNTOUCHED);
        }
}

static void check_reads(struct fixture *f, uint64_t reads)
{
        uint64_t before = inject_reads();

        check_gathered(f, f->source, 0);
        assert_int_equal(inject_reads() - before, reads);
}

static void check_fails(struct fixture *f, int rc)
{
        assert_int_equal(source_gather(f->source, f->pieces, f->count), rc);
}

/* ---- what is right ---- */

/* Neighbours, some that overlap or are the same, and an empty one. */
static void want_varied(struct fixture *f)
{
        no_pieces(f);
        want_neighbours(f, 5000, 100, 5);
        want(f, 0, 1);
        want(f, SIZE - 200, 200);
        want(f, 5100, 100);
        want(f, 5150, 200);
        want(f, 9000, 0);
        want(f, 9000, 33);
        want_neighbours(f, 20000, 7, 20);
}

static void test_pieces_in_any_order(void **state)
{
        struct fixture *f = *state;
        uint64_t seed = 1;

        for (unsigned round = 0; round < 500; round++) {
                want_varied(f);
                for (size_t i = f->count - 1; i > 0; i--) {
                        size_t other = (size_t)(fixture_random(&seed) % (i + 1));
                        struct source_piece p = f->pieces[i];

                        f->pieces[i] = f->pieces[other];
                        f->pieces[other] = p;
                }
                check_gathered(f, f->source, 0);
        }
}

static void test_neighbours_are_one_read(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 10);
        check_reads(f, 1);
}

/* Although other pieces, which are elsewhere in the file, were asked for between them. */
static void test_neighbours_in_any_order_are_one_read(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want(f, 1200, 100);
        want(f, 30000, 50);
        want(f, 1100, 100);
        want(f, 1000, 100);
        want(f, 30050, 50);
        check_reads(f, 2);
}

/* Not what lies between is read, nor anything twice in one read. */
static void test_others_are_reads_of_their_own(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want(f, 1000, 100);
        want(f, 1101, 100);
        want(f, 1200, 100);
        check_reads(f, 3);
}

static void test_more_neighbours_than_one_read_takes(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 77, 150, TOGETHER);
        check_reads(f, 1);
        no_pieces(f);
        want_neighbours(f, 77, 150, TOGETHER + 1);
        check_reads(f, 2);
        no_pieces(f);
        want_neighbours(f, 77, 150, PIECES);
        check_reads(f, PIECES / TOGETHER + 1);
}

static void test_no_pieces_at_all(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        check_reads(f, 0);
}

/* Signals do that; the rest is read then. */
static void test_reads_that_stop_short(void **state)
{
        struct fixture *f = *state;

        for (uint64_t at = 995; at < 1405; at++) {
                inject_read(f->path, READ_STOPS, at);
                no_pieces(f);
                want_neighbours(f, 1000, 100, 4);
                check_gathered(f, f->source, 0);
        }
}

/* ---- errors ---- */

static void check_behind_the_end(struct fixture *f, uint64_t offset, size_t len)
{
        uint64_t before = inject_reads();

        no_pieces(f);
        want(f, 0, 10);
        want(f, offset, len);
        want(f, 10, 10);
        check_fails(f, -EIO);
        assert_int_equal(inject_reads(), before);
}

static void test_behind_the_end(void **state)
{
        struct fixture *f = *state;

        check_behind_the_end(f, SIZE - 9, 10);
        check_behind_the_end(f, SIZE, 1);
        check_behind_the_end(f, SIZE + 1, 0);
        check_behind_the_end(f, UINT64_MAX, 2);
}

/* As a block device can that has become smaller, of which fstat says nothing. */
static void test_the_end_comes_early(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 4);
        for (uint64_t at = 1000; at < 1400; at++) {
                inject_read(f->path, READ_ENDS, at);
                check_fails(f, -EIO);
        }
        inject_read(f->path, READ_ENDS, 1400);
        check_gathered(f, f->source, 0);
}

static void test_a_read_fails(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want(f, 3000, 100);
        want_neighbours(f, 1000, 100, 4);
        for (uint64_t at = 1000; at < 1400; at++) {
                inject_read(f->path, READ_FAILS, at);
                check_fails(f, -EIO);
        }
        inject_read(f->path, READ_FAILS, 1400);
        check_gathered(f, f->source, 0);
        inject_read(f->path, READ_FAILS, 3050);
        check_fails(f, -EIO);
}

/* The bytes that were asked for are as they were, but nobody can know that. */
static void test_written_to(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 4);
        check_gathered(f, f->source, 0);
        assert_int_equal(pwrite(f->fd, "x", 1, 20000), 1);
        check_fails(f, -ESTALE);
        assert_int_equal(source_check(f->source, NULL), -ESTALE);
}

static void test_cut_behind_the_pieces(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 4);
        assert_int_equal(ftruncate(f->fd, SIZE - 1), 0);
        check_fails(f, -EIO);
        assert_int_equal(source_check(f->source, NULL), -EIO);
}

static void test_cut_in_a_piece(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 4);
        assert_int_equal(ftruncate(f->fd, 1250), 0);
        check_fails(f, -EIO);
}

/* A read that fails for that must not hide what the reason is. */
static void test_cut_and_written_to(void **state)
{
        struct fixture *f = *state;

        no_pieces(f);
        want_neighbours(f, 1000, 100, 4);
        assert_int_equal(ftruncate(f->fd, 0), 0);
        assert_int_equal(pwrite(f->fd, f->content.data, SIZE, 0), SIZE);
        inject_read(f->path, READ_FAILS, 1100);
        check_fails(f, -ESTALE);
}

/* ---- other sources than files ---- */

static void test_a_slice(void **state)
{
        struct fixture *f = *state;
        struct source *slice;

        assert_int_equal(source_open_slice(f->source, 300, 1000, &slice), 0);
        no_pieces(f);
        want(f, 800, 200);
        want(f, 0, 100);
        want(f, 100, 100);
        check_gathered(f, slice, 300);
        want(f, 999, 2);
        assert_int_equal(source_gather(slice, f->pieces, f->count), -EIO);
        source_close(slice);
}

/* As in the file itself, which a slice of a slice lies in all the same. */
static void test_neighbours_in_a_slice_are_one_read(void **state)
{
        struct fixture *f = *state;
        struct source *outer, *slice;
        uint64_t before;

        assert_int_equal(source_open_slice(f->source, 100, 20000, &outer), 0);
        assert_int_equal(source_open_slice(outer, 200, 1000, &slice), 0);
        assert_true(source_is_file(slice));
        no_pieces(f);
        want_neighbours(f, 500, 100, 5);
        before = inject_reads();
        check_gathered(f, slice, 300);
        assert_int_equal(inject_reads() - before, 1);
        for (size_t i = 0; i < f->count; i++)
                assert_true(f->pieces[i].offset >= 500 && f->pieces[i].offset < 1000);
        source_close(slice);
        source_close(outer);
}

static void test_a_slice_of_what_was_written_to(void **state)
{
        struct fixture *f = *state;
        struct source *slice;

        assert_int_equal(source_open_slice(f->source, 300, 1000, &slice), 0);
        no_pieces(f);
        want(f, 100, 100);
        want(f, 0, 100);
        assert_int_equal(pwrite(f->fd, "x", 1, 20000), 1);
        assert_int_equal(source_gather(slice, f->pieces, f->count), -ESTALE);
        source_close(slice);
}

/* The pieces after that can be had all the same. */
static void test_a_slice_of_what_cannot_be_read(void **state)
{
        struct fixture *f = *state;
        struct source *slice;

        assert_int_equal(source_open_slice(f->source, 300, 1000, &slice), 0);
        no_pieces(f);
        want_neighbours(f, 0, 100, 4);
        inject_read(f->path, READ_FAILS, 450);
        assert_int_equal(source_gather(slice, f->pieces, f->count), -EIO);
        source_close(slice);
}

static void test_another_source(void **state)
{
        struct fixture *f = *state;
        struct source *memory = fixture_source(f->content.data, SIZE);

        want_varied(f);
        check_gathered(f, memory, 0);
        want(f, SIZE, 1);
        assert_int_equal(source_gather(memory, f->pieces, f->count), -EIO);
        source_close(memory);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            with_file(test_pieces_in_any_order),
            with_file(test_neighbours_are_one_read),
            with_file(test_neighbours_in_any_order_are_one_read),
            with_file(test_others_are_reads_of_their_own),
            with_file(test_more_neighbours_than_one_read_takes),
            with_file(test_no_pieces_at_all),
            with_file(test_reads_that_stop_short),
            with_file(test_behind_the_end),
            with_file(test_the_end_comes_early),
            with_file(test_a_read_fails),
            with_file(test_written_to),
            with_file(test_cut_behind_the_pieces),
            with_file(test_cut_in_a_piece),
            with_file(test_cut_and_written_to),
            with_file(test_a_slice),
            with_file(test_neighbours_in_a_slice_are_one_read),
            with_file(test_a_slice_of_what_was_written_to),
            with_file(test_a_slice_of_what_cannot_be_read),
            with_file(test_another_source),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
