/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members made by hand: each field of the format at its extremes, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lzo/lzo1x.h>

#include "tests/fixtures/standins/codec_checks.h"
#include "tests/fixtures/standins/lzop_fixture.h"

#define MIB ((size_t)1 << 20)

static int set_up(void **state)
{
        assert_int_equal(lzo_init(), LZO_E_OK);
        return make_disk(state);
}

static void check_made(const struct lzop_header *h, const struct bytes *data, size_t block)
{
        struct bytes made = lzop_make_member(h, data, block);

        check_round_trip(&lzop_codec, &made, data, 1);
        check_round_trip(&lzop_codec, &made, data, MIB);
        bytes_free(&made);
}

/* Each of the 4 checksums is there or not; those of compressed data need the others. */
static void test_all_checksum_flags(void **state)
{
        struct bytes data = bytes_mixed(900000, 5);

        (void)state;
        for (unsigned set = 0; set < 16; set++) {
                struct lzop_header h = lzop_plain;

                h.flags = (set & 1 ? LZOP_ADLER32_OUT : 0) | (set & 2 ? LZOP_ADLER32_IN : 0) |
                          (set & 4 ? LZOP_CRC32_OUT : 0) | (set & 8 ? LZOP_CRC32_IN : 0);
                if ((set & 3) != 2 && (set & 12) != 8)
                        check_made(&h, &data, 100000);
        }
        bytes_free(&data);
}

/* The same with the genuine tool as the judge of what we make here. */
static void test_made_members_are_genuine(void **state)
{
        struct lzop_header h = lzop_plain;
        struct bytes made, back;

        (void)state;
        need_program("lzop");
        h.flags = LZOP_ALL_SUMS | LZOP_HEADER_CRC32 | LZOP_EXTRA;
        h.extra = "extra";
        made = lzop_make_member(&h, &disk, 200000);
        back = bytes_through(&made, "lzop -dc");
        assert_int_equal(back.len, disk.len);
        assert_memory_equal(back.data, disk.data, disk.len);
        check_round_trip(&lzop_codec, &made, &disk, MIB / 2);
        bytes_free(&back);
        bytes_free(&made);
}

static void test_small_blocks(void **state)
{
        struct bytes data = bytes_mixed(30000, 6);

        (void)state;
        check_made(&lzop_plain, &data, 1);
        check_made(&lzop_plain, &data, 777);
        bytes_free(&data);
}

/* Blocks that are larger than what pass() is asked for. */
static void test_large_blocks(void **state)
{
        (void)state;
        check_made(&lzop_plain, &disk, 3 * MIB);
        check_made(&lzop_plain, &disk, 256 * 1024 + 1);
}

