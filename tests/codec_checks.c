/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/codec_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP ((size_t)256 << 10)
#define ALL  SIZE_MAX

struct bytes disk;
const struct bytes content = {.data = (unsigned char[]){"content"}, .len = 7};

int make_disk(void **state)
{
        (void)state;
        disk = bytes_mixed(((size_t)5 << 20) + 123, 1);
        return 0;
}

int free_disk(void **state)
{
        (void)state;
        bytes_free(&disk);
        return 0;
}

void need_program(const char *name)
{
        char line[64];

        snprintf(line, sizeof line, "command -v %s > /dev/null", name);
        if (system(line) != 0) {
                fprintf(stderr, "SKIPPED: %s is not installed\n", name);
                skip();
        }
}

static void assert_bytes(const struct bytes *got, const struct bytes *want)
{
        assert_int_equal(got->len, want->len);
        assert_true(want->len == 0 || memcmp(got->data, want->data, want->len) == 0);
}

static void check_segments(const struct record *r, const struct codec_ops *codec, struct source *in,
                           const struct bytes *original)
{
        for (size_t i = 0; i < r->count; i++) {
                size_t len = record_segment_len(r, i);
                unsigned char *out = malloc(len + 1);
                struct error err = {0};

                if (record_segment(r, codec, in, i, out, &err) != 0)
                        fail_msg("segment %zu of %zu: %s", i, r->count, err.text);
                if (memcmp(out, original->data + r->points[i].point.out, len) != 0)
                        fail_msg("segment %zu of %zu differs", i, r->count);
                free(out);
        }
}

size_t check_round_trip(const struct codec_ops *codec, const struct bytes *compressed,
                        const struct bytes *original, uint64_t spacing)
{
        struct source *in = memory_source(compressed->data, compressed->len);
        struct record r;
        size_t count;

        assert_true(codec->probe(compressed->data, compressed->len < 64 ? compressed->len : 64));
        /* A second size of call moves the boundaries between calls. */
        record_pass(&r, codec, in, spacing, STEP * 3 + 1, ALL);
        assert_int_equal(r.rc, 0);
        assert_bytes(&r.output, original);
        check_segments(&r, codec, in, original);
        record_free(&r);
        record_pass(&r, codec, in, spacing, STEP, ALL);
        if (r.rc != 0)
                fail_msg("%s at %llu", r.err.text, (unsigned long long)r.err.offset);
        assert_bytes(&r.output, original);
        check_segments(&r, codec, in, original);
        count = r.count;
        record_free(&r);
        record_pass(&r, codec, in, 0, STEP, ALL);
        assert_int_equal(r.rc, 0);
        assert_bytes(&r.output, original);
        record_free(&r);
        source_close(in);
        return count;
}

size_t check_command(const struct codec_ops *codec, const struct bytes *original,
                     const char *command, uint64_t spacing)
{
        struct bytes compressed = bytes_through(original, command);
        size_t points = check_round_trip(codec, &compressed, original, spacing);

        bytes_free(&compressed);
        return points;
}

struct bytes disk_in_members(size_t count, const char *const *commands, size_t kinds)
{
        struct bytes all = {0};
        size_t start = 0;

        for (size_t i = 0; i < count; i++) {
                size_t end = (i + 1) * disk.len / count;
                struct bytes part, member;

                if (i + 1 == count)
                        end = disk.len;
                else if (i % 5 == 3)
                        end = start + 1;
                else if (i % 5 == 1)
                        end = start;
                part = bytes_copy(disk.data + start, end - start);
                member = bytes_through(&part, commands[i % kinds]);
                bytes_append(&all, member.data, member.len);
                bytes_free(&part);
                bytes_free(&member);
                start = end;
        }
        return all;
}

/* Segments of a good pass over the damaged stream BAD. */
static void check_damaged_segments(const struct record *good, const struct codec_ops *codec,
                                   struct source *bad, const struct bytes *original, bool checked)
{
        for (size_t i = 0; i < good->count; i++) {
                size_t len = record_segment_len(good, i);
                unsigned char *out = malloc(len + 1);
                struct error err = {0};
                int rc = record_segment(good, codec, bad, i, out, &err);

                assert_true(rc == 0 || rc == -EIO);
                if (rc == 0 && checked)
                        assert_true(memcmp(out, original->data + good->points[i].point.out, len) ==
                                    0);
                assert_int_equal(err.code, -rc);
                free(out);
        }
}

