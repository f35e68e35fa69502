/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker decodes ahead of the thread that goes through a stream: not too far, and without anybody
 * noticing anything of it but the time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/stream.h"
#include "archive/workers.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum {
        PLAIN = 48 << 20,
        PIECE = 1 << 20,
        READ_AHEAD = 2 << 20, /* by a codec, of its input, bytes */
};

/* A file that knows how far it was read. */
struct medium {
        struct source base;
        struct bytes z;
        _Atomic uint64_t end;
};

static ssize_t medium_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct medium *m = (struct medium *)s;

        len = offset < m->z.len ? min_u64(len, m->z.len - offset) : 0;
        memcpy(buf, m->z.data + offset, len);
        if (offset + len > m->end)
                m->end = offset + len;
        return (ssize_t)len;
}

static void medium_close(struct source *s)
{
        (void)s; /* the test's */
}

static const struct source_ops medium_ops = {
    .name = "file", .pread = medium_pread, .close = medium_close};

static struct medium make_medium(struct bytes z)
{
        return (struct medium){.base = {.ops = &medium_ops, .size = z.len}, .z = z};
}

/* How far M was read, once nobody reads any more. */
static uint64_t settled(struct medium *m)
{
        uint64_t end = 0;

        for (unsigned calm = 0; calm < 20; calm = m->end == end ? calm + 1 : 0) {
                end = m->end;
                usleep(5000);
        }
        return end;
}

/* It is decoded block by block, and takes about as much as it holds. */
static struct bytes noise_in_blocks(struct bytes plain)
{
        return fixture_pipe(plain, "zstd -q -1 --no-check -c");
}

static uint64_t reach(struct source *s, uint64_t offset)
{
        uint64_t end;

        assert_int_equal(source_reach(s, offset, &end, NULL), 0);
        return end;
}

/* How much more of Z was read than had to be, by a scan that has come to the middle. */
static uint64_t read_ahead(struct bytes z, unsigned threads, size_t cache_bytes, bool nested)
{
        const struct stream_options o = {
            .threads = threads, .cache_bytes = cache_bytes, .withheld = 1, .nested = nested};
        struct medium m = make_medium(z);
        struct source *s = decoded_open(&zstd_codec, &m.base, &o);
        uint64_t end = 0, decoded;

        while (end < PLAIN / 2)
                end = reach(s, end + PIECE);
        end = settled(&m);
        decoded = source_decoded(s);
        source_close(s);
        return end - min_u64(end, decoded);
}

static void test_it_stops_at_its_bound(void **state)
{
        struct bytes plain = fixture_noise(PLAIN, 1), z = noise_in_blocks(plain);
        uint64_t usual = read_ahead(z, 4, 0, false), small = read_ahead(z, 4, 16 * MIB, false);

        (void)state;
        assert_in_range(usual, 0, 8 * MIB + READ_AHEAD);
        assert_in_range(small, 0, 16 * MIB / 4 + READ_AHEAD);
        if (workers_processors() > 1) {
                assert_true(usual > 3 * MIB);
                assert_true(small < usual);
        }
        free(plain.data);
        free(z.data);
}

static void test_one_thread_does_not_decode_ahead(void **state)
{
        struct bytes plain = fixture_noise(PLAIN, 2), z = noise_in_blocks(plain);

        (void)state;
        assert_in_range(read_ahead(z, 1, 0, false), 0, READ_AHEAD);
        assert_in_range(read_ahead(z, 4, 0, true), 0, READ_AHEAD);
        free(plain.data);
        free(z.data);
}

