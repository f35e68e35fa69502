/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a block of xz, bzip2 or lz4 is damaged, that block is lost, and the rest after it is there:
 * at its place where the format says how much is lost, else after a gap.
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

#include "archive/source/source.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

#if defined(VMAFS_XZ) || defined(VMAFS_BZIP2) || defined(VMAFS_LZ4)

enum { BLOCK = 300000, BLOCKS = 5, LEN = BLOCK * BLOCKS };

struct packed {
        struct bytes plain, z;
};

static struct packed pack(const char *command)
{
        struct packed p = {.plain = fixture_mixture(LEN, 1)};

        p.z = fixture_pipe(p.plain, command);
        return p;
}

static void unpack(struct packed *p)
{
        free(p->plain.data);
        free(p->z.data);
}

/* With the usual cache, and with one in which nothing stays that the pass has decoded. */
static const size_t caches[] = {0, 64 << 10};

enum { CACHES = sizeof caches / sizeof *caches };

static struct source *open_stream(const struct packed *p, size_t cache_bytes)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = cache_bytes};
        struct source *s;
        struct error err = {0};

        if (stream_probe(fixture_source(p->z.data, p->z.len), &o, &s, &err) < 0)
                fail_msg("%s", err.text);
        stream_release(s);
        return s;
}

/* One gap, after which the end of what was packed comes; everything before it is right. */
static struct source_lost_range expect_gap_with(const struct packed *p, size_t cache_bytes)
{
        struct source *s = open_stream(p, cache_bytes);
        struct source_lost_range gap;
        struct passage met;
        uint8_t *got;
        size_t rest;

        decoded_pass(s, &met);
        assert_int_equal(met.count, 1);
        gap = met.lost[0];
        decoded_expect(s, p->plain, 0, (size_t)gap.start);
        rest = (size_t)(met.end - gap.end);
        assert_in_range(rest, 1, LEN - gap.start);
        got = malloc(rest);
        assert_int_equal(source_pread(s, got, rest, gap.end), (ssize_t)rest);
        assert_memory_equal(got, p->plain.data + LEN - rest, rest);
        assert_int_equal(source_pread(s, got, 1, gap.start), -EIO);
        assert_int_equal(source_pread(s, got, 1, gap.end - 1), -EIO);
        free(got);
        source_close(s);
        return gap;
}

static struct source_lost_range expect_gap(const struct packed *p)
{
        struct source_lost_range gap = expect_gap_with(p, caches[0]);

        for (size_t i = 1; i < CACHES; i++) {
                struct source_lost_range other = expect_gap_with(p, caches[i]);

                assert_int_equal(other.start, gap.start);
                assert_int_equal(other.end, gap.end);
        }
        return gap;
}

/* Where what was cut off at byte LEN is lost, all before it is right. */
static void expect_cut(struct packed *p, size_t len, size_t least)
{
        size_t whole = p->z.len;

        p->z.len = len;
        for (size_t i = 0; i < CACHES; i++) {
                struct source *s = open_stream(p, caches[i]);
                struct passage met;
                uint64_t from;

                decoded_pass(s, &met);
                from = met.count > 0 ? met.lost[0].start : met.end;
                assert_true(met.damages > 0);
                assert_in_range(from, least, LEN);
                decoded_expect(s, p->plain, 0, (size_t)from);
                source_close(s);
        }
        p->z.len = whole;
}

#ifdef VMAFS_XZ

/* Byte at which block I of what xz made of blocks begins: after a header, and others. */
static size_t xz_block(const struct packed *p, size_t i)
{
        char command[200];
        struct bytes copy = {malloc(p->z.len), p->z.len}, said;
        size_t at;

        memcpy(copy.data, p->z.data, copy.len);
        snprintf(command, sizeof command,
                 "{ d=$(mktemp -d); cat >$d/a.xz; xz --robot -lvv $d/a.xz | "
                 "awk '$1 == \"block\" && $4 == %zu { print $5 }'; rm -r $d; }",
                 i + 1);
        said = fixture_pipe(copy, command);
        free(copy.data);
        assert_true(said.len > 1);
        said.data[said.len - 1] = 0;
        at = strtoul((char *)said.data, NULL, 10);
        free(said.data);
        return at;
}

static void expect_block_lost(const struct packed *p, size_t i)
{
        struct source_lost_range gap = expect_gap(p);

        assert_true(gap.exact);
        assert_int_equal(gap.start, i * BLOCK);
        assert_int_equal(gap.end, (i + 1) * BLOCK);
}

/* In a block's header, in its data, or in its check. */
static void test_xz_block_is_lost_alone(void **state)
{
        struct packed p = pack("xz -0 --block-size=300000 -c");

        (void)state;
        for (size_t i = 0; i + 1 < BLOCKS; i++) {
                size_t at = xz_block(&p, i), next = xz_block(&p, i + 1);
                const size_t places[] = {at + 1, at + 6, (at + next) / 2, next - 3};

                for (size_t n = i > 0 ? 0 : 2; n < 4; n++) {
                        p.z.data[places[n]] ^= 0x10;
                        expect_block_lost(&p, i);
                        p.z.data[places[n]] ^= 0x10;
                }
        }
        unpack(&p);
}

