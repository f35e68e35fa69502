/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which addresses may be more than one archive, before a server is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/cli/given.h"

#define SNAPSHOT "vm/100/2026-02-01T00:00:00Z"

static void check(const char *const *paths, size_t count, bool wanted)
{
        for (size_t i = 0; i < count; i++)
                if (given_may_be_more(paths[i]) != wanted)
                        fail_msg("%s", paths[i]);
}

#define CHECK(paths, wanted) check(paths, sizeof paths / sizeof *paths, wanted)

static void test_one_archive_is_fetched_as_before(void **state)
{
        static const char *const paths[] = {
            "s3://b/a.vma",
            "s3://b/dump/a.vma.zst",
            "s3://b/vm/101.vma",
            "s3://b/vm/101/disk.qcow2",
            "s3://b/.cntx/a.vma",
            "http://h/vm/100/2026-02-01T00:00:00Z/a.vma",
            "http://h/dump/a.vma/x.conf",
            "https://h/dump/",
            "dump/a.vma/x.conf",
            "/store/vm/100/2026-02-01T00:00:00Z",
            "",
        };

        (void)state;
        CHECK(paths, false);
}

static void test_what_may_be_a_folder_or_in_an_archive_or_a_datastore(void **state)
{
        static const char *const paths[] = {
            "s3://b",
            "s3://b/",
            "s3://b/a",
            "s3://b/vm/100",
            "s3://b/flat/a-flat.vmdk/x",
            "s3://b/vm/100/2026-02-31T00:00:00Z",
            "s3://b/dump/",
            "s3://b/vm/100/",
            "s3://b/dump/a.vma/x.conf",
            "s3://b/a.VMDK/x",
            "s3://b/x.tar/y.tar",
            "s3://b/" SNAPSHOT,
            "s3://b/store/" SNAPSHOT "/",
            "s3://b/store/" SNAPSHOT "/root/etc",
            "s3://b/store/ns/a/ns/b/" SNAPSHOT "/root",
            "s3://b/store/.cnt/" SNAPSHOT,
        };

        (void)state;
        CHECK(paths, true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_one_archive_is_fetched_as_before),
            cmocka_unit_test(test_what_may_be_a_folder_or_in_an_archive_or_a_datastore),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
