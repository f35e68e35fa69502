/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/decoder/paused.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream.h"
#include "archive/stream/stream_internal.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/kept_fixture.h"
#include "tests/fixtures/stream_fixture.h"

/* A block may be decoded beyond the part that was asked for. */
#define BEYOND ZSTD_PARSE_BLOCK_MAX

static void test_decode_stops_after_what_was_asked_for(void **state)
{
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        assert_in_range(kept_cost(&k, 100), PART_SIZE, PART_SIZE + BEYOND);
        assert_int_equal(kept_cost(&k, PART_SIZE - 16), 0);
        kept_close(&k);
}

static void test_decoder_goes_on_where_it_has_stopped(void **state)
{
        struct kept k;
        uint64_t len;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        len = k.wide.end - k.wide.point.out;
        kept_cost(&k, 100);
        assert_in_range(kept_cost(&k, 2 * PART_SIZE - 16), PART_SIZE - BEYOND, PART_SIZE + BEYOND);
        kept_cost(&k, len - 16);
        assert_int_equal(stream_work(k.s), len);
        assert_int_equal(kept_cost(&k, 5000), 0);
        kept_close(&k);
}

/* Across what lies in two parts, too. */
static void test_bytes_of_two_parts(void **state)
{
        struct kept k;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, SIZE_MAX);
        assert_in_range(kept_cost(&k, PART_SIZE - 8), 2 * PART_SIZE, 2 * PART_SIZE + BEYOND);
        kept_close(&k);
}

/* Nothing stays paused, but what was decoded may, and the second time all of it is. */
static void test_without_memory_nothing_waits(void **state)
{
        struct kept k;
        uint64_t len;
        (void)state;

        kept_open_zstd(&k, 1, SIZE_MAX);
        len = k.wide.end - k.wide.point.out;
        for (uint64_t at = 0; at + 16 < len; at += MIB / 2)
                assert_in_range(kept_cost(&k, at), 0, len + BEYOND);
        kept_close(&k);
}

static void test_gzip_stops_at_the_byte(void **state)
{
        struct bytes plain = fixture_mixture(40 * MIB, 1);
        struct kept k;
        uint64_t len;
        (void)state;

        kept_open(&k, &gzip_codec, fixture_pipe(plain, "gzip -1"), plain, 64 * MIB, SIZE_MAX);
        len = k.wide.end - k.wide.point.out;
        assert_int_equal(kept_cost(&k, 100), PART_SIZE);
        assert_int_equal(kept_cost(&k, 5000), 0);
        assert_int_equal(kept_cost(&k, 2 * MIB), len);
        kept_close(&k);
}

/* What does not match is an error, and never a byte; what does match before it is still had. */
static void test_part_whose_hash_is_wrong(void **state)
{
        struct kept k;
        uint8_t buf[16];
        (void)state;

        kept_open_zstd(&k, 64 * MIB, 1);
        kept_cost(&k, 100);
        assert_int_equal(source_pread(k.s, buf, sizeof buf, k.wide.point.out + PART_SIZE), -EIO);
        assert_int_equal(source_pread(k.s, buf, sizeof buf, k.wide.end - 16), -EIO);
        assert_int_equal(kept_cost(&k, 5000), 0);
        decoded_expect(k.s, k.plain, k.wide.point.out - 16, 16);
        decoded_expect(k.s, k.plain, k.wide.end, 16);
        kept_close(&k);
}

static void test_first_part_whose_hash_is_wrong(void **state)
{
        struct kept k;
        uint8_t buf[16];
        (void)state;

        kept_open_zstd(&k, 64 * MIB, 0);
        for (uint64_t at = 0; at < 3 * MIB; at += MIB / 2)
                assert_int_equal(source_pread(k.s, buf, sizeof buf, k.wide.point.out + at), -EIO);
        kept_close(&k);
}

