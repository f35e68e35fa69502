/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lzo/lzo1x.h>
#include <zlib.h>

#include "tests/codec_checks.h"

#define MIB ((size_t)1 << 20)

#define ADLER32_OUT  0x0001u
#define ADLER32_IN   0x0002u
#define EXTRA        0x0040u
#define CRC32_OUT    0x0100u
#define CRC32_IN     0x0200u
#define MULTIPART    0x0400u
#define FILTER       0x0800u
#define HEADER_CRC32 0x1000u
#define ALL_SUMS     (ADLER32_OUT | ADLER32_IN | CRC32_OUT | CRC32_IN)

static struct bytes disk; /* 5 MiB of what disks hold */

static int make_disk(void **state)
{
        (void)state;
        assert_int_equal(lzo_init(), LZO_E_OK);
        disk = bytes_mixed(5 * MIB + 123, 1);
        return 0;
}

static int free_disk(void **state)
{
        (void)state;
        bytes_free(&disk);
        return 0;
}

static size_t check_command(const struct bytes *data, const char *command, uint64_t spacing)
{
        struct bytes compressed;
        size_t points;

        need_program("lzop");
        compressed = bytes_through(data, command);
        points = check_round_trip(&lzop_codec, &compressed, data, spacing);
        bytes_free(&compressed);
        return points;
}

static void check_disk(const char *command)
{
        assert_true(check_command(&disk, command, MIB / 2) >= 5);
}

static void test_fast(void **state)
{
        (void)state;
        check_disk("lzop -1");
}

static void test_default(void **state)
{
        (void)state;
        check_disk("lzop -3");
}

static void test_best(void **state)
{
        (void)state;
        check_disk("lzop -9");
}

static void test_crc32(void **state)
{
        (void)state;
        check_disk("lzop --crc32");
}

static void test_no_checksum(void **state)
{
        (void)state;
        check_disk("lzop -F");
}

static void test_no_checksum_best(void **state)
{
        (void)state;
        check_disk("lzop -F -8 --crc32");
}

static void test_real_filters(void **state)
{
        struct bytes data = bytes_mixed(600000, 3);
        char command[64];

        (void)state;
        for (int filter = 1; filter <= 16; filter++) {
                snprintf(command, sizeof command, "lzop --filter=%d", filter);
                check_command(&data, command, 1);
        }
        bytes_free(&data);
}

static void test_every_block(void **state)
{
        (void)state;
        assert_int_equal(check_command(&disk, "lzop", 1), disk.len / (256 << 10) + 1);
}

/* Points cost next to nothing, so they come even where the budget allows none. */
static void test_points_without_being_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_command(&disk, "lzop", UINT64_MAX), 6);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_command(&none, "lzop", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_command(&one, "lzop", 1), 1);
        bytes_free(&one);
}

static void test_stored_blocks(void **state)
{
        struct bytes data = bytes_random(3 * MIB + 5, 2);

        (void)state;
        assert_true(check_command(&data, "lzop", MIB / 2) >= 6);
        assert_true(check_command(&data, "lzop -F", MIB / 2) >= 6);
        bytes_free(&data);
}

static void test_file_name_in_header(void **state)
{
        (void)state;
        check_disk("cd /tmp && d=$(mktemp -d) && cat > $d/disk.vma && lzop -c $d/disk.vma && "
                   "rm -r $d");
}

/* Members with other flags, empty ones among them: segments span them. */
static void test_members(void **state)
{
        static const char *const commands[] = {"lzop", "lzop -F", "lzop --crc32 -9",
                                               "lzop --filter=3"};
        struct bytes all = {0};
        size_t start = 0;

        (void)state;
        need_program("lzop");
        for (size_t i = 0; i < 20; i++) {
                size_t end = i == 19 ? disk.len : (i % 5 == 2 ? start : (i + 1) * disk.len / 20);
                struct bytes part = bytes_copy(disk.data + start, end - start);
                struct bytes member = bytes_through(&part, commands[i % 4]);

                bytes_append(&all, member.data, member.len);
                bytes_free(&part);
                bytes_free(&member);
                start = end;
        }
        check_round_trip(&lzop_codec, &all, &disk, 1);
        check_round_trip(&lzop_codec, &all, &disk, MIB / 2);
        check_round_trip(&lzop_codec, &all, &disk, MIB * 4);
        bytes_free(&all);
}

static void append_be32(struct bytes *b, uint32_t value)
{
        value = htobe32(value);
        bytes_append(b, &value, 4);
}

