/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LVM2: labels, metadata, where logical volumes lie, and what hostile texts come to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/inside/lvm.h"
#include "archive/inside/lvm_text.h"
#include "archive/inside/lvm_volume.h"
#include "tests/fixtures/disk_fixture.h"

enum { SIZE = 4 << 20, EXTENT = 8192, START = 1 << 20, AREA = 4096, AREA_LEN = START - AREA };

static struct memory_disk *disks[2];
static struct lvm_group *group;

static int start(void **state)
{
        (void)state;
        for (size_t k = 0; k < 2; k++) {
                disks[k] = memory_disk_new(SIZE);
                for (size_t i = 0; i < SIZE; i++)
                        disks[k]->bytes[i] = (uint8_t)(i % 251 + i / EXTENT * 7 + k * 100);
        }
        group = NULL;
        return 0;
}

static int stop(void **state)
{
        (void)state;
        lvm_group_free(group);
        for (size_t k = 0; k < 2; k++)
                memory_disk_free(disks[k]);
        return 0;
}

/* ---- text ---- */

static int parse(const char *text, struct lvm_text *t)
{
        return lvm_text_parse(text, strlen(text), t);
}

static void test_text_has_sections_values_and_lists(void **state)
{
        const struct lvm_value *a, *b;
        struct lvm_text t;
        uint64_t n;

        (void)state;
        assert_int_equal(
            parse("# comment\na { x = 12 # more\n y=\"z\\\"z\"\nb { list = [\"p\", 3,\n] } }\n"
                  "last = -1.5",
                  &t),
            0);
        a = lvm_find(&t, &t.values.items[0], "a");
        b = lvm_find(&t, a, "b");
        assert_non_null(b);
        assert_true(lvm_number(&t, a, "x", &n));
        assert_int_equal(n, 12);
        assert_true(lvm_is(lvm_find(&t, a, "y"), "z\\\"z"));
        assert_true(lvm_has(&t, b, "list", "p"));
        assert_false(lvm_has(&t, b, "list", "q"));
        assert_null(lvm_find(&t, a, "list"));
        lvm_text_free(&t);
}

static void test_text_that_is_cut_or_none_is_refused(void **state)
{
        static const char *const bad[] = {
            "a {",       "a = \"",  "a = [1", "a =",       "a",
            "}",         "{ }",     "= 1",    "a = [ b ]", "a = 99999999999999999999",
            "a = [[1]]", "a = \"\\"};

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct lvm_text t;

                if (parse(bad[i], &t) != -EBADMSG)
                        fail_msg("%s", bad[i]);
                lvm_text_free(&t);
        }
}

static void test_deep_text_is_refused(void **state)
{
        enum { DEEP = 100000 };
        char *text = calloc(DEEP, 2);
        struct lvm_text t;

        (void)state;
        for (size_t i = 0; i < DEEP; i++)
                memcpy(text + 2 * i, "a{", 2);
        assert_int_equal(lvm_text_parse(text, (size_t)2 * DEEP, &t), -EBADMSG);
        lvm_text_free(&t);
        free(text);
}

static void test_text_of_too_many_values_is_refused(void **state)
{
        enum { MANY = 1000000 };
        char *text = calloc(MANY, 4);
        struct lvm_text t;

        (void)state;
        for (size_t i = 0; i < MANY; i++)
                memcpy(text + 4 * i, "a=1 ", 4);
        assert_int_equal(lvm_text_parse(text, (size_t)4 * MANY, &t), -E2BIG);
        lvm_text_free(&t);
        free(text);
}

/* ---- groups ---- */

#define HEAD                                                                                       \
        "vg { id = \"g-1\" seqno = 3 extent_size = 16 physical_volumes {"                          \
        "pv0 { id = \"p0-p0\" pe_start = 2048 pe_count = 300 }"                                    \
        "pv1 { id = \"p1-p1\" pe_start = 2048 pe_count = 300 } } logical_volumes {"
#define LINEAR(name, flags, from, count, on)                                                       \
        name " { status = [\"READ\"" flags "] segment1 { start_extent = 0 extent_count = " count   \
             " type = \"striped\" stripe_count = 1 stripes = [\"" on "\", " from "] } }"
#define VISIBLE ", \"VISIBLE\""

static int take(const char *volumes)
{
        char *text;
        int len = asprintf(&text, HEAD "%s } }", volumes), rc;

        assert_true(len > 0);
        rc = lvm_group_parse(text, (size_t)len, &group);
        if (rc < 0)
                return rc;
        for (size_t i = 0; i < group->physical.count; i++)
                group->physical.items[i].volume = &disks[i]->base;
        assert_int_equal(lvm_group_lay_out(group), 0);
        return 0;
}

