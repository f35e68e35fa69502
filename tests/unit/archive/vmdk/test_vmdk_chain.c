/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots and linked clones: which parents are opened, and what is read from them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/volume.h"
#include "index/index.h"
#include "tests/fixtures/esx_writer.h"
#include "tests/fixtures/folder_fixture.h"

enum { BLOCK = 4096, SIZE = 16 * BLOCK, LINKS_MAX = 15 };

static uint8_t buffer[4 * SIZE];

/* What image number N has written over all that was there before: block N, with its number. */
static void apply(struct bytes disk, unsigned n)
{
        memset(disk.data + (size_t)n * BLOCK, (int)n + 1, BLOCK);
}

static void put_text(const struct folder *f, const char *name, const char *ids, const char *hint,
                     size_t size, const char *type, const char *part)
{
        char text[600];

        snprintf(text, sizeof text, "# Disk DescriptorFile\n%s\n%s%s%s\nRW %zu %s \"%s\"\n", ids,
                 hint ? "parentFileNameHint=\"" : "", hint ? hint : "", hint ? "\"" : "",
                 size / ESX_SECTOR, type, part);
        folder_put_text(f, name, text);
}

/* A flat disk of LEN bytes, base.vmdk in FOLDER ("" or "x/"), with the CID 10. */
static void put_base(const struct folder *f, const char *folder, size_t len)
{
        char name[80];

        memset(buffer, 0xbb, len);
        snprintf(name, sizeof name, "%sbase-flat.vmdk", folder);
        folder_put(f, name, buffer, len);
        snprintf(name, sizeof name, "%sbase.vmdk", folder);
        put_text(f, name, "CID=10\nparentCID=ffffffff", NULL, len, "VMFS", "base-flat.vmdk");
}

/* NAME.vmdk, a delta of SIZE bytes that has block N, on the parent that HINT and IDS name. */
static void put_child(const struct folder *f, const char *name, unsigned n, const char *ids,
                      const char *hint)
{
        struct bytes disk = {calloc(1, SIZE), SIZE};
        const struct esx_wish wish = {.sesparse = n % 2, .grain = 1, .seed = n};
        struct esx_file file;
        char part[80], text[80];
        const char *slash = strrchr(name, '/');

        assert_non_null(disk.data);
        apply(disk, n);
        file = esx_write(disk, &wish);
        snprintf(part, sizeof part, "%s-delta.vmdk", name);
        folder_put(f, part, file.bytes.data, file.bytes.len);
        snprintf(text, sizeof text, "%s.vmdk", name);
        put_text(f, text, ids, hint, SIZE, n % 2 ? "SESPARSE" : "VMFSSPARSE",
                 slash ? part + (slash + 1 - name) : part);
        free(file.bytes.data);
        free(disk.data);
}

/* The disk is the base's bytes with the blocks of the images FIRST to LAST. */
static void expect_blocks(const struct image *m, unsigned first, unsigned last)
{
        assert_int_equal(disk_read(m->disk, buffer, SIZE, 0), SIZE);
        for (unsigned i = 0; i < SIZE / BLOCK; i++) {
                uint8_t wanted = i >= first && i <= last ? (uint8_t)(i + 1) : 0xbb;

                assert_int_equal(buffer[(size_t)i * BLOCK], wanted);
                assert_int_equal(buffer[(size_t)i * BLOCK + BLOCK - 1], wanted);
        }
}

static unsigned depth_at(const struct image *m, uint64_t pos)
{
        struct volume_extent e;

        assert_int_equal(disk_extent(m->disk, pos, 1, &e), 0);
        return e.depth;
}

/* ---- what is read ---- */

static void test_what_a_delta_lacks_is_its_parents(void **state)
{
        struct image m;

        put_base(*state, "", SIZE);
        put_child(*state, "one", 1, "CID=11\nparentCID=00000010", "base.vmdk");
        put_child(*state, "two", 2, "CID=12\nparentCID=11", "./one.vmdk");
        m = folder_scanned(*state, "two.vmdk", NEIGHBOUR_BELOW);
        expect_blocks(&m, 1, 2);
        assert_int_equal(depth_at(&m, 2 * BLOCK), 0);
        assert_int_equal(depth_at(&m, BLOCK), 1);
        assert_int_equal(depth_at(&m, 0), 2);
        assert_string_equal(index_info(m.index)->note,
                            "made on ./one.vmdk, which was made on base.vmdk");
        assert_int_equal(m.disk->totals.stored, SIZE);
        index_close(m.index);
}

