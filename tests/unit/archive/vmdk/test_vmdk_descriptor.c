/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDK images of several files, which a descriptor names. */
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

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fixtures/vmdk_fixture.h"

static uint8_t buffer[VMDK_GRAIN];

static char dir[32];

static void put(const char *name, const void *data, size_t len)
{
        char path[80];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, len, f), len);
        assert_int_equal(fclose(f), 0);
}

static int open_text(struct image *o, const char *text, size_t len)
{
        struct index_options options = {.unwatched = true};
        char path[80];

        put("d.vmdk", text, len);
        snprintf(path, sizeof path, "%s/d.vmdk", dir);
        *o = (struct image){.fd = -1};
        return index_open(path, &options, &o->index, &o->err);
}

static int open_descriptor(struct image *o, const char *extents)
{
        char text[1000];

        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n%s\n", extents);
        return open_text(o, text, strlen(text));
}

static struct image scanned_descriptor(const char *extents)
{
        struct image o;

        if (open_descriptor(&o, extents) < 0)
                fail_msg("%s", o.err.text);
        assert_int_equal(index_scan(o.index, NULL, &o.err), 0);
        o.disk = index_disk(o.index, 0);
        return o;
}

/* Byte N of a file that is full of what can be told apart. */
static uint8_t byte_of(size_t n)
{
        return (uint8_t)(n / VMDK_SECTOR + n / 65536 + 1);
}

static void put_flat(size_t len)
{
        static uint8_t data[2 * VMDK_GRAIN];

        assert_true(len <= sizeof data);
        for (size_t i = 0; i < len; i++)
                data[i] = byte_of(i);
        put("flat.vmdk", data, len);
}

/* LEN bytes at POS of the disk are those at FROM of the flat file. */
static void expect_flat(const struct image *o, uint64_t pos, size_t len, size_t from)
{
        assert_int_equal(disk_read(o->disk, buffer, len, pos), (ssize_t)len);
        for (size_t i = 0; i < len; i++)
                if (buffer[i] != byte_of(from + i))
                        fail_msg("byte %zu", (size_t)pos + i);
}

static void expect_zeros(const struct image *o, uint64_t pos, size_t len)
{
        assert_int_equal(disk_read(o->disk, buffer, len, pos), (ssize_t)len);
        for (size_t i = 0; i < len; i++)
                assert_int_equal(buffer[i], 0);
}

static void test_parts_of_every_kind(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;
        char extents[200];

        (void)state;
        put("sparse.vmdk", v.file.data, v.file.len);
        memset(buffer, 'x', sizeof buffer);
        put("flat.vmdk", buffer, sizeof buffer);
        snprintf(extents, sizeof extents,
                 "RW 8 FLAT \"flat.vmdk\" 16\nRW 16 ZERO\nRDONLY %llu SPARSE \"sparse.vmdk\"",
                 (unsigned long long)v.size / VMDK_SECTOR);
        assert_int_equal(open_descriptor(&o, extents), 0);
        assert_int_equal(index_scan(o.index, NULL, &o.err), 0);
        o.disk = index_disk(o.index, 0);
        assert_string_equal(o.disk->name, "disk-d.raw");
        assert_int_equal(o.disk->size, v.size + 24 * VMDK_SECTOR);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, 24 * VMDK_SECTOR), VMDK_GRAIN);
        assert_memory_equal(buffer, vmdk_pattern(0), VMDK_GRAIN);
        assert_int_equal(disk_read(o.disk, buffer, 3 * VMDK_BLOCK, 0), 3 * VMDK_BLOCK);
        assert_int_equal(buffer[0], 'x');
        assert_int_equal(buffer[VMDK_BLOCK - 1], 'x');
        assert_int_equal(buffer[VMDK_BLOCK], 0);
        index_close(o.index);
        vmdk_free(&v);
}

static void test_first_lines_that_are_spelled_otherwise(void **state)
{
        static const char *const lines[] = {
            "# Disk DescriptorFile\n",
            "# Disk Descriptor File\r\n",
            "#Disk DescriptorFile\n",
            "# DISK descriptorfile\n",
            "\n \n# disk descriptorfile\n",
            "#  Disk  Descriptor  File\n",
            "# by a tool\n# Disk DescriptorFile\n",
        };

        (void)state;
        put_flat(VMDK_BLOCK);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                struct image o;
                char text[200];

                snprintf(text, sizeof text, "%sversion=1\nRW 8 FLAT \"flat.vmdk\" 0\n", lines[i]);
                assert_int_equal(open_text(&o, text, strlen(text)), 0);
                assert_int_equal(index_disk(o.index, 0)->size, VMDK_BLOCK);
                index_close(o.index);
        }
}

