/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "tests/fixtures/standins/codec_checks.h"

#define MIB ((size_t)1 << 20)

static void check_program(const char *program, const char *command)
{
        need_program(program);
        assert_true(check_command(&gzip_codec, &disk, command, MIB / 2) >= 5);
}

static void test_rsyncable(void **state)
{
        (void)state;
        check_program("gzip", "gzip --rsyncable");
}

static void test_fast(void **state)
{
        (void)state;
        check_program("gzip", "gzip -1");
}

static void test_best(void **state)
{
        (void)state;
        check_program("gzip", "gzip -9");
}

static void test_pigz_rsyncable(void **state)
{
        (void)state;
        check_program("pigz", "pigz -p 2 --rsyncable");
}

static void test_pigz_independent(void **state)
{
        (void)state;
        check_program("pigz", "pigz -p 2 -i");
}

static void test_pigz_single_thread(void **state)
{
        (void)state;
        check_program("pigz", "pigz -p 1");
}

static void test_every_boundary(void **state)
{
        size_t points = 0;

        (void)state;
        need_program("pigz");
        points = check_command(&gzip_codec, &disk, "pigz -b 128 -p 2", 1);
        assert_true(points > 20);
}

static void test_empty(void **state)
{
        struct bytes none = bytes_copy("", 0);

        (void)state;
        assert_int_equal(check_command(&gzip_codec, &none, "gzip", 1), 1);
        bytes_free(&none);
}

static void test_one_byte(void **state)
{
        struct bytes one = bytes_copy("x", 1);

        (void)state;
        assert_int_equal(check_command(&gzip_codec, &one, "gzip", 1), 1);
        bytes_free(&one);
}

static void test_random_data(void **state)
{
        struct bytes data = bytes_random(3 * MIB, 2);

        (void)state;
        assert_true(check_command(&gzip_codec, &data, "gzip", MIB / 2) >= 4);
        bytes_free(&data);
}

static struct bytes make_members(void)
{
        static const char *const commands[] = {"gzip -6", "gzip -1"};

        return disk_in_members(23, commands, 2);
}

static void test_members(void **state)
{
        struct bytes all = make_members();

        (void)state;
        check_round_trip(&gzip_codec, &all, &disk, 1);
        check_round_trip(&gzip_codec, &all, &disk, MIB);
        bytes_free(&all);
}

/* Points at members are free, so they come even where the budget allows none. */
static void test_members_are_named_without_being_wanted(void **state)
{
        struct bytes all = make_members();

        (void)state;
        assert_in_range(check_round_trip(&gzip_codec, &all, &disk, UINT64_MAX), 4, 6);
        bytes_free(&all);
}

static void test_blocks_are_not_named_unless_wanted(void **state)
{
        (void)state;
        assert_int_equal(check_command(&gzip_codec, &disk, "gzip", UINT64_MAX), 1);
}

/* A member as bgzf has it: at most 64 KiB, its compressed size in an extra field. */
static void append_bgzf(struct bytes *all, const unsigned char *data, size_t len)
{
        unsigned char out[80000];
        unsigned char extra[6] = {'B', 'C', 2, 0, 0, 0};
        gz_header header = {.os = 255, .extra = extra, .extra_len = sizeof extra};
        z_stream z = {0};

        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflateSetHeader(&z, &header), Z_OK);
        z.next_in = (unsigned char *)(uintptr_t)data;
        z.avail_in = (uInt)len;
        z.next_out = out;
        z.avail_out = sizeof out;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        out[16] = (unsigned char)((z.total_out - 1) & 0xff);
        out[17] = (unsigned char)((z.total_out - 1) >> 8);
        bytes_append(all, out, z.total_out);
        deflateEnd(&z);
}

static struct bytes make_bgzf(void)
{
        const size_t block = 65280;
        struct bytes all = {0};

        for (size_t at = 0; at < disk.len; at += block)
                append_bgzf(&all, disk.data + at, disk.len - at < block ? disk.len - at : block);
        append_bgzf(&all, NULL, 0); /* its end marker */
        return all;
}

static void test_bgzf(void **state)
{
        struct bytes all = make_bgzf();
        struct source *in = memory_source(all.data, all.len);
        struct record r;

        (void)state;
        assert_true(check_round_trip(&gzip_codec, &all, &disk, MIB / 8) > 20);
        record_pass(&r, &gzip_codec, in, MIB / 8, MIB, SIZE_MAX);
        for (size_t i = 0; i < r.count; i++)
                assert_int_equal(r.points[i].point.history_len, 0);
        record_free(&r);
        source_close(in);
        bytes_free(&all);
}

