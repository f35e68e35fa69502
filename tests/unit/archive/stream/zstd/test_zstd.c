/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

static struct source *open_bytes(struct bytes z, uint64_t window)
{
        struct stream_options o = {.threads = 2, .window = window, .cache_bytes = 64 * MIB};
        struct error err = {0};
        struct source *s = NULL;

        if (stream_probe(fixture_source(z.data, z.len), &o, &s, &err) < 0)
                fail_msg("%s", err.text);
        assert_string_equal(s->ops->name, "zstd");
        stream_release(s);
        return s;
}

static void reach_end(struct source *s)
{
        struct error err = {0};
        uint64_t end;

        if (source_reach(s, UINT64_MAX, &end, &err) < 0)
                fail_msg("%s at %llu", err.text, (unsigned long long)err.offset);
        assert_true(s->size == end);
}

/* Each segment on its own, from what the table holds, in an order that helps nobody. */
static void check_segments(struct source *s, struct bytes z, struct bytes plain)
{
        const struct codec_limits limits = {.window = UINT64_C(1) << 31};
        struct restart_table *table = stream_table(s);
        struct source *in = fixture_source(z.data, z.len);
        size_t count = restart_count(table);
        struct blockcache *cache;
        struct cache_owner *owner;
        struct segments *segments;

        assert_int_equal(blockcache_new(MIB, &cache), 0);
        assert_int_equal(blockcache_join(cache, CACHE_STREAM, &owner), 0);
        assert_int_equal(segments_new(&zstd_codec, &limits, in, table, owner, 1, &segments), 0);
        for (size_t i = count; i-- > 0;) {
                struct restart_segment segment;
                struct error err = {0};
                uint8_t *out;
                size_t len;

                assert_true(restart_get(table, i, &segment));
                len = (size_t)(segment.end - segment.point.out);
                out = malloc(len);
                if (segments_decode(segments, i, out, len, &err) < 0)
                        fail_msg("%s", err.text);
                assert_memory_equal(out, plain.data + segment.point.out, len);
                free(out);
        }
        segments_free(segments);
        blockcache_leave(owner);
        blockcache_free(cache);
        source_close(in);
}

static size_t count_points(struct source *s)
{
        struct restart_stats stats;

        restart_measure(stream_table(s), &stats);
        return stats.points;
}

/* Pass over Z; every byte of every segment is right. Returns how many points it has. */
static size_t check_stream(struct bytes z, struct bytes plain, uint64_t window)
{
        struct source *s = open_bytes(z, window);
        size_t points;

        reach_end(s);
        assert_true(s->size == plain.len);
        check_segments(s, z, plain);
        points = count_points(s);
        source_close(s);
        return points;
}

struct command {
        const char *line;
        size_t mib, points; /* of input; at least so many points */
};

static void test_genuine_output(void **state)
{
        const struct command *c = *state;
        struct bytes plain = fixture_mixture(c->mib * MIB, 11);
        struct bytes z = fixture_pipe(plain, c->line);
        size_t points = check_stream(z, plain, UINT64_C(1) << 31);

        if (points < c->points)
                fail_msg("%s: only %zu points", c->line, points);
        free(plain.data);
        free(z.data);
}

/* Genuine jobs of noise: nothing is settled until the records, and then all of it is. */
static void test_noise_in_jobs_has_points(void **state)
{
        struct bytes plain =
            fixture_join(fixture_join(fixture_mixture(4 * MIB, 1), fixture_noise(48 * MIB, 2)),
                         fixture_mixture(4 * MIB, 3));
        struct bytes z = fixture_pipe(plain, "zstd -q -c --rsyncable --threads=1");
        (void)state;

        assert_true(check_stream(z, plain, 0) >= 3);
        free(plain.data);
        free(z.data);
}

/* Z, a frame, with COUNT empty blocks before each block whose number is a multiple of EACH. */
static struct bytes with_empty_blocks(struct bytes z, size_t each, size_t count)
{
        const uint8_t empty[ZSTD_BLOCK_HEADER_SIZE] = {0};
        struct zstd_block_header header = {0};
        struct zstd_frame frame;
        struct bytes out = {malloc(z.len * 2 + (1 << 20)), 0};
        size_t at;

