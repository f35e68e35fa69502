/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tars as others than GNU tar write them, and members that vmafs does not interpret: all sound. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/tar_fixture.h"
#include "tests/fixtures/vmdk_writer.h"

enum { PAGE = 4096 };

static struct image sound(void)
{
        struct image o = tarball_scan();
        const struct index_damage *list;

        if (index_damages(o.index, &list))
                fail_msg("%s", list[0].text);
        return o;
}

static void test_headers_without_a_magic_first_and_in_the_middle(void **state)
{
        struct image o;

        (void)state;
        tarball_v7_header("a", '\0', 3);
        tarball_append("one", 3);
        tarball_member("b", "two", 3);
        tarball_v7_header("c", '\0', 5);
        tarball_append("three", 5);
        tarball_member("d", "four", 4);
        tarball_finish();
        o = sound();
        assert_int_equal(index_file_count(o.index), 4);
        image_expect_file(&o, 0, "a", "one");
        image_expect_file(&o, 2, "c", "three");
        image_expect_file(&o, 3, "d", "four");
        image_end(&o);
}

static void test_a_checksum_of_signed_bytes(void **state)
{
        struct image o;
        uint8_t *h;
        int sum = 0;
        char digits[16];

        (void)state;
        h = tarball_header("caf\xc3\xa9", '0', 1);
        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < TARBALL_BLOCK; i++)
                sum += (int8_t)h[i];
        snprintf(digits, sizeof digits, "%06o", (unsigned)sum);
        memcpy(h + 148, digits, 7);
        tarball_append("x", 1);
        tarball_member("b", "two", 3);
        tarball_finish();
        o = sound();
        assert_int_equal(index_file_count(o.index), 2);
        image_end(&o);
}

static void test_a_volume_label_first(void **state)
{
        uint8_t *h = tarball_v7_header("backup of web01", 'V', 0);
        struct image o;

        (void)state;
        memset(h + 124, 0, 12); /* as GNU tar writes it */
        tarball_sign(h);
        tarball_member("b", "two", 3);
        tarball_finish();
        o = sound();
        assert_int_equal(index_file_count(o.index), 1);
        image_end(&o);
}

static void test_the_end_mark_may_be_missing(void **state)
{
        struct image o;

        (void)state;
        tarball_member("a", "one", 3);
        tarball_member("b", "two", 3);
        o = sound();
        image_end(&o);
        /* Without the last member's padding, too. */
        tarball.len -= TARBALL_BLOCK - 3;
        o = sound();
        image_expect_file(&o, 1, "b", "two");
        image_end(&o);
        /* One more byte is lost. */
        tarball.len--;
        o = tarball_scan();
        assert_true(image_damage_says(&o, "cut off"));
        image_end(&o);
}

static void test_the_end_mark_does_not_follow_a_header_that_stands_alone(void **state)
{
        struct image o;

        (void)state;
        tarball_member("a", "one", 3);
        tarball_pax("10 size=4\n");
        o = tarball_scan();
        assert_true(image_damage_says(&o, "cut off"));
        image_end(&o);
}

/* Bytes of page I of IMAGE. */
static size_t page_len(struct bytes image, size_t i)
{
        return image.len - i * PAGE < PAGE ? image.len - i * PAGE : PAGE;
}

static bool is_stored(struct bytes image, size_t i)
{
        for (size_t b = 0; b < page_len(image, i); b++)
                if (image.data[i * PAGE + b])
                        return true;
        return false;
}

/*
 * A member of which only the pages that are not zeros are stored, all of its map after the header.
 */
static void add_sparse(const char *name, struct bytes image)
{
        enum { ROOM = 64, PAIRS = 21 };
        size_t pages = (image.len + PAGE - 1) / PAGE, stored = 0, runs = 0;
        static uint8_t map[ROOM][TARBALL_BLOCK];
        uint8_t *h;

        memset(map, 0, sizeof map);
        for (size_t i = 0; i < pages; i++) {
                if (!is_stored(image, i))
                        continue;
                assert_true(runs < (size_t)ROOM * PAIRS);
                tarball_pair(map[runs / PAIRS] + 24 * (runs % PAIRS), i * PAGE, page_len(image, i));
                runs++;
                stored += page_len(image, i);
        }
        assert_true(runs > 1 && runs < pages);
        h = tarball_gnu_sparse(name, image.len, stored, true);
        for (size_t i = 0; i < 4; i++)
                tarball_pair(h + 386 + 24 * i, 0, 0);
        tarball_sign(h);
        for (size_t i = 0; i < (runs - 1) / PAIRS; i++)
                map[i][504] = 1;
        tarball_append(map, ((runs - 1) / PAIRS + 1) * TARBALL_BLOCK);
        for (size_t i = 0; i < pages; i++)
                if (is_stored(image, i))
                        tarball_append(image.data + i * PAGE, page_len(image, i));
}

