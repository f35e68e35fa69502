/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damaged compressed archives: the stream goes on after the damage, what is there is served, and
 * every byte that is served is right.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/salvage_model.h"
#include "tests/fixtures/stream_fixture.h"

enum { PIECE = 150000, PIECES = 32 };

/* A compressed archive, and where in it each of its units begins. */
struct packed {
        struct salvage m; /* bytes is what is compressed */
        uint8_t *sound;   /* … as it was */
        size_t sound_len;
        size_t plain_len;
        size_t unit[PIECES + 1];
        uint64_t out[PIECES + 1]; /* of the archive */
        size_t units;
};

static struct bytes compress_zstd(struct bytes plain)
{
        return fixture_compress(plain, 3, 0, 0, 1);
}

static struct bytes compress_gzip(struct bytes plain)
{
        return fixture_pipe(plain, "gzip -c");
}

static struct bytes compress_lzop(struct bytes plain)
{
        return fixture_pipe(plain, "lzop -c");
}

/* An archive in units of SIZE bytes each. */
static struct packed pack(uint64_t seed, size_t size, struct bytes (*compress)(struct bytes))
{
        struct packed p = {.m = salvage_make(seed, NULL)};
        struct bytes all = {0};

        for (size_t at = 0; at < p.m.len; at += size) {
                struct bytes part = {p.m.bytes + at, min_u64(size, p.m.len - at)};

                assert_true(p.units < PIECES);
                p.out[p.units] = at;
                p.unit[p.units++] = all.len;
                all = fixture_join(all, compress(part));
        }
        p.out[p.units] = p.plain_len = p.m.len;
        p.unit[p.units] = all.len;
        p.sound = all.data;
        p.sound_len = all.len;
        p.m.bytes = realloc(p.m.bytes, all.len + ROOM);
        return p;
}

/* Sound again, and closed. */
static void restore(struct packed *p)
{
        index_close(p->m.index);
        p->m.index = NULL;
        memcpy(p->m.bytes, p->sound, p->sound_len);
        p->m.len = p->sound_len;
}

static void unpack(struct packed *p)
{
        salvage_discard(&p->m);
        free(p->sound);
}

/* All that lies in other units than FIRST to LAST is there, but for extents that begin in them. */
static void expect_rest(struct packed *p, size_t first, size_t last)
{
        const struct salvage *m = &p->m;

        salvage_open(&p->m);
        salvage_check(&p->m);
        for (unsigned e = 0; e < EXTENTS; e++)
                if (m->extent[e] >= p->out[last + 1] ||
                    (m->extent[e + 1] < p->out[first] &&
                     m->extent[e + 1] + HEADER <= p->out[first]))
                        salvage_expect_whole(m, e);
}

/* Each unit in turn, damaged at its beginning, inside and at its end. */
static void check_each_unit(struct bytes (*compress)(struct bytes))
{
        struct packed p = pack(1, PIECE, compress);

        for (size_t i = 0; i < p.units; i++) {
                size_t len = p.unit[i + 1] - p.unit[i];
                size_t places[] = {0,       1,         3,       5,       40,     len / 3,
                                   len / 2, len - 300, len - 9, len - 5, len - 1};

                for (size_t j = 0; j < sizeof places / sizeof *places; j++) {
                        restore(&p);
                        p.m.bytes[p.unit[i] + places[j]] ^= 0x41;
                        /* The archive's own header is in the first one. */
                        if (i == 0 && places[j] < len / 2)
                                continue;
                        expect_rest(&p, i, i);
                }
        }
        unpack(&p);
}

static void test_each_zstd_frame(void **state)
{
        (void)state;
        check_each_unit(compress_zstd);
}

static void test_each_gzip_member(void **state)
{
        (void)state;
        check_each_unit(compress_gzip);
}

static void check_pieces(struct bytes (*compress)(struct bytes))
{
        struct packed p = pack(2, PIECE, compress);
        size_t middle = (p.unit[3] + p.unit[4]) / 2;

        /* A missing piece: inside of a unit, over a boundary, and exactly one unit. */
        restore(&p);
        salvage_cut_out(&p.m, middle, 1000);
        expect_rest(&p, 3, 3);
        restore(&p);
        salvage_cut_out(&p.m, p.unit[4] - 1000, 2000);
        expect_rest(&p, 3, 4);
        restore(&p);
        salvage_cut_out(&p.m, p.unit[4], p.unit[5] - p.unit[4]);
        expect_rest(&p, 3, 4);
        /* Junk inside, between, and in place of units. */
        restore(&p);
        salvage_insert(&p.m, middle, 70000, salvage_junk(70000));
        expect_rest(&p, 3, 3);
        restore(&p);
        salvage_insert(&p.m, p.unit[4], 70000, salvage_junk(70000));
        expect_rest(&p, 4, 3);
        restore(&p);
        salvage_overwrite(&p.m, middle, p.unit[6] - middle, salvage_junk(p.unit[6] - middle));
        expect_rest(&p, 3, 5);
        restore(&p);
        salvage_wipe(&p.m, middle, p.unit[6] - middle);
        expect_rest(&p, 3, 5);
        /* Cut off. */
        restore(&p);
        p.m.len = middle;
        expect_rest(&p, 3, p.units - 1);
        unpack(&p);
}

static void test_pieces_of_zstd(void **state)
{
        (void)state;
        check_pieces(compress_zstd);
}

