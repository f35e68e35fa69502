/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range that is pinned is what disk_read gives, in pieces, or nothing; and it is given back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

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

static uint8_t memory[4 * MIB], got[RAGGED_SIZE];

/* How many bytes PIN has in the memory: zeros, and what was copied. */
static size_t in_memory(const struct disk_pin *pin)
{
        size_t n = 0;

        for (size_t i = 0; i < pin->count; i++) {
                const uint8_t *base = pin->pieces[i].iov_base;

                if (base >= memory && base < memory + sizeof memory)
                        n += pin->pieces[i].iov_len;
        }
        return n;
}

static void expect_right(struct disk *d, uint64_t offset, size_t len, struct disk_pin *pin)
{
        assert_true(len <= sizeof got);
        assert_int_equal(disk_gather(d, memory, len, offset, pin), len);
        assert_int_equal(disk_read(d, got, len, offset), len);
        assert_true(pin_equals(pin, got, len));
}

static bool is_zeros(const struct disk_pin *pin)
{
        size_t len = pin->pieces[0].iov_len;
        const char *p = pin->pieces[0].iov_base;

        for (size_t i = 0; i < len; i++)
                if (p[i])
                        return false;
        return true;
}

/* Nothing is copied but zeros at the beginning. */
static void check_pinned(struct disk *d, uint64_t offset, size_t len)
{
        struct disk_pin pin;

        expect_right(d, offset, len, &pin);
        assert_true(in_memory(&pin) == 0 ||
                    (in_memory(&pin) == pin.pieces[0].iov_len && is_zeros(&pin)));
        disk_unpin(&pin);
        assert_int_equal(pin.held_count, 0);
}

/* All of it is there, and in the memory. */
static void check_copied(struct disk *d, uint64_t offset, size_t len)
{
        struct disk_pin pin;

        expect_right(d, offset, len, &pin);
        assert_int_equal(in_memory(&pin), len);
        assert_int_equal(pin.held_count, 0);
}

/* What disk_read gives of it, and no more. */
static void expect_short(struct disk *d, uint64_t offset, size_t len)
{
        ssize_t n = disk_read(d, got, len, offset);
        struct disk_pin pin;

        assert_true(n < (ssize_t)len);
        assert_int_equal(disk_gather(d, memory, len, offset, &pin), n);
        assert_true(n < 0 || pin_equals(&pin, got, (size_t)n));
        disk_unpin(&pin);
}

/* ---- pinning ---- */

static void test_a_plain_archive_pins_nothing(void **state)
{
        struct backup f = ragged_backup();
        struct disk *d = backup_scan(&f);
        (void)state;

        check_copied(d, 0, BLOCK);
        check_copied(d, 3 * CLUSTER, BLOCK); /* zeros */
        backup_end(&f);
}

static const char *const compressors[] = {"zstd -qc", "gzip -1c", "lzop -1c"};
enum { COMPRESSORS = sizeof compressors / sizeof *compressors };

static void test_pins_any_range(void **state)
{
        (void)state;
        for (size_t i = 0; i < COMPRESSORS; i++) {
                struct backup f = ragged_backup();

                ragged_compress(&f, compressors[i]);
                ragged_ranges(backup_scan(&f), check_pinned);
                backup_end(&f);
        }
}

static void test_lost_is_not_pinned(void **state)
{
        struct backup f = ragged_gap();
        struct disk *d;
        (void)state;

        ragged_compress(&f, compressors[0]);
        d = backup_scan(&f);
        check_pinned(d, 0, CLUSTER);
        expect_short(d, CLUSTER - 1, 2);
        expect_short(d, CLUSTER + 1, 1);
        expect_short(d, 2 * CLUSTER - 1, 2);
        backup_end(&f);
}

static void test_lost_is_zeros_where_that_is_wanted(void **state)
{
        struct backup f = ragged_gap();
        (void)state;

        ragged_compress(&f, compressors[0]);
        ragged_ranges(ragged_scan_recovering(&f), check_pinned);
        backup_end(&f);
}

static void test_not_scanned_is_not_pinned(void **state)
{
        struct backup f = ragged_backup();
        (void)state;

        ragged_compress(&f, compressors[0]);
        assert_int_equal(backup_open(&f, true), 0);
        expect_short(index_disk(f.index, 0), 0, BLOCK);
        expect_short(index_disk(f.index, 0), CLUSTER + 5, BLOCK);
        backup_end(&f);
}

static void test_long_zeros(void **state)
{
        struct backup f = ragged_alike(0, 4);
        (void)state;

        ragged_compress(&f, compressors[0]);
        check_pinned(backup_scan(&f), 5, 3 * CLUSTER + 1);
        backup_end(&f);
}

/* Zeros are pieces of their own however short they are; what comes after too many is copied. */
static void test_too_many_pieces(void **state)
{
        struct backup f = ragged_alike(0x5555, PIN_PIECES / 16 + 1);
        const size_t most = (PIN_PIECES / 16 - 1) * CLUSTER;
        struct disk_pin pin;
        struct disk *d;
        (void)state;

        ragged_compress(&f, compressors[0]);
        d = backup_scan(&f);
        check_pinned(d, 0, most);
        expect_right(d, 0, most + 2 * CLUSTER, &pin);
        assert_true(in_memory(&pin) >= CLUSTER);
        disk_unpin(&pin);
        expect_right(d, 1, most + CLUSTER, &pin);
        disk_unpin(&pin);
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
        struct volume_extent e;

        assert_int_equal(disk_extent(l->d, pos, 1, &e), 0);
        assert_int_equal(e.kind, VOLUME_RAW);
        assert_ptr_equal(e.source, l->source);
        return e.offset;
}