static void test_largest_block(void **state)
{
        struct bytes data = bytes_mixed(64 * MIB, 8);
        struct bytes made = lzop_make_member(&lzop_plain, &data, data.len);

        (void)state;
        check_round_trip(&lzop_codec, &made, &data, MIB);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_block_over_the_limit(void **state)
{
        struct bytes made = {0};
        size_t at;

        (void)state;
        lzop_append_header(&made, &lzop_plain);
        at = made.len;
        lzop_append_be32(&made, (64 << 20) + 1);
        lzop_append_be32(&made, 100);
        check_failure(&lzop_codec, &made, EIO, at, 0);
        bytes_free(&made);
}

static void check_bad_block(uint32_t out_len, uint32_t in_len)
{
        struct bytes made = {0};
        size_t at;

        lzop_append_header(&made, &lzop_plain);
        lzop_append_block(&made, 0, disk.data, 1000);
        at = made.len;
        lzop_append_be32(&made, out_len);
        lzop_append_be32(&made, in_len);
        bytes_append(&made, disk.data, 100);
        check_failure(&lzop_codec, &made, EIO, at, 1000);
        bytes_free(&made);
}

static void test_block_larger_than_its_output(void **state)
{
        (void)state;
        check_bad_block(50, 51);
}

static void test_block_of_nothing(void **state)
{
        (void)state;
        check_bad_block(50, 0);
}

static void test_block_without_sense(void **state)
{
        (void)state;
        check_bad_block(1000, 99);
}

static void check_refused(const struct lzop_header *h)
{
        struct bytes made = lzop_make_member(h, &content, content.len);

        check_failure(&lzop_codec, &made, ENOTSUP, 0, 0);
        bytes_free(&made);
}

static void test_newer_version(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.needed = 0x1050;
        check_refused(&h);
}

static void test_ancient_version(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.version = 0x0930;
        check_refused(&h);
}

static void test_unknown_method(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.method = 4;
        check_refused(&h);
        h.method = 0;
        check_refused(&h);
}

static void test_unknown_flags(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.flags = 0x4000;
        check_refused(&h);
}

static void test_unknown_filter(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.flags = LZOP_FILTER;
        h.filter = 17;
        check_refused(&h);
}

static void test_input_checksums_alone(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.flags = LZOP_ADLER32_IN;
        check_refused(&h);
        h.flags = LZOP_CRC32_IN | LZOP_ADLER32_OUT;
        check_refused(&h);
}

static void test_multipart_flag(void **state)
{
        struct lzop_header h = lzop_plain;

        (void)state;
        h.flags = LZOP_MULTIPART;
        check_made(&h, &disk, MIB / 8);
}

static void test_split_file(void **state)
{
        struct bytes made = {0};
        size_t at;

        (void)state;
        lzop_append_header(&made, &lzop_plain);
        lzop_append_block(&made, 0, disk.data, 1000);
        at = made.len;
        lzop_append_be32(&made, UINT32_MAX);
        check_failure(&lzop_codec, &made, ENOTSUP, at, 1000);
        bytes_free(&made);
}

static void check_wrong_sum(size_t sum)
{
        struct lzop_header h = lzop_plain;
        struct bytes made = {0};
        size_t block;

        h.flags = LZOP_ALL_SUMS;
        lzop_append_header(&made, &h);
        lzop_append_block(&made, h.flags, disk.data, 1000);
        block = made.len;
        lzop_append_block(&made, h.flags, disk.data, 2000);
        made.data[block + 8 + sum * 4] ^= 0x10;
        check_failure(&lzop_codec, &made, EIO, block, 1000);
        bytes_free(&made);
}

static void test_each_wrong_checksum(void **state)
{
        (void)state;
        for (size_t sum = 0; sum < 4; sum++)
                check_wrong_sum(sum);
}

static void test_wrong_header_checksum(void **state)
{
        struct bytes made = lzop_make_member(&lzop_plain, &content, content.len);

        (void)state;
        made.data[30] ^= 1; /* the time */
        check_failure(&lzop_codec, &made, EIO, 0, 0);
        bytes_free(&made);
}

static void test_wrong_extra_checksum(void **state)
{
        struct lzop_header h = lzop_plain;
        struct bytes data = bytes_copy("data", 4), made, all;
        size_t first;

        (void)state;
        h.flags = LZOP_EXTRA;
        h.extra = "extra";
        made = lzop_make_member(&h, &data, 4);
        first = made.len;
        all = bytes_copy(made.data, made.len);
        bytes_append(&all, made.data, made.len);
        all.data[first + 42 + 4] ^= 1;
        check_failure(&lzop_codec, &all, EIO, first, 4);
        bytes_free(&all);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_zero_padding(void **state)
{
        struct bytes made = lzop_make_member(&lzop_plain, &content, content.len);
        unsigned char zeros[600] = {0};

        (void)state;
        bytes_append(&made, zeros, sizeof zeros);
        check_round_trip(&lzop_codec, &made, &content, 1);
        bytes_free(&made);
}

/* Not only when it is tried a second time. */
static void test_member_behind_padding(void **state)
{
        struct bytes data = bytes_copy("content", 7);
        struct bytes made = lzop_make_member(&lzop_plain, &data, 7);
        unsigned char zeros[600] = {0};
        size_t len = made.len;

        (void)state;
        bytes_append(&made, zeros, sizeof zeros);
        bytes_append(&made, made.data, len);
        bytes_append(&data, "content", 7);
        check_round_trip(&lzop_codec, &made, &data, 1);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_trailing_garbage(void **state)
{
        struct bytes made = lzop_make_member(&lzop_plain, &content, content.len);
        size_t len = made.len;

        (void)state;
        bytes_append(&made, "garbage", 7);
        check_failure(&lzop_codec, &made, EIO, len, content.len);
        bytes_free(&made);
}

static void test_damaged_member_header(void **state)
{
        struct bytes made = lzop_make_member(&lzop_plain, &content, content.len);
        size_t len = made.len;

        (void)state;
        bytes_append(&made, made.data, len);
        made.data[len + 3] ^= 1;
        check_failure(&lzop_codec, &made, EIO, len, content.len);
        bytes_free(&made);
}

static void test_every_byte_flipped(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct lzop_header h = lzop_plain;
        struct bytes made;

        (void)state;
        h.flags = LZOP_ALL_SUMS | LZOP_FILTER | LZOP_EXTRA;
        h.filter = 0;
        h.extra = "extra";
        made = lzop_make_member(&h, &data, 400);
        check_bit_flips(&lzop_codec, &made, &data, made.len, true);
        check_bit_flips(&lzop_codec, &made, &data, made.len * 3, true);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_truncation_at_every_byte(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct lzop_header h = lzop_plain;
        struct bytes made;

        (void)state;
        h.flags = LZOP_ALL_SUMS | LZOP_FILTER | LZOP_EXTRA;
        h.extra = "extra";
        made = lzop_make_member(&h, &data, 400);
        check_truncation(&lzop_codec, &made, &data, made.len);
        bytes_free(&made);
        bytes_free(&data);
}

/* A segment that is not a whole number of blocks, or longer than the stream. */
static void test_segment_of_a_wrong_length(void **state)
{
        struct bytes data = bytes_text(1000, 3);
        struct bytes made = lzop_make_member(&lzop_plain, &data, 400);
        struct source *in = memory_source(made.data, made.len);
        const struct restart_point start = {0};
        unsigned char out[1001];

        (void)state;
        assert_int_equal(
            codec_segment(&lzop_codec, in, &start, NULL, made.len * 8, out, 1000, NULL), 0);
        assert_int_equal(codec_segment(&lzop_codec, in, &start, NULL, made.len * 8, out, 999, NULL),
                         -EIO);
        source_close(in);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_segment_with_unknown_flags(void **state)
{
        struct bytes data = bytes_text(1000, 3);
        struct bytes made = lzop_make_member(&lzop_plain, &data, 1000);
        struct source *in = memory_source(made.data, made.len);
        const struct restart_point at = {.in_bit = 42 * 8, .aux = UINT64_C(1) << 63};
        const struct restart_point unknown = {.in_bit = 42 * 8, .aux = at.aux | 0x4000};
        const struct restart_point filter = {.in_bit = 42 * 8, .aux = at.aux | UINT64_C(17) << 32};
        unsigned char out[1000];

        (void)state;
        assert_int_equal(codec_segment(&lzop_codec, in, &at, NULL, made.len * 8, out, 1000, NULL),
                         0);
        assert_int_equal(
            codec_segment(&lzop_codec, in, &unknown, NULL, made.len * 8, out, 1000, NULL), -EIO);
        assert_int_equal(
            codec_segment(&lzop_codec, in, &filter, NULL, made.len * 8, out, 1000, NULL), -EIO);
        source_close(in);
        bytes_free(&made);
        bytes_free(&data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_all_checksum_flags),
            cmocka_unit_test(test_made_members_are_genuine),
            cmocka_unit_test(test_small_blocks),
            cmocka_unit_test(test_large_blocks),
            cmocka_unit_test(test_largest_block),
            cmocka_unit_test(test_block_over_the_limit),
            cmocka_unit_test(test_block_larger_than_its_output),
            cmocka_unit_test(test_block_of_nothing),
            cmocka_unit_test(test_block_without_sense),
            cmocka_unit_test(test_newer_version),
            cmocka_unit_test(test_ancient_version),
            cmocka_unit_test(test_unknown_method),
            cmocka_unit_test(test_unknown_flags),
            cmocka_unit_test(test_unknown_filter),
            cmocka_unit_test(test_input_checksums_alone),
            cmocka_unit_test(test_multipart_flag),
            cmocka_unit_test(test_split_file),
            cmocka_unit_test(test_each_wrong_checksum),
            cmocka_unit_test(test_wrong_header_checksum),
            cmocka_unit_test(test_wrong_extra_checksum),
            cmocka_unit_test(test_zero_padding),
            cmocka_unit_test(test_member_behind_padding),
            cmocka_unit_test(test_trailing_garbage),
            cmocka_unit_test(test_damaged_member_header),
            cmocka_unit_test(test_every_byte_flipped),
            cmocka_unit_test(test_truncation_at_every_byte),
            cmocka_unit_test(test_segment_of_a_wrong_length),
            cmocka_unit_test(test_segment_with_unknown_flags),
        };

        return cmocka_run_group_tests(tests, set_up, free_disk);
}
