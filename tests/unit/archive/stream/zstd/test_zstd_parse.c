/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "archive/stream/zstd/zstd_segment.h"
#include "tests/fixtures/stream_fixture.h"

#define BOUNDARIES_MAX 4096

/* A frame's blocks, and how much output lies before each. */
struct frame_map {
        struct zstd_frame frame;
        size_t count;
        size_t in[BOUNDARIES_MAX];
        uint64_t out[BOUNDARIES_MAX];
        struct zstd_block_header headers[BOUNDARIES_MAX];
};

/* Fed block by block, libzstd says how much each brings. */
static struct frame_map *map_frame(struct bytes z)
{
        struct frame_map *map = calloc(1, sizeof *map);
        char *room = malloc(ZSTD_PARSE_BLOCK_MAX);
        ZSTD_DCtx *d = ZSTD_createDCtx();
        ZSTD_inBuffer in = {.src = z.data};
        uint64_t out = 0;

        assert_int_equal(zstd_frame_parse(z.data, z.len, &map->frame), ZSTD_FRAME_DATA);
        in.size = map->frame.header_size;
        for (;;) {
                ZSTD_outBuffer to = {.dst = room, .size = ZSTD_PARSE_BLOCK_MAX};

                while (in.pos < in.size)
                        assert_false(ZSTD_isError(ZSTD_decompressStream(d, &to, &in)));
                out += to.pos;
                if (map->count && map->headers[map->count - 1].last)
                        break;
                assert_true(map->count < BOUNDARIES_MAX);
                map->headers[map->count] = zstd_block_header(z.data + in.size);
                map->in[map->count] = in.size;
                map->out[map->count] = out;
                in.size += ZSTD_BLOCK_HEADER_SIZE + map->headers[map->count].content;
                map->count++;
        }
        ZSTD_freeDCtx(d);
        free(room);
        return map;
}

/* Follow boundary I to a verdict. */
static enum zstd_verdict judge(struct zstd_parse *p, struct bytes z, const struct frame_map *map,
                               size_t i)
{
        enum zstd_verdict v = ZSTD_PENDING;

        zstd_parse_start(p, UINT32_MAX);
        for (; i < map->count && v == ZSTD_PENDING; i++)
                v = zstd_parse_block(p, &map->headers[i], z.data + map->in[i] + 3);
        return v == ZSTD_PENDING ? zstd_parse_end(p) : v;
}

/* The bytes that P says are needed before BOUNDARY, zeros elsewhere. */
static uint8_t *history_of(const struct zstd_parse *p, struct bytes plain, uint64_t boundary)
{
        uint32_t reach = zstd_parse_reach(p), back = reach, len;
        uint8_t *history = calloc(1, reach + 1);

        while (zstd_parse_next(p, &back, &len)) {
                assert_true(back <= boundary && len <= back && len > 0);
                memcpy(history + (reach - back), plain.data + (boundary - back), len);
                back -= len;
        }
        return history;
}

/* From boundary I to the frame's end. */
static int decode_from(struct bytes z, const struct frame_map *map, size_t i, const void *history,
                       uint32_t history_len, uint8_t *out, size_t len)
{
        size_t size = z.len - map->in[i];
        uint8_t *input = malloc(size + 2 * (size_t)CODEC_MARGIN);
        struct restart_point point = {
            .in_bit = (uint64_t)map->in[i] * 8,
            .out = map->out[i],
            .aux = zstd_frame_aux(&map->frame),
            .history_len = history_len,
        };
        int rc;

        memcpy(input + CODEC_MARGIN, z.data + map->in[i], size);
        rc = zstd_segment(&point, history, input + CODEC_MARGIN, size, out, len, NULL);
        free(input);
        return rc;
}

/*
 * The claim itself, at every boundary of a frame: what is proven decodes from what is said to be
 * needed. Returns how many were proven.
 */
static size_t check_every_boundary(struct bytes plain, struct bytes z, size_t *refuted)
{
        struct frame_map *map = map_frame(z);
        uint8_t *out = malloc(plain.len);
        struct zstd_parse *p;
        size_t proven = 0;

        *refuted = 0;
        assert_int_equal(zstd_parse_new(map->frame.window, &p), 0);
        for (size_t i = 1; i < map->count; i++) {
                size_t len = plain.len - map->out[i];
                uint8_t *history;

                if (judge(p, z, map, i) != ZSTD_PROVEN) {
                        ++*refuted;
                        continue;
                }
                proven++;
                history = history_of(p, plain, map->out[i]);
                assert_int_equal(decode_from(z, map, i, history, zstd_parse_reach(p), out, len), 0);
                assert_memory_equal(out, plain.data + map->out[i], len);
                free(history);
        }
        zstd_parse_free(p);
        free(out);
        free(map);
        return proven;
}

