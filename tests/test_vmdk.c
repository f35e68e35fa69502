/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "tests/fixture_vmdk.h"

enum { BLOCK = 4096, SECTOR = 512 };

static uint8_t buffer[VMDK_GRAIN];

static const uint8_t *pattern(uint64_t number)
{
        static uint8_t data[VMDK_GRAIN];

        for (size_t i = 0; i < sizeof data; i += 8)
                store_le64(data + i, number << 32 | i);
        return data;
}

/* Grains 0, 3, 1, in this order; 2 is not there, 4 is zeros, 600 is in the second table. */
static struct vmdk_image small_image(bool stream)
{
        struct vmdk_image v = vmdk_start(stream, VMDK_SPAN + 100 * (uint64_t)VMDK_GRAIN);

        vmdk_grain(&v, 0, pattern(0));
        vmdk_grain(&v, 3, pattern(3));
        vmdk_grain(&v, 1, pattern(1));
        vmdk_grain(&v, 4, NULL);
        vmdk_grain(&v, 600, pattern(600));
        vmdk_finish(&v);
        return v;
}

/* ---- opening an image in memory ---- */

struct opened {
        int fd;
        struct index *index;
        struct disk *disk;
        struct error err;
};

static int open_bytes(struct opened *o, const uint8_t *data, size_t len)
{
        struct index_options options = {0};
        char path[64];

        *o = (struct opened){.fd = memfd_create("image", MFD_CLOEXEC)};
        assert_true(o->fd >= 0 && write(o->fd, data, len) == (ssize_t)len);
        snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
        return index_open(path, &options, &o->index, &o->err);
}

static struct opened scan_bytes(const uint8_t *data, size_t len)
{
        struct opened o;

        if (open_bytes(&o, data, len) < 0)
                fail_msg("%s", o.err.text);
        assert_int_equal(index_scan(o.index, NULL, &o.err), 0);
        assert_int_equal(index_disk_count(o.index), 1);
        o.disk = index_disk(o.index, 0);
        return o;
}

static struct opened scan_image(const struct vmdk_image *v)
{
        return scan_bytes(v->file.data, v->file.len);
}

static void end(struct opened *o)
{
        index_close(o->index);
        close(o->fd);
}

static void assert_grain(const struct opened *o, uint64_t number)
{
        ssize_t n = disk_read(o->disk, buffer, VMDK_GRAIN, number * VMDK_GRAIN);

        assert_int_equal(n, VMDK_GRAIN);
        assert_memory_equal(buffer, pattern(number), VMDK_GRAIN);
}

static void assert_zeros(const struct opened *o, uint64_t number)
{
        assert_int_equal(disk_read(o->disk, buffer, VMDK_GRAIN, number * VMDK_GRAIN), VMDK_GRAIN);
        for (size_t i = 0; i < VMDK_GRAIN; i++)
                assert_int_equal(buffer[i], 0);
}

static void assert_lost(const struct opened *o, uint64_t number)
{
        assert_int_equal(disk_read(o->disk, buffer, BLOCK, number * VMDK_GRAIN), -EIO);
}

static void assert_small_image(const struct opened *o)
{
        assert_grain(o, 0);
        assert_grain(o, 1);
        assert_zeros(o, 2);
        assert_grain(o, 3);
        assert_zeros(o, 4);
        assert_grain(o, 600);
        assert_zeros(o, 599);
}

static void assert_refused(const struct vmdk_image *v, int code, const char *word)
{
        struct opened o;

        assert_int_equal(open_bytes(&o, v->file.data, v->file.len), -code);
        if (!strstr(o.err.text, word))
                fail_msg("%s", o.err.text);
        close(o.fd);
}

static bool damage_says(const struct opened *o, const char *word)
{
        const struct index_damage *list;
        size_t n = index_damages(o->index, &list);

        for (size_t i = 0; i < n; i++)
                if (strstr(list[i].text, word))
                        return true;
        return false;
}