        assert_int_equal(zstd_frame_parse(z.data, z.len, &frame), ZSTD_FRAME_DATA);
        at = frame.header_size;
        memcpy(out.data, z.data, at);
        out.len = at;
        for (size_t i = 0; !header.last; i++) {
                size_t size;

                for (size_t k = 0; i > 0 && i % each == 0 && k < count; k++) {
                        memcpy(out.data + out.len, empty, sizeof empty);
                        out.len += sizeof empty;
                }
                header = zstd_block_header(z.data + at);
                size = ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
                memcpy(out.data + out.len, z.data + at, size);
                out.len += size;
                at += size;
        }
        memcpy(out.data + out.len, z.data + at, z.len - at);
        out.len += z.len - at;
        free(z.data);
        return out;
}

/* A piece may be of nothing but empty blocks. */
static void test_empty_blocks_between_jobs(void **state)
{
        struct bytes plain = fixture_mixture(24 * MIB, 11);
        struct bytes z = fixture_pipe(plain, "zstd -q -c -1 --threads=1"), same;
        (void)state;

        z = with_empty_blocks(z, 16, 300);
        same = fixture_decompress(z);
        assert_int_equal(same.len, plain.len);
        assert_memory_equal(same.data, plain.data, plain.len);
        assert_true(check_stream(z, plain, 0) >= 2);
        free(same.data);
        free(plain.data);
        free(z.data);
}

/* As restart_recall_fn: CTX has all of the stream. */
static int recall_from_bytes(void *ctx, uint64_t offset, void *buf, size_t len)
{
        const struct bytes *plain = ctx;

        memcpy(buf, plain->data + offset, len);
        return 0;
}

/* Pass over Z with LIMITS. Returns how much output before the last bytes had to be kept at most. */
static uint64_t most_kept(struct bytes z, struct bytes plain, const struct codec_limits *limits)
{
        struct source *in = fixture_source(z.data, z.len);
        uint8_t *buf = malloc(RESTART_SEGMENT_MAX);
        struct restart_builder *b;
        struct restart_table *table;
        struct error err = {0};
        uint64_t most = 0, out = 0;
        void *pass;
        ssize_t n;

        assert_int_equal(restart_table_new(&table), 0);
        assert_int_equal(restart_builder_new(table, recall_from_bytes, &plain, &b), 0);
        assert_int_equal(zstd_codec.pass_open(in, limits, &pass, &err), 0);
        do {
                assert_true(zstd_codec.plan(pass, b, &err) >= 0);
                n = zstd_codec.pass(pass, buf, RESTART_SEGMENT_MAX, b, &err);
                assert_true(n >= 0);
                assert_memory_equal(buf, plain.data + out, (size_t)n);
                assert_int_equal(restart_advance(b, buf, (size_t)n), 0);
                out += (size_t)n;
                if (out - restart_keep_from(b) > most)
                        most = out - restart_keep_from(b);
        } while (n > 0);
        assert_true(out == plain.len);
        zstd_codec.pass_close(pass);
        restart_builder_free(b);
        restart_table_free(table);
        source_close(in);
        free(buf);
        return most;
}

/* Runs of one byte define no tables: the boundaries in them are never settled. */
static void test_output_is_not_kept_for_what_is_never_settled(void **state)
{
        const struct codec_limits limits = {.window = 8 * MIB, .keep = 8 * MIB};
        struct bytes plain = fixture_join(fixture_mixture(4 * MIB, 1), fixture_noise(60 * MIB, 2));
        struct bytes z;
        (void)state;

        memset(plain.data + 5 * MIB, 0xff, plain.len - 5 * MIB);
        z = fixture_compress(plain, 3, 20, 0, 1);
        assert_in_range(most_kept(z, plain, &limits), MIB, 3 * MIB / 2);
        free(plain.data);
        free(z.data);
}

static void test_output_is_not_kept_beyond_the_limit(void **state)
{
        const struct codec_limits limits = {.window = 8 * MIB, .keep = 4 * MIB};
        struct bytes plain = fixture_mixture(24 * MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 23, 0, 1);
        (void)state;

        assert_int_equal(most_kept(z, plain, &limits), 0);
        free(plain.data);
        free(z.data);
}

/* The second proof's reason to be: trial decoding of megabytes would pass here. */
static void test_records_noise_records(void **state)
{
        struct bytes plain =
            fixture_join(fixture_join(fixture_records(8 * MIB, 1), fixture_noise(16 * MIB, 2)),
                         fixture_records(8 * MIB, 3));
        struct bytes z = fixture_pipe(plain, "zstd -q -c --single-thread");
        (void)state;

        check_stream(z, plain, 0);
        free(plain.data);
        free(z.data);
}

