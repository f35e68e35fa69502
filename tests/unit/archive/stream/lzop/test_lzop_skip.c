/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pass over lzop that decodes next to nothing: it finds what the one that decodes finds, and
 * whatever is read through it is right or an error.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { BLOCK = 256 << 10 };

static struct source *open_lzop(struct bytes z, bool skip, struct restart_table *take_table)
{
        const struct stream_options o = {.threads = 2, .skip = skip, .take_table = take_table};

        return decoded_open(&lzop_codec, fixture_source(z.data, z.len), &o);
}

static void go_to_the_end(struct source *s)
{
        struct passage p;

        decoded_pass(s, &p);
        assert_int_equal(p.damages, 0);
}

static void check_all(struct source *s, struct bytes plain)
{
        size_t step = 300000;

        assert_true(s->size == plain.len);
        for (size_t at = 0; at < plain.len; at += step)
                decoded_expect(s, plain, at, min_u64(step, plain.len - at));
}

static size_t count_by_sums(struct source *s)
{
        struct restart_segment segment;
        size_t n = 0;

        for (size_t i = 0; restart_get(stream_table(s), i, &segment); i++)
                n += segment.point.by_sums;
        return n;
}

/* As a sidecar would hold it, or, if UNPROVEN, what is kept of a pass that was interrupted. */
static struct restart_table *copy_table(struct source *s, struct bytes z, bool unproven)
{
        struct restart_table *from = stream_table(s), *to;
        struct restart_record r;

        assert_int_equal(restart_table_new(&to), 0);
        for (size_t i = 0; restart_save(from, i, &r); i++) {
                r.unproven = unproven;
                assert_int_equal(restart_load(to, &r, 0), 0);
        }
        assert_int_equal(restart_load_end(to, s->size, z.len), 0);
        return to;
}

static void check_both_ways(struct bytes plain, struct bytes z)
{
        struct source *walked = open_lzop(z, true, NULL), *decoded = open_lzop(z, false, NULL);
        size_t saved;

        go_to_the_end(walked);
        go_to_the_end(decoded);
        saved = decoded_expect_same_table(walked, decoded);
        assert_int_equal(saved, restart_count(stream_table(walked)));
        check_all(walked, plain);
        source_close(walked);
        source_close(decoded);
        free(z.data);
}

static void test_finds_what_decoding_finds(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB + 12345, 1);

        (void)state;
        check_both_ways(plain, fixture_pipe(plain, "lzop -c"));
        check_both_ways(plain, fixture_pipe(plain, "lzop --crc32 -c"));
        check_both_ways(plain, fixture_pipe(plain, "lzop --filter=4 -c"));
        check_both_ways(plain, fixture_pipe(plain, "lzop -F -c"));
        plain.len = 6 * MIB; /* the last block is a whole one */
        check_both_ways(plain, fixture_pipe(plain, "lzop -c"));
        free(plain.data);
}

static void test_members_one_behind_the_other(void **state)
{
        struct bytes a = fixture_mixture(3 * MIB + 1, 1), b = fixture_noise(5 * MIB + 7, 2);
        struct bytes z = fixture_join(fixture_pipe(a, "lzop -c"), fixture_pipe(b, "lzop -F -c"));
        struct bytes plain = fixture_join(a, b);

        (void)state;
        check_both_ways(plain, z);
        free(plain.data);
}

/* What the pass's own thread reads while it walks. */
static void test_reads_in_between(void **state)
{
        struct bytes plain = fixture_mixture(12 * MIB + 5, 1);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        struct source *s = open_lzop(z, true, NULL);
        uint64_t end;

        (void)state;
        for (uint64_t want = 100000; want < plain.len; want += 777777) {
                struct error err = {0};

                assert_int_equal(source_reach(s, want, &end, &err), 0);
                assert_true(end >= want);
                decoded_expect(s, plain, want - 512, 512);
                decoded_expect(s, plain, want / 2, 400000 < want / 2 ? 400000 : 1000);
        }
        assert_true(count_by_sums(s) >= 10);
        go_to_the_end(s);
        check_all(s, plain);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_damage_is_left_to_who_reads_it(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB, 1);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        struct source *s;
        struct error err = {0};
        uint8_t buf[16];

        (void)state;
        z.data[fixture_lzop_block(z, 10) + 5000] ^= 0x10;
        s = open_lzop(z, true, NULL);
        go_to_the_end(s);
        assert_int_equal(source_damage(s, &err), 0);
        /* The block alone, though it is decoded as one with its neighbours. */
        decoded_expect(s, plain, 0, 10 * BLOCK);
        assert_int_equal(source_pread(s, buf, sizeof buf, 10 * BLOCK), -EIO);
        assert_int_equal(source_pread(s, buf, sizeof buf, 11 * BLOCK - 16), -EIO);
        assert_int_equal(source_pread(s, buf, sizeof buf, 10 * BLOCK - 8), -EIO);
        decoded_expect(s, plain, 11 * BLOCK, plain.len - 11 * BLOCK);
        assert_int_equal(source_damage(s, &err), -EIO);
        assert_int_equal(err.offset, fixture_lzop_block(z, 10));
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* Without checksums nobody would notice. */
static void test_without_checksums_all_is_decoded(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB, 1);
        struct bytes z = fixture_pipe(plain, "lzop -F -c");
        struct passage p;
        struct source *s;

        (void)state;
        memset(z.data + fixture_lzop_block(z, 10) + 5000, 0xff, 5000);
        s = open_lzop(z, true, NULL);
        decoded_pass(s, &p);
        assert_int_equal(p.count, 1);
        assert_int_equal(p.lost[0].start, 10 * BLOCK);
        assert_int_equal(p.lost[0].end, 11 * BLOCK);
        assert_int_equal(count_by_sums(s), 0);
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* Damage that moves what is after it. */
static void check_same_gaps(struct bytes z)
{
        struct source *walked = open_lzop(z, true, NULL), *decoded = open_lzop(z, false, NULL);
        struct passage a, b;

        decoded_pass(walked, &a);
        decoded_pass(decoded, &b);
        assert_true(a.damages > 0);
        assert_int_equal(b.count, a.count);
        for (size_t i = 0; i < a.count; i++) {
                assert_int_equal(a.lost[i].start, b.lost[i].start);
                assert_int_equal(a.lost[i].end, b.lost[i].end);
        }
        assert_true(walked->size == decoded->size);
        source_close(walked);
        source_close(decoded);
}

static void test_a_damaged_length_is_never_followed(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB + 100, 1);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        size_t blocks[] = {4, 7, 10, 24}; /* a run's first, its last, in the middle; the last */

        (void)state;
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
                size_t at = fixture_lzop_block(z, blocks[b]);

                for (size_t i = 0; i < 64; i += 1 + i % 3) {
                        z.data[at + i / 8] ^= (uint8_t)(1 << i % 8);
                        check_same_gaps(z);
                        z.data[at + i / 8] ^= (uint8_t)(1 << i % 8);
                }
        }
        free(plain.data);
        free(z.data);
}

