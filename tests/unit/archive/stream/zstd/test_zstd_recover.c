/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damage inside a zstd frame, of which there is only one: after it the frame is entered again, and
 * every byte that is served is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/stream/stream.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "tests/fixtures/recover_fixture.h"
#include "tests/fixtures/stream_fixture.h"

/* Where the first block at or after byte FROM of Z begins. */
static size_t block_at(struct bytes z, size_t from)
{
        struct zstd_frame frame;
        size_t at;

        assert_int_equal(zstd_frame_parse(z.data, z.len, &frame), ZSTD_FRAME_DATA);
        for (at = frame.header_size; at < from;)
                at += ZSTD_BLOCK_HEADER_SIZE + zstd_block_header(z.data + at).content;
        return at;
}

/* In jobs, as vzdump does it: what is lost is one job, a part of another and the doubt. */
static void test_damaged_header(void **state)
{
        struct bytes plain = fixture_mixture(24 * MIB, 1);
        struct bytes z = fixture_compress(plain, 3, 18, 1, 1);
        (void)state;

        z.data[block_at(z, z.len / 3)] |= ZSTD_BLOCK_RESERVED << 1;
        recover_expect(plain, z, 18 * MIB);
        free(plain.data);
        free(z.data);
}

static void test_damaged_content(void **state)
{
        struct bytes plain = fixture_mixture(24 * MIB, 2);
        struct bytes z = fixture_compress(plain, 3, 18, 1, 1);
        size_t at = block_at(z, z.len / 2) + ZSTD_BLOCK_HEADER_SIZE;
        (void)state;

        memset(z.data + at, 0xff, 200);
        recover_expect(plain, z, 18 * MIB);
        free(plain.data);
        free(z.data);
}

/* Blocks are found again where nothing in front says where they are. */
static void test_missing_piece(void **state)
{
        for (size_t missing = 1; missing < MIB; missing = missing * 5 + 1) {
                struct bytes plain = fixture_mixture(24 * MIB, 3);
                struct bytes z = fixture_compress(plain, 3, 18, 1, 1);
                size_t at = z.len / 2;
                (void)state;

                memmove(z.data + at, z.data + at + missing, z.len - at - missing);
                z.len -= missing;
                recover_expect(plain, z, 17 * MIB);
                free(plain.data);
                free(z.data);
        }
}

static void test_wiped_sectors(void **state)
{
        const uint8_t with[] = {0x00, 0xff, 0x55, 0x02};
        struct bytes plain = fixture_mixture(24 * MIB, 4);
        struct bytes z = fixture_compress(plain, 3, 18, 1, 1);
        uint8_t *sound = malloc(z.len);
        (void)state;

        memcpy(sound, z.data, z.len);
        for (size_t i = 0; i < sizeof with; i++) {
                memcpy(z.data, sound, z.len);
                memset(z.data + z.len / 2 + 1000 * i, with[i], 65536);
                recover_expect(plain, z, 17 * MIB);
        }
        free(sound);
        free(plain.data);
        free(z.data);
}

static void test_damage_at_several_places(void **state)
{
        struct bytes plain = fixture_mixture(40 * MIB, 5);
        struct bytes z = fixture_compress(plain, 3, 18, 1, 1);
        struct recovered v;
        (void)state;

        for (size_t i = 1; i < 4; i++)
                z.data[block_at(z, z.len / 4 * i)] |= ZSTD_BLOCK_RESERVED << 1;
        v = recovery(z);
        assert_int_equal(v.met.count, 3);
        recovered_expect(&v, plain, 15 * MIB);
        source_close(v.s);
        free(plain.data);
        free(z.data);
}

/* Nobody knows what these repeat: from the damage on there is nothing, and nothing wrong. */
static void test_what_cannot_be_known_is_not_made_up(void **state)
{
        const size_t noise_len = 200000;
        struct bytes plain = {0};
        struct bytes z;
        struct recovered v;
        (void)state;

        for (int i = 0; i < 50; i++)
                plain = fixture_join(plain, fixture_noise(noise_len, 6));
        z = fixture_compress(plain, 3, 19, 0, 1);
        z.data[block_at(z, 1)] |= ZSTD_BLOCK_RESERVED << 1;
        v = recovery(z);
        assert_int_equal(v.met.damages, 1);
        assert_int_equal(v.met.end, v.met.lost[0].end);
        source_close(v.s);
        free(plain.data);
        free(z.data);
}

/*
 * Blocks that hold nothing but the beginnings of further damaged frames: each is a reason to look
 * for a way back, and all of the file could be gone through for each.
 */
static void test_damage_without_end_is_gone_through_once(void **state)
{
        static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58,
                                        0x14, 0x00, 0x00, 0xff, 0xff};
        struct bytes z = {malloc(5 * MIB), 0};
        struct error err = {0};
        struct source_lost_range gap;
        const struct stream_options o = {.threads = 2, .cache_bytes = 8 * MIB};
        struct source *s;
        uint64_t end;
        (void)state;

        memcpy(z.data, frame, sizeof frame);
        z.len = sizeof frame;
        while (z.len < 4 * MIB) {
                memcpy(z.data + z.len, "\x00\x00\x10", 3);
                z.len += 3;
                for (size_t i = 0; i < ZSTD_PARSE_BLOCK_MAX; i++)
                        z.data[z.len++] = frame[i % sizeof frame];
        }
        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, &err), 0);
        stream_release(s);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, &err), 0);
        assert_true(source_find_lost(s, 0, &gap));
        source_close(s);
        free(z.data);
}

static void test_random_damage(void **state)
{
        struct bytes plain = fixture_mixture(12 * MIB, 7);
        struct bytes z = fixture_compress(plain, 3, 17, 1, 1);
        (void)state;

        /* Most others hit literals, which the frame's checksum alone notices. */
        assert_true(recover_random_damage(plain, z, 40, 5000) >= 8);
        free(plain.data);
        free(z.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_damaged_header),
            cmocka_unit_test(test_damaged_content),
            cmocka_unit_test(test_missing_piece),
            cmocka_unit_test(test_wiped_sectors),
            cmocka_unit_test(test_damage_at_several_places),
            cmocka_unit_test(test_what_cannot_be_known_is_not_made_up),
            cmocka_unit_test(test_damage_without_end_is_gone_through_once),
            cmocka_unit_test(test_random_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