static void test_noise_before_repeated_offsets_cannot_be_entered(void **state)
{
        struct bytes records = fixture_records(6 * MIB, 1);
        struct bytes z = fixture_interrupt(fixture_compress(records, 3, 19, 0, 0), 128);
        struct bytes plain = fixture_decompress(z);
        struct source *s = open_bytes(z, 0);
        (void)state;

        reach_end(s);
        check_segments(s, z, plain);
        for (size_t i = 1; i < restart_count(stream_table(s)); i++) {
                struct restart_segment segment;

                assert_true(restart_get(stream_table(s), i, &segment));
                if (segment.point.out > 2 * MIB && segment.point.out < 16 * MIB)
                        assert_false(segment.point_held);
        }
        source_close(s);
        free(records.data);
        free(plain.data);
        free(z.data);
}

static struct bytes skippable(const char *content, uint8_t kind)
{
        size_t len = strlen(content);
        uint8_t *data = malloc(8 + len);
        const uint8_t head[] = {0x50 | kind, 0x2A, 0x4D, 0x18, (uint8_t)len, 0, 0, 0};

        memcpy(data, head, sizeof head);
        memcpy(data + 8, content, len);
        return (struct bytes){data, 8 + len};
}

static void test_frames_and_skippable_frames(void **state)
{
        struct bytes plain = {0}, z = skippable("in front", 3);
        (void)state;

        for (uint64_t i = 0; i < 8; i++) {
                struct bytes part = fixture_mixture(MIB + (size_t)i, i);

                z = fixture_join(z, fixture_compress(part, (int)i, 18, 0, i % 2 == 0));
                z = fixture_join(z, skippable("seek table", 0xE));
                plain = fixture_join(plain, part);
        }
        /* A frame's start is free, and named as often as points of the usual cost would be. */
        assert_true(check_stream(z, plain, 0) >= 3);
        free(plain.data);
        free(z.data);
}

static void test_empty_frame_is_an_empty_stream(void **state)
{
        struct bytes nothing = {.data = malloc(1)};
        struct bytes z = fixture_compress(nothing, 3, 0, 0, 1);
        (void)state;

        check_stream(z, nothing, 0);
        free(nothing.data);
        free(z.data);
}

/* A frame of no content may have blocks of every kind, as long as nothing comes of them. */
static void test_single_segment_of_nothing_is_passed_over(void **state)
{
        static const uint8_t raw[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0},
                             rle[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 3, 0, 0, 0},
                             rle_and_raw[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 2, 0, 0, 0, 1, 0, 0},
                             no_literals[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 0x15, 0, 0, 0, 0};
        static const struct {
                const uint8_t *data;
                size_t len;
        } frames[] = {{raw, sizeof raw},
                      {rle, sizeof rle},
                      {rle_and_raw, sizeof rle_and_raw},
                      {no_literals, sizeof no_literals}};
        struct bytes plain = fixture_mixture(MIB, 1);
        (void)state;

        for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
                struct bytes z = {.data = malloc(frames[i].len), .len = frames[i].len};

                memcpy(z.data, frames[i].data, frames[i].len);
                z = fixture_join(z, fixture_compress(plain, 3, 0, 0, 1));
                check_stream(z, plain, 0);
                free(z.data);
        }
        free(plain.data);
}

static int probe_error(struct bytes z, uint64_t window, struct error *err)
{
        struct stream_options o = {.window = window};
        struct source *s;
        int rc = stream_probe(fixture_source(z.data, z.len), &o, &s, err);

        if (rc == 0)
                source_close(s);
        return rc;
}

static void test_dictionary_is_refused(void **state)
{
        /* Descriptor: a one-byte dictionary ID. */
        uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x01, 0x58, 0x2A, 0x01, 0x00, 0x00};
        struct error err = {0};
        (void)state;

        assert_int_equal(probe_error((struct bytes){frame, sizeof frame}, 0, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "dictionary 42"));
}

static void test_window_over_the_limit_is_refused(void **state)
{
        /* 3.1.1.1.2: exponent 20, 1 GiB. */
        uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 20 << 3, 0x01, 0x00, 0x00};
        struct error err = {0};
        (void)state;

        assert_int_equal(probe_error((struct bytes){frame, sizeof frame}, 0, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "-o window=1024M to mount, --window=1024M otherwise"));
        assert_int_equal(probe_error((struct bytes){frame, sizeof frame}, UINT64_C(1) << 30, &err),
                         0);
}

/* The pass over Z first meets damage at BYTE, and names what WORDS say. */
static void check_damage(struct bytes z, uint64_t byte, const char *words)
{
        struct source *s = open_bytes(z, 0);
        struct passage p;

        decoded_pass(s, &p);
        assert_true(p.damages > 0 && p.errors[0].has_offset);
        assert_int_equal(p.errors[0].offset, byte);
        if (!strstr(p.errors[0].text, words))
                fail_msg("\"%s\" does not say \"%s\"", p.errors[0].text, words);
        source_close(s);
}