/* ---- sound images ---- */

static void check_sound(bool stream)
{
        struct vmdk_image v = small_image(stream);
        struct opened o = scan_image(&v);

        assert_int_equal(o.disk->size, v.size);
        assert_int_equal(index_damage_count(o.index), 0);
        assert_small_image(&o);
        assert_int_equal(o.disk->totals.stored, 4 * VMDK_GRAIN);
        assert_int_equal(o.disk->totals.lost, 0);
        end(&o);
        vmdk_free(&v);
}

static void test_stream_with_a_footer(void **state)
{
        (void)state;
        check_sound(true);
}

static void test_monolithic_sparse(void **state)
{
        (void)state;
        check_sound(false);
}

static void test_read_across_grains_at_odd_places(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o = scan_image(&v);
        uint8_t part[3000];

        (void)state;
        assert_int_equal(disk_read(o.disk, part, sizeof part, VMDK_GRAIN - 1000), sizeof part);
        assert_memory_equal(part, pattern(0) + VMDK_GRAIN - 1000, 1000);
        assert_memory_equal(part + 1000, pattern(1), 2000);
        end(&o);
        vmdk_free(&v);
}

static void *read_all_over(void *ctx)
{
        const struct opened *o = ctx;
        uint8_t part[5000];
        uint64_t seed = 11;

        for (unsigned i = 0; i < 300; i++) {
                uint64_t number = fixture_random(&seed) % 4, at = fixture_random(&seed) % 60000;

                if (disk_read(o->disk, part, sizeof part, number * VMDK_GRAIN + at) !=
                    (ssize_t)sizeof part)
                        return "a read failed";
                if (load_le64(part + (-at & 7)) >> 32 != (number == 2 ? 0 : number))
                        return "a read gave what belongs elsewhere";
        }
        return NULL;
}

static void test_many_read_at_a_time(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o = scan_image(&v);
        pthread_t threads[4];
        void *what;

        (void)state;
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, read_all_over, &o), 0);
        for (size_t i = 0; i < 4; i++) {
                pthread_join(threads[i], &what);
                if (what)
                        fail_msg("%s", (const char *)what);
        }
        end(&o);
        vmdk_free(&v);
}

static void test_last_grain_beyond_the_disks_end(void **state)
{
        struct vmdk_image v = vmdk_start(true, VMDK_GRAIN + 1536);
        struct opened o;

        (void)state;
        vmdk_grain(&v, 1, pattern(1));
        vmdk_finish(&v);
        o = scan_image(&v);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, VMDK_GRAIN), 1536);
        assert_memory_equal(buffer, pattern(1), 1536);
        end(&o);
        vmdk_free(&v);
}

/* ---- damage ---- */

static void test_without_the_footer_the_directory_is_found(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o;

        (void)state;
        memset(v.file.data + v.file.len - 1024, 0x55, SECTOR);
        o = scan_image(&v);
        assert_small_image(&o);
        assert_true(damage_says(&o, "footer"));
        end(&o);
        vmdk_free(&v);
}

static void test_a_stream_that_is_cut_off_gives_what_is_there(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o;

        (void)state;
        o = scan_bytes(v.file.data, (size_t)v.grains[600] * SECTOR + 100);
        assert_grain(&o, 0);
        assert_grain(&o, 1);
        assert_grain(&o, 3);
        assert_lost(&o, 2);
        assert_lost(&o, 600);
        assert_int_equal(o.disk->totals.lost, v.size - 3 * VMDK_GRAIN);
        assert_true(damage_says(&o, "footer"));
        end(&o);
        vmdk_free(&v);
}

static void test_markers_are_found_again_behind_damage(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o;

        (void)state;
        memset(v.file.data + (size_t)v.grains[3] * SECTOR, 0x55, SECTOR);
        o = scan_bytes(v.file.data, v.gd - 3 * SECTOR);
        assert_grain(&o, 0);
        assert_grain(&o, 1);
        assert_grain(&o, 600);
        assert_lost(&o, 3);
        assert_true(damage_says(&o, "marker"));
        end(&o);
        vmdk_free(&v);
}

