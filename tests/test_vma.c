/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "tests/vma_writer.h"

enum { BLOCK = 4096, CLUSTER = 65536, CTIME = 1700000000 };

static const uint8_t uuid[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                 1,    2,    3,    4,    5,    6,    7,    8};

/* ---- an archive in memory ---- */

struct fixture {
        int fd;
        char path[64]; /* by which the program can open it */
        struct vma_writer *w;
        struct index *index;
        struct error err;
};

static struct fixture start(void)
{
        struct fixture f = {.fd = memfd_create("archive", MFD_CLOEXEC)};

        assert_true(f.fd >= 0);
        snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
        assert_int_equal(vma_writer_open(f.fd, uuid, CTIME, &f.w), 0);
        return f;
}

static void device(struct fixture *f, uint8_t id, const char *name, uint64_t size)
{
        assert_int_equal(vma_writer_device(f->w, id, name, size), 0);
}

static void header(struct fixture *f)
{
        assert_int_equal(vma_writer_header(f->w, NULL), 0);
}

/* A cluster with the writer's pattern in the blocks of MASK. */
static void cluster(struct fixture *f, uint8_t dev, uint32_t number, uint16_t mask)
{
        static uint8_t data[CLUSTER];

        vma_pattern(dev, number, data);
        assert_int_equal(vma_writer_cluster(f->w, dev, number, mask, data), 0);
}

static void finish(struct fixture *f)
{
        assert_int_equal(vma_writer_close(f->w), 0);
        f->w = NULL;
}

static int open_archive(struct fixture *f, bool recover_zero)
{
        struct index_options options = {.recover_zero = recover_zero};

        if (f->w)
                finish(f);
        f->err = (struct error){0};
        return index_open(f->path, &options, &f->index, &f->err);
}

/* Open and scan, which must work. */
static struct disk *scan(struct fixture *f)
{
        assert_int_equal(open_archive(f, false), 0);
        assert_int_equal(index_scan(f->index, NULL, &f->err), 0);
        assert_true(index_sealed(f->index));
        return index_disk_count(f->index) ? index_disk(f->index, 0) : NULL;
}

static void end(struct fixture *f)
{
        index_close(f->index);
        vma_writer_close(f->w);
        close(f->fd);
}

/* The block at POS of the pattern's disk DEV. */
static void expect_pattern(struct disk *d, uint8_t dev, uint64_t pos)
{
        static uint8_t want[CLUSTER];
        uint8_t got[BLOCK];

        vma_pattern(dev, (uint32_t)(pos / CLUSTER), want);
        assert_int_equal(disk_read(d, got, BLOCK, pos), BLOCK);
        assert_memory_equal(got, want + pos % CLUSTER, BLOCK);
}

static void expect_zero(struct disk *d, uint64_t pos)
{
        static const uint8_t zero[BLOCK];
        uint8_t got[BLOCK];

        memset(got, 0xff, sizeof got);
        assert_int_equal(disk_read(d, got, BLOCK, pos), BLOCK);
        assert_memory_equal(got, zero, BLOCK);
}

static void expect_lost(struct disk *d, uint64_t pos)
{
        uint8_t got[BLOCK];

        assert_int_equal(disk_read(d, got, BLOCK, pos), -EIO);
}

/* The first damage is at archive byte OFFSET and its text holds WORD. */
static void expect_damage(const struct fixture *f, uint64_t offset, const char *word)
{
        const struct index_damage *list;

        assert_true(index_damages(f->index, &list) > 0);
        assert_int_equal(list[0].offset, offset);
        assert_non_null(strstr(list[0].text, word));
}

/* ---- what is right ---- */

static void test_masks_and_order(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "drive-scsi0", 4 * CLUSTER);
        header(&f);
        cluster(&f, 1, 3, 0x0001);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 2, 0x0000);
        cluster(&f, 1, 1, 0x8421);
        d = scan(&f);
        for (unsigned i = 0; i < 16; i++) {
                expect_pattern(d, 1, i * BLOCK);
                if (0x8421 >> i & 1)
                        expect_pattern(d, 1, CLUSTER + i * BLOCK);
                else
                        expect_zero(d, CLUSTER + i * BLOCK);
                expect_zero(d, 2 * CLUSTER + i * BLOCK);
        }
        expect_pattern(d, 1, 3 * CLUSTER);
        expect_zero(d, 3 * CLUSTER + BLOCK);
        assert_int_equal(d->totals.stored, (16 + 4 + 1) * BLOCK);
        assert_int_equal(d->totals.lost, 0);
        assert_int_equal(index_damage_count(f.index), 0);
        end(&f);
}