static struct lvm_logical *named(const char *name)
{
        for (size_t i = 0; i < group->logical.count; i++)
                if (strcmp(group->logical.items[i].name, name) == 0)
                        return &group->logical.items[i];
        fail_msg("no %s", name);
        return NULL;
}

static const char *problem(const char *volumes, const char *name)
{
        lvm_group_free(group);
        group = NULL;
        assert_int_equal(take(volumes), 0);
        return named(name)->problem;
}

/* Bytes [POS, POS + LEN) of the volume NAME are those of disk K from extent FROM on, byte AT. */
static void expect(const char *name, uint64_t pos, size_t len, size_t k, uint64_t from, uint64_t at)
{
        struct lvm_logical *l = named(name);
        char *buf = malloc(len);
        struct lvm_volume v;

        assert_string_equal(l->problem, "");
        lvm_volume_init(&v, group, l);
        assert_true(range_within(pos, len, v.base.size));
        assert_int_equal(volume_read(&v.base, buf, len, pos), 0);
        assert_memory_equal(buf, disks[k]->bytes + START + from * EXTENT + at, len);
        free(buf);
}

static void test_a_linear_volume(void **state)
{
        (void)state;
        assert_int_equal(take(LINEAR("a", VISIBLE, "5", "10", "pv1")), 0);
        assert_string_equal(group->name, "vg");
        assert_string_equal(group->id, "g1");
        assert_string_equal(group->physical.items[0].id, "p0p0");
        assert_int_equal(named("a")->size, 10 * EXTENT);
        expect("a", 0, 10 * EXTENT, 1, 5, 0);
}

static void test_segments_follow_one_another(void **state)
{
        (void)state;
        assert_int_equal(take("a { status = [\"VISIBLE\"]"
                              "segment1 { start_extent = 0 extent_count = 2 type = \"striped\" "
                              "stripe_count = 1 stripes = [\"pv0\", 9] }"
                              "segment2 { start_extent = 2 extent_count = 3 type = \"striped\" "
                              "stripe_count = 1 stripes = [\"pv1\", 4] } }"),
                         0);
        assert_int_equal(named("a")->size, 5 * EXTENT);
        expect("a", 0, 2 * EXTENT, 0, 9, 0);
        expect("a", 2 * EXTENT, 3 * EXTENT, 1, 4, 0);
}

#define STRIPED                                                                                    \
        "a { status = [\"VISIBLE\"] segment1 { start_extent = 0 extent_count = 6 type = "          \
        "\"striped\""                                                                              \
        "stripe_count = 2 stripe_size = 4 stripes = [\"pv0\", 2, \"pv1\", 7] } }"

static void test_stripes_take_turns(void **state)
{
        (void)state;
        assert_int_equal(take(STRIPED), 0);
        for (uint64_t i = 0; i < 6 * EXTENT / 2048; i++)
                expect("a", i * 2048, 2048, i % 2, i % 2 ? 7 : 2, i / 2 * 2048);
        expect("a", 2048 + 100, 1000, 1, 7, 100);
}

static void test_what_is_lost_below_a_stripe_is_lost(void **state)
{
        struct volume_extent e;
        struct lvm_volume v;

        (void)state;
        assert_int_equal(take(STRIPED), 0);
        disks[1]->lost = START + 7 * EXTENT;
        disks[1]->lost_end = disks[1]->lost + 2048;
        lvm_volume_init(&v, group, named("a"));
        assert_int_equal(volume_find(&v.base, 2048, EXTENT, &e), 0);
        assert_int_equal(e.kind, VOLUME_LOST);
        assert_int_equal(e.len, 2048);
        assert_int_equal(volume_find(&v.base, 4096, EXTENT, &e), 0);
        assert_int_equal(e.kind, VOLUME_CODED);
}

#define MIRROR(type, list)                                                                         \
        "m { status = [\"VISIBLE\"] segment1 { start_extent = 0 extent_count = 4 type = \"" type   \
        "\"" list "} }"

static void test_a_mirror_is_read_by_the_first_leg_that_is_there(void **state)
{
        static const char both[] = LINEAR("m0", "", "1", "4", "pv0")
            LINEAR("m1", "", "8", "4", "pv1") MIRROR("mirror", "mirrors = [\"m0\", 0, \"m1\", 0]");

        (void)state;
        assert_int_equal(take(both), 0);
        assert_false(named("m0")->visible);
        expect("m", 0, 4 * EXTENT, 0, 1, 0);
        group->physical.items[0].volume = NULL;
        assert_int_equal(lvm_group_lay_out(group), 0);
        expect("m", 0, 4 * EXTENT, 1, 8, 0);
}