static void test_all_header_fields(void **state)
{
        unsigned char extra[] = {'v', 'm', 3, 0, 1, 2, 3};
        char name[] = "disk.vma", comment[] = "a comment";
        gz_header header = {.text = 1,
                            .os = 3,
                            .extra = extra,
                            .extra_len = sizeof extra,
                            .name = (unsigned char *)name,
                            .comment = (unsigned char *)comment,
                            .hcrc = 1};
        unsigned char out[256];
        struct bytes data = bytes_copy("content", 7), compressed;
        z_stream z = {0};

        (void)state;
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflateSetHeader(&z, &header), Z_OK);
        z.next_in = data.data;
        z.avail_in = (uInt)data.len;
        z.next_out = out;
        z.avail_out = sizeof out;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        compressed = bytes_copy(out, z.total_out);
        deflateEnd(&z);
        assert_int_equal(compressed.data[3], 0x1f);
        check_round_trip(&gzip_codec, &compressed, &data, 1);
        /* Twice, so that a segment that starts with the first member reads the second's header. */
        bytes_append(&data, "content", 7);
        bytes_append(&compressed, out, compressed.len);
        check_round_trip(&gzip_codec, &compressed, &data, MIB);
        compressed.data[12] ^= 1; /* in the extra field, which only the header's CRC covers */
        check_failure(&gzip_codec, &compressed, EIO, 40, 0);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* A name that is longer than the buffer must not be kept. */
static void test_endless_name(void **state)
{
        struct bytes data = bytes_copy("\x1f\x8b\x08\x08\0\0\0\0\0\x03", 10);
        struct bytes name = bytes_random(3 * MIB, 4);

        (void)state;
        for (size_t i = 0; i < name.len; i++)
                name.data[i] |= 1;
        bytes_append(&data, name.data, name.len);
        check_failure(&gzip_codec, &data, EIO, data.len, 0);
        bytes_append(&data, "\0\x4b\x04\0\x43\xbe\xb7\xe8\1\0\0\0", 12); /* "a" */
        bytes_free(&name);
        name = bytes_copy("a", 1);
        check_round_trip(&gzip_codec, &data, &name, 1);
        bytes_free(&name);
        bytes_free(&data);
}

static void test_zero_padding(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip; head -c 300000 /dev/zero");

        (void)state;
        check_round_trip(&gzip_codec, &compressed, &content, 1);
        bytes_free(&compressed);
}

static void test_trailing_garbage(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip");
        size_t len = compressed.len;

        (void)state;
        bytes_append(&compressed, "garbage", 7);
        check_failure(&gzip_codec, &compressed, EIO, len, content.len);
        bytes_free(&compressed);
}

static void test_garbage_after_padding(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip; printf '\\0\\0\\0x'");

        (void)state;
        check_failure(&gzip_codec, &compressed, EIO, compressed.len - 1, content.len);
        bytes_free(&compressed);
}

/* The header of a member in the middle is not taken for the end of the archive. */
static void test_damaged_member_header(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip");
        size_t len = compressed.len;

        (void)state;
        bytes_append(&compressed, compressed.data, len);
        compressed.data[len + 1] ^= 4;
        check_failure(&gzip_codec, &compressed, EIO, len, content.len);
        bytes_free(&compressed);
}

static void test_wrong_crc(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip");

        (void)state;
        compressed.data[compressed.len - 8] ^= 1;
        check_failure(&gzip_codec, &compressed, EIO, compressed.len - 4, 0);
        bytes_free(&compressed);
}

static void test_wrong_length(void **state)
{
        struct bytes compressed = bytes_through(&content, "gzip");

        (void)state;
        compressed.data[compressed.len - 1] ^= 1;
        check_failure(&gzip_codec, &compressed, EIO, compressed.len, 0);
        bytes_free(&compressed);
}