static void test_read_crosses_everything(void **state)
{
        struct fixture f = start();
        static uint8_t got[4 * CLUSTER], want[4 * CLUSTER];
        struct disk *d;

        (void)state;
        device(&f, 1, "a", 4 * CLUSTER - 512);
        header(&f);
        cluster(&f, 1, 1, 0xff00);
        cluster(&f, 1, 0, 0x00ff);
        cluster(&f, 1, 3, 0xffff);
        cluster(&f, 1, 2, 0x5555);
        d = scan(&f);
        for (uint32_t c = 0; c < 4; c++) {
                static const uint16_t masks[] = {0x00ff, 0xff00, 0x5555, 0xffff};

                vma_pattern(1, c, want + c * CLUSTER);
                for (unsigned i = 0; i < 16; i++)
                        if (!(masks[c] >> i & 1))
                                memset(want + c * CLUSTER + i * BLOCK, 0, BLOCK);
        }
        assert_int_equal(disk_read(d, got, sizeof got, 0), 4 * CLUSTER - 512);
        assert_memory_equal(got, want, 4 * CLUSTER - 512);
        assert_int_equal(disk_read(d, got, 100001, 65537), 100001);
        assert_memory_equal(got, want + 65537, 100001);
        assert_int_equal(disk_read(d, got, 10, 4 * CLUSTER - 512), 0);
        end(&f);
}

static void test_59_slots_and_holes_between_them(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "a", 61 * CLUSTER);
        header(&f);
        assert_int_equal(vma_writer_set_slots(f.w, VMA_SLOTS), 0);
        for (uint32_t i = 0; i < 59; i++)
                cluster(&f, 1, i, 0x0101);
        for (uint32_t i = 59; i < 61; i++) {
                assert_int_equal(vma_writer_slot(f.w, 0, NULL, 0), 0);
                cluster(&f, 1, i, 0x0101);
                assert_int_equal(vma_writer_slot(f.w, 0, NULL, 0), 0);
        }
        d = scan(&f);
        for (uint64_t i = 0; i < 61; i++)
                expect_pattern(d, 1, i * CLUSTER + 8 * BLOCK);
        assert_int_equal(d->totals.lost, 0);
        end(&f);
}

/* Genuine readers skip an empty slot whatever its mask says. */
static void test_empty_slot_with_a_mask_has_no_data(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "a", CLUSTER);
        header(&f);
        assert_int_equal(vma_writer_slot(f.w, UINT64_C(0xffff) << 48 | 5, NULL, 0), 0);
        cluster(&f, 1, 0, 0xffff);
        d = scan(&f);
        expect_pattern(d, 1, 0);
        assert_int_equal(index_damage_count(f.index), 0);
        end(&f);
}

static void test_empty_extents(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        assert_int_equal(vma_writer_flush(f.w), 0);
        cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        assert_int_equal(vma_writer_flush(f.w), 0);
        cluster(&f, 1, 1, 0xffff);
        d = scan(&f);
        expect_pattern(d, 1, CLUSTER);
        assert_int_equal(d->totals.lost, 0);
        end(&f);
}

static void check_header_size(uint32_t size)
{
        struct fixture f = start();
        struct vma_header_options o = {.header_size = size};
        struct disk *d;

        device(&f, 1, "a", CLUSTER);
        assert_int_equal(vma_writer_config(f.w, "c", "x", 1), 0);
        assert_int_equal(vma_writer_header(f.w, &o), 0);
        cluster(&f, 1, 0, 0xffff);
        d = scan(&f);
        expect_pattern(d, 1, BLOCK);
        end(&f);
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
        struct fixture f = start();

        (void)state;
        header(&f);
        assert_null(scan(&f));
        assert_int_equal(index_file_count(f.index), 0);
        assert_int_equal(index_damage_count(f.index), 0);
        end(&f);
}

