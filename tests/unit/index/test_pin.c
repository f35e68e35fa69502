/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range that is borrowed is what disk_read gives, in pieces, or nothing; and it is given back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "index/index.h"
#include "index/pin.h"
#include "tests/fixtures/pin_fixture.h"
#include "tests/fixtures/ragged_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { BLOCK = BACKUP_BLOCK, CLUSTER = BACKUP_CLUSTER };

static void check_borrowed(struct disk *d, uint64_t offset, size_t len)
{
        static uint8_t got[RAGGED_SIZE];
        struct disk_loan loan;

        assert_true(len <= sizeof got);
        assert_true(disk_borrow(d, len, offset, &loan));
        assert_int_equal(disk_read(d, got, len, offset), len);
        assert_true(loan_equals(&loan, got, len));
        disk_give_back(d, &loan);
        assert_int_equal(loan.held_count, 0);
}

static void expect_not_borrowed(struct disk *d, uint64_t offset, size_t len)
{
        struct disk_loan loan;

        assert_false(disk_borrow(d, len, offset, &loan));
        assert_int_equal(loan.held_count, 0);
}

/* ---- borrowing ---- */

static void test_a_plain_archive_lends_nothing(void **state)
{
        struct backup f = ragged_backup();
        struct disk *d = backup_scan(&f);
        (void)state;

        expect_not_borrowed(d, 0, BLOCK);
        expect_not_borrowed(d, 3 * CLUSTER, BLOCK); /* zeros */
        backup_end(&f);
}

static const char *const compressors[] = {"zstd -qc", "gzip -1c", "lzop -1c"};
enum { COMPRESSORS = sizeof compressors / sizeof *compressors };

static void test_borrows_any_range(void **state)
{
        (void)state;
        for (size_t i = 0; i < COMPRESSORS; i++) {
                struct backup f = ragged_backup();

                ragged_compress(&f, compressors[i]);
                ragged_ranges(backup_scan(&f), check_borrowed);
                backup_end(&f);
        }
}

static void test_lost_is_not_borrowed(void **state)
{
        struct backup f = ragged_gap();
        struct disk *d;
        (void)state;

        ragged_compress(&f, compressors[0]);
        d = backup_scan(&f);
        check_borrowed(d, 0, CLUSTER);
        expect_not_borrowed(d, CLUSTER - 1, 2);
        expect_not_borrowed(d, CLUSTER + 1, 1);
        expect_not_borrowed(d, 2 * CLUSTER - 1, 2);
        backup_end(&f);
}

static void test_lost_is_zeros_where_that_is_wanted(void **state)
{
        struct backup f = ragged_gap();
        (void)state;

        ragged_compress(&f, compressors[0]);
        ragged_ranges(ragged_scan_recovering(&f), check_borrowed);
        backup_end(&f);
}

static void test_not_scanned_is_not_borrowed(void **state)
{
        struct backup f = ragged_backup();
        (void)state;

        ragged_compress(&f, compressors[0]);
        assert_int_equal(backup_open(&f, true), 0);
        expect_not_borrowed(index_disk(f.index, 0), 0, BLOCK);
        expect_not_borrowed(index_disk(f.index, 0), CLUSTER + 5, BLOCK);
        backup_end(&f);
}

static void test_long_zeros(void **state)
{
        struct backup f = ragged_alike(0, 4);
        (void)state;

        ragged_compress(&f, compressors[0]);
        check_borrowed(backup_scan(&f), 5, 3 * CLUSTER + 1);
        backup_end(&f);
}

/* Zeros are pieces of their own however short they are. */
static void test_too_many_pieces(void **state)
{
        struct backup f = ragged_alike(0x5555, LOAN_PIECES / 16 + 1);
        const size_t most = LOAN_PIECES / 16 * CLUSTER;
        struct disk *d;
        (void)state;

        ragged_compress(&f, compressors[0]);
        d = backup_scan(&f);
        check_borrowed(d, 0, most);
        expect_not_borrowed(d, 0, most + 1);
        expect_not_borrowed(d, 1, most);
        backup_end(&f);
}

/* ---- giving back ---- */

enum { LARGE = 9 << 20 };

/* A disk of many segments, and CACHE bytes for what is decoded of them. */
struct large {
        struct sidecar_fixture f;
        struct index *index;
        struct disk *d;
        struct source *source;
};

static struct large open_large(enum fixture_kind kind, size_t cache)
{
        struct index_options options = {.cache_bytes = cache, .threads = 1};
        struct error err = {0};
        struct large l;