static void test_missing_and_foreign_pieces(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB, 1), junk = fixture_noise(70000, 2);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        size_t places[] = {fixture_lzop_block(z, 4), fixture_lzop_block(z, 8),
                           fixture_lzop_block(z, 8) + 1000, fixture_lzop_block(z, 10) - 300,
                           fixture_lzop_block(z, 21) + 20};

        (void)state;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                struct bytes cut = {malloc(z.len), z.len - 600};
                struct bytes more = {malloc(z.len + junk.len), z.len + junk.len};

                memcpy(cut.data, z.data, places[i]);
                memcpy(cut.data + places[i], z.data + places[i] + 600, cut.len - places[i]);
                check_same_gaps(cut);
                memcpy(more.data, z.data, places[i]);
                memcpy(more.data + places[i], junk.data, junk.len);
                memcpy(more.data + places[i] + junk.len, z.data + places[i], z.len - places[i]);
                check_same_gaps(more);
                memset(more.data + places[i], 0, junk.len);
                check_same_gaps(more);
                check_same_gaps((struct bytes){z.data, places[i]});
                free(cut.data);
                free(more.data);
        }
        free(plain.data);
        free(junk.data);
        free(z.data);
}

/* Blocks that are sound by themselves, and not those that were indexed. */
static void check_exchanged_blocks(bool unproven)
{
        struct bytes plain = fixture_noise(6 * MIB, 1);
        struct bytes z = fixture_pipe(plain, "lzop -c");
        size_t a = fixture_lzop_block(z, 9), b = fixture_lzop_block(z, 17),
               len = fixture_lzop_block(z, 10) - a;
        struct source *s = open_lzop(z, true, NULL);
        struct restart_table *table;
        uint8_t *kept = malloc(len), buf[16];

        go_to_the_end(s);
        table = copy_table(s, z, unproven);
        source_close(s);
        memcpy(kept, z.data + a, len);
        memcpy(z.data + a, z.data + b, len);
        memcpy(z.data + b, kept, len);
        s = open_lzop(z, true, table);
        decoded_expect(s, plain, 0, 8 * BLOCK);
        assert_int_equal(source_pread(s, buf, sizeof buf, 9 * BLOCK + 5), -EIO);
        assert_int_equal(source_pread(s, buf, sizeof buf, 17 * BLOCK + 5), -EIO);
        decoded_expect(s, plain, 20 * BLOCK, 4 * BLOCK);
        source_close(s);
        free(kept);
        free(plain.data);
        free(z.data);
}

static void test_exchanged_blocks_are_noticed(void **state)
{
        (void)state;
        check_exchanged_blocks(false);
}

static void test_exchanged_blocks_are_noticed_before_the_second_proof(void **state)
{
        (void)state;
        check_exchanged_blocks(true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_finds_what_decoding_finds),
            cmocka_unit_test(test_members_one_behind_the_other),
            cmocka_unit_test(test_reads_in_between),
            cmocka_unit_test(test_damage_is_left_to_who_reads_it),
            cmocka_unit_test(test_without_checksums_all_is_decoded),
            cmocka_unit_test(test_a_damaged_length_is_never_followed),
            cmocka_unit_test(test_missing_and_foreign_pieces),
            cmocka_unit_test(test_exchanged_blocks_are_noticed),
            cmocka_unit_test(test_exchanged_blocks_are_noticed_before_the_second_proof),
        };

        return cmocka_run_group_tests_name("lzop_skip", tests, NULL, NULL);
}