static void test_a_parent_that_is_shorter_or_longer(void **state)
{
        struct image m;

        put_base(*state, "", 5 * BLOCK);
        put_child(*state, "one", 1, "CID=11\nparentCID=10", "base.vmdk");
        m = folder_scanned(*state, "one.vmdk", NEIGHBOUR_BELOW);
        assert_int_equal(disk_read(m.disk, buffer, SIZE, 0), SIZE);
        assert_int_equal(buffer[5 * BLOCK - 1], 0xbb);
        for (size_t i = 5 * BLOCK; i < SIZE; i++)
                assert_int_equal(buffer[i], 0);
        assert_int_equal(depth_at(&m, 5 * BLOCK), 0);
        index_close(m.index);

        put_base(*state, "", 2 * SIZE);
        m = folder_scanned(*state, "one.vmdk", NEIGHBOUR_BELOW);
        assert_int_equal(m.disk->size, SIZE);
        expect_blocks(&m, 1, 1);
        index_close(m.index);
}

/* A name is one in the folder of the file that says it, also that of a part. */
static void test_names_are_those_of_the_parents_folder(void **state)
{
        struct image m;

        put_base(*state, "a/b/", SIZE);
        put_child(*state, "a/one", 1, "CID=11\nparentCID=10", "b/base.vmdk");
        put_child(*state, "two", 2, "CID=12\nparentCID=11", "a/one.vmdk");
        m = folder_scanned(*state, "two.vmdk", NEIGHBOUR_BELOW);
        expect_blocks(&m, 1, 2);
        index_close(m.index);
}

/* Where a machine was copied to, absolute names lead nowhere. */
static void test_the_last_part_of_an_absolute_name_is_tried(void **state)
{
        static const char *const hints[] = {"/vmfs/volumes/5f/web/base.vmdk",
                                            "C:\\vm\\web\\base.vmdk"};

        put_base(*state, "", SIZE);
        for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
                struct image m;

                put_child(*state, "one", 1, "CID=11\nparentCID=10", hints[i]);
                m = folder_scanned(*state, "one.vmdk", NEIGHBOUR_BELOW);
                expect_blocks(&m, 1, 1);
                index_close(m.index);
        }
}

/* ---- what is not opened ---- */

static void test_nothing_is_opened_unasked(void **state)
{
        put_base(*state, "", SIZE);
        put_child(*state, "one", 1, "CID=11\nparentCID=10", "base.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BESIDE, EPERM,
                              "has the parent base.vmdk; it is opened with backing=dir only");
}

static void test_nothing_outside_of_the_folder_is_opened(void **state)
{
        const struct folder *f = *state;
        char path[200], link[200];

        put_base(f, "", SIZE);
        put_child(f, "x/one", 1, "CID=11\nparentCID=10", "../base.vmdk");
        folder_expect_refused(f, "x/one.vmdk", NEIGHBOUR_BELOW, EPERM, "backing=any");
        put_child(f, "x/one", 1, "CID=11\nparentCID=10", "/etc/shadow");
        folder_expect_refused(f, "x/one.vmdk", NEIGHBOUR_BELOW, EPERM, "/etc/shadow");
        snprintf(path, sizeof path, "%s/base.vmdk", f->path);
        snprintf(link, sizeof link, "%s/x/link.vmdk", f->path);
        assert_int_equal(symlink(path, link), 0);
        put_child(f, "x/one", 1, "CID=11\nparentCID=10", "link.vmdk");
        folder_expect_refused(f, "x/one.vmdk", NEIGHBOUR_BELOW, EPERM, "backing=any");
        put_child(f, "x/one", 1, "CID=11\nparentCID=10", "gone.vmdk");
        folder_expect_refused(f, "x/one.vmdk", NEIGHBOUR_BELOW, ENOENT, "gone.vmdk");
}

/* A parent in another folder does not lead out of that either. */
static void test_parts_of_a_parent_lie_in_its_folder(void **state)
{
        put_base(*state, "", SIZE);
        put_text(*state, "a/base.vmdk", "CID=10\nparentCID=ffffffff", NULL, SIZE, "VMFS",
                 "../base-flat.vmdk");
        put_child(*state, "one", 1, "CID=11\nparentCID=10", "a/base.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, EPERM, "base-flat.vmdk");
}

/* ---- parents that are not the right ones ---- */

static void test_a_parent_with_another_cid_is_refused(void **state)
{
        put_base(*state, "", SIZE);
        put_child(*state, "one", 1, "CID=11\nparentCID=0badcafe", "base.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, EIO,
                              "was made on a parent with the CID 0badcafe; its parent base.vmdk "
                              "has the CID 10");
        put_text(*state, "base.vmdk", "parentCID=ffffffff", NULL, SIZE, "VMFS", "base-flat.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, EIO, "has the CID (none)");
}

static void test_a_parent_that_is_no_vmdk_is_refused(void **state)
{
        put_child(*state, "one", 1, "CID=11\nparentCID=10", "base.vmdk");
        folder_put_text(*state, "base.vmdk", "something else");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, EMEDIUMTYPE, "base.vmdk");
}

static void test_a_child_without_its_parents_name_is_refused(void **state)
{
        put_child(*state, "one", 1, "CID=11\nparentCID=10", NULL);
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_ANYWHERE, EIO, "parentFileNameHint");
}

