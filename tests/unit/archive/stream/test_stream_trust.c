/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a compressed stream is believed, when, and what is lost where it is damaged. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { MEMBER = 300000, MEMBERS = 4, LEN = 16 };

static const char *const commands[] = {"zstd -q -c", "gzip -c", "lzop -c",
                                       "zstd -q -c --stream-size=300000"};

enum { ZSTD, GZIP, LZOP, CODECS, SIZED = CODECS };

/* Members one after another, and where each begins in the file. */
struct packed {
        struct bytes plain, z, sound;
        size_t at[MEMBERS + 1];
};

static struct packed pack(int codec)
{
        struct packed p = {.plain = fixture_mixture((size_t)MEMBER * MEMBERS, 1)};

        for (size_t i = 0; i < MEMBERS; i++) {
                struct bytes part = {p.plain.data + i * MEMBER, MEMBER};

                p.at[i] = p.z.len;
                p.z = fixture_join(p.z, fixture_pipe(part, commands[codec]));
        }
        p.at[MEMBERS] = p.z.len;
        p.sound = (struct bytes){malloc(p.z.len), p.z.len};
        memcpy(p.sound.data, p.z.data, p.z.len);
        return p;
}

static void unpack(struct packed *p)
{
        free(p->plain.data);
        free(p->sound.data);
        free(p->z.data);
}

static struct source *open_stream(struct bytes z, uint64_t withheld)
{
        const struct stream_options o = {.threads = 2, .withheld = withheld};
        struct source *s;

        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, NULL), 0);
        stream_release(s);
        return s;
}

/*
 * Of Z's members, FIRST to LAST are lost, at least in part, and all else is there and right. No
 * byte is wrong.
 */
static void expect_lost(struct packed *p, size_t first, size_t last)
{
        struct source *s = open_stream(p->z, 0);
        struct passage met;
        uint64_t from = first * MEMBER, after = (last + 1) * MEMBER;
        uint8_t byte;

        decoded_pass(s, &met);
        assert_int_equal(met.count, 1);
        assert_true(met.damages > 0);
        assert_in_range(met.lost[0].start, from, after - 1);
        decoded_expect(s, p->plain, 0, (size_t)met.lost[0].start);
        assert_int_equal(source_pread(s, &byte, 1, met.lost[0].start), -EIO);
        assert_int_equal(source_pread(s, &byte, 1, met.lost[0].end - 1), -EIO);
        if (after < p->plain.len) {
                size_t rest = (size_t)(met.end - met.lost[0].end);
                uint8_t *got = malloc(rest);

                assert_true(rest >= p->plain.len - after);
                assert_int_equal(source_pread(s, got, rest, met.lost[0].end), (ssize_t)rest);
                assert_memory_equal(got, p->plain.data + p->plain.len - rest, rest);
                free(got);
        }
        source_close(s);
        memcpy(p->z.data, p->sound.data, p->z.len);
}

static void flip(struct packed *p, size_t member, size_t at)
{
        p->z.data[p->at[member] + at] ^= 0x10;
}

static size_t length(const struct packed *p, size_t member)
{
        return p->at[member + 1] - p->at[member];
}

static void test_each_member(void **state)
{
        (void)state;
        for (int codec = 0; codec < CODECS; codec++) {
                struct packed p = pack(codec);

                for (size_t i = 0; i < MEMBERS; i++) {
                        for (size_t part = 2; part < 8; part++) {
                                flip(&p, i, length(&p, i) * part / 8);
                                expect_lost(&p, i, i);
                        }
                }
                unpack(&p);
        }
}

/* The bytes are all right; nothing says so. */
static void test_checksum_alone(void **state)
{
        static const size_t from_end[] = {[ZSTD] = 1, [GZIP] = 7};
        (void)state;

        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct packed p = pack(codec);

                for (size_t i = 0; i < MEMBERS; i++) {
                        flip(&p, i, length(&p, i) - from_end[codec]);
                        expect_lost(&p, i, i);
                }
                unpack(&p);
        }
}