/* Also where somebody wanted all of it first, and nothing of it is in the cache. */
static void test_sound_parts_before_a_wrong_one(void **state)
{
        struct kept k;
        size_t len;
        uint8_t *buf;
        (void)state;

        kept_open_zstd(&k, 64 * MIB, 2);
        len = (size_t)(k.wide.end - k.wide.point.out);
        buf = malloc(len);
        assert_non_null(buf);
        assert_int_equal(source_pread(k.s, buf, len, k.wide.point.out), -EIO);
        kept_cost(&k, 100);
        kept_cost(&k, 2 * PART_SIZE - 16);
        assert_int_equal(source_pread(k.s, buf, 16, k.wide.point.out + 2 * PART_SIZE), -EIO);
        assert_int_equal(source_pread(k.s, buf, 16, k.wide.end - 16), -EIO);
        free(buf);
        kept_close(&k);
}

/*
 * A decoder that was not kept, for lack of memory, leaves what it has decoded to the cache: that this
 * ends somewhere says nothing of what follows.
 */
static void test_what_is_sound_before_damage_with_any_memory(void **state)
{
        enum { BAD = 20 };
        (void)state;

        for (size_t cache = 1; cache <= 128 * MIB; cache = cache == 1 ? 4 * MIB : 2 * cache) {
                struct kept k;
                size_t len;
                uint8_t *buf;

                kept_open_zstd(&k, cache, BAD);
                len = (size_t)(k.wide.end - k.wide.point.out);
                buf = malloc(len);
                assert_non_null(buf);
                assert_int_equal(source_pread(k.s, buf, len, k.wide.point.out), -EIO);
                for (uint64_t at = 100; at < BAD * PART_SIZE; at += PART_SIZE)
                        kept_cost(&k, at);
                assert_int_equal(source_pread(k.s, buf, 16, k.wide.point.out + BAD * PART_SIZE),
                                 -EIO);
                for (uint64_t at = 200; at < BAD * PART_SIZE; at += PART_SIZE)
                        kept_cost(&k, at);
                free(buf);
                kept_close(&k);
        }
}

/* More segments are read than decoders are kept. */
static void test_few_decoders_are_kept(void **state)
{
        struct bytes plain = fixture_mixture(48 * MIB, 1);
        struct restart_segment segment;
        struct kept k;
        (void)state;

        kept_open(&k, &zstd_codec, fixture_compress(plain, 3, 0, 1, 1), plain, 16 * MIB, SIZE_MAX);
        for (uint64_t at = 0; at < 2 * MIB; at += MIB / 2)
                for (size_t i = 0; restart_get(stream_table(k.s), i, &segment); i++)
                        decoded_expect(k.s, plain, min_u64(segment.point.out + at, plain.len - 64),
                                       64);
        kept_close(&k);
}

struct reader {
        struct kept *k;
        uint64_t seed;
        unsigned wrong;
};

static void *read_at_random(void *arg)
{
        struct reader *r = arg;
        uint8_t buf[3000];

        for (int i = 0; i < 100; i++) {
                uint64_t at = fixture_random(&r->seed) % (r->k->plain.len - sizeof buf);
                ssize_t n = source_pread(r->k->s, buf, sizeof buf, at);

                r->wrong +=
                    n != (ssize_t)sizeof buf || memcmp(buf, r->k->plain.data + at, sizeof buf) != 0;
        }
        return NULL;
}

static void many_readers(size_t cache)
{
        struct reader readers[6];
        pthread_t threads[6];
        struct kept k;

        kept_open_zstd(&k, cache, SIZE_MAX);
        for (size_t i = 0; i < 6; i++) {
                readers[i] = (struct reader){.k = &k, .seed = i + 1};
                assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &readers[i]), 0);
        }
        for (size_t i = 0; i < 6; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(readers[i].wrong, 0);
        }
        kept_close(&k);
}

static void test_many_readers(void **state)
{
        (void)state;
        many_readers(64 * MIB);
}

/* Whoever loads a segment and whoever stops inside it must not wait for each other's memory. */
static void test_many_readers_with_little_memory(void **state)
{
        (void)state;
        many_readers(6 * MIB);
        many_readers(1);
}

/* All decoders, each held by a thread until it may go on. */
struct crowd {
        struct paused *paused;
        pthread_t threads[PAUSED_MAX];
        pthread_barrier_t all_busy;
        pthread_mutex_t go_on;
};

struct holder {
        struct crowd *crowd;
        size_t number;
};

