/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDK images of one file: what they hold, and what is refused. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
            {77, 2, 0, EIO, "contradicts itself"},
            {8, 4, 1, EIO, "contradicts itself"},
            {12, 8, UINT64_C(1) << 31, EIO, "descriptor"},
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

static void test_files_of_esx_without_what_they_need_are_refused(void **state)
{
        struct vmdk_image v = vmdk_small(false);

        (void)state;
        memcpy(v.file.data, "COWD", 4);
        assert_refused(&v, ENOTSUP, "grains of 0 sectors");
        store_le64(v.file.data, 0xcafebabe);
        assert_refused(&v, EIO, "no descriptor");
        vmdk_free(&v);
}

/* ---- descriptors inside ---- */

/* Put WITH where WORD is in V's descriptor; they are of one length. */
static void change(const struct vmdk_image *v, const char *word, const char *with)
{
        char *at = strstr((char *)v->file.data + VMDK_SECTOR, word);

        assert_non_null(at);
        assert_int_equal(strlen(word), strlen(with));
        memcpy(at, with, strlen(with));
}

static void test_a_snapshot_is_refused_unasked(void **state)
{
        struct vmdk_image v = vmdk_small(false);

        (void)state;
        change(&v, "ffffffff", "12345678");
        assert_refused(&v, EIO, "parentFileNameHint");
        vmdk_free(&v);
        v = vmdk_small(false);
        change(&v, "ffffffff", "00000000");
        change(&v, "ddb.adapterType = \"ide\"", "parentFileNameHint=\"x\" ");
        assert_refused(&v, EPERM, "has the parent x; it is opened with backing=dir only");
        vmdk_free(&v);
}

static void test_a_parent_of_zero_is_none(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        struct image o;

        (void)state;
        change(&v, "ffffffff", "00000000");
        o = vmdk_scanned(&v);
        vmdk_expect_small(&o);
        image_end(&o);
        vmdk_free(&v);
}

/* Whoever does not say that there is no parent may have one. */
static void test_a_descriptor_that_names_no_parent_is_damaged(void **state)
{
        struct vmdk_image v = vmdk_small(false);

        (void)state;
        change(&v, "parentCID",
               "parentC\xc9"
               "D");
        assert_refused(&v, EIO, "parent");
        vmdk_free(&v);
}

/* All that is after the text of the descriptor moves up by its length. */
static void test_an_image_without_its_descriptor_is_refused(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct vmdk_image v = vmdk_small(stream);
                uint8_t *text = v.file.data + VMDK_SECTOR;
                size_t len = strlen((char *)text);

                memmove(text, text + len, v.file.len - VMDK_SECTOR - len);
                v.file.len -= len;
                assert_refused(&v, EIO, "no descriptor");
                vmdk_free(&v);
                v = vmdk_small(stream);
                memset(v.file.data + VMDK_SECTOR, 0, 20 * VMDK_SECTOR);
                assert_refused(&v, EIO, "no descriptor");
                store_le64(v.file.data + 28, UINT64_C(1) << 40);
                assert_refused(&v, EIO, "descriptor");
                store_le64(v.file.data + 28, 0);
                assert_refused(&v, EIO, "no descriptor");
                vmdk_free(&v);
        }
}

static void test_a_header_and_a_descriptor_that_differ_are_refused(void **state)
{
        struct vmdk_image v = vmdk_small(false);

        (void)state;
        change(&v, "SPARSE \"", "FLAT   \"");
        assert_refused(&v, EIO, "does not fit its header");
        vmdk_free(&v);
        v = vmdk_small(false);
        store_le64(v.file.data + 12, 0);
        assert_refused(&v, EIO, "one of them is damaged");
        store_le64(v.file.data + 12, v.size / VMDK_SECTOR + VMDK_GRAIN / VMDK_SECTOR);
        assert_refused(&v, EIO, "one of them is damaged");
        vmdk_free(&v);
}

/* A header for nothing, and a descriptor of a flat disk that is in the same file. */
static void test_a_flat_disk_after_its_descriptor(void **state)
{
        struct vmdk_image v = vmdk_start(false, VMDK_GRAIN);
        struct image o;

        (void)state;
        vmdk_grain(&v, 0, vmdk_pattern(7));
        store_le64(v.file.data + 12, 0);
        change(&v, "RW 128 SPARSE \"disk.vmdk\"\n\n", "RW 128 FLAT \"d.vmdk\" 21   \n");
        o = vmdk_scanned(&v);
        assert_int_equal(o.disk->size, VMDK_GRAIN);
        assert_int_equal(index_damage_count(o.index), 0);
        assert_int_equal(disk_read(o.disk, buffer, VMDK_GRAIN, 0), VMDK_GRAIN);
        assert_memory_equal(buffer, vmdk_pattern(7), VMDK_GRAIN);
        image_end(&o);
        change(&v, "\" 21", "\" 20");
        assert_refused(&v, EIO, "where in the file");
        vmdk_free(&v);
}

/* The first part has no name to compare others with. */
static void test_a_flat_disk_that_begins_with_zeros(void **state)
{
        struct vmdk_image v = vmdk_start(false, VMDK_GRAIN);
        struct image o;

        (void)state;
        vmdk_grain(&v, 0, vmdk_pattern(7));
        store_le64(v.file.data + 12, 0);
        change(&v, "RW 128 SPARSE \"disk.vmdk\"\n\nddb.adapterType = \"ide\"",
               "RW 8 ZERO\nRW 8 FLAT \"d.vmdk\" 21\n\nddb.x=\"xxxxxxxxx\"");
        o = vmdk_scanned(&v);
        assert_int_equal(o.disk->size, 8192);
        assert_int_equal(disk_read(o.disk, buffer, 4096, 4096), 4096);
        assert_memory_equal(buffer, vmdk_pattern(7), 4096);
        image_end(&o);
        vmdk_free(&v);
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
            cmocka_unit_test(test_files_of_esx_without_what_they_need_are_refused),
            cmocka_unit_test(test_a_snapshot_is_refused_unasked),
            cmocka_unit_test(test_a_parent_of_zero_is_none),
            cmocka_unit_test(test_a_descriptor_that_names_no_parent_is_damaged),
            cmocka_unit_test(test_an_image_without_its_descriptor_is_refused),
            cmocka_unit_test(test_a_header_and_a_descriptor_that_differ_are_refused),
            cmocka_unit_test(test_a_flat_disk_after_its_descriptor),
            cmocka_unit_test(test_a_flat_disk_that_begins_with_zeros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