static void test_two_damages_in_one_member(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct packed p = pack(codec);

                for (size_t part = 1; part < 7; part++) {
                        flip(&p, 1, length(&p, 1) * part / 8);
                        flip(&p, 1, length(&p, 1) * (part + 1) / 8);
                        expect_lost(&p, 1, 1);
                }
                unpack(&p);
        }
}

static void test_two_damaged_members(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct packed p = pack(codec);

                flip(&p, 1, length(&p, 1) / 2);
                flip(&p, 2, length(&p, 2) / 2);
                expect_lost(&p, 1, 2);
                unpack(&p);
        }
}

/* How long it is stands in lzop's block headers, and nowhere else. */
static void test_what_follows_a_gap_is_displaced_unless_its_length_is_known(void **state)
{
        (void)state;
        for (int codec = 0; codec < CODECS; codec++) {
                struct packed p = pack(codec);
                struct source_lost_range gap;
                struct source *s;
                uint64_t end;

                flip(&p, 1, length(&p, 1) / 2);
                s = open_stream(p.z, 0);
                assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
                assert_true(source_find_lost(s, 0, &gap));
                assert_int_equal(gap.exact, codec == LZOP);
                assert_int_equal(source_straight(s, 0), codec == LZOP ? UINT64_MAX : gap.start);
                assert_int_equal(source_straight(s, gap.end), UINT64_MAX);
                if (codec == LZOP)
                        assert_int_equal(s->size, p.plain.len);
                source_close(s);
                unpack(&p);
        }
}

/* All but LOST bytes from FROM on are there, and right, at their place. */
static void expect_in_place(struct bytes z, struct bytes plain, uint64_t from, uint64_t lost)
{
        struct source *s = open_stream(z, 0);
        struct passage met;

        decoded_pass(s, &met);
        assert_int_equal(met.count, 1);
        assert_true(met.lost[0].exact);
        assert_int_equal(met.lost[0].start, from);
        assert_int_equal(met.lost[0].end, from + lost);
        assert_int_equal(met.end, plain.len);
        decoded_expect(s, plain, 0, (size_t)from);
        decoded_expect(s, plain, from + lost, (size_t)(plain.len - from - lost));
        source_close(s);
}

static void test_frames_that_say_what_they_hold_are_lost_to_the_byte(void **state)
{
        struct packed p = pack(SIZED);
        (void)state;

        for (size_t i = 0; i + 1 < MEMBERS; i++) {
                for (size_t part = 1; part < 9; part++) {
                        flip(&p, i, part < 8 ? length(&p, i) * part / 8 : length(&p, i) - 2);
                        expect_in_place(p.z, p.plain, i * MEMBER, MEMBER);
                        memcpy(p.z.data, p.sound.data, p.z.len);
                }
        }
        unpack(&p);
}

/* A frame's header that says something else than its neighbours is not believed. */
static void test_a_damaged_size_is_not_believed(void **state)
{
        struct packed p = pack(SIZED);
        struct source_lost_range gap;
        struct source *s;
        uint64_t end;
        (void)state;

        p.z.data[p.at[1] + 6] ^= 1;
        flip(&p, 1, length(&p, 1) / 2);
        s = open_stream(p.z, 0);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        assert_true(source_find_lost(s, 0, &gap));
        assert_false(gap.exact);
        source_close(s);
        unpack(&p);
}

/* Members of bgzf; bgzip need not be there to write them. */
static struct bytes write_bgzf(struct bytes plain, size_t size, size_t *second)
{
        struct bytes z = {0};

