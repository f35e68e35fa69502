/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ISA-L alone, where gzip.c would let zlib have another try: what several compressors write has to
 * be decoded by it, and what is damaged refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "archive/stream/gzip/gzip_isal.h"
#include "archive/stream/restart_table.h"
#include "tests/fixtures/standins/codec_checks.h"

#define MIB ((size_t)1 << 20)

static struct codec_ops isal_codec;

static int isal_decode(const struct restart_point *point, const void *history, uint8_t *input,
                       size_t size, void *out, size_t len, struct error *err)
{
        (void)err;
        return gzip_isal_decode(point, point->aux == 0, history, input, size, out, len);
}

static int set_up(void **state)
{
        isal_codec = gzip_codec;
        isal_codec.decode = isal_decode;
        return make_disk(state);
}

static void need_isal(void)
{
#ifndef VMAFS_ISAL
        skip();
#endif
}

static void check_data(const struct bytes *data, const char *command, size_t points)
{
        need_isal();
        assert_true(check_command(&isal_codec, data, command, data->len / 10) >= points);
}

static void check(const char *command, size_t points)
{
        check_data(&disk, command, points);
}

static void test_gzip(void **state)
{
        (void)state;
        check("gzip", 5);
}

static void test_gzip_best(void **state)
{
        (void)state;
        check("gzip -9", 5);
}

static void test_stored_blocks(void **state)
{
        (void)state;
        need_program("pigz");
        check("pigz -0", 5);
}

static void test_pigz(void **state)
{
        (void)state;
        need_program("pigz");
        check("pigz -p 2 --rsyncable", 5);
}

static void test_members(void **state)
{
        (void)state;
        check("split -b 300000 --filter='gzip -c'", 8);
}

/* So many that trailers end at any place in what ISA-L has taken in. */
static void test_short_members(void **state)
{
        struct bytes text = bytes_text(300000, 7);
        (void)state;

        check_data(&text, "split -b 1111 --filter='gzip -nc'", 5);
        bytes_free(&text);
}

/* A member that has everything a header can have. */
static void append_member(struct bytes *to, const unsigned char *data, size_t len)
{
        unsigned char extra[7] = "\1\2\3\0\0\37\213", name[] = "a name", comment[] = "a comment";
        gz_header header = {
            .extra = extra, .extra_len = sizeof extra, .name = name, .comment = comment, .hcrc = 1};
        z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned)len};
        unsigned char out[512];

        assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflateSetHeader(&z, &header), Z_OK);
        z.next_out = out;
        z.avail_out = sizeof out;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        bytes_append(to, out, sizeof out - z.avail_out);
        deflateEnd(&z);
}

/* Headers that lie across the ends of what is read at a time, too. */
static void test_all_of_a_header(void **state)
{
        struct bytes data = bytes_random(2 * MIB, 3), compressed = {0};

        (void)state;
        need_isal();
        for (size_t at = 0, len; at < data.len; at += len) {
                len = 50 + at % 13;
                len = len < data.len - at ? len : data.len - at;
                append_member(&compressed, data.data + at, len);
        }
        check_round_trip(&isal_codec, &compressed, &data, data.len / 3);
        bytes_free(&compressed);
        bytes_free(&data);
}

/* That is zlib's to skip. */
static void test_longer_name_than_any(void **state)
{
        const struct restart_point start = {0};
        struct bytes data = bytes_copy("\x1f\x8b\x08\x08\0\0\0\0\0\x03", 10);
        struct bytes name = bytes_text(MIB, 4);
        unsigned char out[1];

        (void)state;
        need_isal();
        for (size_t i = 0; i < name.len; i++)
                name.data[i] |= 1;
        bytes_append(&data, name.data, name.len);
        bytes_append(&data, "\0\x4b\x04\0\x43\xbe\xb7\xe8\1\0\0\0", 12); /* "a" */
        assert_int_equal(gzip_isal_decode(&start, true, NULL, data.data, data.len, out, 1), -EIO);
        bytes_free(&name);
        bytes_free(&data);
}

static void test_truncation(void **state)
{
        struct bytes compressed;
        const struct restart_point start = {0};
        unsigned char *out;

        (void)state;
        need_isal();
        compressed = bytes_through(&disk, "gzip");
        out = malloc(disk.len);
        for (size_t cut = 1; cut < compressed.len; cut = cut * 2 + 1) {
                /* Of its own size, so that a sanitizer sees any read past it. */
                struct bytes front = bytes_copy(compressed.data, compressed.len - cut);

                /* All but the trailer is enough: the segment's hash is the caller's. */
                assert_int_equal(
                    gzip_isal_decode(&start, true, NULL, front.data, front.len, out, disk.len),
                    cut <= 8 ? 0 : -EIO);
                bytes_free(&front);
        }
        free(out);
        bytes_free(&compressed);
}

static void test_nothing_there(void **state)
{
        const struct restart_point inside = {.in_bit = 13, .aux = 1};
        unsigned char none[1], out[10];

        (void)state;
        need_isal();
        assert_int_equal(gzip_isal_decode(&inside, true, NULL, none, 0, out, sizeof out), -EIO);
        assert_int_equal(gzip_isal_decode(&inside, false, NULL, none, 0, out, sizeof out), -EIO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_gzip),
            cmocka_unit_test(test_gzip_best),
            cmocka_unit_test(test_stored_blocks),
            cmocka_unit_test(test_pigz),
            cmocka_unit_test(test_members),
            cmocka_unit_test(test_short_members),
            cmocka_unit_test(test_all_of_a_header),
            cmocka_unit_test(test_longer_name_than_any),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_nothing_there),
        };

        return cmocka_run_group_tests(tests, set_up, free_disk);
}
