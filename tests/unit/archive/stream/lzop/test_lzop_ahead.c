/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pass over lzop that decodes everything finds the same with many threads as with one, whatever
 * the archive holds, and wherever it is damaged.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/faults/inject.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fixtures/threads_fixture.h"

/* The first MiB of a member is decoded without looking ahead. */
enum { BLOCK = 256 << 10, ALONE = 4, PIECE = 64 << 10 };

static struct source *open_lzop(struct source *take_in, unsigned threads, bool skip)
{
        const struct stream_options o = {.threads = threads, .skip = skip};

        return decoded_open(&lzop_codec, take_in, &o);
}

static void check_same_passage(const struct passage *a, const struct passage *b)
{
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->damages, b->damages);
        for (size_t i = 0; i < a->damages; i++) {
                const struct error *p = &a->errors[i], *q = &b->errors[i];

                assert_int_equal(p->offset, q->offset);
                assert_string_equal(p->text, q->text);
        }
        for (size_t i = 0; i < a->count; i++) {
                assert_int_equal(a->lost[i].start, b->lost[i].start);
                assert_int_equal(a->lost[i].end, b->lost[i].end);
        }
}

static void check_same_bytes(struct source *a, struct source *b, uint64_t len)
{
        static uint8_t p[PIECE], q[PIECE];

        for (uint64_t at = 0; at < len; at += PIECE) {
                ssize_t n = source_pread(a, p, PIECE, at);

                assert_int_equal(source_pread(b, q, PIECE, at), n);
                if (n > 0)
                        assert_memory_equal(p, q, (size_t)n);
        }
}

/* Returns how often the pass was stopped. */
static size_t check_same(struct bytes z, uint64_t plain_len)
{
        static const unsigned threads[] = {2, 8};
        static struct passage by_one, by_many;
        struct source *alone = open_lzop(fixture_source(z.data, z.len), 1, false);

        decoded_pass(alone, &by_one);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                struct source *s = open_lzop(fixture_source(z.data, z.len), threads[i], false);

                decoded_pass(s, &by_many);
                check_same_passage(&by_one, &by_many);
                decoded_expect_same_table(alone, s);
                check_same_bytes(alone, s, plain_len);
                assert_int_equal(s->size, alone->size);
                source_close(s);
        }
        source_close(alone);
        return by_one.damages;
}

static void check_sound(struct bytes plain, const char *command)
{
        struct bytes z = fixture_pipe(plain, command);
        struct source *s;
        static uint8_t buf[PIECE];
        uint64_t end;

        assert_int_equal(check_same(z, plain.len), 0);
        s = open_lzop(fixture_source(z.data, z.len), 4, false);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        assert_int_equal(end, plain.len);
        for (uint64_t at = 0; at < plain.len; at += PIECE) {
                size_t n = min_u64(PIECE, plain.len - at);

                assert_int_equal(source_pread(s, buf, PIECE, at), (ssize_t)n);
                assert_memory_equal(buf, plain.data + at, n);
        }
        source_close(s);
        free(z.data);
}

static void test_every_kind(void **state)
{
        static const char *const commands[] = {
            "lzop -c",    "lzop -1 -c", "lzop -7 -c",         "lzop --crc32 -c",
            "lzop -F -c", "lzop -C -c", "lzop --filter=4 -c", "lzop -F --filter=1 -c",
        };
        struct bytes plain = fixture_mixture(6 * MIB + 12345, 1);

        (void)state;
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
                check_sound(plain, commands[i]);
        plain.len = 6 * MIB; /* the last block is a whole one */
        check_sound(plain, "lzop -c");
        free(plain.data);
}

static void test_stored_blocks(void **state)
{
        struct bytes plain = fixture_noise(4 * MIB + 7, 2);

        (void)state;
        check_sound(plain, "lzop -c");
        check_sound(plain, "lzop -F -c");
        free(plain.data);
}

/* The member's end, and what is after it, is met while many blocks are in flight. */
static void test_members_and_padding(void **state)
{
        struct bytes plain = fixture_mixture(3 * MIB + 1, 3);
        struct bytes z = fixture_join(fixture_pipe(plain, "lzop -c"),
                                      fixture_pipe(plain, "lzop --filter=3 -F -c"));

        (void)state;
        z = fixture_join(z, fixture_pipe(plain, "lzop -1 --crc32 -c"));
        z = fixture_join(z, (struct bytes){calloc(1, 5000), 5000});
        assert_int_equal(check_same(z, 3 * plain.len), 0);
        free(plain.data);
        free(z.data);
}

/* With the byte at AT of Z changed. */
static void check_changed(struct bytes z, size_t at, uint64_t plain_len)
{
        z.data[at] ^= 0x21;
        assert_true(check_same(z, plain_len) > 0);
        z.data[at] ^= 0x21;
}

