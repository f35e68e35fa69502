/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damage inside a gzip member, of which there is only one: after it the member is entered again at
 * a block, and every byte that is served is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/gzip/deflate_find.h"
#include "archive/stream/gzip/gzip_recover.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/recover_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { BLOCKS_MAX = 1 << 16 };

/* ---- where blocks begin ---- */

struct blocks {
        uint64_t bit[BLOCKS_MAX];
        uint64_t out[BLOCKS_MAX]; /* bytes before it */
        size_t count;
};

/* All blocks of Z, one member. */
static void walk(struct bytes z, struct blocks *b)
{
        static uint8_t out[1 << 16];
        z_stream s = {.next_in = z.data, .avail_in = (uInt)z.len};
        int rc = Z_OK;

        assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
        b->count = 0;
        while (rc == Z_OK) {
                s.next_out = out;
                s.avail_out = sizeof out;
                rc = inflate(&s, Z_BLOCK);
                if (rc == Z_OK && (s.data_type & (128 | 64)) == 128) {
                        assert_true(b->count < BLOCKS_MAX);
                        b->out[b->count] = s.total_out;
                        b->bit[b->count++] = (z.len - s.avail_in) * 8 - ((unsigned)s.data_type & 7);
                }
        }
        assert_int_equal(rc, Z_STREAM_END);
        inflateEnd(&s);
}

static struct deflate_header header_of(struct bytes z, uint64_t bit)
{
        return deflate_header(z.data + bit / 8, bit % 8);
}

/* The bit of the first block at or after byte FROM of Z. */
static uint64_t block_at(struct bytes z, size_t from)
{
        static struct blocks b;

        walk(z, &b);
        for (size_t i = 0; i < b.count; i++)
                if (b.bit[i] / 8 >= from)
                        return b.bit[i];
        fail_msg("no block");
        return 0;
}

/* A kind of block that there is not: what decodes it notices at once. */
static void break_header(struct bytes z, uint64_t bit)
{
        for (uint64_t i = bit + 1; i < bit + 3; i++)
                z.data[i / 8] |= (uint8_t)(1 << i % 8);
}

/* ---- salvage ---- */

static void check_header(const char *command)
{
        struct bytes plain = fixture_mixture(20 * MIB, 1);
        struct bytes z = fixture_pipe(plain, command);

        break_header(z, block_at(z, z.len / 2));
        recover_expect(plain, z, 17 * MIB);
        free(plain.data);
        free(z.data);
}

static void test_gzip(void **state)
{
        (void)state;
        check_header("gzip -6 -c");
}

static void test_pigz(void **state)
{
        (void)state;
        check_header("pigz -p2 -1 --rsyncable -c");
        check_header("pigz -p2 -1 --independent -c");
}

/* Whatever is not noticed until the member's sum has all of it in doubt, since it is short. */
static void check_missing(size_t missing, const char *command)
{
        struct bytes plain = fixture_mixture(8 * MIB, 3);
        struct bytes z = fixture_pipe(plain, command);
        size_t at = z.len / 2;

        memmove(z.data + at, z.data + at + missing, z.len - at - missing);
        z.len -= missing;
        recover_expect_right(plain, z);
        free(plain.data);
        free(z.data);
}

static void test_missing_piece(void **state)
{
        (void)state;
        for (size_t missing = 1; missing < MIB / 2; missing = missing * 50 + 1) {
                check_missing(missing, "gzip -1 -c");
                check_missing(missing, "pigz -p2 -1 -c");
        }
}

static void test_damage_at_several_places(void **state)
{
        struct bytes plain = fixture_mixture(24 * MIB, 5);
        struct bytes z = fixture_pipe(plain, "gzip -1 -c");
        uint64_t bits[3];
        struct recovered v;
        (void)state;

        for (size_t i = 0; i < 3; i++)
                bits[i] = block_at(z, z.len / 4 * (i + 1));
        for (size_t i = 0; i < 3; i++)
                break_header(z, bits[i]);
        v = recovery(z);
        assert_int_equal(v.met.count, 3);
        recovered_expect(&v, plain, 8 * MIB);
        source_close(v.s);
        free(plain.data);
        free(z.data);
}