static void test_bit_flips(void **state)
{
        struct bytes data = bytes_mixed(600000, 7);
        struct bytes compressed = bytes_through(&data, "gzip --rsyncable");

        (void)state;
        check_bit_flips(&gzip_codec, &compressed, &data, 400, false);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_every_byte_flipped(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct bytes compressed = bytes_through(&data, "gzip; printf one | gzip -n");

        (void)state;
        bytes_append(&data, "one", 3);
        check_bit_flips(&gzip_codec, &compressed, &data, compressed.len, false);
        check_bit_flips(&gzip_codec, &compressed, &data, compressed.len * 3, false);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes data = bytes_mixed(600000, 7);
        struct bytes compressed = bytes_through(&data, "gzip --rsyncable");

        (void)state;
        check_truncation(&gzip_codec, &compressed, &data, 200);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_truncation_at_every_byte(void **state)
{
        struct bytes data = bytes_text(900, 7);
        struct bytes compressed = bytes_through(&data, "gzip");

        (void)state;
        check_truncation(&gzip_codec, &compressed, &data, compressed.len);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* What was decoded before the cut is not thrown away. */
static void test_truncation_keeps_what_came_before(void **state)
{
        struct bytes data = bytes_random(MIB, 9);
        struct bytes compressed = bytes_through(&data, "gzip");
        struct source *in = memory_source(compressed.data, compressed.len / 2);
        struct record r;

        (void)state;
        record_pass(&r, &gzip_codec, in, MIB, MIB, SIZE_MAX);
        assert_int_equal(r.rc, -EIO);
        assert_true(r.output.len > compressed.len / 2 - 1000);
        record_free(&r);
        source_close(in);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_segment_without_its_history(void **state)
{
        struct bytes data = bytes_text(3 * MIB, 3);
        struct bytes compressed = bytes_through(&data, "gzip");
        struct source *in = memory_source(compressed.data, compressed.len);
        struct record r;
        unsigned char *out;
        struct error err = {0};

        (void)state;
        record_pass(&r, &gzip_codec, in, MIB, MIB, SIZE_MAX);
        assert_true(r.count > 1);
        assert_int_equal(r.points[1].point.history_len, 32768);
        r.points[1].point.history_len = 0;
        out = malloc(record_segment_len(&r, 1));
        assert_int_equal(record_segment(&r, &gzip_codec, in, 1, out, &err), -EIO);
        assert_true(err.has_offset);
        free(out);
        record_free(&r);
        source_close(in);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_segment_longer_than_the_stream(void **state)
{
        struct bytes data = bytes_text(1000, 3);
        struct bytes compressed = bytes_through(&data, "gzip");
        struct source *in = memory_source(compressed.data, compressed.len);
        const struct restart_point start = {0};
        unsigned char out[1001];

        (void)state;
        assert_int_equal(
            codec_segment(&gzip_codec, in, &start, NULL, compressed.len * 8, out, 1000, NULL), 0);
        assert_int_equal(
            codec_segment(&gzip_codec, in, &start, NULL, compressed.len * 8, out, 1001, NULL),
            -EIO);
        source_close(in);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* zlib reads on when all output is made; damage there is the next segment's. */
static void test_segment_in_front_of_damage(void **state)
{
        struct bytes data = bytes_text(3 * MIB, 3);
        struct bytes compressed = bytes_through(&data, "gzip");
        struct source *in = memory_source(compressed.data, compressed.len);
        const struct restart_point start = {0};
        unsigned char *out = malloc(data.len);
        struct record r;

        (void)state;
        record_pass(&r, &gzip_codec, in, MIB, MIB, SIZE_MAX);
        assert_true(r.count > 1);
        /* The next block's type becomes 3, which there is not. */
        compressed.data[r.points[1].point.in_bit / 8 + 1] = 0xff;
        compressed.data[r.points[1].point.in_bit / 8] |=
            (unsigned char)(0xff << r.points[1].point.in_bit % 8);
        assert_int_equal(codec_segment(&gzip_codec, in, &start, NULL, compressed.len * 8, out,
                                       r.points[1].point.out, NULL),
                         0);
        assert_memory_equal(out, data.data, r.points[1].point.out);
        record_free(&r);
        free(out);
        source_close(in);
        bytes_free(&compressed);
        bytes_free(&data);
}

static void test_probe(void **state)
{
        (void)state;
        assert_true(gzip_codec.probe("\x1f\x8b\x08", 3));
        assert_false(gzip_codec.probe("\x1f\x8b", 2));
        assert_false(gzip_codec.probe("\x1f\x8b\x07", 3));
        assert_false(gzip_codec.probe("", 0));
}

static void test_reference_tiny(void **state)
{
        (void)state;
        check_reference(&gzip_codec, "tiny.vma", ".gz");
}

static void test_reference_small(void **state)
{
        (void)state;
        check_reference(&gzip_codec, "small.vma", ".gz");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rsyncable),
            cmocka_unit_test(test_fast),
            cmocka_unit_test(test_best),
            cmocka_unit_test(test_pigz_rsyncable),
            cmocka_unit_test(test_pigz_independent),
            cmocka_unit_test(test_pigz_single_thread),
            cmocka_unit_test(test_every_boundary),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_byte),
            cmocka_unit_test(test_random_data),
            cmocka_unit_test(test_members),
            cmocka_unit_test(test_members_are_named_without_being_wanted),
            cmocka_unit_test(test_blocks_are_not_named_unless_wanted),
            cmocka_unit_test(test_bgzf),
            cmocka_unit_test(test_all_header_fields),
            cmocka_unit_test(test_endless_name),
            cmocka_unit_test(test_zero_padding),
            cmocka_unit_test(test_trailing_garbage),
            cmocka_unit_test(test_garbage_after_padding),
            cmocka_unit_test(test_damaged_member_header),
            cmocka_unit_test(test_wrong_crc),
            cmocka_unit_test(test_wrong_length),
            cmocka_unit_test(test_bit_flips),
            cmocka_unit_test(test_every_byte_flipped),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_truncation_at_every_byte),
            cmocka_unit_test(test_truncation_keeps_what_came_before),
            cmocka_unit_test(test_segment_without_its_history),
            cmocka_unit_test(test_segment_longer_than_the_stream),
            cmocka_unit_test(test_segment_in_front_of_damage),
            cmocka_unit_test(test_probe),
            cmocka_unit_test(test_reference_tiny),
            cmocka_unit_test(test_reference_small),
        };

        return cmocka_run_group_tests(tests, make_disk, free_disk);
}