/* The first block that is looked at, those after it, and the last of many. */
static void test_damaged_block(void **state)
{
        static const size_t blocks[] = {0, 3, ALONE, ALONE + 1, 9, 19, 20};
        struct bytes plain = fixture_mixture(5 * MIB + 100, 4);
        struct bytes z = fixture_pipe(plain, "lzop -c");

        (void)state;
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
                size_t at = fixture_lzop_block(z, blocks[i]);

                check_changed(z, at + 1, plain.len);  /* its length */
                check_changed(z, at + 6, plain.len);  /* that of its data */
                check_changed(z, at + 9, plain.len);  /* its checksum */
                check_changed(z, at + 40, plain.len); /* its data */
        }
        free(plain.data);
        free(z.data);
}

static void test_many_damaged_blocks(void **state)
{
        struct bytes plain = fixture_mixture(9 * MIB, 5);
        struct bytes z = fixture_pipe(plain, "lzop -c");

        (void)state;
        for (size_t i = 7; i < 32; i += 3)
                z.data[fixture_lzop_block(z, i) + 50] ^= 1;
        assert_int_equal(check_same(z, plain.len), 9);
        free(plain.data);
        free(z.data);
}

static void test_truncation(void **state)
{
        struct bytes plain = fixture_mixture(3 * MIB, 6);
        struct bytes z = fixture_pipe(plain, "lzop -c");

        (void)state;
        for (size_t i = ALONE; i < 12; i += 3) {
                size_t at = fixture_lzop_block(z, i);

                for (size_t n = 0; n < 16; n += 5)
                        assert_int_equal(check_same((struct bytes){z.data, at + n}, plain.len), 1);
                assert_int_equal(check_same((struct bytes){z.data, at + 5000}, plain.len), 1);
        }
        free(plain.data);
        free(z.data);
}

/* A medium with a page that cannot be read, and who has read how much of it. */
struct medium {
        struct source base;
        struct bytes z;
        uint64_t bad; /* the page; UINT64_MAX: none */
        _Atomic unsigned readers;
        bool at_once; /* two have read at the same time */
        _Atomic uint64_t bytes;
};

static ssize_t medium_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct medium *m = (struct medium *)s;

        if (m->readers++ > 0)
                m->at_once = true;
        m->bytes += len;
        memcpy(buf, m->z.data + offset, len);
        m->readers--;
        return offset < m->bad + 4096 && offset + len > m->bad ? -EIO : (ssize_t)len;
}

static void medium_close(struct source *s)
{
        (void)s; /* the test's */
}

static const struct source_ops medium_ops = {
    .name = "file", .pread = medium_pread, .close = medium_close};

static struct medium make_medium(struct bytes z, uint64_t bad)
{
        return (struct medium){.base = {.ops = &medium_ops, .size = z.len}, .z = z, .bad = bad};
}

static void test_page_that_cannot_be_read(void **state)
{
        static struct passage by_one, by_many;
        struct bytes plain = fixture_mixture(4 * MIB, 7);
        struct bytes z = fixture_pipe(plain, "lzop -c");

        (void)state;
        for (size_t i = ALONE; i < 16; i += 3) {
                uint64_t bad = fixture_lzop_block(z, i) / 4096 * 4096;
                struct medium m = make_medium(z, bad), n = make_medium(z, bad);
                struct source *alone = open_lzop(&m.base, 1, false);
                struct source *s = open_lzop(&n.base, 4, false);

                decoded_pass(alone, &by_one);
                decoded_pass(s, &by_many);
                assert_true(by_many.damages > 0);
                check_same_passage(&by_one, &by_many);
                decoded_expect_same_table(alone, s);
                source_close(s);
                source_close(alone);
        }
        free(plain.data);
        free(z.data);
}

/* The file is read once, from front to end. */
static void test_reads_as_one_thread_does(void **state)
{
        struct bytes plain = fixture_mixture(16 * MIB, 8);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        struct medium m = make_medium(z, UINT64_MAX / 2);
        static struct passage passage;
        struct source *s;

        (void)state;
        s = open_lzop(&m.base, 4, false);
        decoded_pass(s, &passage);
        assert_int_equal(passage.damages, 0);
        assert_false(m.at_once);
        assert_in_range(m.bytes, z.len, z.len + z.len / 8);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_a_walk_does_not_look_ahead(void **state)
{
        struct bytes plain = fixture_mixture(16 * MIB, 9);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        struct medium alone = make_medium(z, UINT64_MAX / 2), m = alone;
        static struct passage passage;
        struct source *s;

        (void)state;
        s = open_lzop(&alone.base, 1, true);
        decoded_pass(s, &passage);
        source_close(s);
        s = open_lzop(&m.base, 4, true);
        decoded_pass(s, &passage);
        source_close(s);
        assert_in_range(m.bytes, alone.bytes, alone.bytes + 1000);
        assert_true(m.bytes < z.len / 4);
        free(plain.data);
        free(z.data);
}

/* Closed while blocks are in flight. */
static void test_closing_in_the_middle(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB, 10);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        uint64_t end;

        (void)state;
        for (uint64_t to = MIB; to < plain.len; to += 100000) {
                struct source *s = open_lzop(fixture_source(z.data, z.len), 5, false);

                assert_int_equal(source_reach(s, to, &end, NULL), 0);
                decoded_expect(s, plain, to - 1000, 1000);
                source_close(s);
        }
        free(plain.data);
        free(z.data);
}