static void test_an_image_that_is_stored_sparse_is_a_disk_too(void **state)
{
        struct vmdk_image v = vmdk_start(false, 4 * VMDK_GRAIN);
        uint8_t grain[VMDK_GRAIN], back[VMDK_GRAIN];
        struct image o;

        (void)state;
        memset(grain, 0, sizeof grain);
        memset(grain, 'g', PAGE);
        memset(grain + sizeof grain - PAGE, 'h', PAGE);
        vmdk_grain(&v, 2, grain);
        vmdk_finish(&v);
        add_sparse("web.vmdk", v.file);
        vmdk_free(&v);
        tarball_finish();
        o = sound();
        image_disk_named(&o, "web.vmdk");
        assert_int_equal(
            disk_read(image_disk_named(&o, "disk-web.raw"), back, sizeof back, 2 * VMDK_GRAIN),
            VMDK_GRAIN);
        assert_memory_equal(back, grain, sizeof grain);
        image_end(&o);
}

static void expect_note(const char *word)
{
        struct image o;

        tarball_member("first", "1", 1);
        tarball_finish();
        o = sound();
        if (!strstr(index_info(o.index)->note, word))
                fail_msg("'%s' does not say '%s'", index_info(o.index)->note, word);
        image_end(&o);
        tarball_reset(NULL);
}

static void test_what_is_not_interpreted_is_no_damage(void **state)
{
        static const char flat[] = "# Disk DescriptorFile\nversion=1\nCID=12345678\n"
                                   "parentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                                   "RW 2048 FLAT \"vm1-flat.vmdk\" 0\n";
        uint8_t qcow2[1024] = "QFI\xfb", cowd[1024] = "COWD";

        (void)state;
        tarball_member("vm1/vm1.vmdk", flat, strlen(flat));
        expect_note("vm1.vmdk names the file vm1-flat.vmdk, which is not in the archive");
        tarball_member("cow.vmdk", cowd, sizeof cowd);
        expect_note("cow.vmdk");
        store_le32(qcow2 + 4, htobe32(2));
        store_le32(qcow2 + 20, htobe32(9));
        store_le32(qcow2 + 32, htobe32(2));
        tarball_member("box.qcow2", qcow2, sizeof qcow2);
        expect_note("box.qcow2 is encrypted (LUKS)");
        for (unsigned i = 0; i < 3; i++)
                tarball_member("box.qcow2", qcow2, sizeof qcow2);
        expect_note("(and 2 more)");
}

static void test_a_member_that_cannot_be_shown_hides_no_other(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        tarball_member("tiny.txt", "t", 1);
        h = tarball_gnu_sparse("sparse.bin", 0, 0, false);
        memset(h + 483, 0, 12);
        h[483] = 0x80;
        store_le64(h + 487, htobe64(INT64_MAX));
        tarball_sign(h);
        tarball_member("last", "2", 1);
        tarball_finish();
        o = sound();
        assert_int_equal(index_file_count(o.index), 2);
        assert_int_equal(index_disk_count(o.index), 0);
        assert_non_null(strstr(index_info(o.index)->note, "sparse.bin is not shown"));
        image_end(&o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_headers_without_a_magic_first_and_in_the_middle,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_checksum_of_signed_bytes, tarball_reset),
            cmocka_unit_test_teardown(test_a_volume_label_first, tarball_reset),
            cmocka_unit_test_teardown(test_the_end_mark_may_be_missing, tarball_reset),
            cmocka_unit_test_teardown(test_the_end_mark_does_not_follow_a_header_that_stands_alone,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_an_image_that_is_stored_sparse_is_a_disk_too,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_what_is_not_interpreted_is_no_damage, tarball_reset),
            cmocka_unit_test_teardown(test_a_member_that_cannot_be_shown_hides_no_other,
                                      tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