/* So near to the end that there are not blocks enough for a proof but for the end itself. */
static void test_damage_near_the_end(void **state)
{
        struct bytes plain = fixture_mixture(6 * MIB, 8);
        struct bytes z = fixture_pipe(plain, "gzip -1 -c");
        static struct blocks b;
        struct recovered v;
        (void)state;

        walk(z, &b);
        break_header(z, b.bit[b.count - 5]);
        v = recovery(z);
        recovered_expect(&v, plain, 4 * MIB);
        assert_true(v.met.end > v.met.lost[v.met.count - 1].end);
        source_close(v.s);
        free(plain.data);
        free(z.data);
}

/* Nobody knows what these repeat: from the damage on there is nothing, and nothing wrong. */
static void test_what_cannot_be_known_is_not_made_up(void **state)
{
        struct bytes plain = {0};
        struct bytes z;
        struct recovered v;
        (void)state;

        for (int i = 0; i < 500; i++) {
                plain = fixture_join(plain, fixture_noise(15000, 6));
                plain = fixture_join(plain, fixture_noise(50, 7 + (uint64_t)i));
        }
        z = fixture_pipe(plain, "gzip -9 -c");
        break_header(z, block_at(z, 1000));
        v = recovery(z);
        assert_int_equal(v.met.count, 1);
        recovered_expect(&v, plain, 0);
        source_close(v.s);
        free(plain.data);
        free(z.data);
}

/* A deflate stream of many small blocks: MEM_LEVEL is zlib's. */
static struct bytes deflated(struct bytes plain, int mem_level)
{
        z_stream s = {.next_in = plain.data, .avail_in = (uInt)plain.len};
        struct bytes z = {malloc(plain.len * 2), 0};

        assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, 15, mem_level, Z_DEFAULT_STRATEGY), Z_OK);
        s.next_out = z.data;
        s.avail_out = (uInt)plain.len * 2;
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        z.len = s.total_out;
        deflateEnd(&s);
        return z;
}

/*
 * A guest's file that is a deflate stream itself does not shrink: it is stored as it is, and its
 * blocks are sound. After damage they are found before ours; they must not be taken for ours.
 */
static void check_embedded(int mem_level, const char *outer)
{
        struct bytes content = fixture_mixture(8 * MIB, 9);
        struct bytes file = deflated(content, mem_level);
        struct bytes plain = fixture_mixture(2 * MIB, 10);
        struct bytes z;
        struct recovered v;
        static struct blocks b;
        size_t stored = 0, front = plain.len, first = 0;

        plain = fixture_join(plain, file);
        plain = fixture_join(plain, fixture_mixture(6 * MIB, 11));
        z = fixture_pipe(plain, outer);
        walk(z, &b);
        for (size_t i = 0; i < b.count; i++) {
                if (b.out[i] < front + 200000 || b.out[i] > plain.len - 6 * MIB ||
                    header_of(z, b.bit[i]).kind != DEFLATE_STORED)
                        continue;
                first = first == 0 ? i : first;
                stored++;
        }
        assert_true(stored >= 16);
        break_header(z, b.bit[first]);
        v = recovery(z);
        recovered_expect(&v, plain, front / 2 + 3 * MIB);
        /* Not even for a moment. */
        assert_int_equal(v.met.count, 1);
        source_close(v.s);
        free(content.data);
        free(plain.data);
        free(z.data);
}

static void test_embedded_stream(void **state)
{
        (void)state;
        check_embedded(4, "gzip -1 -c");
        check_embedded(5, "pigz -p2 -1 -c");
}

/* ---- at random ---- */

static void test_random_damage(void **state)
{
        struct bytes plain = fixture_mixture(8 * MIB, 7);
        struct bytes z = fixture_pipe(plain, "gzip -1 -c");
        (void)state;

        assert_true(recover_random_damage(plain, z, 16, 200000) >= 2);
        free(plain.data);
        free(z.data);
}