static void test_trailing_garbage_is_named(void **state)
{
        struct bytes plain = fixture_mixture(MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 0, 0, 1);
        size_t end = z.len;
        (void)state;

        z = fixture_join(z, fixture_noise(64, 1));
        check_damage(z, end, "other than zstd");
        free(plain.data);
        free(z.data);
}

static void test_truncation_is_named(void **state)
{
        struct bytes plain = fixture_mixture(MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 0, 0, 1);
        (void)state;

        for (size_t len = 12; len < z.len; len += z.len / 23)
                check_damage((struct bytes){z.data, len}, len, "cut short");
        check_damage((struct bytes){z.data, z.len - 1}, z.len - 1, "cut short");
        free(plain.data);
        free(z.data);
}

static void test_wrong_checksum_is_damage(void **state)
{
        struct bytes plain = fixture_mixture(MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 0, 0, 1);
        (void)state;

        z.data[z.len - 1] ^= 1;
        check_damage(z, z.len - 4, "checksum");
        free(plain.data);
        free(z.data);
}

/*
 * A flipped bit anywhere: an error, or (in what has no checksum) other bytes than were compressed
 * but the same ones on every way to them. Never a crash, and no way round the hashes.
 */
static void test_flipped_bits(void **state)
{
        struct bytes plain = fixture_mixture(5 * MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 19, 1, 1);
        uint64_t seed = 1;
        size_t errors = 0;
        (void)state;

        for (int round = 0; round < 60; round++) {
                size_t at = 6 + fixture_random(&seed) % (z.len - 6);
                uint8_t bit = (uint8_t)(1 << fixture_random(&seed) % 8);
                struct source *s;
                struct passage p;
                uint8_t byte;

                z.data[at] ^= bit;
                s = open_bytes(z, 0);
                decoded_pass(s, &p);
                errors += p.damages > 0;
                /* Its checksum vouches for none of the frame. */
                for (uint64_t pos = 0; pos < p.end; pos += 4096)
                        assert_int_equal(source_pread(s, &byte, 1, pos), -EIO);
                source_close(s);
                z.data[at] ^= bit;
        }
        assert_int_equal(errors, 60);
        free(plain.data);
        free(z.data);
}

/* Where the pass decodes whole jobs at once, damage still costs only what lies after it. */
static void test_damage_inside_a_piece_leaves_its_beginning(void **state)
{
        struct bytes plain = fixture_mixture(16 * MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 19, 1, 1);
        struct source *s = open_bytes(z, 0);
        const struct stream_options o = {.threads = 2, .withheld = 1};
        struct restart_segment segment;
        size_t at = 6, middle;
        struct passage p;
        (void)state;

        reach_end(s);
        assert_true(restart_get(stream_table(s), 3, &segment));
        source_close(s);
        middle = (size_t)((segment.point.in_bit + segment.in_end) / 16);
        while (at < middle)
                at += ZSTD_BLOCK_HEADER_SIZE + zstd_block_header(z.data + at).content;
        z.data[at] |= ZSTD_BLOCK_RESERVED << 1;
        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, NULL), 0);
        decoded_pass(s, &p);
        assert_int_equal(p.errors[0].offset, at);
        assert_in_range(p.lost[0].start, segment.point.out + 1, segment.end - 1);
        decoded_expect(s, plain, 0, (size_t)p.lost[0].start);
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* The file changes under a finished table: the segment's hash tells, and its neighbours stay. */
static void test_damage_after_indexing_is_an_error(void **state)
{
        struct bytes plain = fixture_mixture(12 * MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 19, 1, 1);
        struct stream_options o = {.cache_bytes = 1, .threads = 1};
        struct error err = {0};
        struct restart_segment segment;
        uint64_t end;
        struct source *s;
        uint8_t buf[4096];
        (void)state;

        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, &err), 0);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, &err), 0);
        assert_true(restart_get(stream_table(s), 2, &segment));
        z.data[(segment.point.in_bit + segment.in_end) / 16] ^= 0x10;
        assert_int_equal(source_pread(s, buf, sizeof buf, segment.end - sizeof buf), -EIO);
        assert_int_equal(source_damage(s, &err), -EIO);
        assert_int_equal(source_pread(s, buf, sizeof buf, 4096), sizeof buf);
        assert_memory_equal(buf, plain.data + 4096, sizeof buf);
        assert_int_equal(source_pread(s, buf, sizeof buf, segment.end), sizeof buf);
        assert_memory_equal(buf, plain.data + segment.end, sizeof buf);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static struct command commands[] = {
    {"zstd -q -c --rsyncable --threads=1", 40, 3},
    {"zstd -q -c -T2", 40, 3},
    {"zstd -q -c -1 -T2 --no-check", 20, 4},
    {"zstd -q -c --single-thread", 24, 1},
    {"zstd -q -c -19 --single-thread", 6, 1},
    {"zstd -q -c -19 -T2", 6, 1},
    {"zstd -q -c --ultra -22 -T1", 4, 1},
    {"zstd -q -c --long=27", 20, 1},
    {"zstd -q -c --long=31", 20, 1},
    {"zstd -q -c --fast=5", 20, 2},
    {"pzstd -q -c -p 2", 40, 3},
};