        sidecar_fixture_archive(&l.f, kind, LARGE);
        assert_int_equal(index_open(l.f.archive, &options, &l.index, &err), 0);
        assert_int_equal(index_scan(l.index, NULL, &err), 0);
        l.d = index_disk(l.index, 0);
        l.source = index_archive(l.index)->source;
        return l;
}

static void close_large(struct large *l)
{
        index_close(l->index);
        sidecar_fixture_free(&l->f);
}

/* The stream's byte that is byte POS of the disk. */
static uint64_t stream_byte(const struct large *l, uint64_t pos)
{
        struct extent e;

        disk_find(l->d, pos, &e);
        assert_true(e.addr <= EXTENT_ADDR_MAX);
        return e.addr + (pos - e.start);
}

/* Is byte POS in memory? */
static bool is_decoded(const struct large *l, uint64_t pos)
{
        struct source_loan loan;
        int rc = source_borrow(l->source, stream_byte(l, pos), false, &loan);

        if (rc == 1)
                source_give_back(l->source, &loan);
        assert_true(rc == 1 || rc == -EAGAIN);
        return rc == 1;
}

/* Which fills the cache over and over. */
static void read_everything(const struct large *l)
{
        assert_int_equal(sidecar_read(l->index, l->f.disk), OUTCOME_RIGHT);
}

static void check_given_back(enum fixture_kind kind)
{
        struct large l = open_large(kind, MIB);
        const uint64_t pos = 4 * MIB + 5;
        struct disk_loan loan;

        read_everything(&l);
        assert_false(is_decoded(&l, pos));
        assert_true(disk_borrow(l.d, BLOCK, pos, &loan));
        read_everything(&l);
        assert_true(is_decoded(&l, pos));
        assert_true(loan_equals(&loan, l.f.disk.data + pos, BLOCK));
        disk_give_back(l.d, &loan);
        read_everything(&l);
        assert_false(is_decoded(&l, pos));
        close_large(&l);
}

static void test_what_is_given_back_can_go(void **state)
{
        (void)state;
        check_given_back(FIXTURE_ZSTD);
        check_given_back(FIXTURE_GZIP);
        check_given_back(FIXTURE_LZOP);
}

/* Of each segment a byte, so that all are in memory, if they have room. */
static void decode_everything(const struct large *l)
{
        char byte;

        for (uint64_t at = 0; at < LARGE; at += CLUSTER)
                assert_int_equal(disk_read(l->d, &byte, 1, at), 1);
}

/* The first half of the archive has the even clusters, the second one the odd ones. */
static void test_borrows_from_many_segments(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, 64 * MIB);
        struct disk_loan loan;
        (void)state;

        decode_everything(&l);
        assert_true(disk_borrow(l.d, 2 * MIB, MIB / 2, &loan));
        assert_true(loan.held_count > 2);
        assert_true(loan_equals(&loan, l.f.disk.data + MIB / 2, 2 * MIB));
        disk_give_back(l.d, &loan);
        close_large(&l);
}

/* What is held is memory that the cache cannot use. */
static void test_too_many_segments(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, 64 * MIB);
        (void)state;

        decode_everything(&l);
        expect_not_borrowed(l.d, MIB / 2, 4 * MIB);
        close_large(&l);
}

/* Each of two who hold what the other waits for would wait for ever. */
static void test_who_holds_a_segment_does_not_wait_for_another(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, MIB);
        const uint64_t border = 4 * MIB + CLUSTER;
        (void)state;

        read_everything(&l);
        expect_not_borrowed(l.d, border - 1, 2);
        close_large(&l);
}

static void test_what_is_borrowed_in_vain_can_go(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, MIB);
        const uint64_t pos = 4 * MIB + 5;
        (void)state;

        expect_not_borrowed(l.d, pos, 4 * MIB);
        read_everything(&l);
        assert_false(is_decoded(&l, pos));
        close_large(&l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_plain_archive_lends_nothing),
            cmocka_unit_test(test_borrows_any_range),
            cmocka_unit_test(test_lost_is_not_borrowed),
            cmocka_unit_test(test_lost_is_zeros_where_that_is_wanted),
            cmocka_unit_test(test_not_scanned_is_not_borrowed),
            cmocka_unit_test(test_long_zeros),
            cmocka_unit_test(test_too_many_pieces),
            cmocka_unit_test(test_what_is_given_back_can_go),
            cmocka_unit_test(test_borrows_from_many_segments),
            cmocka_unit_test(test_too_many_segments),
            cmocka_unit_test(test_who_holds_a_segment_does_not_wait_for_another),
            cmocka_unit_test(test_what_is_borrowed_in_vain_can_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