static void assert_names_a_byte(const struct record *r, size_t len)
{
        assert_int_equal(r->err.code, -r->rc);
        assert_true(r->err.has_offset);
        assert_true(r->err.offset <= len);
        assert_true(r->err.text[0] != '\0');
}

static void assert_prefix(const struct bytes *got, const struct bytes *of)
{
        assert_true(got->len <= of->len);
        assert_true(got->len == 0 || memcmp(got->data, of->data, got->len) == 0);
}

static void check_flip(const struct codec_ops *codec, struct bytes *data, const struct record *good,
                       const struct bytes *original, bool blocks_checked)
{
        struct source *in = memory_source(data->data, data->len);
        struct record r;

        record_pass(&r, codec, in, STEP, STEP, original->len + STEP);
        if (r.rc == 0)
                assert_bytes(&r.output, original);
        else if (r.rc != -EFBIG)
                assert_names_a_byte(&r, data->len);
        if (blocks_checked)
                assert_prefix(&r.output, original);
        check_damaged_segments(good, codec, in, original, blocks_checked);
        record_free(&r);
        source_close(in);
}

void check_bit_flips(const struct codec_ops *codec, const struct bytes *compressed,
                     const struct bytes *original, size_t count, bool blocks_checked)
{
        struct source *in = memory_source(compressed->data, compressed->len);
        struct bytes data = bytes_copy(compressed->data, compressed->len);
        struct record good;
        size_t failed = 0;

        record_pass(&good, codec, in, STEP, STEP, ALL);
        assert_int_equal(good.rc, 0);
        for (size_t i = 0; i < count; i++) {
                size_t at = i * data.len / count;
                unsigned char bit = (unsigned char)(1 << (i * 5 % 8));

                data.data[at] ^= bit;
                check_flip(codec, &data, &good, original, blocks_checked);
                data.data[at] ^= bit;
                failed++;
        }
        assert_int_equal(failed, count);
        record_free(&good);
        bytes_free(&data);
        source_close(in);
}

void check_truncation(const struct codec_ops *codec, const struct bytes *compressed,
                      const struct bytes *original, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                size_t len = i * compressed->len / count;
                struct bytes data = bytes_copy(compressed->data, len);
                struct source *in = memory_source(data.data, len);
                struct record r;

                record_pass(&r, codec, in, STEP, STEP, ALL);
                assert_int_equal(r.rc, -EIO);
                assert_names_a_byte(&r, len);
                assert_prefix(&r.output, original);
                record_free(&r);
                source_close(in);
                bytes_free(&data);
        }
}

void check_failure(const struct codec_ops *codec, const struct bytes *data, int code,
                   uint64_t offset, size_t good)
{
        struct source *in = memory_source(data->data, data->len);
        struct record r;

        record_pass(&r, codec, in, STEP, STEP, ALL);
        assert_int_equal(r.rc, -code);
        assert_names_a_byte(&r, data->len);
        assert_int_equal(r.err.offset, offset);
        assert_int_equal(r.output.len, good);
        record_free(&r);
        source_close(in);
}

void check_reference(const struct codec_ops *codec, const char *stem, const char *suffix)
{
        char path[256];
        struct bytes original, compressed;

        snprintf(path, sizeof path, "/work/shared/reference/%s", stem);
        original = bytes_of_file(path);
        snprintf(path, sizeof path, "/work/shared/reference/%s%s", stem, suffix);
        compressed = bytes_of_file(path);
        if (!original.data || !compressed.data) {
                fprintf(stderr, "SKIPPED: %s or what it was made of is not here\n", path);
                skip();
        }
        assert_true(check_round_trip(codec, &compressed, &original, STEP * 4) > 1 ||
                    original.len < STEP * 8);
        bytes_free(&original);
        bytes_free(&compressed);
}