static void test_raid1_has_metadata_beside_its_legs(void **state)
{
        (void)state;
        assert_int_equal(take(LINEAR("e0", "", "0", "1", "pv0") LINEAR("i0", "", "1", "4", "pv0")
                                  MIRROR("raid1", "raids = [\"e0\", \"i0\"]")),
                         0);
        expect("m", 0, 4 * EXTENT, 0, 1, 0);
}

static void test_what_cannot_be_read_is_named(void **state)
{
        (void)state;
        assert_string_equal(problem(MIRROR("thin", "device_id = 1"), "m"),
                            "is of the type thin, which is not read");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "299", "2", "pv0"), "a"),
                            "reaches past the end of pv0");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "18446744073709551615", "2", "pv0"), "a"),
                            "reaches past the end of pv0");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "0", "2", "pv7"), "a"),
                            "lies on something unknown");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "0", "0", "pv0"), "a"),
                            "has no segments, or too many extents");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "0", "99999999999", "pv0"), "a"),
                            "has no segments, or too many extents");
        assert_string_equal(problem("a { status = [\"VISIBLE\"] segment1 { start_extent = 1 "
                                    "extent_count = 2 type = \"striped\" } }",
                                    "a"),
                            "has segments that do not follow one another");
        assert_string_equal(problem(MIRROR("mirror", "mirrors = [\"x\", 0]"), "m"),
                            "has a leg that is unknown");
}

static void test_a_volume_past_its_disk_is_named(void **state)
{
        (void)state;
        disks[0]->base.size = START + 100 * EXTENT;
        assert_string_equal(problem(LINEAR("a", VISIBLE, "90", "11", "pv0"), "a"),
                            "lies past the end of the disk that pv0 is on");
        assert_string_equal(problem(LINEAR("a", VISIBLE, "90", "10", "pv0"), "a"), "");
}

static void test_the_store_of_a_snapshot_is_no_volume(void **state)
{
        (void)state;
        assert_string_equal(problem(LINEAR("root", VISIBLE, "0", "4", "pv0")
                                        LINEAR("snap", VISIBLE, "4", "4", "pv0") MIRROR(
                                            "snapshot", "origin = \"root\" cow_store = \"snap\""),
                                    "snap"),
                            "holds the changes of a snapshot, which are not read");
        assert_string_equal(named("root")->problem, "");
}

static void test_volumes_that_lie_in_one_another_end(void **state)
{
        (void)state;
        assert_string_equal(
            problem(LINEAR("a", VISIBLE, "0", "4", "b") LINEAR("b", VISIBLE, "0", "4", "a"), "a"),
            "lies in too many others, or in itself");
}

/* Each of the mirrors has the next one as leg over and over: followed wholly, it would take for ever. */
static void test_legs_that_multiply_end(void **state)
{
        enum { LEGS = 2000, DEEP = 6 };
        size_t size = (size_t)DEEP * (LEGS * 16 + 200);
        char *text = calloc(1, size), *at = text;

        (void)state;
        for (unsigned i = 0; i < DEEP; i++) {
                at += sprintf(
                    at,
                    "m%u { status = [\"VISIBLE\"] segment1 { start_extent = 0 extent_count = 4 "
                    "type = \"mirror\" mirrors = [",
                    i);
                for (unsigned k = 0; k < LEGS; k++)
                        at += sprintf(at, "\"m%u\", 0, ", i + 1);
                at += sprintf(at, "] } }");
        }
        sprintf(at, "m6 { segment1 { start_extent = 0 extent_count = 4 type = \"thin\" } }");
        assert_string_equal(problem(text, "m0"), "is in a group of too many segments");
        free(text);
}

static void test_missing_disks_do_not_count_although_they_are_there(void **state)
{
        static const char text[] =
            "vg { seqno = 1 extent_size = 16 physical_volumes { pv0 { id = \"p0\" pe_start = 1 "
            "pe_count = 2 flags = [\"MISSING\"] } } }";

        (void)state;
        assert_int_equal(lvm_group_parse(strdup(text), sizeof text - 1, &group), 0);
        assert_string_equal(group->physical.items[0].id, "");
}

static void test_groups_that_make_no_sense_are_refused(void **state)
{
        static const char *const bad[] = {
            "",
            "a = 1",
            "vg { }",
            "vg { seqno = 1 extent_size = 0 }",
            "vg { seqno = 1 extent_size = 999999999999 }",
            "vg { seqno = 1 extent_size = 8 physical_volumes { pv0 { } } }"};

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_int_equal(lvm_group_parse(strdup(bad[i]), strlen(bad[i]), &group), -EBADMSG);
}

/* ---- labels ---- */

static uint32_t checksum(const void *data, size_t len)
{
        return ~(uint32_t)crc32_z(~0xf597a6cfu & UINT32_MAX, data, len);
}

