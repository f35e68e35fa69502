/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XVAs as xapi writes them, damaged ones, and ones that nobody would write. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"
#include "tests/fixtures/xva_writer.h"

enum { CHUNKS = 6, TAIL = 5000, SIZE = CHUNKS * XVA_UNIT + TAIL, BLOCK = 512, PAGE = 4096 };

static uint8_t disk[SIZE];

/* Chunks 0, 1, 4 and the last one hold data, each of its own; the others are zeros. */
static int make_disk(void **state)
{
        (void)state;
        for (size_t i = 0; i < SIZE; i++) {
                size_t chunk = i / XVA_UNIT;

                if (chunk <= 1 || chunk == 4 || chunk == CHUNKS)
                        disk[i] = (uint8_t)((i * 2654435761U >> 16) + chunk);
        }
        return 0;
}

static struct xva_out begin(void)
{
        struct xva_out x = xva_start();

        xva_describe(&x, "Ref:4", "root", SIZE);
        xva_begin(&x);
        return x;
}

static int ignore(void *ctx, struct disk *d, uint64_t pos, const struct volume_extent *e)
{
        (void)ctx;
        (void)d;
        (void)pos;
        (void)e;
        return 0;
}

/* The archive as verify goes through it. Frees X. */
static struct image verified(struct xva_out *x)
{
        const struct index_observer observer = {.extent = ignore};
        struct image m = image_new();

        xva_finish(x);
        assert_int_equal(image_open(&m, x->file.data, x->file.len), 0);
        assert_int_equal(index_scan(m.index, &observer, &m.err), 0);
        if (index_disk_count(m.index))
                m.disk = index_disk(m.index, 0);
        xva_free(x);
        return m;
}

static void expect_sound(const struct image *m)
{
        const struct index_damage *list;

        if (index_damages(m->index, &list))
                fail_msg("%s", list[0].text);
}

/* [START, END) of the disk is as it was. */
static void expect_bytes(const struct image *m, uint64_t start, uint64_t end)
{
        static uint8_t back[SIZE];

        assert_int_equal(disk_read(m->disk, back, end - start, start), end - start);
        assert_memory_equal(back, disk + start, end - start);
}

static void expect_lost(const struct image *m, uint64_t pos)
{
        uint8_t byte;

        assert_int_equal(disk_read(m->disk, &byte, 1, pos), -EIO);
}

static void expect_refused(struct xva_out *x, int code, const char *word)
{
        xva_finish(x);
        image_expect_refused(x->file.data, x->file.len, code, word);
        xva_free(x);
}

/* ---- sound ones ---- */

static void test_disks_are_those_of_the_chunks(void **state)
{
        (void)state;
        for (unsigned kind = 0; kind < 4; kind++) {
                struct xva_out x = begin();
                struct image m;

                x.sha1 = kind == 1;
                x.unsummed = kind == 2;
                x.empty = kind == 3;
                xva_disk(&x, "Ref:4", disk, SIZE);
                m = verified(&x);
                expect_sound(&m);
                assert_string_equal(index_format(m.index), "xva");
                m.disk = index_disk(m.index, 0);
                assert_string_equal(m.disk->name, "disk-Ref4.raw");
                assert_string_equal(m.disk->device, "Ref:4");
                assert_int_equal(m.disk->size, SIZE);
                assert_int_equal(m.disk->totals.stored, 3 * XVA_UNIT + 2 * PAGE);
                assert_non_null(strstr(index_info(m.index)->note, "Ref:4 is \"root\", drive 0"));
                expect_bytes(&m, 0, SIZE);
                image_end(&m);
        }
}

static void test_an_empty_chunk_takes_a_number_and_no_bytes(void **state)
{
        struct xva_out x = begin();
        struct image m;

        (void)state;
        xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 1, "", 0);
        xva_chunk(&x, "Ref:4", 2, disk + XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 4, "", 0); /* 3 is chunk 2 of the disk */
        xva_chunk(&x, "Ref:4", 6, disk + 4 * XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 8, disk + 6 * XVA_UNIT, TAIL);
        m = verified(&x);
        expect_sound(&m);
        expect_bytes(&m, 0, SIZE);
        image_end(&m);
}