        for (size_t at = 0, i = 0; at < plain.len; at += size, i++) {
                struct bytes part = {plain.data + at, min_u64(size, plain.len - at)};
                struct bytes gz = fixture_pipe(part, "gzip -nc"), m = {malloc(gz.len + 8), 0};

                memcpy(m.data, gz.data, 10);
                m.data[3] = 4;
                memcpy(m.data + 10,
                       "\x06\x00"
                       "BC\x02\x00",
                       6);
                m.len = gz.len + 8;
                m.data[16] = (uint8_t)(m.len - 1);
                m.data[17] = (uint8_t)((m.len - 1) >> 8);
                memcpy(m.data + 18, gz.data + 10, gz.len - 10);
                free(gz.data);
                if (i == 1)
                        *second = z.len;
                z = fixture_join(z, m);
        }
        return z;
}

static void test_members_of_bgzf_are_lost_to_the_byte(void **state)
{
        enum { SIZE = 60000 };
        struct bytes plain = fixture_mixture((size_t)SIZE * 5, 1);
        size_t second = 0;
        struct bytes z = write_bgzf(plain, SIZE, &second);
        (void)state;

        for (size_t at = 100; z.data && at < 8000; at += 2000) {
                z.data[second + at] ^= 0x10;
                expect_in_place(z, plain, SIZE, SIZE);
                z.data[second + at] ^= 0x10;
        }
        assert_non_null(z.data);
        free(plain.data);
        free(z.data);
}

static void test_a_slice_knows_the_gaps_in_it(void **state)
{
        struct packed p = pack(ZSTD);
        struct source *s, *slice;
        struct source_lost_range gap, in_slice;
        uint64_t end;
        (void)state;

        flip(&p, 1, length(&p, 1) / 2);
        s = open_stream(p.z, 0);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        assert_true(source_find_lost(s, 0, &gap));
        assert_int_equal(source_open_slice(s, 1000, end - 1000, &slice), 0);
        assert_true(source_find_lost(slice, 0, &in_slice));
        assert_int_equal(in_slice.start, gap.start - 1000);
        assert_int_equal(in_slice.end, gap.end - 1000);
        assert_int_equal(source_straight(slice, 0), gap.start - 1000);
        source_close(slice);
        assert_int_equal(source_open_slice(s, 0, gap.start, &slice), 0);
        assert_false(source_find_lost(slice, 0, &in_slice));
        source_close(slice);
        source_close(s);
        unpack(&p);
}

/* ---- before the checksum ---- */

struct reading {
        struct source *stream;
        uint64_t offset;
        uint8_t bytes[LEN];
        ssize_t rc;
};

static void *read_bytes(void *ctx)
{
        struct reading *r = ctx;

        r->rc = source_pread(r->stream, r->bytes, LEN, r->offset);
        return NULL;
}

/* Some bytes from OFFSET, as another thread gets them than the one that reaches. */
static ssize_t read_aside(struct source *stream, uint64_t offset)
{
        struct reading r = {.stream = stream, .offset = offset};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, read_bytes, &r), 0);
        pthread_join(thread, NULL);
        return r.rc;
}

static void test_bytes_are_withheld_until_their_checksum(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct bytes plain = fixture_mixture(3 * MIB, 1);
                struct bytes z = fixture_pipe(plain, commands[codec]);
                struct source *s = open_stream(z, 0);
                uint8_t byte;
                uint64_t end;

                assert_int_equal(source_look_ahead(s, MIB, &end, NULL), 0);
                assert_in_range(end, MIB, plain.len - 1);
                assert_int_equal(source_frontier(s), 0);
                assert_int_equal(source_peek(s, &byte, 1, MIB - 1), 1);
                assert_int_equal(byte, plain.data[MIB - 1]);
                assert_int_equal(source_pread(s, &byte, 1, 0), -EAGAIN);
                assert_int_equal(read_aside(s, 0), -EAGAIN);
                assert_int_equal(source_reach(s, 1, &end, NULL), 0);
                assert_int_equal(end, plain.len);
                decoded_expect(s, plain, 0, plain.len);
                source_close(s);
                free(plain.data);
                free(z.data);
        }
}