static void test_who_reads_a_header_has_nothing_decoded_ahead(void **state)
{
        struct bytes plain = fixture_noise(PLAIN, 3), z = noise_in_blocks(plain);
        const struct stream_options o = {.threads = 4, .withheld = 1};
        struct medium m = make_medium(z);
        struct source *s = decoded_open(&zstd_codec, &m.base, &o);

        (void)state;
        reach(s, MIB);
        assert_in_range(settled(&m), MIB, MIB + READ_AHEAD);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static int count_damage(void *ctx, uint64_t at, const struct error *why)
{
        (void)at;
        (void)why;
        ++*(unsigned *)ctx;
        return 0;
}

/* The end is missing, and a worker has met that already. */
static void test_damage_ahead_is_told_in_its_turn(void **state)
{
        struct bytes plain = fixture_noise(PLAIN, 4), z = noise_in_blocks(plain);
        const struct stream_options o = {.threads = 4, .withheld = 1};
        struct medium m = make_medium((struct bytes){z.data, PLAIN / 2 + 2 * MIB});
        struct source *s = decoded_open(&zstd_codec, &m.base, &o);
        unsigned damages = 0;
        struct source_observer observer = {.ctx = &damages, .damaged = count_damage};
        struct source_lost_range gap;
        uint64_t end = 0;

        (void)state;
        source_observe(s, &observer);
        while (end < PLAIN / 2)
                end = reach(s, end + PIECE);
        settled(&m);
        assert_int_equal(damages, 0);
        assert_int_equal(source_damage(s, &(struct error){0}), 0);
        assert_false(source_find_lost(s, 0, &gap));
        assert_true(s->size == SOURCE_SIZE_UNKNOWN);
        assert_int_equal(source_pread(s, &(char){0}, 1, end), -EAGAIN);
        decoded_expect(s, plain, end - MIB, MIB);
        reach(s, UINT64_MAX);
        assert_int_equal(damages, 1);
        assert_int_equal(source_damage(s, &(struct error){0}), -EIO);
        assert_in_range(s->size, end, PLAIN / 2 + 2 * MIB);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void check_same_bytes(struct source *a, struct source *b)
{
        static uint8_t p[PIECE], q[PIECE];

        assert_int_equal(a->size, b->size);
        for (uint64_t at = 0; at < a->size; at += PIECE) {
                ssize_t n = source_pread(a, p, PIECE, at);

                assert_int_equal(source_pread(b, q, PIECE, at), n);
                if (n > 0)
                        assert_memory_equal(p, q, (size_t)n);
        }
}

/* Returns how many damages the pass met. */
static size_t check_same(const struct codec_ops *codec, struct bytes z)
{
        static struct passage by_one, by_many;
        const struct stream_options one = {.threads = 1}, many = {.threads = 4};
        struct source *a = decoded_open(codec, fixture_source(z.data, z.len), &one);
        struct source *b = decoded_open(codec, fixture_source(z.data, z.len), &many);

        decoded_pass(a, &by_one);
        decoded_pass(b, &by_many);
        assert_int_equal(by_one.damages, by_many.damages);
        assert_int_equal(by_one.count, by_many.count);
        for (size_t i = 0; i < by_one.count; i++) {
                assert_int_equal(by_one.lost[i].start, by_many.lost[i].start);
                assert_int_equal(by_one.lost[i].end, by_many.lost[i].end);
                assert_int_equal(by_one.lost[i].exact, by_many.lost[i].exact);
        }
        for (size_t i = 0; i < by_one.damages; i++)
                assert_string_equal(by_one.errors[i].text, by_many.errors[i].text);
        decoded_expect_same_table(a, b);
        check_same_bytes(a, b);
        source_close(b);
        source_close(a);
        return by_one.damages;
}

static void test_it_finds_what_one_thread_finds(void **state)
{
        static const struct {
                const struct codec_ops *codec;
                const char *command;
        } packed[] = {{&zstd_codec, "zstd -q -3 -T2 -c"},
                      {&zstd_codec, "zstd -q -1 --rsyncable -T2 --no-check -c"},
                      {&gzip_codec, "gzip -1 -c"},
                      {&lzop_codec, "lzop -c"}};
        struct bytes plain = fixture_mixture(PLAIN, 5);

        (void)state;
        for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
                struct bytes z = fixture_pipe(plain, packed[i].command);

                assert_int_equal(check_same(packed[i].codec, z), 0);
                memset(z.data + z.len / 2, 0x5a, 3000);
                assert_true(check_same(packed[i].codec, z) > 0);
                memset(z.data + z.len / 3 * 2, 0xff, 70000);
                assert_true(check_same(packed[i].codec, z) > 0);
                assert_true(check_same(packed[i].codec, (struct bytes){z.data, z.len / 4 * 3}) > 0);
                free(z.data);
        }
        free(plain.data);
}

static void test_closing_while_a_worker_decodes(void **state)
{
        struct bytes plain = fixture_mixture(PLAIN, 6);
        struct bytes z = fixture_compress(plain, 3, 0, 2, 1);
        const struct stream_options o = {.threads = 4};

        (void)state;
        for (uint64_t at = 8 * MIB; at < PLAIN; at += 5 * MIB + 12345) {
                struct source *s = decoded_open(&zstd_codec, fixture_source(z.data, z.len), &o);

                reach(s, at);
                source_close(s);
        }
        free(plain.data);
        free(z.data);
}

static void check_memory(size_t cache_bytes)
{
        struct bytes plain = fixture_mixture(2 * PLAIN, 7);
        struct bytes z = fixture_compress(plain, 3, 0, 2, 1);
        struct stream_options o = {.withheld = 4 * MIB};
        static uint8_t buf[PIECE];
        struct source *s;
        uint64_t end = 0;

        assert_int_equal(shared_new(cache_bytes, 4, &o.shared, NULL), 0);
        shared_release(o.shared);
        s = decoded_open(&zstd_codec, fixture_source(z.data, z.len), &o);
        for (uint64_t at = 0; s->size == SOURCE_SIZE_UNKNOWN; at += PIECE) {
                end = reach(s, at + PIECE);
                if (end >= at + PIECE)
                        assert_int_equal(source_pread(s, buf, PIECE, at), PIECE);
                assert_in_range(blockcache_bytes(o.shared->cache), 0, cache_bytes);
        }
        source_close(s);
        shared_free(o.shared);
        free(plain.data);
        free(z.data);
}

static void test_memory_stays_within_the_cache(void **state)
{
        (void)state;
        check_memory(48 * MIB);
        check_memory(128 * MIB);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_it_stops_at_its_bound),
            cmocka_unit_test(test_one_thread_does_not_decode_ahead),
            cmocka_unit_test(test_who_reads_a_header_has_nothing_decoded_ahead),
            cmocka_unit_test(test_damage_ahead_is_told_in_its_turn),
            cmocka_unit_test(test_it_finds_what_one_thread_finds),
            cmocka_unit_test(test_closing_while_a_worker_decodes),
            cmocka_unit_test(test_memory_stays_within_the_cache),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