/* The stream and the one-shot decoder of libzstd differ about it: a segment would never come out.
 */
static void test_empty_compressed_block_is_damage(void **state)
{
        uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0, 4, 0, 0, 0x1b, 0x18, 0, 'x'};
        struct source *s = open_bytes((struct bytes){frame, sizeof frame}, 0);
        struct passage p;
        (void)state;

        decoded_pass(s, &p);
        assert_true(p.damages == 1 && p.errors[0].has_offset && p.errors[0].offset == 6);
        source_close(s);
        /* The same without it. */
        memmove(frame + 6, frame + 9, 4);
        s = open_bytes((struct bytes){frame, sizeof frame - 3}, 0);
        reach_end(s);
        assert_true(s->size == 771);
        source_close(s);
}

/* Such a point is a hostile sidecar's: it must not size anything. */
static void test_point_with_more_input_than_there_is(void **state)
{
        const struct restart_point point = {0};
        uint8_t frame[64] = {0x28, 0xb5, 0x2f, 0xfd}, out[8];
        const struct codec_limits limits = {.window = UINT64_C(1) << 31};
        struct source *in = fixture_source(frame, sizeof frame);
        struct blockcache *cache;
        struct cache_owner *owner;
        struct segments *s;
        struct error err = {0};
        (void)state;

        assert_int_equal(blockcache_new(MIB, &cache), 0);
        assert_int_equal(blockcache_join(cache, CACHE_STREAM, &owner), 0);
        assert_int_equal(segments_new(&zstd_codec, &limits, in, NULL, owner, 1, &s), 0);
        assert_int_equal(segments_enter(s, &point, NULL, UINT64_MAX, out, sizeof out, &err), -EIO);
        assert_true(err.offset == sizeof frame);
        assert_int_equal(
            segments_enter(s, &point, NULL, (sizeof frame + 1) * 8, out, sizeof out, &err), -EIO);
        assert_true(blockcache_bytes(cache) == 0);
        segments_free(s);
        blockcache_leave(owner);
        blockcache_free(cache);
        source_close(in);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_genuine_output, &commands[0]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[1]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[2]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[3]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[4]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[5]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[6]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[7]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[8]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[9]),
            cmocka_unit_test_prestate(test_genuine_output, &commands[10]),
            cmocka_unit_test(test_noise_in_jobs_has_points),
            cmocka_unit_test(test_empty_blocks_between_jobs),
            cmocka_unit_test(test_output_is_not_kept_for_what_is_never_settled),
            cmocka_unit_test(test_output_is_not_kept_beyond_the_limit),
            cmocka_unit_test(test_records_noise_records),
            cmocka_unit_test(test_noise_before_repeated_offsets_cannot_be_entered),
            cmocka_unit_test(test_frames_and_skippable_frames),
            cmocka_unit_test(test_empty_frame_is_an_empty_stream),
            cmocka_unit_test(test_single_segment_of_nothing_is_passed_over),
            cmocka_unit_test(test_dictionary_is_refused),
            cmocka_unit_test(test_window_over_the_limit_is_refused),
            cmocka_unit_test(test_trailing_garbage_is_named),
            cmocka_unit_test(test_truncation_is_named),
            cmocka_unit_test(test_wrong_checksum_is_damage),
            cmocka_unit_test(test_flipped_bits),
            cmocka_unit_test(test_damage_inside_a_piece_leaves_its_beginning),
            cmocka_unit_test(test_damage_after_indexing_is_an_error),
            cmocka_unit_test(test_empty_compressed_block_is_damage),
            cmocka_unit_test(test_point_with_more_input_than_there_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