static void test_a_damaged_grain_is_an_error(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o;

        (void)state;
        memset(v.file.data + (size_t)v.grains[3] * SECTOR + 40, 0x55, 100);
        o = scan_image(&v);
        assert_lost(&o, 3);
        assert_grain(&o, 1);
        end(&o);
        vmdk_free(&v);
}

static void test_a_grain_of_another_place_is_an_error(void **state)
{
        struct vmdk_image v = small_image(true);
        struct opened o;

        (void)state;
        store_le64(v.file.data + (size_t)v.grains[3] * SECTOR, 128);
        o = scan_image(&v);
        assert_lost(&o, 3);
        end(&o);
        vmdk_free(&v);
}

/* A grain that would inflate to more than a grain is. */
static void test_a_grain_that_is_a_bomb_is_an_error(void **state)
{
        struct vmdk_image v = small_image(true);
        static uint8_t zeros[64 * VMDK_GRAIN];
        uint8_t out[8192];
        uLongf len = sizeof out;
        struct opened o;

        (void)state;
        assert_int_equal(compress(out, &len, zeros, sizeof zeros), Z_OK);
        store_le32(v.file.data + (size_t)v.grains[3] * SECTOR + 8, (uint32_t)len);
        memcpy(v.file.data + (size_t)v.grains[3] * SECTOR + 12, out, len);
        o = scan_image(&v);
        assert_lost(&o, 3);
        end(&o);
        vmdk_free(&v);
}

static void test_the_copy_of_a_damaged_directory_is_used(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;

        (void)state;
        store_le64(v.file.data + 56, UINT64_C(1) << 50);
        o = scan_image(&v);
        assert_small_image(&o);
        assert_true(damage_says(&o, "its copy is used"));
        end(&o);
        vmdk_free(&v);
}

static void test_a_zeroed_directory_does_not_become_zeros(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;

        (void)state;
        memset(v.file.data + v.gd, 0, 8);
        o = scan_image(&v);
        assert_small_image(&o);
        assert_true(damage_says(&o, "copy"));
        end(&o);
        vmdk_free(&v);
}

static void test_a_damaged_table_is_mended_from_its_copy(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;
        size_t table;

        (void)state;
        table = (size_t)load_le32(v.file.data + v.gd) * SECTOR;
        store_le32(v.file.data + table, 0xffffff00);
        store_le32(v.file.data + table + 4, 0);
        o = scan_image(&v);
        assert_small_image(&o);
        assert_true(damage_says(&o, "differ"));
        end(&o);
        vmdk_free(&v);
}

static void test_grains_behind_the_end_are_lost(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;
        size_t table;

        (void)state;
        for (int copy = 0; copy < 2; copy++) {
                table = (size_t)load_le32(v.file.data + (copy ? v.rgd : v.gd)) * SECTOR;
                store_le32(v.file.data + table + 12, 0x7fffffff);
        }
        o = scan_image(&v);
        assert_lost(&o, 3);
        assert_grain(&o, 1);
        assert_zeros(&o, 2);
        assert_true(damage_says(&o, "behind"));
        end(&o);
        vmdk_free(&v);
}

static void test_without_any_directory_all_is_lost(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;

        (void)state;
        store_le64(v.file.data + 48, 0);
        store_le64(v.file.data + 56, 0);
        o = scan_image(&v);
        assert_lost(&o, 0);
        assert_lost(&o, 599);
        assert_int_equal(o.disk->totals.lost, v.size);
        end(&o);
        vmdk_free(&v);
}

