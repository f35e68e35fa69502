/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying of what lies on bad sectors: how much is lost, and how often it is read. */
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
#include "archive/source/source.h"
#include "archive/volume.h"
#include "fs/extract/copying.h"

enum { SIZE = (8 << 20) + 1000, BLOCK = 4096 };

/* A file of which [BAD, BAD_END) cannot be read. */
struct bad_source {
        struct source base;
        uint64_t bad, bad_end;
        unsigned reads;
};

static uint8_t byte_at(uint64_t pos)
{
        return (uint8_t)(1 + pos % 251);
}

static ssize_t bad_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct bad_source *b = (struct bad_source *)s;

        b->reads++;
        if (offset < b->bad_end && offset + len > b->bad)
                return -EIO;
        for (size_t i = 0; i < len; i++)
                ((uint8_t *)buf)[i] = byte_at(offset + i);
        return (ssize_t)len;
}

struct raw_volume {
        struct volume base;
        struct bad_source source;
        uint64_t copied; /* bytes, which must come in order */
        uint64_t lost, lost_end;
};

static int raw_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        *out = (struct volume_extent){.len = len,
                                      .kind = VOLUME_RAW,
                                      .source = &((struct raw_volume *)v)->source.base,
                                      .offset = pos};
        return 0;
}

static int take_data(void *ctx, const void *buf, size_t len, uint64_t pos)
{
        struct raw_volume *r = ctx;

        assert_int_equal(pos, r->copied);
        for (size_t i = 0; i < len; i++)
                if (((const uint8_t *)buf)[i] != byte_at(pos + i))
                        fail();
        r->copied += len;
        return 0;
}

static int take_gap(void *ctx, uint64_t pos, uint64_t len, bool lost)
{
        struct raw_volume *r = ctx;

        assert_true(lost);
        assert_int_equal(pos, r->copied);
        if (r->lost_end == 0)
                r->lost = pos;
        r->copied = r->lost_end = pos + len;
        return 0;
}

static void copy_around(uint64_t bad, uint64_t bad_end, unsigned most_reads)
{
        static const struct source_ops source_ops = {.name = "file", .pread = bad_pread};
        static const struct volume_ops volume_ops = {.extent = raw_extent};
        struct raw_volume r = {
            .base = {.ops = &volume_ops, .size = SIZE},
            .source = {.base = {.ops = &source_ops, .size = SIZE}, .bad = bad, .bad_end = bad_end}};
        const struct copying c = {.ctx = &r, .data = take_data, .gap = take_gap};
        uint64_t lost;

        assert_int_equal(copying_run(&c, &r.base, &lost), 0);
        assert_int_equal(r.copied, SIZE);
        assert_int_equal(r.lost, bad / BLOCK * BLOCK);
        assert_int_equal(r.lost_end, min_u64(round_up(bad_end, BLOCK), SIZE));
        assert_int_equal(lost, r.lost_end - r.lost);
        assert_in_range(r.source.reads, 1, most_reads);
}

/* Where the source is a stream, a read may decode megabytes: the last 4 KiB are not read 255 times. */
static void test_a_bad_sector_is_found_by_halves(void **state)
{
        (void)state;
        copy_around((3 << 20) - 1, 3 << 20, 60);
        copy_around((3 << 20) + 12345, (3 << 20) + 12346, 60);
        copy_around(0, 1, 60);
        copy_around(SIZE - 1, SIZE, 60);
}

static void test_all_bad_sectors_are_lost_and_nothing_else(void **state)
{
        (void)state;
        copy_around(1 << 20, 2 << 20, 256 + 60);
        copy_around((1 << 20) + 777, (5 << 20) + 5, 1025 + 60);
        copy_around(5000, SIZE, 2050 + 60);
        copy_around(0, SIZE, 2050 + 60);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_bad_sector_is_found_by_halves),
            cmocka_unit_test(test_all_bad_sectors_are_lost_and_nothing_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
