/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vma_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum { BLOCK = BACKUP_BLOCK, CLUSTER = BACKUP_CLUSTER, CTIME = BACKUP_CTIME };

/* ---- what is right ---- */

static void check_header_size(uint32_t size)
{
        struct backup f = backup_start();
        struct vma_header_options o = {.header_size = size};
        struct disk *d;

        backup_device(&f, 1, "a", CLUSTER);
        assert_int_equal(vma_writer_config(f.w, "c", "x", 1), 0);
        assert_int_equal(vma_writer_header(f.w, &o), 0);
        backup_cluster(&f, 1, 0, 0xffff);
        d = backup_scan(&f);
        backup_expect_pattern(d, 1, BLOCK);
        backup_end(&f);
}

static void test_header_sizes(void **state)
{
        (void)state;
        check_header_size(12288 + 77);
        check_header_size(512 * 1024);
        check_header_size(2 * 1024 * 1024);
}

static void test_header_alone(void **state)
{
        struct backup f = backup_start();

        (void)state;
        backup_header(&f);
        assert_null(backup_scan(&f));
        assert_int_equal(index_file_count(f.index), 0);
        assert_int_equal(index_damage_count(f.index), 0);
        backup_end(&f);
}

static void test_254_devices(void **state)
{
        struct backup f = backup_start();
        char name[16];

        (void)state;
        for (unsigned i = 1; i <= 254; i++) {
                snprintf(name, sizeof name, "drive-%u", i);
                backup_device(&f, (uint8_t)i, name, CLUSTER);
        }
        backup_header(&f);
        for (unsigned i = 254; i >= 1; i--)
                backup_cluster(&f, (uint8_t)i, 0, 0x8000);
        backup_scan(&f);
        assert_int_equal(index_disk_count(f.index), 254);
        for (unsigned i = 1; i <= 254; i++)
                backup_expect_pattern(index_disk(f.index, i - 1), (uint8_t)i, 15 * BLOCK);
        assert_string_equal(index_disk(f.index, 253)->name, "disk-drive-254.raw");
        assert_string_equal(index_disk(f.index, 253)->device, "drive-254");
        backup_end(&f);
}

static void test_256_configurations(void **state)
{
        struct backup f = backup_start();
        static char big[65535];
        char name[16], *text;

        (void)state;
        memset(big, 'b', sizeof big);
        for (unsigned i = 0; i < 256; i++) {
                snprintf(name, sizeof name, "c%u", i);
                assert_int_equal(vma_writer_config(f.w, name, big,
                                                   i == 0   ? sizeof big
                                                   : i == 1 ? 0
                                                            : 5),
                                 0);
        }
        backup_header(&f);
        backup_scan(&f);
        assert_int_equal(index_file_count(f.index), 256);
        assert_int_equal(index_file(f.index, 0)->volume->size, 65535);
        text = index_file_load(f.index, index_file(f.index, 0), sizeof big);
        assert_memory_equal(text, big, sizeof big);
        free(text);
        assert_int_equal(index_file(f.index, 1)->volume->size, 0);
        assert_string_equal(index_file(f.index, 255)->name, "c255");
        backup_end(&f);
}

static void test_device_needs_size_and_name(void **state)
{
        struct backup f = backup_start();
        uint32_t at;

        (void)state;
        backup_device(&f, 1, "empty", 0);
        assert_int_equal(vma_writer_device_at(f.w, 2, 12345, CLUSTER), 0);
        assert_int_equal(vma_writer_blob(f.w, "no-nul", 6, &at), 0);
        assert_int_equal(vma_writer_device_at(f.w, 3, at, CLUSTER), 0);
        backup_device(&f, 4, "good", CLUSTER);
        assert_int_equal(vma_writer_device(f.w, 255, "not-one", CLUSTER), 0);
        backup_header(&f);
        backup_scan(&f);
        assert_int_equal(index_disk_count(f.index), 1);
        assert_string_equal(index_disk(f.index, 0)->name, "disk-good.raw");
        backup_end(&f);
}

static void test_info(void **state)
{
        struct backup f = backup_start();

        (void)state;
        backup_header(&f);
        backup_scan(&f);
        assert_string_equal(index_info(f.index)->uuid, "12345678-9abc-def0-0102-030405060708");
        assert_int_equal(index_info(f.index)->ctime, CTIME);
        assert_string_equal(index_format(f.index), "vma");
        assert_string_equal(index_compression(f.index), "none");
        backup_end(&f);
}

/* ---- hostile headers: the checksum vouches for what is edited in ---- */

struct edit {
        size_t at;
        size_t bytes;
        uint64_t value;
};

static void apply_edit(void *ctx, uint8_t *h, size_t size)
{
        const struct edit *e = ctx;

        assert_true(e->at + e->bytes <= size);
        for (size_t i = 0; i < e->bytes; i++)
                h[e->at + i] = (uint8_t)(e->value >> 8 * (e->bytes - 1 - i));
}

/* Open an archive whose header has the edit. */
static int open_edited(struct backup *f, const struct edit *e)
{
        struct edit copy = *e;
        struct vma_header_options o = {.edit = apply_edit, .edit_ctx = &copy};

        *f = backup_start();
        backup_device(f, 1, "a", CLUSTER);
        assert_int_equal(vma_writer_config(f->w, "conf", "text", 4), 0);
        assert_int_equal(vma_writer_header(f->w, &o), 0);
        backup_cluster(f, 1, 0, 0xffff);
        return backup_open(f, false);
}

