/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range that is gathered is what disk_read gives, in pieces, or nothing at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/extent.h"
#include "index/disk.h"
#include "index/index.h"
#include "index/pin.h"
#include "tests/fixtures/pin_fixture.h"
#include "tests/fixtures/ragged_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum {
        BLOCK = BACKUP_BLOCK,
        CLUSTER = BACKUP_CLUSTER,
        LENT = RAGGED_LENT,
        ZEROS = 65536,    /* that lie in one piece, by pin.c */
        STORED_MAX = 128, /* pieces that are read for one range, likewise */
        CLUSTERS_MAX = 48,
        UNTOUCHED = 0xa5, /* memory into which nothing was written */
        GUARD = 64,
};

static uint8_t memory[CLUSTERS_MAX * CLUSTER + GUARD], got[CLUSTERS_MAX * CLUSTER];

/* ---- ranges ---- */

static bool gather(struct disk *d, uint64_t offset, size_t len, struct disk_pin *pin)
{
        assert_true(len <= sizeof got && offset + len <= d->size);
        memset(memory, UNTOUCHED, len + GUARD);
        return disk_gather(d, memory, len, offset, pin) == (ssize_t)len;
}

static void expect_untouched(size_t from, size_t len)
{
        size_t i = from;

        while (i < from + len && memory[i] == UNTOUCHED)
                i++;
        assert_int_equal(i, from + len);
}

/* Each piece is in its place of the memory, or elsewhere; then that place is as it was. */
static void expect_in_place(const struct disk_pin *pin, size_t len)
{
        size_t done = 0;

        for (size_t i = 0; i < pin->count; i++) {
                const struct iovec *piece = &pin->pieces[i];
                const uint8_t *base = piece->iov_base;

                if (base >= memory && base < memory + sizeof memory)
                        assert_ptr_equal(base, memory + done);
                else
                        expect_untouched(done, piece->iov_len);
                done += piece->iov_len;
        }
        assert_int_equal(done, len);
        expect_untouched(len, GUARD);
}

static void expect_gathered(struct disk *d, uint64_t offset, size_t len, struct disk_pin *pin)
{
        assert_true(gather(d, offset, len, pin));
        expect_in_place(pin, len);
        assert_int_equal(disk_read(d, got, len, offset), len);
        assert_true(pin_equals(pin, got, len));
}

/* The same, where nobody cares for the pieces. */
static void check_gathered(struct disk *d, uint64_t offset, size_t len)
{
        struct disk_pin pin;

        expect_gathered(d, offset, len, &pin);
}

/* Only what disk_read gives of it is had, or its failure. */
static void expect_not_gathered(struct disk *d, uint64_t offset, size_t len)
{
        struct disk_pin pin;
        ssize_t n;

        assert_false(gather(d, offset, len, &pin));
        n = disk_gather(d, memory, len, offset, &pin);
        assert_int_equal(n, disk_read(d, got, len, offset));
        assert_true(n < 0 || pin_equals(&pin, got, (size_t)n));
        assert_int_equal(pin.held_count, 0);
}

/* ---- gathering what is right ---- */

static void test_gathers_any_range(void **state)
{
        struct backup f = ragged_backup();
        (void)state;

        ragged_ranges(backup_scan(&f), check_gathered);
        backup_end(&f);
}

static void test_short_zeros_are_written(void **state)
{
        struct backup f = ragged_alike(0xff01, 1);
        struct disk *d = backup_scan(&f);
        struct disk_pin pin;
        (void)state;

        expect_gathered(d, 0, CLUSTER, &pin);
        assert_int_equal(pin.count, 1);
        assert_ptr_equal(pin.pieces[0].iov_base, memory);
        backup_end(&f);
}

static void test_long_zeros_are_lent(void **state)
{
        struct backup f = ragged_alike(0xfe01, 1);
        struct disk *d = backup_scan(&f);
        struct disk_pin pin;
        (void)state;

        expect_gathered(d, 0, CLUSTER, &pin);
        assert_int_equal(pin.count, 3);
        assert_int_equal(pin.pieces[1].iov_len, LENT);
        expect_untouched(BLOCK, LENT);
        /* It is the range's that count, not the disk's. */
        expect_gathered(d, BLOCK - 1, LENT, &pin);
        assert_int_equal(pin.count, 1);
        expect_gathered(d, BLOCK - 1, LENT + 1, &pin);
        assert_int_equal(pin.count, 2);
        backup_end(&f);
}