/* Noise has no blocks in it. */
static void test_noise(void **state)
{
        struct bytes noise = fixture_noise(4 * MIB, 12);
        struct source *s = fixture_source(noise.data, noise.len);
        struct gzip_recovery account = {0};
        unsigned char window[GZIP_WINDOW];
        uint64_t bit;
        uint32_t len;
        (void)state;

        assert_int_equal(gzip_recover_from(&account, s, 0, &bit, window, &len), 0);
        /* A second time it is not gone through. */
        assert_true(account.searched > noise.len - 1000);
        gzip_recovery_fini(&account);
        source_close(s);
        free(noise.data);
}

/*
 * Headers, each of a block that goes on to the end of the file: decoding from each of them would
 * take for ever.
 */
static void test_headers_without_end_are_given_up(void **state)
{
        struct bytes plain = fixture_mixture(MIB, 13);
        struct bytes z = fixture_pipe(plain, "gzip -6 -c");
        static struct blocks b;
        struct bytes hostile = {malloc(6 * MIB), 6 * MIB};
        struct gzip_recovery account = {0};
        struct source *s;
        unsigned char window[GZIP_WINDOW];
        uint64_t bit = 0;
        size_t from;
        uint32_t len;
        (void)state;

        walk(z, &b);
        for (size_t i = 0; i < b.count && bit == 0; i++)
                if (header_of(z, b.bit[i]).kind == DEFLATE_DYNAMIC)
                        bit = b.bit[i];
        assert_true(bit > 0);
        from = (size_t)(bit / 8);
        for (size_t at = 0; at < hostile.len; at++)
                hostile.data[at] = at % 400 < 200 ? z.data[from + at % 400] : 0;
        s = fixture_source(hostile.data, hostile.len);
        assert_int_equal(gzip_recover_from(&account, s, 0, &bit, window, &len), 0);
        assert_true(account.spent <= account.granted + MIB);
        gzip_recovery_fini(&account);
        source_close(s);
        free(hostile.data);
        free(plain.data);
        free(z.data);
}

/* A file in memory that counts what is read of it. */
struct counted {
        struct source base;
        struct bytes bytes;
        uint64_t read;
};

static ssize_t counted_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct counted *c = (struct counted *)s;

        len = (size_t)min_u64(len, c->bytes.len - min_u64(offset, c->bytes.len));
        memcpy(buf, c->bytes.data + offset, len);
        c->read += len;
        return (ssize_t)len;
}

/* The search ends at the next member, and costs no more than the way there. */
static void test_many_damaged_members(void **state)
{
        enum { MEMBER = 32, MEMBERS = 50000, TRIED = 1000, EACH = 16384 };
        static const struct source_ops ops = {.name = "memory", .pread = counted_pread};
        static const uint8_t header[10] = {0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3};
        static uint8_t data[MEMBER * MEMBERS];
        struct counted c = {.base = {.ops = &ops, .size = sizeof data},
                            .bytes = {.data = data, .len = sizeof data}};
        struct gzip_recovery account = {0};
        unsigned char window[GZIP_WINDOW];
        uint64_t bit;
        uint32_t len;
        (void)state;

        for (size_t at = 0; at < sizeof data; at++)
                data[at] = at % MEMBER < sizeof header ? header[at % MEMBER] : 0x07;
        for (uint64_t i = 0; i < TRIED; i++)
                assert_int_equal(gzip_recover_from(&account, &c.base, i * MEMBER + sizeof header,
                                                   &bit, window, &len),
                                 0);
        assert_true(c.read > 0 && c.read <= (uint64_t)TRIED * EACH);
        assert_true(account.searched <= (uint64_t)TRIED * MEMBER + MEMBER);
        gzip_recovery_fini(&account);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_gzip),
            cmocka_unit_test(test_pigz),
            cmocka_unit_test(test_missing_piece),
            cmocka_unit_test(test_damage_at_several_places),
            cmocka_unit_test(test_damage_near_the_end),
            cmocka_unit_test(test_what_cannot_be_known_is_not_made_up),
            cmocka_unit_test(test_embedded_stream),
            cmocka_unit_test(test_random_damage),
            cmocka_unit_test(test_noise),
            cmocka_unit_test(test_headers_without_end_are_given_up),
            cmocka_unit_test(test_many_damaged_members),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
