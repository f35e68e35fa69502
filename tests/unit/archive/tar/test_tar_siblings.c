/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images in a tar that consist of several members, and which names are those of members. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/qcow2_fixture.h"
#include "tests/fixtures/tar_fixture.h"

enum { SECTORS = 16, FLAT = SECTORS * 512 };

/* A descriptor of one flat part, called PART. */
static void add_descriptor(const char *name, const char *part)
{
        char text[400];

        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                 "createType=\"monolithicFlat\"\nRW %d FLAT \"%s\" 0\n",
                 SECTORS, part);
        tarball_member(name, text, strlen(text));
}

static void add_flat(const char *name, char byte)
{
        char data[FLAT];

        memset(data, byte, sizeof data);
        tarball_member(name, data, sizeof data);
}

/* An image without data, on the backing file BASE. */
static void add_overlay(const char *name, const char *base)
{
        struct cluster_image *f = qcow2_start();

        qcow2_put64(f, 8, 1024);
        qcow2_put32(f, 16, (uint32_t)strlen(base));
        memcpy(f->bytes + 1024, base, strlen(base));
        memcpy(f->bytes + 104, "\xe2\x79\x2a\xca\0\0\0\3raw", 11); /* the format of BASE */
        tarball_member(name, f->bytes, f->len);
        cluster_image_free(f);
}

static struct image scanned(void)
{
        tarball_finish();
        return tarball_scan();
}

/* The only disk is NAME, which holds BYTE from POS on, and nothing is wrong. */
static void expect_disk_from(const char *name, uint64_t pos, char byte)
{
        struct image o = scanned();
        const struct index_damage *list;

        if (index_damages(o.index, &list))
                fail_msg("%s", list[0].text);
        assert_string_equal(index_info(o.index)->note, "");
        disk_expect_bytes(image_disk_named(&o, name), pos, byte, 4000);
        image_end(&o);
        tarball_reset(NULL);
}

static void expect_disk(const char *name, char byte)
{
        expect_disk_from(name, 0, byte);
}

/* There is no disk, which is no damage, and the note says WORD. */
static void expect_note(const char *word)
{
        struct image o = scanned();

        assert_int_equal(index_disk_count(o.index), 0);
        assert_int_equal(index_damage_count(o.index), 0);
        if (!strstr(index_info(o.index)->note, word))
                fail_msg("'%s' does not say '%s'", index_info(o.index)->note, word);
        image_end(&o);
        tarball_reset(NULL);
}

static void test_a_part_may_come_before_or_after_its_descriptor(void **state)
{
        (void)state;
        add_descriptor("vm.vmdk", "vm-flat.vmdk");
        add_flat("vm-flat.vmdk", 'f');
        expect_disk("disk-vm.raw", 'f');
        add_flat("vm-flat.vmdk", 'f');
        add_descriptor("vm.vmdk", "./vm-flat.vmdk");
        expect_disk("disk-vm.raw", 'f');
}

static void test_names_are_those_of_the_same_folder(void **state)
{
        (void)state;
        add_flat("vm-flat.vmdk", 'r');
        add_flat("a/vm-flat.vmdk", 'a');
        add_flat("b/vm-flat.vmdk", 'b');
        add_descriptor("b/vm.vmdk", "vm-flat.vmdk");
        expect_disk("disk-vm.raw", 'b');

        add_flat("vm-flat.vmdk", 'r');
        add_descriptor("b/vm.vmdk", "vm-flat.vmdk");
        expect_note("vm.vmdk names the file vm-flat.vmdk, which is not in the archive");
}

static void test_of_two_members_with_one_name_the_last_counts(void **state)
{
        (void)state;
        add_flat("vm-flat.vmdk", '1');
        add_descriptor("vm.vmdk", "vm-flat.vmdk");
        add_flat("vm-flat.vmdk", '2');
        expect_disk("disk-vm.raw", '2');
}

static void test_names_that_lead_elsewhere_are_not_followed(void **state)
{
        static const char *const names[] = {
            "../../etc/shadow", "/etc/shadow", "../vm-flat.vmdk", "sub/../../vm-flat.vmdk",
            "sub/vm-flat.vmdk", "..",          "./../x",          "/proc/self/exe",
        };

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                add_flat("vm-flat.vmdk", 'x');
                add_flat("sub/vm-flat.vmdk", 'x');
                add_flat("..", 'x');
                add_flat("etc/shadow", 'x');
                add_descriptor("sub/vm.vmdk", names[i]);
                expect_note("no file outside of its own folder is opened");
        }
}