static void test_254_devices(void **state)
{
        struct fixture f = start();
        char name[16];

        (void)state;
        for (unsigned i = 1; i <= 254; i++) {
                snprintf(name, sizeof name, "drive-%u", i);
                device(&f, (uint8_t)i, name, CLUSTER);
        }
        header(&f);
        for (unsigned i = 254; i >= 1; i--)
                cluster(&f, (uint8_t)i, 0, 0x8000);
        scan(&f);
        assert_int_equal(index_disk_count(f.index), 254);
        for (unsigned i = 1; i <= 254; i++)
                expect_pattern(index_disk(f.index, i - 1), (uint8_t)i, 15 * BLOCK);
        assert_string_equal(index_disk(f.index, 253)->name, "disk-drive-254.raw");
        assert_string_equal(index_disk(f.index, 253)->device, "drive-254");
        end(&f);
}

static void test_256_configurations(void **state)
{
        struct fixture f = start();
        static char big[65535];
        char name[16];

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
        header(&f);
        scan(&f);
        assert_int_equal(index_file_count(f.index), 256);
        assert_int_equal(index_file(f.index, 0)->len, 65535);
        assert_memory_equal(index_file(f.index, 0)->data, big, sizeof big);
        assert_int_equal(index_file(f.index, 1)->len, 0);
        assert_string_equal(index_file(f.index, 255)->name, "c255");
        end(&f);
}

static void test_device_needs_size_and_name(void **state)
{
        struct fixture f = start();
        uint32_t at;

        (void)state;
        device(&f, 1, "empty", 0);
        assert_int_equal(vma_writer_device_at(f.w, 2, 12345, CLUSTER), 0);
        assert_int_equal(vma_writer_blob(f.w, "no-nul", 6, &at), 0);
        assert_int_equal(vma_writer_device_at(f.w, 3, at, CLUSTER), 0);
        device(&f, 4, "good", CLUSTER);
        assert_int_equal(vma_writer_device(f.w, 255, "not-one", CLUSTER), 0);
        header(&f);
        scan(&f);
        assert_int_equal(index_disk_count(f.index), 1);
        assert_string_equal(index_disk(f.index, 0)->name, "disk-good.raw");
        end(&f);
}

static void test_vmstate_longer_than_declared(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "vmstate", CLUSTER);
        header(&f);
        for (uint32_t i = 0; i < 5; i++)
                cluster(&f, 1, i, i == 4 ? 0x0003 : 0xfff0);
        d = scan(&f);
        assert_string_equal(d->name, "vmstate.bin");
        assert_int_equal(d->size, 5 * CLUSTER);
        expect_zero(d, 2 * CLUSTER);
        expect_pattern(d, 1, 2 * CLUSTER + 4 * BLOCK);
        expect_pattern(d, 1, 4 * CLUSTER + BLOCK);
        assert_int_equal(index_damage_count(f.index), 0);
        end(&f);
}

static void test_vmstate_as_declared(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "vmstate", CLUSTER + 700);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 1, 0xffff);
        d = scan(&f);
        assert_int_equal(d->size, CLUSTER + 700);
        assert_int_equal(d->totals.lost, 0);
        end(&f);
}

static void test_info(void **state)
{
        struct fixture f = start();

        (void)state;
        header(&f);
        scan(&f);
        assert_string_equal(index_info(f.index)->uuid, "12345678-9abc-def0-0102-030405060708");
        assert_int_equal(index_info(f.index)->ctime, CTIME);
        assert_string_equal(index_format(f.index), "vma");
        assert_string_equal(index_compression(f.index), "none");
        end(&f);
}

/* ---- what is wrong ---- */

static void test_missing_cluster_is_lost(void **state)
{
        struct fixture f = start();
        struct disk *d;
        uint8_t two[2 * BLOCK];

        (void)state;
        device(&f, 1, "a", 3 * CLUSTER);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 2, 0xffff);
        d = scan(&f);
        expect_pattern(d, 1, 0);
        expect_lost(d, CLUSTER);
        expect_lost(d, 2 * CLUSTER - BLOCK);
        expect_pattern(d, 1, 2 * CLUSTER);
        assert_int_equal(d->totals.lost, CLUSTER);
        /* A read gives what is in front of the loss. */
        assert_int_equal(disk_read(d, two, sizeof two, CLUSTER - BLOCK), BLOCK);
        end(&f);
}

