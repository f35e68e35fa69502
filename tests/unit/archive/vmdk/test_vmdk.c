/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDK images and descriptors: what they hold, and what is refused. */
#include <errno.h>
#include <pthread.h>
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

/* ---- sound images ---- */

static void check_sound(bool stream)
{
        struct vmdk_image v = vmdk_small(stream);
        struct image o = vmdk_scanned(&v);

        assert_int_equal(o.disk->size, v.size);
        assert_int_equal(index_damage_count(o.index), 0);
        vmdk_expect_small(&o);
        assert_int_equal(o.disk->totals.stored, 4 * VMDK_GRAIN);
        assert_int_equal(o.disk->totals.lost, 0);
        image_end(&o);
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
        struct vmdk_image v = vmdk_small(true);
        struct image o = vmdk_scanned(&v);
        uint8_t part[3000];

        (void)state;
        assert_int_equal(disk_read(o.disk, part, sizeof part, VMDK_GRAIN - 1000), sizeof part);
        assert_memory_equal(part, vmdk_pattern(0) + VMDK_GRAIN - 1000, 1000);
        assert_memory_equal(part + 1000, vmdk_pattern(1), 2000);
        image_end(&o);
        vmdk_free(&v);
}

static void *read_all_over(void *ctx)
{
        const struct image *o = ctx;
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
        struct vmdk_image v = vmdk_small(true);
        struct image o = vmdk_scanned(&v);
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
        image_end(&o);
        vmdk_free(&v);
}

static void test_last_grain_beyond_the_disks_end(void **state)
{
        struct vmdk_image v = vmdk_start(true, VMDK_GRAIN + 1536);
        struct image o;

        (void)state;
        vmdk_grain(&v, 1, vmdk_pattern(1));
        vmdk_finish(&v);
        o = vmdk_scanned(&v);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, VMDK_GRAIN), 1536);
        assert_memory_equal(buffer, vmdk_pattern(1), 1536);
        image_end(&o);
        vmdk_free(&v);
}

/* ---- headers ---- */

static void assert_refused(const struct vmdk_image *v, int code, const char *word)
{
        image_expect_refused(v->file.data, v->file.len, code, word);
}

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
        struct vmdk_image v = vmdk_small(true);
        uint8_t head[VMDK_SECTOR];

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
        struct vmdk_image v = vmdk_small(false);

        (void)state;
        memcpy(v.file.data, "COWD", 4);
        assert_refused(&v, ENOTSUP, "COWD");
        store_le64(v.file.data, 0xcafebabe);
        assert_refused(&v, ENOTSUP, "SESparse");
        vmdk_free(&v);
}

static void test_a_snapshot_is_refused(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        char *cid = strstr((char *)v.file.data + VMDK_SECTOR, "ffffffff");

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

static int open_descriptor(struct image *o, const char *extents)
{
        struct index_options options = {0};
        char text[1000], path[80];

        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n%s\n", extents);
        put("d.vmdk", text, strlen(text));
        snprintf(path, sizeof path, "%s/d.vmdk", dir);
        *o = (struct image){.fd = -1};
        return index_open(path, &options, &o->index, &o->err);
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