static void test_what_is_on_cds_is_not_in_the_archive(void **state)
{
        struct xva_out x = xva_start();
        struct image m;

        (void)state;
        xva_describe(&x, "Ref:4", "a &lt;b&gt; &amp; &#67;", SIZE);
        xva_object(&x, "<value><struct><member><name>class</name><value>VBD</value></member>"
                       "<member><name>id</name><value>Ref:20</value></member>"
                       "<member><name>snapshot</name><value><struct>"
                       "<member><name>VDI</name><value>Ref:21</value></member>"
                       "<member><name>type</name><value><string>CD</string></value></member>"
                       "</struct></value></member></struct></value>");
        xva_describe(&x, "Ref:21", "tools.iso", 4096);
        xva_object(&x, "<value><struct><member><name>class</name><value>SR</value></member>"
                       "<member><name>id</name><value>Ref:229</value></member>"
                       "<member><name>snapshot</name><value><struct>"
                       "<member><name>content_type</name><value>iso</value></member>"
                       "</struct></value></member></struct></value>");
        xva_describe(&x, "Ref:22", "other.iso", 4096);
        xva_begin(&x);
        xva_disk(&x, "Ref:4", disk, SIZE);
        m = verified(&x);
        expect_sound(&m);
        assert_int_equal(index_disk_count(m.index), 1);
        assert_non_null(strstr(index_info(m.index)->note, "Ref:4 is \"a <b> & C\""));
        image_end(&m);
}

static void test_a_tar_that_begins_with_a_file_of_that_name_is_a_tar(void **state)
{
        struct xva_out x = xva_start();
        struct image m;

        (void)state;
        xva_begin(&x);
        xva_member(&x, "notes", "mine", 4);
        m = verified(&x);
        assert_string_equal(index_format(m.index), "tar");
        assert_int_equal(index_file_count(m.index), 2);
        image_end(&m);
}

/* ---- damage ---- */

static void test_a_chunk_that_has_changed_is_lost(void **state)
{
        (void)state;
        for (unsigned sha1 = 0; sha1 < 2; sha1++) {
                struct xva_out x = begin();
                struct image m;
                size_t at;

                x.sha1 = sha1;
                xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
                at = x.file.len + BLOCK;
                xva_chunk(&x, "Ref:4", 1, disk + XVA_UNIT, XVA_UNIT);
                x.file.data[at + 1000] ^= 1;
                xva_chunk(&x, "Ref:4", 4, disk + 4 * XVA_UNIT, XVA_UNIT);
                xva_chunk(&x, "Ref:4", 6, disk + 6 * XVA_UNIT, TAIL);
                m = verified(&x);
                assert_true(image_damage_says(&m, "does not have its checksum"));
                expect_bytes(&m, 0, XVA_UNIT);
                expect_lost(&m, XVA_UNIT);
                expect_lost(&m, 2 * XVA_UNIT - 1);
                expect_bytes(&m, 2 * XVA_UNIT, SIZE);
                image_end(&m);
        }
}

static void test_a_checksum_that_is_missing_is_named(void **state)
{
        (void)state;
        for (unsigned first = 0; first < 2; first++) {
                struct xva_out x = begin();
                struct image m;

                x.unsummed = first;
                xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
                x.unsummed = !first;
                xva_chunk(&x, "Ref:4", 1, disk + XVA_UNIT, XVA_UNIT);
                x.unsummed = false;
                xva_chunk(&x, "Ref:4", 4, disk + 4 * XVA_UNIT, XVA_UNIT);
                xva_chunk(&x, "Ref:4", 6, disk + 6 * XVA_UNIT, TAIL);
                m = verified(&x);
                assert_true(image_damage_says(&m, "checksum"));
                expect_bytes(&m, 0, SIZE);
                image_end(&m);
        }
}

/* Chunks 0, 1, 4 and 6, and the header of the one that is NUMBER is damaged. */
static struct image damaged_at(unsigned number, bool empty)
{
        static const unsigned numbers[] = {0, 1, 4, 6};
        struct xva_out x = begin();
        unsigned shift = 0;

        for (size_t i = 0; i < 4; i++) {
                unsigned n = numbers[i];
                size_t at = x.file.len, len = n == CHUNKS ? TAIL : XVA_UNIT;

                xva_chunk(&x, "Ref:4", n + shift, disk + (size_t)n * XVA_UNIT, len);
                if (n == number && empty) {
                        size_t more = x.file.len;

                        xva_chunk(&x, "Ref:4", n + ++shift, "", 0);
                        memset(x.file.data + more, 'x', x.file.len - more);
                }
                if (n == number)
                        memset(x.file.data + at, 'x', BLOCK);
        }
        return verified(&x);
}

static void test_a_damaged_header_costs_its_chunk(void **state)
{
        struct image m = damaged_at(1, false);

        (void)state;
        assert_true(image_damage_says(&m, "header should be"));
        expect_bytes(&m, 0, XVA_UNIT);
        expect_lost(&m, XVA_UNIT);
        expect_lost(&m, 4 * XVA_UNIT - 1); /* what may have been chunks 2 and 3 */
        expect_bytes(&m, 4 * XVA_UNIT, SIZE);
        image_end(&m);

        m = damaged_at(0, false);
        expect_lost(&m, 0);
        expect_bytes(&m, XVA_UNIT, SIZE);
        image_end(&m);

        m = damaged_at(6, false);
        expect_bytes(&m, 0, 5 * XVA_UNIT);
        expect_lost(&m, 6 * XVA_UNIT);
        image_end(&m);
}