static void test_recover_zero(void **state)
{
        struct fixture f = start();
        struct disk *d;

        (void)state;
        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        assert_int_equal(open_archive(&f, true), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
        d = index_disk(f.index, 0);
        expect_pattern(d, 1, 0);
        expect_zero(d, CLUSTER);
        assert_int_equal(d->totals.lost, CLUSTER);
        end(&f);
}

/* What was not even looked for must not become zeros. */
static void test_recover_zero_of_an_unfinished_scan(void **state)
{
        struct fixture f = start();

        (void)state;
        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        cluster(&f, 1, 1, 0xffff);
        assert_int_equal(open_archive(&f, true), 0);
        index_stop(f.index);
        assert_int_equal(index_scan(f.index, NULL, &f.err), -ECANCELED);
        expect_lost(index_disk(f.index, 0), CLUSTER);
        end(&f);
}

/* Each place may cost memory: an archive that stores everything twice is given up. */
static void test_too_much_stored_twice(void **state)
{
        struct fixture f = start();

        (void)state;
        device(&f, 1, "a", (UINT64_C(1) << 48));
        header(&f);
        for (uint32_t i = 0; i < 70000; i++) {
                assert_int_equal(vma_writer_cluster(f.w, 1, i * 1024, 0, NULL), 0);
                assert_int_equal(vma_writer_cluster(f.w, 1, i * 1024, 0, NULL), 0);
        }
        assert_int_equal(open_archive(&f, false), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), -E2BIG);
        assert_non_null(strstr(f.err.text, "a second time"));
        end(&f);
}

static void test_duplicate_cluster_is_lost(void **state)
{
        struct fixture f = start();
        struct disk *d;
        uint64_t second;

        (void)state;
        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 1, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        second = vma_writer_offset(f.w);
        cluster(&f, 1, 0, 0xffff);
        d = scan(&f);
        expect_lost(d, 0);
        expect_pattern(d, 1, CLUSTER);
        expect_damage(&f, second, "second time");
        end(&f);
}

static void test_cluster_beyond_the_end(void **state)
{
        struct fixture f = start();
        struct disk *d;
        uint64_t at;

        (void)state;
        device(&f, 1, "a", CLUSTER + 512);
        header(&f);
        at = vma_writer_offset(f.w);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 2, 0x00ff); /* behind the end, with data */
        cluster(&f, 1, 1, 0xffff); /* reached only if that data is skipped */
        cluster(&f, 1, 3, 0x0000); /* behind the end, zero: tolerated */
        d = scan(&f);
        assert_int_equal(d->totals.lost, 0);
        expect_damage(&f, at, "beyond");
        assert_int_equal(index_damage_count(f.index), 1);
        {
                uint8_t got[512];
                static uint8_t want[CLUSTER];

                vma_pattern(1, 1, want);
                assert_int_equal(disk_read(d, got, 512, CLUSTER), 512);
                assert_memory_equal(got, want, 512);
        }
        end(&f);
}

static void check_unknown_device(uint8_t id)
{
        struct fixture f = start();
        struct disk *d;
        static uint8_t data[CLUSTER];
        uint64_t at;

        device(&f, 1, "a", CLUSTER);
        header(&f);
        at = vma_writer_offset(f.w);
        assert_int_equal(
            vma_writer_slot(f.w, UINT64_C(0xffff) << 48 | (uint64_t)id << 32, data, 16), 0);
        cluster(&f, 1, 0, 0xffff);
        d = scan(&f);
        expect_pattern(d, 1, 0);
        expect_damage(&f, at, "no device");
        end(&f);
}

static void test_cluster_of_no_device(void **state)
{
        (void)state;
        check_unknown_device(2);
        check_unknown_device(255);
}

static void check_extent_damage(unsigned damage, const char *word)
{
        struct fixture f = start();
        struct disk *d;
        uint64_t at;

        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        cluster(&f, 1, 0, 0xffff);
        assert_int_equal(vma_writer_flush(f.w), 0);
        at = vma_writer_offset(f.w);
        vma_writer_damage(f.w, damage);
        cluster(&f, 1, 1, 0x0fff);
        d = scan(&f);
        expect_pattern(d, 1, 0);
        expect_lost(d, CLUSTER);
        expect_damage(&f, at, word);
        end(&f);
}

static void test_damaged_extent_headers(void **state)
{
        (void)state;
        check_extent_damage(VMA_WRONG_MAGIC, "magic");
        check_extent_damage(VMA_WRONG_UUID, "uuid");
        check_extent_damage(VMA_WRONG_MD5, "MD5");
        check_extent_damage(VMA_WRONG_RESERVED, "reserved");
        check_extent_damage(VMA_WRONG_COUNT_MORE, "block count");
        check_extent_damage(VMA_WRONG_COUNT_LESS, "block count");
}