static uint32_t sum_of(int crc, const void *data, size_t len)
{
        return (uint32_t)(crc ? crc32_z(0, data, len) : adler32_z(1, data, len));
}

/* What the header says, for headers that lzop would not write. */
struct header {
        uint32_t flags;
        uint32_t filter;
        unsigned version, needed, method;
        const char *extra; /* with flag EXTRA */
};

static const struct header plain = {.version = 0x1040, .needed = 0x0940, .method = 1};

static void append_header(struct bytes *b, const struct header *h)
{
        unsigned char fixed[] = {(unsigned char)(h->version >> 8),
                                 (unsigned char)h->version,
                                 0x20,
                                 0xa0,
                                 (unsigned char)(h->needed >> 8),
                                 (unsigned char)h->needed,
                                 (unsigned char)h->method,
                                 5};
        int crc = (h->flags & HEADER_CRC32) != 0;
        size_t start;

        bytes_append(b, "\x89LZO\0\r\n\x1a\n", 9);
        start = b->len;
        bytes_append(b, fixed, sizeof fixed);
        append_be32(b, h->flags);
        if (h->flags & FILTER)
                append_be32(b, h->filter);
        bytes_append(b, "\0\0\x81\xa4\x6b\0\0\0\0\0\0\0\4name", 17);
        append_be32(b, sum_of(crc, b->data + start, b->len - start));
        if (!(h->flags & EXTRA))
                return;
        start = b->len;
        append_be32(b, (uint32_t)strlen(h->extra));
        bytes_append(b, h->extra, strlen(h->extra));
        append_be32(b, sum_of(crc, b->data + start, b->len - start));
}

/* A block of LEN bytes, stored where it does not shrink. */
static void append_block(struct bytes *b, uint32_t flags, const unsigned char *data, size_t len)
{
        lzo_uint size = len + len / 16 + 64 + 3;
        unsigned char *out = malloc(size);
        void *work = malloc(LZO1X_1_MEM_COMPRESS);
        int stored;

        assert_int_equal(lzo1x_1_compress(data, len, out, &size, work), LZO_E_OK);
        stored = size >= len;
        append_be32(b, (uint32_t)len);
        append_be32(b, (uint32_t)(stored ? len : size));
        if (flags & ADLER32_OUT)
                append_be32(b, sum_of(0, data, len));
        if (flags & CRC32_OUT)
                append_be32(b, sum_of(1, data, len));
        if (!stored && (flags & ADLER32_IN))
                append_be32(b, sum_of(0, out, size));
        if (!stored && (flags & CRC32_IN))
                append_be32(b, sum_of(1, out, size));
        bytes_append(b, stored ? data : out, stored ? len : size);
        free(work);
        free(out);
}

static struct bytes make_member(const struct header *h, const struct bytes *data, size_t block)
{
        struct bytes b = {0};

        append_header(&b, h);
        for (size_t at = 0; at < data->len; at += block)
                append_block(&b, h->flags, data->data + at,
                             data->len - at < block ? data->len - at : block);
        append_be32(&b, 0);
        return b;
}

static void check_made(const struct header *h, const struct bytes *data, size_t block)
{
        struct bytes made = make_member(h, data, block);

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
                struct header h = plain;

                h.flags = (set & 1 ? ADLER32_OUT : 0) | (set & 2 ? ADLER32_IN : 0) |
                          (set & 4 ? CRC32_OUT : 0) | (set & 8 ? CRC32_IN : 0);
                if ((set & 3) != 2 && (set & 12) != 8)
                        check_made(&h, &data, 100000);
        }
        bytes_free(&data);
}

/* The same with the genuine tool as the judge of what we make here. */
static void test_made_members_are_genuine(void **state)
{
        struct header h = plain;
        struct bytes made, back;

        (void)state;
        need_program("lzop");
        h.flags = ALL_SUMS | HEADER_CRC32 | EXTRA;
        h.extra = "extra";
        made = make_member(&h, &disk, 200000);
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
        check_made(&plain, &data, 1);
        check_made(&plain, &data, 777);
        bytes_free(&data);
}

/* Blocks that are larger than what pass() is asked for. */
static void test_large_blocks(void **state)
{
        (void)state;
        check_made(&plain, &disk, 3 * MIB);
        check_made(&plain, &disk, 256 * 1024 + 1);
}

