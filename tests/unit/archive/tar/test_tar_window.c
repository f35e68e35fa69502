/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows of headers, read by the scan itself or ahead of it: always the source's bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/tarfile/tar_block.h"
#include "archive/tarfile/tar_window.h"

enum { FILE_SIZE = 20 << 20, WINDOW = 1 << 20 };

/* A file whose bytes tell where they are. What is in [bad, bad + TAR_BLOCK) cannot be read. */
struct counted {
        struct source base;
        _Atomic uint64_t reads, bytes;
        uint64_t bad;
};

static uint8_t byte_at(uint64_t offset)
{
        return (uint8_t)(offset ^ offset >> 8 ^ offset >> 16);
}

static ssize_t counted_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct counted *c = (struct counted *)s;
        uint8_t *out = buf;

        if (offset >= s->size)
                return 0;
        if (len > s->size - offset)
                len = (size_t)(s->size - offset);
        if (offset < c->bad + TAR_BLOCK && c->bad < offset + len)
                return -EIO;
        for (size_t i = 0; i < len; i++)
                out[i] = byte_at(offset + i);
        c->reads++;
        c->bytes += len;
        return (ssize_t)len;
}

static const struct source_ops counted_ops = {
    .name = "counted", .pread = counted_pread, .is_file = true};

static const struct source_ops stream_ops = {.name = "stream", .pread = counted_pread};

static struct counted file(void)
{
        return (struct counted){.base = {.ops = &counted_ops, .size = FILE_SIZE},
                                .bad = UINT64_MAX / 2};
}

/* Is the header at POS there? Then it is right. */
static bool get(struct tar_window *w, uint64_t pos)
{
        unsigned char block[TAR_BLOCK];

        tar_window_expect(w, pos);
        if (!tar_window_get(w, pos, block))
                return false;
        for (size_t i = 0; i < TAR_BLOCK; i++)
                assert_int_equal(block[i], byte_at(pos + i));
        return true;
}

/* The shared state with THREADS; 0: there is none. */
static struct shared *threads_of(unsigned threads)
{
        struct shared *s = NULL;
        struct error err;

        if (threads) {
                assert_int_equal(shared_new(1 << 20, threads, &s, &err), 0);
                shared_release(s);
        }
        return s;
}

static void test_small_members_take_few_reads(void **state)
{
        (void)state;
        for (unsigned threads = 0; threads < 3; threads++) {
                struct shared *shared = threads_of(threads);
                struct counted f = file();
                struct tar_window *w = tar_window_new(&f.base, shared);
                uint64_t found = 0;

                for (uint64_t pos = 0; pos < FILE_SIZE; pos += 3 * TAR_BLOCK)
                        found += get(w, pos);
                tar_window_free(w);
                shared_free(shared);
                /* All but the first, which has no other before it. */
                assert_int_equal(found, FILE_SIZE / (3 * TAR_BLOCK));
                assert_in_range(f.reads, FILE_SIZE / WINDOW, FILE_SIZE / WINDOW + 2);
                assert_in_range(f.bytes, 1, FILE_SIZE);
        }
}

static void test_what_is_far_is_not_read(void **state)
{
        struct shared *shared = threads_of(2);
        struct counted f = file();
        struct tar_window *w = tar_window_new(&f.base, shared);

        (void)state;
        for (uint64_t pos = 0; pos < FILE_SIZE; pos += 64 << 10)
                assert_false(get(w, pos));
        assert_int_equal(f.reads, 0);
        /* Two that are near, here and there: a window each, and nothing ahead. */
        for (uint64_t pos = 0; pos < FILE_SIZE; pos += 4 * WINDOW) {
                get(w, pos);
                assert_true(get(w, pos + TAR_BLOCK));
        }
        tar_window_free(w);
        shared_free(shared);
        assert_int_equal(f.reads, FILE_SIZE / (4 * WINDOW));
}

static void test_a_jump_leaves_what_was_read_ahead(void **state)
{
        struct shared *shared = threads_of(2);
        struct counted f = file();
        struct tar_window *w = tar_window_new(&f.base, shared);
        uint64_t pos;

        (void)state;
        for (unsigned round = 0; round < 20; round++) {
                for (pos = 0; pos < 3 * WINDOW + 8 * TAR_BLOCK; pos += 7 * TAR_BLOCK)
                        get(w, pos);
                /* Forward by more than was read ahead, to where no header was. */
                pos = (3 + round % 10) * WINDOW + 5 * TAR_BLOCK;
                get(w, pos);
                assert_true(get(w, pos + TAR_BLOCK));
                assert_true(get(w, pos + 9 * TAR_BLOCK));
        }
        tar_window_free(w);
        shared_free(shared);
}

static void test_what_cannot_be_read_has_to_be_read_alone(void **state)
{
        (void)state;
        for (unsigned threads = 0; threads < 3; threads++) {
                struct shared *shared = threads_of(threads);
                struct counted f = file();
                struct tar_window *w = tar_window_new(&f.base, shared);

                f.bad = 3 * WINDOW + 10 * TAR_BLOCK;
                for (uint64_t pos = 0; pos < f.bad - WINDOW; pos += TAR_BLOCK)
                        assert_true(get(w, pos) || pos == 0);
                assert_false(get(w, f.bad));
                for (uint64_t pos = f.bad + TAR_BLOCK; pos < FILE_SIZE; pos += 2 * TAR_BLOCK)
                        assert_true(get(w, pos));
                /* Past the end there is nothing. */
                assert_false(get(w, FILE_SIZE));
                assert_false(get(w, UINT64_MAX - 10));
                tar_window_free(w);
                shared_free(shared);
        }
}

static void test_a_stream_has_no_windows(void **state)
{
        struct counted f = file();

        (void)state;
        f.base.ops = &stream_ops;
        assert_null(tar_window_new(&f.base, NULL));
        tar_window_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_small_members_take_few_reads),
            cmocka_unit_test(test_what_is_far_is_not_read),
            cmocka_unit_test(test_a_jump_leaves_what_was_read_ahead),
            cmocka_unit_test(test_what_cannot_be_read_has_to_be_read_alone),
            cmocka_unit_test(test_a_stream_has_no_windows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