static void test_header_of_a_block(void **state)
{
        const uint8_t bytes[] = {0x05 | 0x80, 0x01, 0x00};
        struct zstd_block_header h = zstd_block_header(bytes);
        (void)state;

        assert_true(h.last);
        assert_int_equal(h.type, ZSTD_BLOCK_COMPRESSED);
        assert_int_equal(h.size, 0x185 >> 3);
        assert_int_equal(h.content, h.size);
}

static void test_rle_block_has_one_byte(void **state)
{
        const uint8_t bytes[] = {0x02, 0x10, 0x00};
        struct zstd_block_header h = zstd_block_header(bytes);
        (void)state;

        assert_int_equal(h.size, 512);
        assert_int_equal(h.content, 1);
}

struct every_case {
        const char *name;
        int level, window_log, workers;
        bool mixture;
};

static void test_proven_boundaries_decode(void **state)
{
        const struct every_case *c = *state;
        struct bytes plain = c->mixture ? fixture_mixture(3 * MIB, 7) : fixture_records(3 * MIB, 7);
        struct bytes z = fixture_compress(plain, c->level, c->window_log, c->workers, 1);
        size_t refuted, proven = check_every_boundary(plain, z, &refuted);

        /* Jobs of 1 MiB begin at two boundaries of 3 MiB; without jobs there need not be any. */
        if (c->workers)
                assert_true(proven >= 2);
        assert_true(proven + refuted > 20);
        free(plain.data);
        free(z.data);
}

static void test_needed_bytes_are_needed(void **state)
{
        struct bytes plain = fixture_mixture(3 * MIB, 9);
        struct bytes z = fixture_compress(plain, 3, 19, 1, 1);
        struct frame_map *map = map_frame(z);
        uint8_t *out = malloc(plain.len);
        struct zstd_parse *p;
        size_t tried = 0;
        (void)state;

        assert_int_equal(zstd_parse_new(map->frame.window, &p), 0);
        for (size_t i = 1; i < map->count; i++) {
                size_t len = plain.len - map->out[i];
                uint32_t back, n;
                uint8_t *history;

                if (judge(p, z, map, i) != ZSTD_PROVEN || zstd_parse_reach(p) == 0)
                        continue;
                back = zstd_parse_reach(p);
                history = history_of(p, plain, map->out[i]);
                assert_true(zstd_parse_next(p, &back, &n));
                history[n / 2] ^= 1;
                assert_int_equal(decode_from(z, map, i, history, zstd_parse_reach(p), out, len), 0);
                assert_true(memcmp(out, plain.data + map->out[i], len) != 0);
                free(history);
                tried++;
        }
        assert_true(tried > 0);
        zstd_parse_free(p);
        free(out);
        free(map);
        free(plain.data);
        free(z.data);
}

/* After the noise, the records go on with the offsets from before it. */
static void test_offsets_from_in_front_of_noise_refute(void **state)
{
        struct bytes records = fixture_records(MIB, 1);
        struct bytes z = fixture_interrupt(fixture_compress(records, 3, 19, 0, 0), 16);
        struct frame_map *map = map_frame(z);
        struct zstd_parse *p;
        (void)state;

        assert_int_equal(zstd_parse_new(map->frame.window, &p), 0);
        for (size_t i = 1; i <= 16; i++) {
                assert_int_equal(map->headers[i].type, ZSTD_BLOCK_RAW);
                assert_int_equal(judge(p, z, map, i), ZSTD_REFUTED);
                assert_true(zstd_parse_position(p) >= (16 - i) * ZSTD_PARSE_BLOCK_MAX);
        }
        zstd_parse_free(p);
        free(map);
        free(records.data);
        free(z.data);
}

static void test_raw_blocks_decide_nothing(void **state)
{
        const struct zstd_block_header raw = {.type = ZSTD_BLOCK_RAW, .size = 1 << 17};
        uint8_t *content = calloc(1, 1 << 17);
        struct zstd_parse *p;
        (void)state;

        assert_int_equal(zstd_parse_new(1 << 18, &p), 0);
        zstd_parse_start(p, UINT32_MAX);
        for (int i = 0; i < 100; i++)
                assert_int_equal(zstd_parse_block(p, &raw, content), ZSTD_PENDING);
        assert_int_equal(zstd_parse_position(p), 100 << 17);
        assert_int_equal(zstd_parse_end(p), ZSTD_PROVEN);
        zstd_parse_free(p);
        free(content);
}