static void test_largest_block(void **state)
{
        struct bytes data = bytes_mixed(64 * MIB, 8);
        struct bytes made = make_member(&plain, &data, data.len);

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
        append_header(&made, &plain);
        at = made.len;
        append_be32(&made, (64 << 20) + 1);
        append_be32(&made, 100);
        check_failure(&lzop_codec, &made, EIO, at, 0);
        bytes_free(&made);
}

static void check_bad_block(uint32_t out_len, uint32_t in_len)
{
        struct bytes made = {0};
        size_t at;

        append_header(&made, &plain);
        append_block(&made, 0, disk.data, 1000);
        at = made.len;
        append_be32(&made, out_len);
        append_be32(&made, in_len);
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

static void check_refused(const struct header *h)
{
        struct bytes data = bytes_copy("data", 4);
        struct bytes made = make_member(h, &data, 4);

        check_failure(&lzop_codec, &made, ENOTSUP, 0, 0);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_newer_version(void **state)
{
        struct header h = plain;

        (void)state;
        h.needed = 0x1050;
        check_refused(&h);
}

static void test_ancient_version(void **state)
{
        struct header h = plain;

        (void)state;
        h.version = 0x0930;
        check_refused(&h);
}

static void test_unknown_method(void **state)
{
        struct header h = plain;

        (void)state;
        h.method = 4;
        check_refused(&h);
        h.method = 0;
        check_refused(&h);
}

static void test_unknown_flags(void **state)
{
        struct header h = plain;

        (void)state;
        h.flags = 0x4000;
        check_refused(&h);
}

static void test_unknown_filter(void **state)
{
        struct header h = plain;

        (void)state;
        h.flags = FILTER;
        h.filter = 17;
        check_refused(&h);
}

static void test_input_checksums_alone(void **state)
{
        struct header h = plain;

        (void)state;
        h.flags = ADLER32_IN;
        check_refused(&h);
        h.flags = CRC32_IN | ADLER32_OUT;
        check_refused(&h);
}

static void test_multipart_flag(void **state)
{
        struct header h = plain;

        (void)state;
        h.flags = MULTIPART;
        check_made(&h, &disk, MIB / 8);
}

static void test_split_file(void **state)
{
        struct bytes made = {0};
        size_t at;

        (void)state;
        append_header(&made, &plain);
        append_block(&made, 0, disk.data, 1000);
        at = made.len;
        append_be32(&made, UINT32_MAX);
        check_failure(&lzop_codec, &made, ENOTSUP, at, 1000);
        bytes_free(&made);
}

static void check_wrong_sum(size_t sum)
{
        struct header h = plain;
        struct bytes made = {0};
        size_t block;

        h.flags = ALL_SUMS;
        append_header(&made, &h);
        append_block(&made, h.flags, disk.data, 1000);
        block = made.len;
        append_block(&made, h.flags, disk.data, 2000);
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
        struct bytes data = bytes_copy("data", 4);
        struct bytes made = make_member(&plain, &data, 4);

        (void)state;
        made.data[30] ^= 1; /* the time */
        check_failure(&lzop_codec, &made, EIO, 0, 0);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_wrong_extra_checksum(void **state)
{
        struct header h = plain;
        struct bytes data = bytes_copy("data", 4), made, all;
        size_t first;

        (void)state;
        h.flags = EXTRA;
        h.extra = "extra";
        made = make_member(&h, &data, 4);
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
        struct bytes data = bytes_copy("content", 7);
        struct bytes made = make_member(&plain, &data, 7);
        unsigned char zeros[600] = {0};

        (void)state;
        bytes_append(&made, zeros, sizeof zeros);
        check_round_trip(&lzop_codec, &made, &data, 1);
        bytes_free(&made);
        bytes_free(&data);
}

/* Not only when it is tried a second time. */
static void test_member_behind_padding(void **state)
{
        struct bytes data = bytes_copy("content", 7);
        struct bytes made = make_member(&plain, &data, 7);
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
        struct bytes data = bytes_copy("content", 7);
        struct bytes made = make_member(&plain, &data, 7);
        size_t len = made.len;

        (void)state;
        bytes_append(&made, "garbage", 7);
        check_failure(&lzop_codec, &made, EIO, len, 7);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_damaged_member_header(void **state)
{
        struct bytes data = bytes_copy("content", 7);
        struct bytes made = make_member(&plain, &data, 7);
        size_t len = made.len;

        (void)state;
        bytes_append(&made, made.data, len);
        made.data[len + 3] ^= 1;
        check_failure(&lzop_codec, &made, EIO, len, 7);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(900000, 7), compressed;

        (void)state;
        need_program("lzop");
        compressed = bytes_through(&data, "lzop");
        check_bit_flips(&lzop_codec, &compressed, &data, 400, true);
        bytes_free(&compressed);
        compressed = bytes_through(&data, "lzop --crc32 -7");
        check_bit_flips(&lzop_codec, &compressed, &data, 400, true);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_every_byte_flipped(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct header h = plain;
        struct bytes made;

        (void)state;
        h.flags = ALL_SUMS | FILTER | EXTRA;
        h.filter = 0;
        h.extra = "extra";
        made = make_member(&h, &data, 400);
        check_bit_flips(&lzop_codec, &made, &data, made.len, true);
        check_bit_flips(&lzop_codec, &made, &data, made.len * 3, true);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(900000, 7), compressed;

        (void)state;
        need_program("lzop");
        compressed = bytes_through(&data, "lzop");
        check_truncation(&lzop_codec, &compressed, &data, 200);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation_at_every_byte(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct header h = plain;
        struct bytes made;

        (void)state;
        h.flags = ALL_SUMS | FILTER | EXTRA;
        h.extra = "extra";
        made = make_member(&h, &data, 400);
        check_truncation(&lzop_codec, &made, &data, made.len);
        bytes_free(&made);
        bytes_free(&data);
}

/* A segment that is not a whole number of blocks, or longer than the stream. */
static void test_segment_of_a_wrong_length(void **state)
{
        struct bytes data = bytes_text(1000, 3);
        struct bytes made = make_member(&plain, &data, 400);
        struct source *in = memory_source(made.data, made.len);
        const struct restart_point start = {0};
        unsigned char out[1001];

        (void)state;
        assert_int_equal(lzop_codec.segment(in, &start, NULL, made.len * 8, out, 1000, NULL), 0);
        assert_int_equal(lzop_codec.segment(in, &start, NULL, made.len * 8, out, 999, NULL), -EIO);
        assert_int_equal(lzop_codec.segment(in, &start, NULL, UINT64_MAX, out, 1001, NULL), -EIO);
        source_close(in);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_segment_with_unknown_flags(void **state)
{
        struct bytes data = bytes_text(1000, 3);
        struct bytes made = make_member(&plain, &data, 1000);
        struct source *in = memory_source(made.data, made.len);
        const struct restart_point at = {.in_bit = 42 * 8, .aux = UINT64_C(1) << 63};
        const struct restart_point unknown = {.in_bit = 42 * 8, .aux = at.aux | 0x4000};
        const struct restart_point filter = {.in_bit = 42 * 8, .aux = at.aux | UINT64_C(17) << 32};
        unsigned char out[1000];

        (void)state;
        assert_int_equal(lzop_codec.segment(in, &at, NULL, made.len * 8, out, 1000, NULL), 0);
        assert_int_equal(lzop_codec.segment(in, &unknown, NULL, made.len * 8, out, 1000, NULL),
                         -EIO);
        assert_int_equal(lzop_codec.segment(in, &filter, NULL, made.len * 8, out, 1000, NULL),
                         -EIO);
        source_close(in);
        bytes_free(&made);
        bytes_free(&data);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(lzop_codec.probe("\x89LZO\0\r\n\x1a\n", 9));
        assert_false(lzop_codec.probe("\x89LZO\0\r\n\x1a\n", 8));
        assert_false(lzop_codec.probe("\x89LZO\0\r\n\x1a\r", 9));
}

static void test_reference_tiny(void **state)
{
        (void)state;
        check_reference(&lzop_codec, "tiny.vma", ".lzo");
}

static void test_reference_small(void **state)
{
        (void)state;
        check_reference(&lzop_codec, "small.vma", ".lzo");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fast),
            cmocka_unit_test(test_default),
            cmocka_unit_test(test_best),
            cmocka_unit_test(test_crc32),
            cmocka_unit_test(test_no_checksum),
            cmocka_unit_test(test_no_checksum_best),
            cmocka_unit_test(test_real_filters),
            cmocka_unit_test(test_every_block),
            cmocka_unit_test(test_points_without_being_wanted),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_stored_blocks),
            cmocka_unit_test(test_file_name_in_header),
            cmocka_unit_test(test_members),
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
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_every_byte_flipped),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_truncation_at_every_byte),
            cmocka_unit_test(test_segment_of_a_wrong_length),
            cmocka_unit_test(test_segment_with_unknown_flags),
            cmocka_unit_test(test_probe),
            cmocka_unit_test(test_reference_tiny),
            cmocka_unit_test(test_reference_small),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}