static void test_a_text_of_another_kind_is_no_descriptor(void **state)
{
        static const char *const texts[] = {"# Disk\n", "# Disk Descriptor\n",
                                            "Disk DescriptorFile\n", "x\n# Disk DescriptorFile\n",
                                            "#\n\n"};
        struct image o;

        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
                assert_int_equal(open_text(&o, texts[i], strlen(texts[i])), -EMEDIUMTYPE);
}

/* A boot sector and the rest of its track, then the disk: as VirtualBox writes them. */
static void test_flat_parts_of_any_number_of_sectors(void **state)
{
        struct image o;

        (void)state;
        put_flat(200 * VMDK_SECTOR);
        o = scanned_descriptor("RW 63 FLAT \"flat.vmdk\" 100\nRW 1 FLAT \"flat.vmdk\" 3\n"
                               "RW   37\tFLAT   \"./flat.vmdk\"   10");
        assert_int_equal(o.disk->size, 101 * VMDK_SECTOR);
        assert_int_equal(index_damage_count(o.index), 0);
        expect_flat(&o, 0, 63 * VMDK_SECTOR, 100 * VMDK_SECTOR);
        expect_flat(&o, 63 * VMDK_SECTOR, VMDK_SECTOR, 3 * VMDK_SECTOR);
        expect_flat(&o, 64 * VMDK_SECTOR, 37 * VMDK_SECTOR, 10 * VMDK_SECTOR);
        assert_int_equal(disk_read(o.disk, buffer, 3 * VMDK_SECTOR, 62 * VMDK_SECTOR),
                         3 * VMDK_SECTOR);
        assert_int_equal(buffer[0], byte_of(162 * VMDK_SECTOR));
        assert_int_equal(buffer[VMDK_SECTOR], byte_of(3 * VMDK_SECTOR));
        assert_int_equal(buffer[2 * VMDK_SECTOR], byte_of(10 * VMDK_SECTOR));
        index_close(o.index);
}

static void test_zeros_of_any_number_of_sectors(void **state)
{
        struct image o;

        (void)state;
        put_flat(200 * VMDK_SECTOR);
        o = scanned_descriptor("RW 3 ZERO\nRW 2 FLAT \"flat.vmdk\" 50\nRW 1 ZERO\nRW 1 ZERO\n"
                               "RW 1 FLAT \"flat.vmdk\" 60\nRW 100 ZERO\n"
                               "RW 9 FLAT \"flat.vmdk\" 70\nRW 43 ZERO");
        assert_int_equal(o.disk->size, 160 * VMDK_SECTOR);
        expect_zeros(&o, 0, 3 * VMDK_SECTOR);
        expect_flat(&o, 3 * VMDK_SECTOR, 2 * VMDK_SECTOR, 50 * VMDK_SECTOR);
        expect_zeros(&o, 5 * VMDK_SECTOR, 2 * VMDK_SECTOR);
        expect_flat(&o, 7 * VMDK_SECTOR, VMDK_SECTOR, 60 * VMDK_SECTOR);
        expect_zeros(&o, 8 * VMDK_SECTOR, 100 * VMDK_SECTOR);
        expect_flat(&o, 108 * VMDK_SECTOR, 9 * VMDK_SECTOR, 70 * VMDK_SECTOR);
        expect_zeros(&o, 117 * VMDK_SECTOR, 43 * VMDK_SECTOR);
        /* Only blocks that have data are stored. */
        assert_int_equal(o.disk->totals.stored, 3 * VMDK_BLOCK);
        index_close(o.index);
}

static void test_a_flat_part_that_was_cut_off_loses_what_is_gone(void **state)
{
        struct image o;

        (void)state;
        put_flat(20 * VMDK_SECTOR + 100);
        put("other.vmdk", vmdk_pattern(1), 20 * VMDK_SECTOR);
        o = scanned_descriptor("RW 30 FLAT \"flat.vmdk\" 0\nRW 18 FLAT \"other.vmdk\" 0\n");
        expect_flat(&o, 0, 16 * VMDK_SECTOR, 0);
        assert_int_equal(disk_read(o.disk, buffer, 1, 16 * VMDK_SECTOR), -EIO);
        assert_int_equal(disk_read(o.disk, buffer, 1, 31 * VMDK_SECTOR), -EIO);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_BLOCK, 32 * VMDK_SECTOR), VMDK_BLOCK);
        assert_memory_equal(buffer, vmdk_pattern(1) + 2 * VMDK_SECTOR, VMDK_BLOCK);
        assert_int_equal(o.disk->totals.lost, 16 * VMDK_SECTOR);
        assert_true(image_damage_says(&o, "cut off"));
        index_close(o.index);
}