/* Write a label in sector SECTOR, and TEXT from byte AT of the metadata area's ring on. */
static void put_label(struct memory_disk *d, unsigned sector, const char *text, uint64_t at)
{
        uint8_t *l = d->bytes + (size_t)sector * 512, *h = d->bytes + AREA;
        size_t len = strlen(text);

        memset(d->bytes, 0, START);
        memcpy(l, "LABELONE", 8);
        store_le64(l + 8, sector);
        store_le32(l + 20, 32);
        memcpy(l + 24, "LVM2 001", 8);
        memset(l + 32, 'i', 32);
        store_le64(l + 64, SIZE);
        store_le64(l + 72, START);
        store_le64(l + 104, AREA);
        store_le64(l + 112, AREA_LEN);
        store_le32(l + 16, checksum(l + 20, 512 - 20));
        memcpy(h + 4, " LVM2 x[5A%r0N*>", 16);
        store_le32(h + 20, 1);
        store_le64(h + 24, AREA);
        store_le64(h + 32, AREA_LEN);
        store_le64(h + 40, at);
        store_le64(h + 48, len);
        store_le32(h + 56, checksum(text, len));
        store_le32(h, checksum(h + 4, 512 - 4));
        for (size_t i = 0; i < len; i++)
                h[at + i < AREA_LEN ? at + i : at + i - AREA_LEN + 512] = (uint8_t)text[i];
}

static const char ring[] = "vg { seqno = 1 extent_size = 16 }";

static void expect_label(bool has_text)
{
        struct lvm_label l;

        assert_int_equal(lvm_label_read(&disks[0]->base, &l), 0);
        assert_true(l.found);
        assert_string_equal(l.id, "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii");
        if (has_text) {
                assert_int_equal(l.len, sizeof ring - 1);
                assert_memory_equal(l.text, ring, l.len);
        } else {
                assert_null(l.text);
        }
        lvm_label_fini(&l);
}

static void test_a_label_leads_to_the_text(void **state)
{
        (void)state;
        put_label(disks[0], 1, ring, 1024);
        expect_label(true);
        put_label(disks[0], 3, ring, 512);
        expect_label(true);
}

static void test_text_goes_round_the_end_of_the_ring(void **state)
{
        (void)state;
        put_label(disks[0], 1, ring, AREA_LEN - 10);
        expect_label(true);
}

static void test_text_that_is_damaged_is_none(void **state)
{
        (void)state;
        put_label(disks[0], 1, ring, 1024);
        disks[0]->bytes[AREA + 1024]++;
        expect_label(false);
        put_label(disks[0], 1, ring, 1024);
        disks[0]->bytes[AREA + 40]++;
        expect_label(false);
        put_label(disks[0], 1, ring, 1024);
        disks[0]->lost = AREA;
        disks[0]->lost_end = AREA + 4096;
        expect_label(false);
}

static void test_a_damaged_label_is_none(void **state)
{
        struct lvm_label l;

        (void)state;
        put_label(disks[0], 1, ring, 1024);
        disks[0]->bytes[512 + 40]++;
        assert_int_equal(lvm_label_read(&disks[0]->base, &l), 0);
        assert_false(l.found);
        lvm_label_fini(&l);
}

static void test_text_that_is_unknown_is_to_be_waited_for(void **state)
{
        struct lvm_label l;

        (void)state;
        put_label(disks[0], 1, ring, 1024);
        disks[0]->unknown = AREA + 1024;
        disks[0]->unknown_end = SIZE;
        assert_int_equal(lvm_label_read(&disks[0]->base, &l), -EAGAIN);
        lvm_label_fini(&l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
            TEST(text_has_sections_values_and_lists),
            TEST(text_that_is_cut_or_none_is_refused),
            TEST(deep_text_is_refused),
            TEST(text_of_too_many_values_is_refused),
            TEST(a_linear_volume),
            TEST(segments_follow_one_another),
            TEST(stripes_take_turns),
            TEST(what_is_lost_below_a_stripe_is_lost),
            TEST(a_mirror_is_read_by_the_first_leg_that_is_there),
            TEST(raid1_has_metadata_beside_its_legs),
            TEST(what_cannot_be_read_is_named),
            TEST(a_volume_past_its_disk_is_named),
            TEST(the_store_of_a_snapshot_is_no_volume),
            TEST(volumes_that_lie_in_one_another_end),
            TEST(legs_that_multiply_end),
            TEST(missing_disks_do_not_count_although_they_are_there),
            TEST(groups_that_make_no_sense_are_refused),
            TEST(a_label_leads_to_the_text),
            TEST(text_goes_round_the_end_of_the_ring),
            TEST(text_that_is_damaged_is_none),
            TEST(a_damaged_label_is_none),
            TEST(text_that_is_unknown_is_to_be_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
