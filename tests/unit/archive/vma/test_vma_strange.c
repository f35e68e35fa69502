/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an archive has that no disk can use: clusters that cannot be, and what follows its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vma_fixture.h"
#include "tests/fixtures/vma_writer.h"

/* The genuine reader ends at one that its words of 64 clusters have no bit for. */
static void test_zeros_far_beyond_the_end(void **state)
{
        struct backup f = backup_start();
        const struct index_damage *list;
        struct disk *d;
        uint64_t at;

        (void)state;
        backup_device(&f, 1, "a", BACKUP_CLUSTER + 512);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_cluster(&f, 1, 1, 0xffff);
        backup_cluster(&f, 1, 63, 0);
        assert_int_equal(vma_writer_flush(f.w), 0);
        at = vma_writer_offset(f.w);
        backup_cluster(&f, 1, 64, 0);
        backup_cluster(&f, 1, UINT32_MAX, 0);
        d = backup_scan(&f);
        assert_int_equal(d->totals.lost, 0);
        assert_int_equal(index_damages(f.index, &list), 1);
        assert_int_equal(list[0].offset, at);
        assert_non_null(strstr(list[0].text, "clusters: 2"));
        assert_non_null(strstr(list[0].text, "restore fails"));
        backup_end(&f);
}

/* However many clusters they have. */
static void test_devices_that_are_not_listed_are_told_once_each(void **state)
{
        struct backup f = backup_start();
        const struct index_damage *list;

        (void)state;
        backup_device(&f, 1, "a", BACKUP_CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 0, 0xffff);
        for (uint32_t i = 0; i < 300; i++)
                backup_cluster(&f, (uint8_t)(i % 3 ? 7 : 9), i, 0);
        backup_scan(&f);
        assert_int_equal(index_damages(f.index, &list), 2);
        assert_non_null(strstr(list[0].text, "200 to number 7"));
        assert_non_null(strstr(list[1].text, "100 to number 9"));
        backup_end(&f);
}

/* Nothing but its header, and then something else. */
static void test_junk_after_an_archive_without_devices(void **state)
{
        struct backup f = backup_start();
        static const uint8_t zeros[4096];
        struct error err;

        (void)state;
        backup_header(&f);
        assert_int_equal(vma_writer_raw(f.w, zeros, sizeof zeros), 0);
        backup_finish(&f);
        assert_int_equal(backup_open(&f, false), 0);
        assert_int_equal(index_scan(f.index, NULL, &err), 0);
        assert_int_equal(index_damage_count(f.index), 0);
        backup_end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_zeros_far_beyond_the_end),
            cmocka_unit_test(test_devices_that_are_not_listed_are_told_once_each),
            cmocka_unit_test(test_junk_after_an_archive_without_devices),
        };

        return cmocka_run_group_tests_name("vma_strange", tests, NULL, NULL);
}
