/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of qcow version 1 made by hand: what is read, what is refused, what is lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "archive/bytes.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"

enum { CLUSTER = 4096, L1 = 48, L2 = CLUSTER, DATA = 2 * CLUSTER, SIZE = DATA + 3 * CLUSTER };

static uint8_t image[SIZE];

static void put(size_t at, uint64_t v, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                image[at + i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

/* Clusters 0, 1 and 9 are stored, 1 first, of a disk of 100 clusters. */
static void start(void)
{
        memset(image, 0, sizeof image);
        memcpy(image, "QFI\xfb\0\0\0\1", 8);
        put(24, 100 * CLUSTER, 8);
        image[32] = 12;
        image[33] = 9;
        put(40, L1, 8);
        put(L1, L2, 8);
        put(L2, DATA + CLUSTER, 8);
        put(L2 + 8, DATA, 8);
        put(L2 + 72, DATA + 2 * CLUSTER, 8);
        for (size_t i = 0; i < 3; i++)
                memset(image + DATA + i * CLUSTER, (int)i + 1, CLUSTER);
}

static void expect(struct disk *d, unsigned number, int value)
{
        image_expect_filled(d, (uint64_t)number * CLUSTER, CLUSTER, value);
}

static void test_clusters_are_read(void **state)
{
        struct image m;

        (void)state;
        start();
        m = image_scanned(image, SIZE);
        assert_string_equal(index_format(m.index), "qcow");
        expect(m.disk, 0, 2);
        expect(m.disk, 1, 1);
        expect(m.disk, 2, 0);
        expect(m.disk, 9, 3);
        expect(m.disk, 99, 0);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

/* Two of them lie byte after byte in what was the third cluster, which is not whole any more. */
static void test_compressed_clusters_lie_byte_after_byte(void **state)
{
        uint8_t plain[CLUSTER];
        size_t at = DATA + 2 * CLUSTER;
        struct image m;

        (void)state;
        start();
        memset(image + at, 0, CLUSTER);
        put(L2 + 72, 0, 8);
        for (uint64_t i = 0; i < 2; i++) {
                z_stream z = {.next_in = plain,
                              .avail_in = CLUSTER,
                              .next_out = image + at,
                              .avail_out = 1000};

                memset(plain, (int)i + 7, CLUSTER);
                assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -12, 8, 0), Z_OK);
                assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
                put(L2 + 8 * (20 + i), UINT64_C(1) << 63 | z.total_out << (63 - 12) | at, 8);
                at += z.total_out;
                deflateEnd(&z);
        }
        m = image_scanned(image, at);
        expect(m.disk, 20, 7);
        expect(m.disk, 21, 8);
        expect(m.disk, 0, 2);
        assert_int_equal(index_damage_count(m.index), 0);
        image_end(&m);
}

static void test_clusters_that_cannot_be_are_lost_and_no_others(void **state)
{
        struct image m;

        (void)state;
        start();
        put(L2 + 16, DATA, 8);
        put(L2 + 24, DATA + 512, 8);
        put(L2 + 32, UINT64_C(1) << 40, 8);
        put(L2 + 40, L2, 8);
        put(L2 + 48, UINT64_MAX, 8);
        m = image_scanned(image, SIZE);
        expect(m.disk, 1, -EIO);
        expect(m.disk, 2, -EIO);
        expect(m.disk, 3, -EIO);
        expect(m.disk, 4, -EIO);
        expect(m.disk, 6, -EIO);
        image_end(&m);
}

static void test_what_cannot_be_is_refused(void **state)
{
        static const struct {
                size_t at;
                uint64_t value;
                unsigned bytes;
                int code;
                const char *says;
        } bad[] = {
            {32, 8, 1, EIO, "clusters of 2^8"},
            {32, 17, 1, EIO, "clusters of 2^17"},
            {33, 5, 1, EIO, "2^5 entries"},
            {33, 14, 1, EIO, "2^14 entries"},
            {36, 1, 4, ENOTSUP, "encrypted"},
            {24, UINT64_MAX, 8, EFBIG, "128 TiB"},
            {40, 0, 8, EIO, "L1 table"},
            {40, 49, 8, EIO, "L1 table"},
            {40, UINT64_MAX - 7, 8, EIO, "L1 table"},
            {8, 20, 8, EIO, "outside of the header"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                start();
                put(bad[i].at, bad[i].value, bad[i].bytes);
                image_expect_refused(image, SIZE, bad[i].code, bad[i].says);
        }
        start();
        memcpy(image + 100, "/etc/shadow", 11);
        put(8, 100, 8);
        put(16, 11, 4);
        image_expect_refused(image, SIZE, EPERM, "/etc/shadow");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_clusters_are_read),
            cmocka_unit_test(test_compressed_clusters_lie_byte_after_byte),
            cmocka_unit_test(test_clusters_that_cannot_be_are_lost_and_no_others),
            cmocka_unit_test(test_what_cannot_be_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