static void test_pieces_of_gzip(void **state)
{
        (void)state;
        check_pieces(compress_gzip);
}

static void test_pieces_of_lzop(void **state)
{
        (void)state;
        check_pieces(compress_lzop);
}

/* ---- lzop's blocks ---- */

enum { LZOP_BLOCK = 256 * 1024 };

/* Where block I of the one member of P begins in the file. */
static size_t lzop_block(const struct packed *p, size_t i)
{
        return fixture_lzop_block((struct bytes){p->sound, p->sound_len}, i);
}

/* A flipped bit in its data costs the block, and what an extent header in it leads to. */
static void test_lzop_block_is_lost_alone(void **state)
{
        struct packed p = pack(3, SIZE_MAX / 2, compress_lzop);
        size_t blocks = (p.plain_len + LZOP_BLOCK - 1) / LZOP_BLOCK;

        (void)state;
        assert_true(blocks >= 4);
        for (size_t i = 1; i < blocks; i++) {
                uint64_t from = i * LZOP_BLOCK, to = from + LZOP_BLOCK;

                restore(&p);
                p.m.bytes[lzop_block(&p, i) + 5000] ^= 0x10;
                salvage_open(&p.m);
                salvage_check(&p.m);
                for (size_t b = 0; b < BLOCKS; b++) {
                        uint64_t at = p.m.block_at[b], header = 0;

                        for (unsigned e = 0; e < EXTENTS && p.m.extent[e] <= at; e++)
                                header = p.m.extent[e];
                        if (at && (at + BLOCK <= from || at >= to) &&
                            (header + HEADER <= from || header >= to))
                                assert_false(p.m.lost[b]);
                        if (at && at < to && at + BLOCK > from)
                                assert_true(p.m.lost[b]);
                }
        }
        unpack(&p);
}

static void test_lzop_block_header(void **state)
{
        struct packed p = pack(4, SIZE_MAX / 2, compress_lzop);

        (void)state;
        for (size_t at = 0; at < 12; at++) {
                restore(&p);
                p.m.bytes[lzop_block(&p, 2) + at] ^= 0x21;
                p.out[0] = (uint64_t)2 * LZOP_BLOCK;
                p.out[1] = (uint64_t)3 * LZOP_BLOCK;
                expect_rest(&p, 0, 0);
        }
        unpack(&p);
}

static void test_two_lzop_blocks(void **state)
{
        struct packed p = pack(5, SIZE_MAX / 2, compress_lzop);

        (void)state;
        restore(&p);
        p.m.bytes[lzop_block(&p, 1) + 5000] ^= 0x10;
        p.m.bytes[lzop_block(&p, 2) + 5000] ^= 0x10;
        p.out[0] = LZOP_BLOCK;
        p.out[1] = (uint64_t)3 * LZOP_BLOCK;
        expect_rest(&p, 0, 0);
        unpack(&p);
}

/* ---- at random ---- */

static void damage_at_random(struct packed *p, uint64_t *random)
{
        for (uint64_t times = 1 + salvage_below(random, 3); times > 0; times--) {
                uint64_t at = salvage_below(random, p->m.len);
                size_t n =
                    (size_t)(1 + salvage_below(random, salvage_below(random, 2) ? 100 : 60000));

                n = (size_t)min_u64(n, p->m.len - at);
                switch (salvage_below(random, 4)) {
                case 0:
                        p->m.bytes[at] ^= (uint8_t)(1 + salvage_below(random, 255));
                        break;
                case 1:
                        if (p->m.len + n < p->sound_len + ROOM)
                                salvage_insert(&p->m, at, n, salvage_junk(n));
                        break;
                case 2:
                        salvage_cut_out(&p->m, at, n);
                        break;
                default:
                        salvage_overwrite(&p->m, at, n, salvage_junk(n));
                        break;
                }
        }
}

static void check_random(struct bytes (*compress)(struct bytes), size_t size)
{
        struct packed p = pack(6, size, compress);
        size_t opened = 0;

        for (uint64_t seed = 0; seed < 250; seed++) {
                uint64_t random = seed * 104729 + 3;

                restore(&p);
                damage_at_random(&p, &random);
                if (salvage_try(&p.m) < 0)
                        continue;
                opened++;
                salvage_check(&p.m);
        }
        assert_true(opened > 100);
        unpack(&p);
}

static void test_random_damage_of_zstd(void **state)
{
        (void)state;
        check_random(compress_zstd, PIECE);
}

static void test_random_damage_of_gzip(void **state)
{
        (void)state;
        check_random(compress_gzip, PIECE);
}

static void test_random_damage_of_lzop(void **state)
{
        (void)state;
        check_random(compress_lzop, SIZE_MAX / 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_zstd_frame),
            cmocka_unit_test(test_each_gzip_member),
            cmocka_unit_test(test_pieces_of_zstd),
            cmocka_unit_test(test_pieces_of_gzip),
            cmocka_unit_test(test_pieces_of_lzop),
            cmocka_unit_test(test_lzop_block_is_lost_alone),
            cmocka_unit_test(test_lzop_block_header),
            cmocka_unit_test(test_two_lzop_blocks),
            cmocka_unit_test(test_random_damage_of_zstd),
            cmocka_unit_test(test_random_damage_of_gzip),
            cmocka_unit_test(test_random_damage_of_lzop),
        };

        return cmocka_run_group_tests_name("stream_salvage", tests, NULL, NULL);
}