static void test_an_empty_chunk_that_is_lost_displaces_nothing(void **state)
{
        struct image m = damaged_at(1, true);

        (void)state;
        expect_bytes(&m, 0, XVA_UNIT);
        for (uint64_t pos = XVA_UNIT; pos < SIZE; pos += XVA_UNIT / 2)
                expect_lost(&m, pos);
        image_end(&m);
}

static void test_an_archive_that_is_cut_off(void **state)
{
        struct xva_out x = begin();
        struct image m;

        (void)state;
        xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 1, disk + XVA_UNIT, XVA_UNIT);
        x.file.len -= 3 * BLOCK;
        m = image_new();
        assert_int_equal(image_open(&m, x.file.data, x.file.len), 0);
        assert_int_equal(index_scan(m.index, NULL, &m.err), 0);
        m.disk = index_disk(m.index, 0);
        assert_true(image_damage_says(&m, "cut off"));
        assert_true(image_damage_says(&m, "the last chunks of a disk are missing"));
        expect_bytes(&m, 0, XVA_UNIT);
        expect_lost(&m, XVA_UNIT);
        expect_lost(&m, SIZE - 1);
        image_end(&m);
        xva_free(&x);
}

static void test_a_disk_without_chunks_is_lost(void **state)
{
        struct xva_out x = xva_start();
        struct image m;

        (void)state;
        xva_describe(&x, "Ref:4", "root", SIZE);
        xva_describe(&x, "Ref:7", "data", SIZE);
        xva_begin(&x);
        xva_disk(&x, "Ref:4", disk, SIZE);
        m = verified(&x);
        assert_true(image_damage_says(&m, "the last chunks of a disk are missing"));
        expect_bytes(&m, 0, SIZE);
        m.disk = index_disk(m.index, 1);
        expect_lost(&m, 0);
        image_end(&m);
}

/* ---- what nobody would write ---- */

static void test_after_empty_chunks_one_that_comes_late_may_be_anywhere(void **state)
{
        struct xva_out x = begin();
        struct image m;

        (void)state;
        xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 1, "", 0);
        xva_chunk(&x, "Ref:4", 5, disk + 4 * XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 2, disk + XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 7, disk + 6 * XVA_UNIT, TAIL);
        m = verified(&x);
        for (uint64_t pos = 0; pos < SIZE; pos += XVA_UNIT)
                expect_lost(&m, pos);
        image_end(&m);
}

/* After chunk 0, chunk NUMBER of REF with LEN bytes, and then the rest of the disk. */
static struct image with_chunk(const char *ref, uint64_t number, size_t len)
{
        struct xva_out x = begin();

        xva_chunk(&x, "Ref:4", 0, disk, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 1, disk + XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, ref, number, disk + XVA_UNIT, len);
        xva_chunk(&x, "Ref:4", 4, disk + 4 * XVA_UNIT, XVA_UNIT);
        xva_chunk(&x, "Ref:4", 6, disk + 6 * XVA_UNIT, TAIL);
        return verified(&x);
}

static void test_chunks_that_cannot_be_are_named_and_cost_the_rest(void **state)
{
        static const struct {
                uint64_t number;
                size_t len;
                const char *says;
                uint64_t kept; /* so many chunks are right … */
                uint64_t lost; /* … and this one is not */
        } cases[] = {
            {0, XVA_UNIT, "out of order, or there twice", 0, 0},
            {1, XVA_UNIT, "out of order, or there twice", 1, 1},
            {7, XVA_UNIT, "past its disk's end", 2, 2},
            {UINT64_C(1) << 43, XVA_UNIT, "past its disk's end", 2, 2},
            {UINT64_C(999999999999999999), XVA_UNIT, "past its disk's end", 2, 2},
            {2, XVA_UNIT / 2, "is not as long as it should be", 2, 2},
            {2, XVA_UNIT + 1, "is not as long as it should be", 2, 2},
            {6, XVA_UNIT, "is not as long as it should be", 4, 4},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct image m = with_chunk("Ref:4", cases[i].number, cases[i].len);

                if (!image_damage_says(&m, cases[i].says))
                        fail_msg("case %zu does not say '%s'", i, cases[i].says);
                if (cases[i].kept)
                        expect_bytes(&m, 0, cases[i].kept * XVA_UNIT);
                expect_lost(&m, cases[i].lost * XVA_UNIT);
                expect_lost(&m, 4 * XVA_UNIT);
                expect_lost(&m, SIZE - 1);
                image_end(&m);
        }
}