/* Is byte POS in memory? */
static bool is_decoded(const struct large *l, uint64_t pos)
{
        struct source_pin pin;
        int rc = source_pin(l->source, stream_byte(l, pos), 1, false, &pin);

        if (rc == 1)
                source_unpin(l->source, &pin);
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
        struct disk_pin pin;

        read_everything(&l);
        assert_false(is_decoded(&l, pos));
        assert_int_equal(disk_gather(l.d, memory, BLOCK, pos, &pin), BLOCK);
        read_everything(&l);
        assert_true(is_decoded(&l, pos));
        assert_true(pin_equals(&pin, l.f.disk.data + pos, BLOCK));
        disk_unpin(&pin);
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
static void test_pins_from_many_segments(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, 64 * MIB);
        struct disk_pin pin;
        (void)state;

        decode_everything(&l);
        assert_int_equal(disk_gather(l.d, memory, 2 * MIB, MIB / 2, &pin), 2 * MIB);
        assert_true(pin.held_count > 2);
        assert_true(pin_equals(&pin, l.f.disk.data + MIB / 2, 2 * MIB));
        disk_unpin(&pin);
        close_large(&l);
}

/* What is held is memory that the cache cannot use. */
static void test_too_many_segments(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, 64 * MIB);
        struct disk_pin pin;
        (void)state;

        decode_everything(&l);
        assert_int_equal(disk_gather(l.d, memory, 4 * MIB, MIB / 2, &pin), 4 * MIB);
        assert_int_equal(pin.held_count, 0);
        assert_true(pin_equals(&pin, l.f.disk.data + MIB / 2, 4 * MIB));
        close_large(&l);
}

/* Have the odd clusters from POS to END kept as blocks of their own, which a worker does. */
static void keep_odd_clusters(const struct large *l, uint64_t pos, uint64_t end)
{
        for (pos += CLUSTER; pos < end; pos += 2 * CLUSTER) {
                uint64_t at = stream_byte(l, pos);
                struct source_range cluster = {at, at + CLUSTER};

                source_expect(l->source, &cluster, 1);
        }
}

/* Many small blocks leave the pins to what is large. */
static void test_small_blocks_are_copied(void **state)
{
        enum { POS = 20 * CLUSTER, LEN = 7 * CLUSTER }; /* with no zeros in it */
        struct large l = open_large(FIXTURE_ZSTD, 64 * MIB);
        struct disk_pin pin;
        size_t copied = 0;
        (void)state;

        decode_everything(&l);
        keep_odd_clusters(&l, POS, POS + LEN);
        for (int i = 0; i < 60000 && copied != 3 * CLUSTER; i++) {
                usleep(1000);
                assert_int_equal(disk_gather(l.d, memory, LEN, POS, &pin), LEN);
                assert_true(pin_equals(&pin, l.f.disk.data + POS, LEN));
                copied = in_memory(&pin);
                disk_unpin(&pin);
        }
        assert_int_equal(copied, 3 * CLUSTER);
        close_large(&l);
}

/* Each of two who hold what the other waits for would wait for ever. */
static void test_who_holds_a_segment_does_not_wait_for_another(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, MIB);
        const uint64_t border = 4 * MIB + CLUSTER;
        struct disk_pin pin;
        (void)state;

        read_everything(&l);
        assert_int_equal(disk_gather(l.d, memory, 2, border - 1, &pin), 2);
        assert_int_equal(pin.held_count, 0);
        assert_true(pin_equals(&pin, l.f.disk.data + border - 1, 2));
        close_large(&l);
}

static void test_what_is_pinned_in_vain_can_go(void **state)
{
        struct large l = open_large(FIXTURE_LZOP, MIB);
        const uint64_t pos = 4 * MIB + 5;
        struct disk_pin pin;
        (void)state;

        assert_int_equal(disk_gather(l.d, memory, 4 * MIB, pos, &pin), 4 * MIB);
        assert_int_equal(pin.held_count, 0);
        read_everything(&l);
        assert_false(is_decoded(&l, pos));
        close_large(&l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_plain_archive_pins_nothing),
            cmocka_unit_test(test_pins_any_range),
            cmocka_unit_test(test_lost_is_not_pinned),
            cmocka_unit_test(test_lost_is_zeros_where_that_is_wanted),
            cmocka_unit_test(test_not_scanned_is_not_pinned),
            cmocka_unit_test(test_long_zeros),
            cmocka_unit_test(test_too_many_pieces),
            cmocka_unit_test(test_what_is_given_back_can_go),
            cmocka_unit_test(test_pins_from_many_segments),
            cmocka_unit_test(test_too_many_segments),
            cmocka_unit_test(test_small_blocks_are_copied),
            cmocka_unit_test(test_who_holds_a_segment_does_not_wait_for_another),
            cmocka_unit_test(test_what_is_pinned_in_vain_can_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