static void test_nothing_but_zeros(void **state)
{
        struct backup f = ragged_alike(0, 4);
        struct disk *d = backup_scan(&f);
        struct disk_pin pin;
        (void)state;

        expect_gathered(d, 5, 3 * ZEROS + 1, &pin);
        assert_int_equal(pin.count, 4);
        expect_untouched(0, 3 * ZEROS + 1);
        backup_end(&f);
}

static void test_too_many_pieces(void **state)
{
        struct backup f = ragged_alike(0x00ff, PIN_PIECES / 2 + 2);
        struct disk *d = backup_scan(&f);
        const size_t most = (PIN_PIECES / 2 - 1) * CLUSTER;
        struct disk_pin pin;
        (void)state;

        expect_gathered(d, 0, most, &pin);
        assert_int_equal(pin.count, PIN_PIECES - 2);
        /* The last piece is the memory's, for all that comes. */
        expect_gathered(d, 0, most + 2 * CLUSTER, &pin);
        assert_int_equal(pin.count, PIN_PIECES - 1);
        expect_gathered(d, 1, most + CLUSTER, &pin);
        backup_end(&f);
}

/* Zeros between them are written: for the reply all of it is one piece. */
static void test_too_many_stored_pieces(void **state)
{
        struct backup f = ragged_alike(0x5555, STORED_MAX / 8 + 2);
        struct disk *d = backup_scan(&f);
        const size_t most = STORED_MAX / 8 * CLUSTER;
        struct disk_pin pin;
        (void)state;

        expect_gathered(d, 0, most, &pin);
        assert_int_equal(pin.count, 1);
        expect_gathered(d, 0, most + CLUSTER, &pin);
        assert_int_equal(pin.count, 1);
        check_gathered(d, 1, most);
        backup_end(&f);
}

/* ---- what cannot be had whole ---- */

static void test_lost_is_not_gathered(void **state)
{
        struct backup f = ragged_gap();
        struct disk *d = backup_scan(&f);
        (void)state;

        check_gathered(d, 0, CLUSTER);
        check_gathered(d, 2 * CLUSTER, CLUSTER);
        expect_not_gathered(d, CLUSTER - 1, 2);
        expect_not_gathered(d, CLUSTER + 1, 1);
        expect_not_gathered(d, 2 * CLUSTER - 1, 2);
        expect_not_gathered(d, 0, 3 * CLUSTER);
        backup_end(&f);
}

static void test_lost_is_zeros_where_that_is_wanted(void **state)
{
        struct backup f = ragged_gap();
        struct disk *d = ragged_scan_recovering(&f);
        (void)state;

        ragged_ranges(d, check_gathered);
        check_gathered(d, CLUSTER, CLUSTER);
        for (unsigned i = 0; i < CLUSTER; i++)
                assert_int_equal(got[i], 0);
        backup_end(&f);
}

/* Cut off before it was opened: what is missing is lost. */
static void test_truncated(void **state)
{
        struct backup f = ragged_alike(0xffff, 2);
        uint64_t start = vma_writer_offset(f.w) + VMA_EXTENT_HEADER;
        struct disk *d;
        (void)state;

        backup_finish(&f);
        assert_int_equal(ftruncate(f.fd, (off_t)(start + CLUSTER + 2 * BLOCK + 1)), 0);
        d = backup_scan(&f);
        check_gathered(d, 0, CLUSTER + 2 * BLOCK);
        expect_not_gathered(d, 0, CLUSTER + 2 * BLOCK + 1);
        expect_not_gathered(d, CLUSTER + 3 * BLOCK, BLOCK);
        backup_end(&f);
}

static void test_cut_while_it_is_open(void **state)
{
        struct backup f = ragged_backup();
        struct disk *d = backup_scan(&f);
        (void)state;

        assert_int_equal(ftruncate(f.fd, lseek(f.fd, 0, SEEK_END) - 1), 0);
        expect_not_gathered(d, 0, BLOCK);
        assert_int_equal(disk_read(d, got, BLOCK, 0), -EIO);
        backup_end(&f);
}

static void test_written_to_while_it_is_open(void **state)
{
        /* So long before it is opened that the clock, which ticks, shows a write after that. */
        static const struct timespec ticks = {.tv_nsec = 30000000};
        struct backup f = ragged_backup();
        struct disk *d;
        (void)state;

        nanosleep(&ticks, NULL);
        d = backup_scan(&f);
        check_gathered(d, 0, BLOCK);
        assert_int_equal(pwrite(f.fd, "x", 1, lseek(f.fd, 0, SEEK_END) - 1), 1);
        expect_not_gathered(d, 0, BLOCK);
        assert_int_equal(disk_read(d, got, BLOCK, 0), -ESTALE);
        backup_end(&f);
}