static void test_chunks_of_no_disk_are_named_and_harmless(void **state)
{
        static const char *const refs[] = {"Ref:5", "Ref:44", "Ref:", "Ref:4/0", "Ref:4/.."};

        (void)state;
        for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
                struct image m = with_chunk(refs[i], 2, XVA_UNIT);

                assert_true(image_damage_says(&m, "belongs to no disk of ova.xml"));
                expect_bytes(&m, 0, SIZE);
                image_end(&m);
        }
}

static void test_a_disk_that_comes_back_is_not_believed(void **state)
{
        struct xva_out x = xva_start();
        struct image m;

        (void)state;
        xva_describe(&x, "Ref:4", "root", SIZE);
        xva_describe(&x, "Ref:7", "data", SIZE);
        xva_begin(&x);
        xva_disk(&x, "Ref:4", disk, SIZE);
        xva_disk(&x, "Ref:7", disk, SIZE);
        xva_chunk(&x, "Ref:4", 9, disk, XVA_UNIT);
        m = verified(&x);
        assert_true(image_damage_says(&m, "out of order, or there twice"));
        m.disk = index_disk(m.index, 1);
        expect_bytes(&m, 0, SIZE);
        image_end(&m);
}

static void test_an_ova_xml_that_cannot_be_is_refused(void **state)
{
        struct xva_out x = xva_start();
        char *deep = calloc(1, 20000);
        size_t len;

        (void)state;
        assert_non_null(deep);
        xva_describe(&x, "Ref:4", "root", UINT64_C(1) << 63);
        xva_begin(&x);
        expect_refused(&x, EFBIG, "claims a disk of 9223372036854775808 bytes");

        x = xva_start();
        xva_describe(&x, "Ref:4", "root", SIZE);
        xva_describe(&x, "Ref:4", "again", SIZE);
        xva_begin(&x);
        expect_refused(&x, EIO, "Ref:4 is there twice");

        x = xva_start();
        for (unsigned i = 0; i < 300; i++)
                xva_describe(&x, "Ref:4", "root", SIZE);
        xva_begin(&x);
        expect_refused(&x, E2BIG, "more than 256 disks");

        x = xva_start();
        xva_object(&x, "<value><struct><member><name>class</name><value>VDI</value></member>"
                       "<member><name>id</name><value>Ref:4</value></member></struct></value>");
        xva_begin(&x);
        expect_refused(&x, EIO, "Ref:4 has no size");

        for (len = 0; len < 19000; len += strlen("<struct>"))
                memcpy(deep + len, "<struct>", strlen("<struct>"));
        x = xva_start();
        xva_member(&x, "ova.xml", deep, len);
        expect_refused(&x, EIO, "nested too deeply");
        free(deep);

        x = xva_start();
        xva_member(&x, "ova.xml", "<value><struct>", 15);
        expect_refused(&x, EIO, "ends too early");
        x = xva_start();
        xva_member(&x, "ova.xml", "<value", 6);
        expect_refused(&x, EIO, "ends too early");
        x = xva_start();
        xva_member(&x, "ova.xml", "<struct></struct></struct>", 26);
        expect_refused(&x, EIO, "tags do not match");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_disks_are_those_of_the_chunks),
            cmocka_unit_test(test_an_empty_chunk_takes_a_number_and_no_bytes),
            cmocka_unit_test(test_what_is_on_cds_is_not_in_the_archive),
            cmocka_unit_test(test_a_tar_that_begins_with_a_file_of_that_name_is_a_tar),
            cmocka_unit_test(test_a_chunk_that_has_changed_is_lost),
            cmocka_unit_test(test_a_checksum_that_is_missing_is_named),
            cmocka_unit_test(test_a_damaged_header_costs_its_chunk),
            cmocka_unit_test(test_an_empty_chunk_that_is_lost_displaces_nothing),
            cmocka_unit_test(test_an_archive_that_is_cut_off),
            cmocka_unit_test(test_a_disk_without_chunks_is_lost),
            cmocka_unit_test(test_chunks_that_cannot_be_are_named_and_cost_the_rest),
            cmocka_unit_test(test_after_empty_chunks_one_that_comes_late_may_be_anywhere),
            cmocka_unit_test(test_chunks_of_no_disk_are_named_and_harmless),
            cmocka_unit_test(test_a_disk_that_comes_back_is_not_believed),
            cmocka_unit_test(test_an_ova_xml_that_cannot_be_is_refused),
        };

        return cmocka_run_group_tests(tests, make_disk, NULL);
}