static void test_loops_are_refused(void **state)
{
        put_child(*state, "one", 1, "CID=10\nparentCID=10", "one.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, ELOOP, "one.vmdk");
        put_child(*state, "one", 1, "CID=10\nparentCID=10", "two.vmdk");
        put_child(*state, "two", 2, "CID=10\nparentCID=10", "one.vmdk");
        folder_expect_refused(*state, "one.vmdk", NEIGHBOUR_BELOW, ELOOP, "two.vmdk");
}

static void test_fifteen_parents_are_read_and_sixteen_are_not(void **state)
{
        char name[20], hint[30] = "base.vmdk";
        struct image m;

        put_base(*state, "", SIZE);
        for (unsigned i = 0; i <= LINKS_MAX; i++) {
                snprintf(name, sizeof name, "c%u", i);
                put_child(*state, name, i, "CID=10\nparentCID=10", hint);
                snprintf(hint, sizeof hint, "%s.vmdk", name);
        }
        m = folder_scanned(*state, "c14.vmdk", NEIGHBOUR_BELOW);
        expect_blocks(&m, 0, 14);
        index_close(m.index);
        folder_expect_refused(*state, "c15.vmdk", NEIGHBOUR_BELOW, ELOOP,
                              "its parent c0.vmdk has more than 15 parents");
}

/* ---- damage of a parent ---- */

static void test_what_a_parent_has_lost_is_an_error(void **state)
{
        const struct folder *f = *state;
        struct image m;
        char path[200];

        put_base(f, "", SIZE);
        put_child(f, "one", 1, "CID=11\nparentCID=10", "base.vmdk");
        snprintf(path, sizeof path, "%s/base-flat.vmdk", f->path);
        assert_int_equal(truncate(path, 10 * BLOCK), 0);
        m = folder_scanned(f, "one.vmdk", NEIGHBOUR_BELOW);
        assert_true(image_damage_says(&m, "its parent base.vmdk: a flat part is smaller"));
        assert_int_equal(disk_read(m.disk, buffer, BLOCK, 9 * BLOCK), BLOCK);
        assert_int_equal(disk_read(m.disk, buffer, BLOCK, 10 * BLOCK), -EIO);
        assert_int_equal(m.disk->totals.lost, 6 * BLOCK);
        index_close(m.index);
}

static void test_a_parent_that_is_written_to_is_not_read_any_more(void **state)
{
        const struct folder *f = *state;
        struct image m;
        struct bytes disk = {calloc(1, SIZE), SIZE};

        assert_non_null(disk.data);
        put_base(f, "", SIZE);
        put_child(f, "one", 1, "CID=11\nparentCID=10", "base.vmdk");
        m = folder_scanned(f, "one.vmdk", NEIGHBOUR_BELOW);
        usleep(20000); /* a tick of the file system's clock */
        folder_put(f, "base-flat.vmdk", disk.data, SIZE);
        assert_true(disk_read(m.disk, buffer, BLOCK, 0) < 0);
        index_close(m.index);
        free(disk.data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_what_a_delta_lacks_is_its_parents),
            TEST(test_a_parent_that_is_shorter_or_longer),
            TEST(test_names_are_those_of_the_parents_folder),
            TEST(test_the_last_part_of_an_absolute_name_is_tried),
            TEST(test_nothing_is_opened_unasked),
            TEST(test_nothing_outside_of_the_folder_is_opened),
            TEST(test_parts_of_a_parent_lie_in_its_folder),
            TEST(test_a_parent_with_another_cid_is_refused),
            TEST(test_a_parent_that_is_no_vmdk_is_refused),
            TEST(test_a_child_without_its_parents_name_is_refused),
            TEST(test_loops_are_refused),
            TEST(test_fifteen_parents_are_read_and_sixteen_are_not),
            TEST(test_what_a_parent_has_lost_is_an_error),
            TEST(test_a_parent_that_is_written_to_is_not_read_any_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