/* RFC 8878, 3.1.1.3.1.1: treeless literals repeat a Huffman table, of which there is none. */
static void test_treeless_first_block_refutes(void **state)
{
        const uint8_t content[] = {0x03 | 1 << 4, 0x40, 0x00, 0xFF, 0x00};
        const struct zstd_block_header h = {.type = ZSTD_BLOCK_COMPRESSED, .size = sizeof content};
        struct zstd_parse *p;
        (void)state;

        assert_int_equal(zstd_parse_new(1 << 18, &p), 0);
        zstd_parse_start(p, UINT32_MAX);
        assert_int_equal(zstd_parse_block(p, &h, content), ZSTD_REFUTED);
        zstd_parse_free(p);
}

/* 3.1.1.3.2.1: a block without sequences, and one that repeats tables which never were. */
static void test_repeated_tables_refute(void **state)
{
        const uint8_t literals_only[] = {1 << 3, 'x', 0};
        const uint8_t repeats[] = {1 << 3, 'x', 1, 0xFC, 0x01};
        struct zstd_block_header h = {.type = ZSTD_BLOCK_COMPRESSED, .size = sizeof literals_only};
        struct zstd_parse *p;
        (void)state;

        assert_int_equal(zstd_parse_new(1 << 18, &p), 0);
        zstd_parse_start(p, UINT32_MAX);
        assert_int_equal(zstd_parse_block(p, &h, literals_only), ZSTD_PENDING);
        assert_int_equal(zstd_parse_position(p), 1);
        h.size = sizeof repeats;
        assert_int_equal(zstd_parse_block(p, &h, repeats), ZSTD_REFUTED);
        zstd_parse_free(p);
}

/* Whatever the bytes, the parser stays inside of them: the sanitizers watch. */
static void test_damaged_blocks_are_survived(void **state)
{
        struct bytes plain = fixture_mixture(MIB, 3);
        struct bytes z = fixture_compress(plain, 5, 18, 0, 1);
        struct frame_map *map = map_frame(z);
        uint64_t seed = 5;
        struct zstd_parse *p;
        size_t refuted = 0;
        (void)state;

        assert_int_equal(zstd_parse_new(map->frame.window, &p), 0);
        for (int round = 0; round < 2000; round++) {
                size_t i = fixture_random(&seed) % map->count;
                size_t size = map->headers[i].content;
                struct zstd_block_header h = map->headers[i];
                uint8_t *copy = malloc(size);

                memcpy(copy, z.data + map->in[i] + 3, size);
                for (int flips = 0; flips < 4; flips++)
                        copy[fixture_random(&seed) % (size < 64 ? size : 64)] ^=
                            (uint8_t)(1 << fixture_random(&seed) % 8);
                zstd_parse_start(p, UINT32_MAX);
                refuted += zstd_parse_block(p, &h, copy) == ZSTD_REFUTED;
                free(copy);
        }
        assert_true(refuted > 0);
        zstd_parse_free(p);
        free(map);
        free(plain.data);
        free(z.data);
}

static struct every_case cases[] = {
    {"level 1, jobs", 1, 0, 2, true},        {"level 3, jobs", 3, 0, 2, true},
    {"level 3, one thread", 3, 18, 0, true}, {"level 3, records", 3, 18, 0, false},
    {"level 7, jobs", 7, 19, 1, true},       {"level 12, one thread", 12, 19, 0, true},
    {"level 19, jobs", 19, 20, 2, true},     {"level 22, one thread", 22, 18, 0, true},
};

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_header_of_a_block),
            cmocka_unit_test(test_rle_block_has_one_byte),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[0]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[1]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[2]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[3]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[4]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[5]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[6]),
            cmocka_unit_test_prestate(test_proven_boundaries_decode, &cases[7]),
            cmocka_unit_test(test_needed_bytes_are_needed),
            cmocka_unit_test(test_offsets_from_in_front_of_noise_refute),
            cmocka_unit_test(test_raw_blocks_decide_nothing),
            cmocka_unit_test(test_treeless_first_block_refutes),
            cmocka_unit_test(test_repeated_tables_refute),
            cmocka_unit_test(test_damaged_blocks_are_survived),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