static void assert_descriptor_refused(const char *extents, int code, const char *word)
{
        struct image o;

        assert_int_equal(open_descriptor(&o, extents), -code);
        if (!strstr(o.err.text, word))
                fail_msg("%s", o.err.text);
}

static void test_parts_lie_in_the_descriptors_folder_alone(void **state)
{
        char path[80];

        (void)state;
        snprintf(path, sizeof path, "%s/link.vmdk", dir);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_descriptor_refused("RW 1 FLAT \"/etc/passwd\" 0", EPERM, "/etc/passwd");
        assert_descriptor_refused("RW 1 FLAT \"../x.vmdk\" 0", EPERM, "folder");
        assert_descriptor_refused("RW 1 FLAT \"..\" 0", EPERM, "folder");
        assert_descriptor_refused("RW 1 FLAT \".\" 0", EISDIR, "directory");
        assert_descriptor_refused("RW 1 FLAT \"link.vmdk\" 0", ELOOP, "link");
        assert_descriptor_refused("RW 1 FLAT \"none.vmdk\" 0", ENOENT, "none.vmdk");
}

static void test_descriptors_that_are_wrong(void **state)
{
        (void)state;
        put("short.vmdk", "short", 5);
        assert_descriptor_refused("", EIO, "names no part");
        assert_descriptor_refused("RW 8 FLAT short.vmdk", EIO, "no name");
        assert_descriptor_refused("RW many ZERO", EIO, "no size");
        assert_descriptor_refused("RW 18446744073709551616 ZERO", EFBIG, "1 PiB");
        assert_descriptor_refused("RW 8 FLAT \"short.vmdk\" 0", EIO, "cut off");
        assert_descriptor_refused("RW 8 SPARSE \"short.vmdk\"", EIO, "cut off");
        assert_descriptor_refused("RW 8 SPARSE \"d.vmdk\"", EIO, "d.vmdk");
        assert_descriptor_refused("RW 8 FLAT \"short.vmdk\" 36028797018963968", EIO, "cut off");
        assert_descriptor_refused("RW 18446744073709551615 ZERO", EFBIG, "1 PiB");
        assert_descriptor_refused("RW 2199023255552 ZERO\nRW 8 ZERO", EFBIG, "1 PiB");
        assert_descriptor_refused("RW 8 FLAT \"x\" 0\nRW 8 FLAT \"x\" 7", EIO, "twice");
        assert_descriptor_refused("RW 8 VMFSSPARSE \"short.vmdk\"", EIO, "cut off");
        assert_descriptor_refused("RW 8 VMFSRDM \"short.vmdk\"", ENOTSUP, "VMFSRDM");
}

/* The line for a part of SECTORS; until the next call. */
static const char *sparse_line(const char *name, uint64_t sectors)
{
        static char line[100];

        snprintf(line, sizeof line, "RW %llu SPARSE \"%s\"", (unsigned long long)sectors, name);
        return line;
}

static void test_sparse_parts_that_do_not_fit_the_descriptor(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        uint64_t sectors = v.size / VMDK_SECTOR;
        struct image o;

        (void)state;
        put("sparse.vmdk", v.file.data, v.file.len);
        assert_descriptor_refused(sparse_line("sparse.vmdk", sectors + 1), EIO, "smaller");
        assert_descriptor_refused(sparse_line("sparse.vmdk", sectors - 128), EIO, "larger");
        /* Less than a grain is for rounding. */
        assert_int_equal(open_descriptor(&o, sparse_line("sparse.vmdk", sectors - 127)), 0);
        index_close(o.index);
        vmdk_free(&v);
}

/* Blocks of 4 KiB have bytes of two parts. */
static void test_a_sparse_part_can_begin_at_any_sector(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        char text[200];
        struct image o;

        (void)state;
        put_flat(4 * VMDK_SECTOR);
        put("sparse.vmdk", v.file.data, v.file.len);
        snprintf(text, sizeof text, "RW 3 FLAT \"flat.vmdk\" 0\n%s\nRW 1 FLAT \"flat.vmdk\" 3",
                 sparse_line("sparse.vmdk", v.size / VMDK_SECTOR));
        o = scanned_descriptor(text);
        assert_int_equal(o.disk->size, v.size + 4 * VMDK_SECTOR);
        expect_flat(&o, 0, 3 * VMDK_SECTOR, 0);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, 3 * VMDK_SECTOR), VMDK_GRAIN);
        assert_memory_equal(buffer, vmdk_pattern(0), VMDK_GRAIN);
        expect_zeros(&o, 3 * VMDK_SECTOR + 2 * VMDK_GRAIN, VMDK_GRAIN);
        expect_flat(&o, v.size + 3 * VMDK_SECTOR, VMDK_SECTOR, 3 * VMDK_SECTOR);
        index_close(o.index);
        vmdk_free(&v);
}