static void test_an_overlay_is_read_with_the_base_that_is_a_member(void **state)
{
        (void)state;
        add_overlay("vm/top.qcow2", "base/disk");
        add_flat("vm/base/disk", 'b');
        expect_disk("disk-top.raw", 'b');
        add_overlay("vm/top.qcow2", "/vm/base/disk");
        add_flat("vm/base/disk", 'b');
        expect_note("no file outside of its own folder is opened");
        add_overlay("vm/top.qcow2", "../base");
        add_flat("base", 'b');
        expect_note("no file outside of its own folder is opened");
}

/* Whose format is not given, so that it is looked for. */
static void add_probing(const char *name, const char *base)
{
        struct cluster_image *f = qcow2_start();

        qcow2_put64(f, 8, 1024);
        qcow2_put32(f, 16, (uint32_t)strlen(base));
        memcpy(f->bytes + 1024, base, strlen(base));
        tarball_member(name, f->bytes, f->len);
        cluster_image_free(f);
}

/* The parts of a base are in the base's folder, and not where the overlay is. */
static void test_names_of_a_base_are_those_of_its_own_folder(void **state)
{
        static const char *const elsewhere[] = {"../flat", "/vm/flat", "vm/flat"};

        (void)state;
        add_probing("vm/top.qcow2", "sub/base.vmdk");
        add_descriptor("vm/sub/base.vmdk", "flat");
        add_flat("vm/flat", 'w');
        add_flat("vm/sub/flat", 'b');
        expect_disk("disk-top.raw", 'b');
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
                add_probing("vm/top.qcow2", "sub/base.vmdk");
                add_descriptor("vm/sub/base.vmdk", elsewhere[i]);
                add_flat("vm/flat", 'w');
                add_flat("vm/sub/vm/flat", 'w');
                expect_note("inside of an archive no file outside of its own folder");
        }
}

static void test_a_name_may_be_spelt_with_more_slashes_and_dots(void **state)
{
        (void)state;
        add_overlay("./vm/top.qcow2", "./base//./disk");
        add_flat("./vm/base/disk", 'b');
        expect_disk("disk-top.raw", 'b');
}

static void expect_circle(void)
{
        struct image o = scanned();

        assert_int_equal(index_disk_count(o.index), 0);
        assert_true(image_damage_says(&o, "go round in a circle"));
        image_end(&o);
        tarball_reset(NULL);
}

static void test_overlays_that_are_their_own_base(void **state)
{
        (void)state;
        add_probing("self.qcow2", "self.qcow2");
        expect_circle();
        add_probing("a.qcow2", "b.qcow2");
        add_probing("b.qcow2", "./a.qcow2");
        expect_circle();
}

static void test_a_base_that_is_damaged_is_not_used(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        add_overlay("top.qcow2", "base");
        h = tarball_gnu_sparse("base", 4096, 512, false);
        tarball_pair(h + 386, 8192, 512);
        tarball_sign(h);
        tarball_append(NULL, 512);
        o = scanned();
        assert_true(image_damage_says(&o, "has the backing file base, which is damaged"));
        image_end(&o);
}

/* What begins like an image may be a part: a note names it only where nothing uses it. */
static void test_a_part_is_not_reported_as_an_image_of_its_own(void **state)
{
        char part[FLAT];
        struct image o;

        (void)state;
        memset(part, 'K', sizeof part);
        memcpy(part, "COWD", 4);
        tarball_member("vm-flat.vmdk", part, sizeof part);
        o = scanned();
        assert_non_null(strstr(index_info(o.index)->note, "vm-flat.vmdk"));
        image_end(&o);
        tarball_reset(NULL);

        tarball_member("vm-flat.vmdk", part, sizeof part);
        add_descriptor("vm.vmdk", "vm-flat.vmdk");
        expect_disk_from("disk-vm.raw", 4, 'K');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_a_part_may_come_before_or_after_its_descriptor,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_names_are_those_of_the_same_folder, tarball_reset),
            cmocka_unit_test_teardown(test_of_two_members_with_one_name_the_last_counts,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_names_that_lead_elsewhere_are_not_followed,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_an_overlay_is_read_with_the_base_that_is_a_member,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_names_of_a_base_are_those_of_its_own_folder,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_name_may_be_spelt_with_more_slashes_and_dots,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_overlays_that_are_their_own_base, tarball_reset),
            cmocka_unit_test_teardown(test_a_base_that_is_damaged_is_not_used, tarball_reset),
            cmocka_unit_test_teardown(test_a_part_is_not_reported_as_an_image_of_its_own,
                                      tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