/* One table for all of 1 PiB: believing it would take more memory than there is. */
static void test_tables_that_are_one_are_not_believed(void **state)
{
        struct vmdk_image v = vmdk_start(false, VMDK_SPAN);
        uint64_t entries = 4096;
        struct opened o;
        size_t gd;

        (void)state;
        for (uint64_t i = 0; i < 512; i++)
                v.grains[i] = 128;
        vmdk_grain(&v, 0, pattern(0));
        vmdk_finish(&v);
        gd = v.file.len;
        v.file.data = realloc(v.file.data, gd + entries * 4);
        assert_non_null(v.file.data);
        for (uint64_t i = 0; i < entries; i++)
                memcpy(v.file.data + gd + i * 4, v.file.data + v.gd, 4);
        v.file.len += entries * 4;
        store_le64(v.file.data + 12, entries * VMDK_SPAN / SECTOR);
        store_le64(v.file.data + 48, 0);
        store_le64(v.file.data + 56, gd / SECTOR);
        o = scan_image(&v);
        assert_true(o.disk->totals.stored <= v.file.len + VMDK_GRAIN);
        assert_true(damage_says(&o, "more grains than the file can hold"));
        end(&o);
        vmdk_free(&v);
}

/* ---- headers ---- */

static void test_extremes_of_header_fields(void **state)
{
        static const struct {
                size_t at, bytes;
                uint64_t value;
                int code;
                const char *word;
        } cases[] = {
            {4, 4, 4, ENOTSUP, "version 4"},
            {4, 4, 0, ENOTSUP, "version 0"},
            {12, 8, UINT64_MAX, EFBIG, "sectors"},
            {12, 8, (UINT64_C(1) << 41) + 1, EFBIG, "sectors"},
            {20, 8, 0, ENOTSUP, "grains of 0"},
            {20, 8, 4, ENOTSUP, "grains of 4"},
            {20, 8, 129, ENOTSUP, "grains of 129"},
            {20, 8, UINT64_C(1) << 63, ENOTSUP, "grains of"},
            {44, 4, 0, ENOTSUP, "tables of 0"},
            {44, 4, UINT32_MAX, ENOTSUP, "tables of"},
            {73, 4, 0x0a0a0a0a, EIO, "as text"},
            {77, 2, 2, ENOTSUP, "method 2"},
        };
        struct vmdk_image v = small_image(true);
        uint8_t head[SECTOR];

        (void)state;
        memcpy(head, v.file.data, sizeof head);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                uint8_t value[8];

                store_le64(value, cases[i].value);
                memcpy(v.file.data, head, sizeof head);
                memcpy(v.file.data + cases[i].at, value, cases[i].bytes);
                assert_refused(&v, cases[i].code, cases[i].word);
        }
        vmdk_free(&v);
}

static void test_other_kinds_are_refused(void **state)
{
        struct vmdk_image v = small_image(false);

        (void)state;
        memcpy(v.file.data, "COWD", 4);
        assert_refused(&v, ENOTSUP, "COWD");
        store_le64(v.file.data, 0xcafebabe);
        assert_refused(&v, ENOTSUP, "SESparse");
        vmdk_free(&v);
}

static void test_a_snapshot_is_refused(void **state)
{
        struct vmdk_image v = small_image(false);
        char *cid = strstr((char *)v.file.data + SECTOR, "ffffffff");

        (void)state;
        assert_non_null(cid);
        memcpy(cid, "12345678", 8);
        assert_refused(&v, ENOTSUP, "snapshot");
        vmdk_free(&v);
}

/* ---- descriptors ---- */

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

static int open_descriptor(struct opened *o, const char *extents)
{
        struct index_options options = {0};
        char text[1000], path[80];

        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n%s\n", extents);
        put("d.vmdk", text, strlen(text));
        snprintf(path, sizeof path, "%s/d.vmdk", dir);
        *o = (struct opened){.fd = -1};
        return index_open(path, &options, &o->index, &o->err);
}