/* What is wrong with the end of a long member is found too late for its beginning. */
static void test_of_a_long_member_the_end_is_withheld(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct bytes plain = fixture_mixture(5 * MIB, 1);
                struct bytes z = fixture_pipe(plain, commands[codec]);
                struct source *s = open_stream(z, 2 * MIB);
                struct source_lost_range gap;
                uint64_t end;

                z.data[z.len - (codec == ZSTD ? 1 : 7)] ^= 1;
                assert_int_equal(source_look_ahead(s, 4 * MIB, &end, NULL), 0);
                assert_int_equal(source_frontier(s), end - 2 * MIB);
                assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
                assert_true(source_find_lost(s, 0, &gap));
                assert_in_range(gap.start, 2 * MIB, 3 * MIB);
                assert_int_equal(gap.end, end);
                decoded_expect(s, plain, 0, (size_t)gap.start);
                source_close(s);
                free(plain.data);
                free(z.data);
        }
}

/* LEN bytes of lines that are much alike. */
static struct bytes make_lines(size_t len)
{
        struct bytes b = {calloc(1, len), len};

        for (size_t i = 0, at = 0; at + 100 < len; i++)
                at += (size_t)sprintf((char *)b.data + at,
                                      "the same line %zu again and again, number %zu\n",
                                      i * 7919 % 10007, i);
        return b;
}

/*
 * A member's checksum is wrong, and the search for a way on begins before what was decoded last.
 * What comes before the gap still has all of its input, once it has left the cache.
 */
static void test_the_way_on_may_begin_before_what_was_decoded(void **state)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = 64 << 10, .withheld = 100000};
        struct bytes plain = make_lines(2600000);
        struct bytes z = fixture_pipe(plain, "pigz -c -b 128 -i");
        struct passage met;
        struct source *s;
        uint8_t *rest;
        (void)state;

        z.data[z.len - 8] ^= 1;
        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, NULL), 0);
        stream_release(s);
        decoded_pass(s, &met);
        assert_int_equal(met.count, 1);
        assert_in_range(met.end - met.lost[0].end, 100000, plain.len);
        rest = malloc((size_t)(met.end - met.lost[0].end));
        assert_true(source_pread(s, rest, (size_t)(met.end - met.lost[0].end), met.lost[0].end) >
                    0);
        decoded_expect(s, plain, 0, (size_t)met.lost[0].start);
        source_close(s);
        free(rest);
        free(plain.data);
        free(z.data);
}

/* ---- suspicion ---- */

/* Look ahead to 3 MiB of 6, suspect 2 MiB, and go on to the end. The first gap, if there is any. */
static bool suspect(struct bytes z, uint64_t withheld, struct source_lost_range *gap)
{
        struct source *s = open_stream(z, withheld);
        uint64_t end;
        bool lost;

        assert_int_equal(source_look_ahead(s, 3 * MIB, &end, NULL), 0);
        source_suspect(s, 2 * MIB);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        lost = source_find_lost(s, 0, gap);
        source_close(s);
        return lost;
}

static void test_a_checksum_clears_what_is_suspected(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct bytes plain = fixture_mixture(6 * MIB, 1);
                struct bytes z = fixture_pipe(plain, commands[codec]);
                struct source_lost_range gap;

                assert_false(suspect(z, 0, &gap));
                free(plain.data);
                free(z.data);
        }
}

static void test_what_is_suspected_is_lost_where_no_checksum_comes_in_time(void **state)
{
        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct bytes plain = fixture_mixture(6 * MIB, 1);
                struct bytes z = fixture_pipe(plain, commands[codec]);
                struct source_lost_range gap;

                assert_true(suspect(z, 2 * MIB, &gap));
                assert_in_range(gap.start, MIB, 2 * MIB - 1);
                assert_int_equal(gap.end, 2 * MIB);
                assert_false(gap.exact);
                free(plain.data);
                free(z.data);
        }
}