/* Tools leave room for a descriptor in a part, and no descriptor. */
static void test_a_part_by_itself_is_not_a_disk(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct index_options options = {.unwatched = true};
        struct index *index;
        struct error err = {0};
        char path[80];
        struct image o;

        (void)state;
        memset(v.file.data + VMDK_SECTOR, 0, 20 * VMDK_SECTOR);
        put("two-s001.vmdk", v.file.data, v.file.len);
        snprintf(path, sizeof path, "%s/two-s001.vmdk", dir);
        assert_int_equal(index_open(path, &options, &index, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "open the descriptor that names all of them, two.vmdk"));
        o = scanned_descriptor(sparse_line("two-s001.vmdk", v.size / VMDK_SECTOR));
        vmdk_expect_small(&o);
        assert_int_equal(index_damage_count(o.index), 0);
        index_close(o.index);
        vmdk_free(&v);
}

static void test_a_descriptor_with_zeros_inside_is_damaged(void **state)
{
        char text[] = "# Disk DescriptorFile\nparentCID=ffffffff\nRW 8 ZERO\nRW 8 ZERO\n\0\0";
        struct image o;

        (void)state;
        assert_int_equal(open_text(&o, text, sizeof text), 0);
        index_close(o.index);
        memset(text + 52, 0, 4);
        assert_int_equal(open_text(&o, text, sizeof text), -EIO);
        assert_non_null(strstr(o.err.text, "zeros"));
}

/* Writes into OUT, over what is there, the text with a CID of DIGITS, and a zero. */
static void give_cid(char *out, size_t size, int digits)
{
        snprintf(out, size,
                 "# Disk DescriptorFile\nCID=%.*s\nparentCID=ffffffff\nRW 8 ZERO\n"
                 "ddb.adapterType = \"ide\"\n",
                 digits, "12345678");
}

static void test_a_shorter_cid_written_over_a_longer_one_is_no_damage(void **state)
{
        static const int digits[][3] = {{8, 7, 7}, {8, 6, 6}, {8, 1, 1}, {8, 6, 3}, {8, 3, 5}};
        char text[512];
        struct image o;

        (void)state;
        for (size_t i = 0; i < sizeof digits / sizeof *digits; i++) {
                memset(text, 0, sizeof text);
                for (size_t k = 0; k < 3; k++)
                        give_cid(text, sizeof text, digits[i][k]);
                if (open_text(&o, text, sizeof text) < 0)
                        fail_msg("%zu: %s", i, o.err.text);
                assert_int_equal(index_disk(o.index, 0)->size, 8 * VMDK_SECTOR);
                index_close(o.index);
        }
}

static void test_what_follows_a_text_and_is_not_its_end_is_damage(void **state)
{
        static const char *const rests[] = {"x", "e\n", "\"e\"\n", "= \"ide\"\n"};
        char text[512];
        struct image o;

        (void)state;
        for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
                memset(text, 0, sizeof text);
                give_cid(text, sizeof text, 8);
                memcpy(text + strlen(text) + 1, rests[i], strlen(rests[i]));
                assert_int_equal(open_text(&o, text, sizeof text), -EIO);
                assert_non_null(strstr(o.err.text, "zeros"));
        }
}

static int make_dir(void **state)
{
        (void)state;
        strcpy(dir, "/tmp/vmafs-vmdk-XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
        static const char *const names[] = {"d.vmdk",       "sparse.vmdk", "flat.vmdk",
                                            "short.vmdk",   "link.vmdk",   "other.vmdk",
                                            "two-s001.vmdk"};
        char path[80];

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "%s/%s", dir, names[i]);
                unlink(path);
        }
        return rmdir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_parts_of_every_kind, make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_first_lines_that_are_spelled_otherwise, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_a_text_of_another_kind_is_no_descriptor, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_flat_parts_of_any_number_of_sectors, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_zeros_of_any_number_of_sectors, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_a_flat_part_that_was_cut_off_loses_what_is_gone,
                                            make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_parts_lie_in_the_descriptors_folder_alone,
                                            make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_descriptors_that_are_wrong, make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_sparse_parts_that_do_not_fit_the_descriptor,
                                            make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_a_sparse_part_can_begin_at_any_sector, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_a_part_by_itself_is_not_a_disk, make_dir,
                                            remove_dir),
            cmocka_unit_test_setup_teardown(test_a_descriptor_with_zeros_inside_is_damaged,
                                            make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(
                test_a_shorter_cid_written_over_a_longer_one_is_no_damage, make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_what_follows_a_text_and_is_not_its_end_is_damage,
                                            make_dir, remove_dir),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