/* Cut at every byte: an error with a byte, or right blocks and lost blocks and nothing else. */
static void test_truncated_at_every_byte(void **state)
{
        static const uint16_t masks[] = {0x0003, 0x8001, 0x0000, 0x0002};
        struct fixture f = start();
        struct disk *d;
        uint64_t full, header_end;

        (void)state;
        device(&f, 1, "a", 4 * CLUSTER);
        header(&f);
        header_end = vma_writer_offset(f.w);
        assert_int_equal(vma_writer_set_slots(f.w, 2), 0);
        for (uint32_t i = 0; i < 4; i++)
                cluster(&f, 1, i, masks[i]);
        finish(&f);
        full = (uint64_t)lseek(f.fd, 0, SEEK_END);
        for (uint64_t cut = full - 1; cut < full; cut--) {
                assert_int_equal(ftruncate(f.fd, (off_t)cut), 0);
                if (open_archive(&f, false) < 0) {
                        assert_true(cut < header_end);
                        assert_true(f.err.text[0] != '\0');
                        f.index = NULL;
                        continue;
                }
                assert_true(cut >= header_end);
                assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
                d = index_disk(f.index, 0);
                assert_true(d->totals.lost > 0);
                for (uint64_t pos = 0; pos < d->size; pos += BLOCK) {
                        uint8_t got[BLOCK];
                        bool stored = masks[pos / CLUSTER] >> pos % CLUSTER / BLOCK & 1;

                        if (disk_read(d, got, BLOCK, pos) == -EIO)
                                continue;
                        if (stored)
                                expect_pattern(d, 1, pos);
                        else
                                expect_zero(d, pos);
                }
                /* A cut between extents leaves clusters missing; any other is named. */
                if (cut != header_end && cut != header_end + 512 + 4 * BLOCK)
                        assert_true(index_damage_count(f.index) > 0);
                index_close(f.index);
                f.index = NULL;
        }
        end(&f);
}

/* What is whole in front of the cut is readable, to the block. */
static void test_truncated_inside_a_cluster(void **state)
{
        struct fixture f = start();
        struct disk *d;
        uint64_t at;

        (void)state;
        device(&f, 1, "a", 2 * CLUSTER);
        header(&f);
        at = vma_writer_offset(f.w);
        cluster(&f, 1, 0, 0xffff);
        cluster(&f, 1, 1, 0xf0f0);
        finish(&f);
        assert_int_equal(ftruncate(f.fd, (off_t)(at + 512 + 18 * BLOCK + 1)), 0);
        d = scan(&f);
        expect_pattern(d, 1, CLUSTER - BLOCK);
        expect_zero(d, CLUSTER);
        expect_pattern(d, 1, CLUSTER + 5 * BLOCK);
        expect_lost(d, CLUSTER + 6 * BLOCK);
        expect_zero(d, CLUSTER + 8 * BLOCK);
        assert_int_equal(d->totals.lost, 6 * BLOCK);
        expect_damage(&f, at, "cut off");
        end(&f);
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
static int open_edited(struct fixture *f, const struct edit *e)
{
        struct edit copy = *e;
        struct vma_header_options o = {.edit = apply_edit, .edit_ctx = &copy};

        *f = start();
        device(f, 1, "a", CLUSTER);
        assert_int_equal(vma_writer_config(f->w, "conf", "text", 4), 0);
        assert_int_equal(vma_writer_header(f->w, &o), 0);
        cluster(f, 1, 0, 0xffff);
        return open_archive(f, false);
}

static void expect_refused(size_t at, size_t bytes, uint64_t value, int error, uint64_t offset)
{
        struct edit e = {at, bytes, value};
        struct fixture f;

        assert_int_equal(open_edited(&f, &e), -error);
        assert_true(f.err.has_offset);
        assert_int_equal(f.err.offset, offset);
        end(&f);
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
                        struct fixture f;

                        if (open_edited(&f, &e) == 0)
                                assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
                        else
                                assert_true(f.err.text[0] != '\0');
                        end(&f);
                }
        }
}

