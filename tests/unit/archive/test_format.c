/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/format.h"

static void assert_disk_name(const char *file, const char *disk)
{
        char *name = archive_disk_name(file);

        assert_string_equal(name, disk);
        free(name);
}

static void test_a_disk_has_its_files_name_without_the_format(void **state)
{
        (void)state;
        assert_disk_name("web01.vmdk", "disk-web01.raw");
        assert_disk_name("web 01.old.VMDK", "disk-web 01.old.raw");
        assert_disk_name("web01", "disk-web01.raw");
}

static void test_a_disks_name_does_not_say_how_it_was_compressed(void **state)
{
        (void)state;
        assert_disk_name("web01.vmdk.zst", "disk-web01.raw");
        assert_disk_name("web01.vmdk.GZ", "disk-web01.raw");
        assert_disk_name("web01.lzo", "disk-web01.raw");
        assert_disk_name("web01.qcow2.xz", "disk-web01.raw");
        assert_disk_name("web01.vmdk.bz2", "disk-web01.raw");
        assert_disk_name("web01.LZ4", "disk-web01.raw");
}

static void test_a_name_that_is_all_extension_stays(void **state)
{
        (void)state;
        assert_disk_name(".vmdk", "disk-.vmdk.raw");
        assert_disk_name(".gz", "disk-.gz.raw");
        assert_disk_name("", "disk-.raw");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_disk_has_its_files_name_without_the_format),
            cmocka_unit_test(test_a_disks_name_does_not_say_how_it_was_compressed),
            cmocka_unit_test(test_a_name_that_is_all_extension_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