static void test_parts_of_every_kind(void **state)
{
        struct vmdk_image v = small_image(false);
        struct opened o;
        char extents[200];

        (void)state;
        put("sparse.vmdk", v.file.data, v.file.len);
        memset(buffer, 'x', sizeof buffer);
        put("flat.vmdk", buffer, sizeof buffer);
        snprintf(extents, sizeof extents,
                 "RW 8 FLAT \"flat.vmdk\" 16\nRW 16 ZERO\nRDONLY %llu SPARSE \"sparse.vmdk\"",
                 (unsigned long long)v.size / SECTOR);
        assert_int_equal(open_descriptor(&o, extents), 0);
        assert_int_equal(index_scan(o.index, NULL, &o.err), 0);
        o.disk = index_disk(o.index, 0);
        assert_string_equal(o.disk->name, "disk-d.raw");
        assert_int_equal(o.disk->size, v.size + 24 * SECTOR);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, 24 * SECTOR), VMDK_GRAIN);
        assert_memory_equal(buffer, pattern(0), VMDK_GRAIN);
        assert_int_equal(disk_read(o.disk, buffer, 3 * BLOCK, 0), 3 * BLOCK);
        assert_int_equal(buffer[0], 'x');
        assert_int_equal(buffer[BLOCK - 1], 'x');
        assert_int_equal(buffer[BLOCK], 0);
        index_close(o.index);
        vmdk_free(&v);
}

static void assert_descriptor_refused(const char *extents, int code, const char *word)
{
        struct opened o;

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
        assert_descriptor_refused("RW 1 ZERO\nRW 8 ZERO", ENOTSUP, "4 KiB");
        assert_descriptor_refused("RW 8 VMFSSPARSE \"short.vmdk\"", ENOTSUP, "VMFSSPARSE");
        assert_descriptor_refused("RW 8 VMFSRDM \"short.vmdk\"", ENOTSUP, "VMFSRDM");
}

static int make_dir(void **state)
{
        (void)state;
        strcpy(dir, "/tmp/vmafs-vmdk-XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
        static const char *const names[] = {"d.vmdk", "sparse.vmdk", "flat.vmdk", "short.vmdk",
                                            "link.vmdk"};
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
            cmocka_unit_test(test_stream_with_a_footer),
            cmocka_unit_test(test_monolithic_sparse),
            cmocka_unit_test(test_read_across_grains_at_odd_places),
            cmocka_unit_test(test_many_read_at_a_time),
            cmocka_unit_test(test_last_grain_beyond_the_disks_end),
            cmocka_unit_test(test_without_the_footer_the_directory_is_found),
            cmocka_unit_test(test_a_stream_that_is_cut_off_gives_what_is_there),
            cmocka_unit_test(test_markers_are_found_again_behind_damage),
            cmocka_unit_test(test_a_damaged_grain_is_an_error),
            cmocka_unit_test(test_a_grain_of_another_place_is_an_error),
            cmocka_unit_test(test_a_grain_that_is_a_bomb_is_an_error),
            cmocka_unit_test(test_the_copy_of_a_damaged_directory_is_used),
            cmocka_unit_test(test_a_zeroed_directory_does_not_become_zeros),
            cmocka_unit_test(test_a_damaged_table_is_mended_from_its_copy),
            cmocka_unit_test(test_grains_behind_the_end_are_lost),
            cmocka_unit_test(test_without_any_directory_all_is_lost),
            cmocka_unit_test(test_tables_that_are_one_are_not_believed),
            cmocka_unit_test(test_extremes_of_header_fields),
            cmocka_unit_test(test_other_kinds_are_refused),
            cmocka_unit_test(test_a_snapshot_is_refused),
            cmocka_unit_test_setup_teardown(test_parts_of_every_kind, make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_parts_lie_in_the_descriptors_folder_alone,
                                            make_dir, remove_dir),
            cmocka_unit_test_setup_teardown(test_descriptors_that_are_wrong, make_dir, remove_dir),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