static void test_largest_device(void **state)
{
        struct edit e = {4096 + 32 + 8, 8, UINT64_C(1) << 48};
        struct fixture f;

        (void)state;
        assert_int_equal(open_edited(&f, &e), 0);
        assert_int_equal(index_scan(f.index, NULL, &f.err), 0);
        expect_pattern(index_disk(f.index, 0), 1, 0);
        expect_lost(index_disk(f.index, 0), (UINT64_C(1) << 48) - BLOCK);
        end(&f);
}

static void test_wrong_header_md5(void **state)
{
        struct fixture f = start();
        struct vma_header_options o = {.wrong_md5 = true};

        (void)state;
        assert_int_equal(vma_writer_header(f.w, &o), 0);
        assert_int_equal(open_archive(&f, false), -EIO);
        assert_int_equal(f.err.offset, 32);
        assert_non_null(strstr(f.err.text, "MD5"));
        end(&f);
}

static void test_hostile_names(void **state)
{
        struct fixture f = start();
        static char longest[400];

        (void)state;
        memset(longest, 'n', sizeof longest - 1);
        device(&f, 1, "../../etc/passwd", CLUSTER);
        device(&f, 2, "x\n\x1b[31m", CLUSTER);
        assert_int_equal(vma_writer_config(f.w, "..", "1", 1), 0);
        assert_int_equal(vma_writer_config(f.w, ".", "2", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "", "3", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "same", "4", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "same", "5", 1), 0);
        assert_int_equal(vma_writer_config(f.w, longest, "6", 1), 0);
        assert_int_equal(vma_writer_config(f.w, longest, "7", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "bad\xff utf\xc3\xa9", "8", 1), 0);
        assert_int_equal(vma_writer_config(f.w, "disk-x%0A%1B[31m.raw", "9", 1), 0);
        header(&f);
        scan(&f);
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
        end(&f);
}

/* ---- the genuine tool's own ---- */

static void test_genuine_tiny(void **state)
{
        struct index_options options = {0};
        struct index *index;
        struct error err = {0};
        struct disk *d;
        uint64_t pos;

        (void)state;
        assert_int_equal(index_open("tests/data/good/tiny.vma", &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        assert_int_equal(index_disk_count(index), 1);
        d = index_disk(index, 0);
        assert_string_equal(d->name, "disk-drive-scsi0.raw");
        assert_int_equal(d->size, 1048576);
        assert_int_equal(d->totals.stored, 12288);
        assert_int_equal(disk_next_data(d, 0, &pos), 0);
        assert_int_equal(index_file_count(index), 1);
        assert_int_equal(index_file(index, 0)->len, 116);
        index_close(index);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_masks_and_order),
            cmocka_unit_test(test_read_crosses_everything),
            cmocka_unit_test(test_59_slots_and_holes_between_them),
            cmocka_unit_test(test_empty_slot_with_a_mask_has_no_data),
            cmocka_unit_test(test_empty_extents),
            cmocka_unit_test(test_header_sizes),
            cmocka_unit_test(test_header_alone),
            cmocka_unit_test(test_254_devices),
            cmocka_unit_test(test_256_configurations),
            cmocka_unit_test(test_device_needs_size_and_name),
            cmocka_unit_test(test_vmstate_longer_than_declared),
            cmocka_unit_test(test_vmstate_as_declared),
            cmocka_unit_test(test_info),
            cmocka_unit_test(test_missing_cluster_is_lost),
            cmocka_unit_test(test_recover_zero),
            cmocka_unit_test(test_recover_zero_of_an_unfinished_scan),
            cmocka_unit_test(test_too_much_stored_twice),
            cmocka_unit_test(test_duplicate_cluster_is_lost),
            cmocka_unit_test(test_cluster_beyond_the_end),
            cmocka_unit_test(test_cluster_of_no_device),
            cmocka_unit_test(test_damaged_extent_headers),
            cmocka_unit_test(test_truncated_at_every_byte),
            cmocka_unit_test(test_truncated_inside_a_cluster),
            cmocka_unit_test(test_refused_headers),
            cmocka_unit_test(test_every_field_at_its_extremes),
            cmocka_unit_test(test_largest_device),
            cmocka_unit_test(test_wrong_header_md5),
            cmocka_unit_test(test_hostile_names),
            cmocka_unit_test(test_genuine_tiny),
        };

        return cmocka_run_group_tests_name("vma", tests, NULL, NULL);
}