static void expect_refused(size_t at, size_t bytes, uint64_t value, int error, uint64_t offset)
{
        struct edit e = {at, bytes, value};
        struct backup f;

        assert_int_equal(open_edited(&f, &e), -error);
        assert_true(f.err.has_offset);
        assert_int_equal(f.err.offset, offset);
        backup_end(&f);
}

static void test_refused_headers(void **state)
{
        (void)state;
        expect_refused(0, 4, 0x564d4101, EMEDIUMTYPE, 0);
        expect_refused(4, 4, 2, ENOTSUP, 4);
        expect_refused(4, 4, UINT32_MAX, ENOTSUP, 4);
        expect_refused(56, 4, 0, EIO, 56);
        expect_refused(56, 4, 12287, EIO, 56);
        expect_refused(56, 4, 2 * 1024 * 1024 + 1, EIO, 56);
        expect_refused(56, 4, UINT32_MAX, EIO, 56);
        expect_refused(48, 4, 0, EIO, 48);
        expect_refused(48, 4, UINT32_MAX, EIO, 48);
        expect_refused(52, 4, UINT32_MAX, EIO, 48);
        expect_refused(2044, 4, UINT32_MAX, EIO, 2044); /* a configuration's name */
        expect_refused(2044, 4, 2, EIO, 2044);          /* the middle of a blob */
        expect_refused(3068, 4, UINT32_MAX, EIO, 2044);
        expect_refused(4096 + 32 + 8, 8, UINT64_MAX, EFBIG, 4096 + 32 + 8);
        expect_refused(4096 + 32 + 8, 8, (UINT64_C(1) << 48) + 1, EFBIG, 4096 + 32 + 8);
}

/* Every 32-bit word of the header at its extremes: opened or refused, never a crash. */
static void test_every_field_at_its_extremes(void **state)
{
        static const uint64_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};

        (void)state;
        for (size_t at = 0; at < 12288; at += at < 64 ? 4 : 212) {
                for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                        struct edit e = {at, 4, values[i]};
                        struct backup f;

                        if (open_edited(&f, &e) == 0)
                                assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
                        else
                                assert_true(f.err.text[0] != '\0');
                        backup_end(&f);
                }
        }
}

static void test_largest_device(void **state)
{
        struct edit e = {4096 + 32 + 8, 8, UINT64_C(1) << 48};
        struct backup f;

        (void)state;
        assert_int_equal(open_edited(&f, &e), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
        backup_expect_pattern(index_disk(f.index, 0), 1, 0);
        backup_expect_lost(index_disk(f.index, 0), (UINT64_C(1) << 48) - BLOCK);
        backup_end(&f);
}

static void test_wrong_header_md5(void **state)
{
        struct backup f = backup_start();
        struct vma_header_options o = {.wrong_md5 = true};

        (void)state;
        assert_int_equal(vma_writer_header(f.w, &o), 0);
        assert_int_equal(backup_open(&f, false), -EIO);
        assert_int_equal(f.err.offset, 32);
        assert_non_null(strstr(f.err.text, "MD5"));
        backup_end(&f);
}

static void test_hostile_names(void **state)
{
        struct backup f = backup_start();
        static char longest[400];

        (void)state;
        memset(longest, 'n', sizeof longest - 1);
        backup_device(&f, 1, "../../etc/passwd", CLUSTER);
        backup_device(&f, 2, "x\n\x1b[31m", CLUSTER);
        assert_int_equal(vma_writer_config(f.w, "..", "1", 1), 0);
        assert_int_equal(vma_writer_config(f.w, ".", "2", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "", "3", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "same", "4", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "same", "5", 1), 0);
        assert_int_equal(vma_writer_config(f.w, longest, "6", 1), 0);
        assert_int_equal(vma_writer_config(f.w, longest, "7", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "bad\xff utf\xc3\xa9", "8", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "disk-x%0A%1B[31m.raw", "9", 1), 0);
        backup_header(&f);
        backup_scan(&f);
        assert_string_equal(index_disk(f.index, 0)->name, "disk-..%2F..%2Fetc%2Fpasswd.raw");
        assert_string_equal(index_disk(f.index, 1)->name, "disk-x%0A%1B[31m.raw");
        assert_string_equal(index_file(f.index, 0)->name, "%2E%2E");
        assert_string_equal(index_file(f.index, 1)->name, "%2E");
        assert_string_equal(index_file(f.index, 2)->name, "%");
        assert_string_equal(index_file(f.index, 3)->name, "same");
        assert_string_equal(index_file(f.index, 4)->name, "same~2");
        assert_int_equal(strlen(index_file(f.index, 5)->name), 255);
        assert_int_equal(strlen(index_file(f.index, 6)->name), 255);
        assert_string_not_equal(index_file(f.index, 5)->name, index_file(f.index, 6)->name);
        assert_string_equal(index_file(f.index, 7)->name, "bad%FF utf\xc3\xa9");
        assert_string_equal(index_file(f.index, 8)->name, "disk-x%0A%1B[31m.raw~2");
        backup_end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_header_sizes),
            cmocka_unit_test(test_header_alone),
            cmocka_unit_test(test_254_devices),
            cmocka_unit_test(test_256_configurations),
            cmocka_unit_test(test_device_needs_size_and_name),
            cmocka_unit_test(test_info),
            cmocka_unit_test(test_refused_headers),
            cmocka_unit_test(test_every_field_at_its_extremes),
            cmocka_unit_test(test_largest_device),
            cmocka_unit_test(test_wrong_header_md5),
            cmocka_unit_test(test_hostile_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