/*
 * A block that is too large for a segment: what is after its first one is decoded from the
 * stream's beginning on, by whoever reads it, over many blocks that could be looked at ahead.
 */
static void test_segment_that_nobody_can_enter(void **state)
{
        enum { LARGE = 40 << 20 };
        const struct stream_options o = {.threads = 4, .cache_bytes = 1}; /* nothing is kept */
        struct bytes plain = fixture_mixture(4 * MIB, 13), large = fixture_noise(LARGE, 14);
        struct bytes z = fixture_pipe(plain, "lzop -F -c");
        static const uint8_t lengths[] = {2, 0x80, 0, 0, 2, 0x80, 0, 0}; /* LARGE, stored */
        struct bytes header = {malloc(sizeof lengths), sizeof lengths};
        struct bytes end_mark = {calloc(1, 4), 4};
        static uint8_t buf[PIECE];
        uint64_t end, at = plain.len + LARGE - PIECE;
        struct source *s;

        (void)state;
        memcpy(header.data, lengths, sizeof lengths);
        z.len -= 4;
        z = fixture_join(fixture_join(z, header), fixture_join(large, end_mark));
        s = decoded_open(&lzop_codec, fixture_source(z.data, z.len), &o);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        assert_int_equal(end, plain.len + LARGE);
        assert_int_equal(source_pread(s, buf, PIECE, at), PIECE);
        assert_memory_equal(buf, z.data + z.len - 4 - PIECE, PIECE);
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* How many threads a pass with THREADS has begun by its end. */
static unsigned threads_of_a_pass(struct bytes z, unsigned threads, bool release)
{
        const struct stream_options o = {.threads = threads};
        unsigned before = threads_count(), n;
        struct source *s;
        uint64_t end;

        assert_int_equal(stream_open(&lzop_codec, fixture_source(z.data, z.len), &o, &s, NULL), 0);
        if (release)
                stream_release(s);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        n = threads_count() - before;
        source_close(s);
        return n;
}

static void test_threads(void **state)
{
        struct bytes plain = fixture_mixture(4 * MIB, 11);
        struct bytes z = fixture_pipe(plain, "lzop -c");

        (void)state;
        assert_int_equal(threads_of_a_pass(z, 1, true), 0);
        assert_int_equal(threads_of_a_pass(z, 4, false), 0);
        assert_int_equal(threads_of_a_pass(z, 4, true), 4);
        free(plain.data);
        free(z.data);
}

/* Each request for memory fails in turn, alone or with all that follow. */
static void test_memory(void **state)
{
        struct bytes plain = fixture_mixture(3 * MIB, 12);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        const struct stream_options o = {.threads = 3};
        unsigned refused = 0, unharmed = 0;
        bool struck = true;

        (void)state;
        for (uint64_t nth = 1; struck; nth++) {
                for (int rest = 0; rest < 2; rest++) {
                        struct source *in = fixture_source(z.data, z.len), *s;
                        uint64_t end = 0;
                        int rc;

                        inject_no_memory(nth, rest);
                        rc = stream_open(&lzop_codec, in, &o, &s, NULL);
                        if (rc == 0) {
                                stream_release(s);
                                rc = source_reach(s, UINT64_MAX, &end, NULL);
                                source_close(s);
                        }
                        inject_nothing();
                        struck = inject_struck();
                        assert_true(rc == 0 || (struck && rc == -ENOMEM));
                        assert_int_equal(rc == 0 ? end : plain.len, plain.len);
                        refused += rc < 0;
                        unharmed += rc == 0;
                }
        }
        assert_true(refused > 10 && unharmed > 2);
        free(plain.data);
        free(z.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_kind),
            cmocka_unit_test(test_stored_blocks),
            cmocka_unit_test(test_members_and_padding),
            cmocka_unit_test(test_damaged_block),
            cmocka_unit_test(test_many_damaged_blocks),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_page_that_cannot_be_read),
            cmocka_unit_test(test_reads_as_one_thread_does),
            cmocka_unit_test(test_a_walk_does_not_look_ahead),
            cmocka_unit_test(test_closing_in_the_middle),
            cmocka_unit_test(test_segment_that_nobody_can_enter),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