/* ---- a kept index ---- */

/* Z with the table of what it was when it was SOUND. */
static struct source *open_with_table(struct bytes z, struct bytes sound)
{
        struct stream_options o = {.threads = 1};
        struct source *first = open_stream(sound, 0), *s;
        struct restart_record record;
        uint64_t end;

        assert_int_equal(source_reach(first, UINT64_MAX, &end, NULL), 0);
        assert_int_equal(restart_table_new(&o.take_table), 0);
        for (size_t i = 0; restart_save(stream_table(first), i, &record); i++)
                assert_int_equal(restart_load(o.take_table, &record, 1 << 20), 0);
        assert_int_equal(restart_load_end(o.take_table, end, z.len), 0);
        source_close(first);
        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &s, NULL), 0);
        return s;
}

static void test_what_an_index_disproves_can_only_be_peeked_at(void **state)
{
        const uint64_t at = 2 * PART_SIZE + 1000;

        (void)state;
        for (int codec = ZSTD; codec <= GZIP; codec++) {
                struct packed p = pack(codec);
                struct source *s;
                uint8_t got[LEN];
                struct error err = {0};

                /* What is read is right, but the same part of its segment has what is not. */
                flip(&p, 2, length(&p, 2) / 4);
                s = open_with_table(p.z, p.sound);
                assert_int_equal(source_pread(s, got, LEN, at), -EIO);
                assert_int_equal(source_damage(s, &err), -EIO);
                assert_int_equal(source_peek(s, got, LEN, at), LEN);
                assert_memory_equal(got, p.plain.data + at, LEN);
                source_close(s);
                unpack(&p);
        }
}

/* ---- who is told ---- */

static int refuse(void *ctx, uint64_t at, const struct error *why)
{
        unsigned *told = ctx;

        (void)at;
        assert_int_equal(why->code, EIO);
        ++*told;
        return -ECANCELED;
}

static void test_an_observer_can_end_it(void **state)
{
        struct packed p = pack(ZSTD);
        struct source_observer observer = {.damaged = refuse};
        struct error err = {0};
        struct source *s;
        unsigned told = 0;
        uint64_t end;
        (void)state;

        flip(&p, 2, length(&p, 2) / 2);
        s = open_stream(p.z, 0);
        observer.ctx = &told;
        source_observe(s, &observer);
        assert_int_equal(source_reach(s, UINT64_MAX, &end, &err), -ECANCELED);
        assert_int_equal(told, 1);
        assert_int_equal(end, 2 * MEMBER);
        assert_int_equal(read_aside(s, 0), LEN);
        assert_int_equal(read_aside(s, 2 * MEMBER), -EIO);
        source_close(s);
        unpack(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_member),
            cmocka_unit_test(test_checksum_alone),
            cmocka_unit_test(test_two_damages_in_one_member),
            cmocka_unit_test(test_two_damaged_members),
            cmocka_unit_test(test_what_follows_a_gap_is_displaced_unless_its_length_is_known),
            cmocka_unit_test(test_frames_that_say_what_they_hold_are_lost_to_the_byte),
            cmocka_unit_test(test_a_damaged_size_is_not_believed),
            cmocka_unit_test(test_members_of_bgzf_are_lost_to_the_byte),
            cmocka_unit_test(test_a_slice_knows_the_gaps_in_it),
            cmocka_unit_test(test_bytes_are_withheld_until_their_checksum),
            cmocka_unit_test(test_of_a_long_member_the_end_is_withheld),
            cmocka_unit_test(test_the_way_on_may_begin_before_what_was_decoded),
            cmocka_unit_test(test_a_checksum_clears_what_is_suspected),
            cmocka_unit_test(test_what_is_suspected_is_lost_where_no_checksum_comes_in_time),
            cmocka_unit_test(test_what_an_index_disproves_can_only_be_peeked_at),
            cmocka_unit_test(test_an_observer_can_end_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