/* Without the index at the stream's end the sizes in the blocks' headers do as well. */
static void test_xz_sizes_in_headers(void **state)
{
        struct packed p = pack("xz -0 -T2 --block-size=300000 -c");
        size_t at = xz_block(&p, 2);

        (void)state;
        p.z.data[at + 5000] ^= 0x10;
        p.z.data[p.z.len - 1] ^= 0x10;
        expect_block_lost(&p, 2);
        unpack(&p);
}

/* Nor those: the next block is found by its header, but not how much is lost. */
static void test_xz_block_is_found(void **state)
{
        struct packed p = pack("xz -0 --block-size=300000 -c");
        size_t at = xz_block(&p, 2);
        struct source_lost_range gap;

        (void)state;
        p.z.data[at + 5000] ^= 0x10;
        p.z.data[p.z.len - 1] ^= 0x10;
        gap = expect_gap(&p);
        assert_false(gap.exact);
        assert_int_equal(gap.start, 2 * BLOCK);
        unpack(&p);
}

static void test_xz_last_block(void **state)
{
        struct packed p = pack("xz -0 --block-size=300000 -c");
        struct source *s;
        struct passage met;

        (void)state;
        p.z.data[xz_block(&p, BLOCKS - 1) + 5000] ^= 0x10;
        s = open_stream(&p, caches[0]);
        decoded_pass(s, &met);
        assert_int_equal(met.count, 1);
        assert_int_equal(met.lost[0].start, (BLOCKS - 1) * BLOCK);
        assert_int_equal(met.end, LEN);
        source_close(s);
        unpack(&p);
}

static void test_xz_cut(void **state)
{
        struct packed p = pack("xz -0 --block-size=300000 -c");

        (void)state;
        for (size_t i = 1; i < BLOCKS; i++) {
                expect_cut(&p, xz_block(&p, i), i * BLOCK);
                expect_cut(&p, xz_block(&p, i) + 3000, i * BLOCK);
        }
        unpack(&p);
}

#endif
#ifdef VMAFS_BZIP2

static void test_bzip2_block(void **state)
{
        struct packed p = pack("bzip2 -1 -c");

        (void)state;
        for (size_t part = 1; part < 7; part++) {
                size_t at = p.z.len * part / 8;
                struct source_lost_range gap;

                p.z.data[at] ^= 0x10;
                gap = expect_gap(&p);
                assert_false(gap.exact);
                assert_in_range(gap.start, LEN * (part - 1) / 8, LEN * (part + 1) / 8);
                p.z.data[at] ^= 0x10;
        }
        unpack(&p);
}

/* The last stream is found by its header. */
static void test_bzip2_stream(void **state)
{
        struct packed p = pack("{ head -c 900000 | bzip2 -1; bzip2 -9; }");
        struct source_lost_range gap;
        uint8_t *second;

        (void)state;
        second = memmem(p.z.data, p.z.len, "BZh91AY&SY", 10);
        assert_non_null(second);
        second[-5000] ^= 0x10;
        gap = expect_gap(&p);
        assert_false(gap.exact);
        unpack(&p);
}

static void test_bzip2_cut(void **state)
{
        struct packed p = pack("bzip2 -1 -c");

        (void)state;
        for (size_t part = 2; part < 8; part++)
                expect_cut(&p, p.z.len * part / 8, LEN * (part - 1) / 8);
        unpack(&p);
}

#endif
#ifdef VMAFS_LZ4

static void test_lz4_block(void **state)
{
        struct packed p = pack("lz4 -q -B4 -BX -c");

        (void)state;
        for (size_t part = 1; part < 7; part++) {
                size_t at = p.z.len * part / 8;
                struct source_lost_range gap;

                p.z.data[at] ^= 0x10;
                gap = expect_gap(&p);
                assert_false(gap.exact);
                assert_int_equal(gap.start % 65536, 0);
                p.z.data[at] ^= 0x10;
        }
        unpack(&p);
}

/* What only the frame's checksum covers is lost with it; the next frame is there. */
static void test_lz4_frame(void **state)
{
        struct packed p = pack("{ head -c 600000 | lz4 -q -B4 -BD -c; lz4 -q -c; }");
        struct source_lost_range gap;

        (void)state;
        p.z.data[p.z.len / 8] ^= 0x10;
        gap = expect_gap(&p);
        assert_int_equal(gap.start, 0);
        unpack(&p);
}

static void test_lz4_cut(void **state)
{
        struct packed p = pack("lz4 -q -B4 -BX -c");

        (void)state;
        for (size_t part = 2; part < 8; part++)
                expect_cut(&p, p.z.len * part / 8, LEN * (part - 1) / 8);
        unpack(&p);
}

#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
#ifdef VMAFS_XZ
            cmocka_unit_test(test_xz_block_is_lost_alone),
            cmocka_unit_test(test_xz_sizes_in_headers),
            cmocka_unit_test(test_xz_block_is_found),
            cmocka_unit_test(test_xz_last_block),
            cmocka_unit_test(test_xz_cut),
#endif
#ifdef VMAFS_BZIP2
            cmocka_unit_test(test_bzip2_block),
            cmocka_unit_test(test_bzip2_stream),
            cmocka_unit_test(test_bzip2_cut),
#endif
#ifdef VMAFS_LZ4
            cmocka_unit_test(test_lz4_block),
            cmocka_unit_test(test_lz4_frame),
            cmocka_unit_test(test_lz4_cut),
#endif
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* There is nothing to test without liblzma, libbz2 and liblz4, which has to be said. */
static void test_none_of_them_is_built_in(void **state)
{
        (void)state;
        skip();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_none_of_them_is_built_in)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