/* ---- while the scan is under way ---- */

/* Also where what is lost is zeros: this may be stored yet. */
static void test_not_scanned_yet(void **state)
{
        (void)state;
        for (int zero = 0; zero < 2; zero++) {
                struct backup f = ragged_backup();
                struct disk *d;

                assert_int_equal(backup_open(&f, zero), 0);
                d = index_disk(f.index, 0);
                expect_not_gathered(d, 0, BLOCK);
                expect_not_gathered(d, CLUSTER + 5, BLOCK);
                assert_int_equal(disk_read(d, got, BLOCK, 0), -EAGAIN);
                backup_end(&f);
        }
}

/* The extent that was scanned has the first cluster and the last but one. */
static int check_half(void *ctx, struct disk *d, uint64_t pos, const struct volume_extent *e)
{
        bool *checked = ctx;
        (void)pos;
        (void)e;

        if (*checked)
                return 0;
        *checked = true;
        check_gathered(d, 0, CLUSTER);
        check_gathered(d, 2 * CLUSTER, CLUSTER);
        expect_not_gathered(d, CLUSTER, 1);
        expect_not_gathered(d, CLUSTER + 5, BLOCK);
        expect_not_gathered(d, 0, CLUSTER + 1);
        expect_not_gathered(d, 3 * CLUSTER - 1, 2);
        return 0;
}

/* Of the same half. */
static int check_first_unknown(void *ctx, struct disk *d, uint64_t pos,
                               const struct volume_extent *e)
{
        bool *checked = ctx;
        (void)pos;
        (void)e;

        if (*checked)
                return 0;
        *checked = true;
        assert_int_equal(disk_first_unknown(d, 0, 4 * CLUSTER), CLUSTER);
        assert_int_equal(disk_first_unknown(d, 5, CLUSTER), CLUSTER);
        assert_int_equal(disk_first_unknown(d, CLUSTER + 5, CLUSTER + 6), CLUSTER + 5);
        assert_int_equal(disk_first_unknown(d, 2 * CLUSTER, 2 * CLUSTER + 9), 2 * CLUSTER + 9);
        assert_int_equal(disk_first_unknown(d, 2 * CLUSTER, 4 * CLUSTER), 3 * CLUSTER);
        return 0;
}

/* Two extents: the clusters 2 and 0, and then 1 and 3. */
static struct backup two_halves(void)
{
        struct backup f = backup_start();

        backup_device(&f, 1, "a", 4 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 2, 0xffff);
        backup_cluster(&f, 1, 0, 0x0f0f);
        assert_int_equal(vma_writer_flush(f.w), 0);
        backup_cluster(&f, 1, 1, 0xffff);
        backup_cluster(&f, 1, 3, 0xffff);
        assert_int_equal(backup_open(&f, false), 0);
        return f;
}

static void test_first_unknown(void **state)
{
        struct backup f = two_halves();
        bool checked = false;
        const struct index_observer observer = {.ctx = &checked, .extent = check_first_unknown};
        struct disk *d = index_disk(f.index, 0);
        (void)state;

        assert_int_equal(disk_first_unknown(d, 0, 4 * CLUSTER), 0);
        assert_int_equal(index_scan(f.index, &observer, &f.err), 0);
        assert_true(checked);
        assert_int_equal(disk_first_unknown(d, 0, 4 * CLUSTER), 4 * CLUSTER);
        backup_end(&f);
}

static void test_half_scanned(void **state)
{
        struct backup f = two_halves();
        bool checked = false;
        const struct index_observer observer = {.ctx = &checked, .extent = check_half};
        (void)state;

        assert_int_equal(index_scan(f.index, &observer, &f.err), 0);
        assert_true(checked);
        check_gathered(index_disk(f.index, 0), 0, 4 * CLUSTER);
        backup_end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_gathers_any_range),
            cmocka_unit_test(test_short_zeros_are_written),
            cmocka_unit_test(test_long_zeros_are_lent),
            cmocka_unit_test(test_nothing_but_zeros),
            cmocka_unit_test(test_too_many_pieces),
            cmocka_unit_test(test_too_many_stored_pieces),
            cmocka_unit_test(test_lost_is_not_gathered),
            cmocka_unit_test(test_lost_is_zeros_where_that_is_wanted),
            cmocka_unit_test(test_truncated),
            cmocka_unit_test(test_cut_while_it_is_open),
            cmocka_unit_test(test_written_to_while_it_is_open),
            cmocka_unit_test(test_not_scanned_yet),
            cmocka_unit_test(test_first_unknown),
            cmocka_unit_test(test_half_scanned),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