static void hold_decoder(void *ctx, const uint8_t *data, uint64_t done)
{
        struct crowd *c = ctx;
        (void)data;
        (void)done;

        pthread_barrier_wait(&c->all_busy);
        pthread_mutex_lock(&c->go_on);
        pthread_mutex_unlock(&c->go_on);
}

/* Of a segment that is not there, none of which is decoded. */
static void *take_decoder(void *arg)
{
        struct holder *h = arg;
        struct restart_segment none = {.index = 1000 + h->number,
                                       .point.out = (1000 + h->number) * 8 * MIB,
                                       .end = (1000 + h->number) * 8 * MIB + MIB};

        paused_reach(h->crowd->paused, &none, 0, hold_decoder, h->crowd, NULL, NULL);
        return NULL;
}

struct waiter {
        struct kept *k;
        uint64_t cpu; /* nanoseconds that reading took of a processor */
        bool right;
};

static void *read_before_damage(void *arg)
{
        struct waiter *w = arg;
        uint64_t at = w->k->wide.point.out + 100;
        struct timespec spent;
        uint8_t buf[16];

        w->right = source_pread(w->k->s, buf, sizeof buf, at) == (ssize_t)sizeof buf &&
                   memcmp(buf, w->k->plain.data + at, sizeof buf) == 0;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
        w->cpu = (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
        return NULL;
}

/* The processor time, in nanoseconds, of reading what is sound in a damaged segment. */
static uint64_t cost_before_damage(struct crowd *c, unsigned busy)
{
        const struct timespec while_busy = {.tv_nsec = 700000000};
        struct holder holders[PAUSED_MAX];
        struct waiter waiter;
        pthread_t reader;
        struct kept k;

        kept_open_zstd(&k, 64 * MIB, 2);
        waiter = (struct waiter){.k = &k};
        c->paused = segments_paused(((struct stream *)k.s)->segments);
        pthread_barrier_init(&c->all_busy, NULL, busy + 1);
        pthread_mutex_init(&c->go_on, NULL);
        pthread_mutex_lock(&c->go_on);
        for (size_t i = 0; i < busy; i++) {
                holders[i] = (struct holder){c, i};
                assert_int_equal(pthread_create(&c->threads[i], NULL, take_decoder, &holders[i]),
                                 0);
        }
        pthread_barrier_wait(&c->all_busy);
        assert_int_equal(pthread_create(&reader, NULL, read_before_damage, &waiter), 0);
        nanosleep(&while_busy, NULL);
        pthread_mutex_unlock(&c->go_on);
        for (size_t i = 0; i < busy; i++)
                pthread_join(c->threads[i], NULL);
        pthread_join(reader, NULL);
        pthread_barrier_destroy(&c->all_busy);
        pthread_mutex_destroy(&c->go_on);
        assert_true(waiter.right);
        kept_close(&k);
        return waiter.cpu;
}

/* It waits for a decoder then, and does not ask for one time and again. */
static void test_reader_waits_while_all_decoders_are_busy(void **state)
{
        struct crowd c;
        uint64_t alone = cost_before_damage(&c, 0);

        (void)state;
        assert_in_range(cost_before_damage(&c, PAUSED_MAX), 0, 2 * alone + 350000000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_decode_stops_after_what_was_asked_for),
            cmocka_unit_test(test_decoder_goes_on_where_it_has_stopped),
            cmocka_unit_test(test_bytes_of_two_parts),
            cmocka_unit_test(test_without_memory_nothing_waits),
            cmocka_unit_test(test_gzip_stops_at_the_byte),
            cmocka_unit_test(test_part_whose_hash_is_wrong),
            cmocka_unit_test(test_first_part_whose_hash_is_wrong),
            cmocka_unit_test(test_sound_parts_before_a_wrong_one),
            cmocka_unit_test(test_what_is_sound_before_damage_with_any_memory),
            cmocka_unit_test(test_few_decoders_are_kept),
            cmocka_unit_test(test_many_readers),
            cmocka_unit_test(test_many_readers_with_little_memory),
            cmocka_unit_test(test_reader_waits_while_all_decoders_are_busy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
