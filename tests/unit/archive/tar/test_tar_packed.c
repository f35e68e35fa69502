/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of an OVA that are cut into chunks, or compressed: as they should be, and as not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "archive/format.h"
#include "archive/tar/ovf.h"
#include "index/index.h"
#include "tests/fixtures/tar_fixture.h"
#include "tests/fixtures/vmdk_fixture.h"

enum { CHUNK = 1000 };

static struct bytes image, packed;

static struct bytes deflated(struct bytes in)
{
        struct bytes out = {.data = malloc(in.len + 1000)};
        z_stream z = {.next_in = in.data,
                      .avail_in = (uInt)in.len,
                      .next_out = out.data,
                      .avail_out = (uInt)in.len + 1000};

        assert_non_null(out.data);
        assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        out.len = z.total_out;
        deflateEnd(&z);
        return out;
}

static int make_images(void **state)
{
        struct vmdk_image v = vmdk_small(true);

        (void)state;
        image = v.file;
        v.file = (struct bytes){0};
        vmdk_free(&v);
        packed = deflated(image);
        return 0;
}

static int free_images(void **state)
{
        (void)state;
        free(image.data);
        free(packed.data);
        return 0;
}

static void add_ovf(const char *name, const char *attributes)
{
        char text[600];

        snprintf(text, sizeof text,
                 "<?xml version=\"1.0\"?><Envelope><References><File %s/></References></Envelope>",
                 attributes);
        tarball_member(name, text, strlen(text));
}

/* Chunk NUMBER of B, which has so many of SIZE bytes as it takes, under NAME. */
static void add_chunk(const char *name, struct bytes b, size_t number, size_t size)
{
        char member[80];
        size_t at = number * size, len = b.len - at < size ? b.len - at : size;

        assert_true(at < b.len);
        snprintf(member, sizeof member, "%s.%09zu", name, number);
        tarball_member(member, b.data + at, len);
}

static size_t chunk_count(struct bytes b)
{
        return (b.len + CHUNK - 1) / CHUNK;
}

static void add_chunks(const char *name, struct bytes b)
{
        for (size_t i = chunk_count(b); i-- > 0;)
                add_chunk(name, b, i, CHUNK);
}

static struct image scanned(void)
{
        tarball_finish();
        return tarball_scan();
}

/* disk-web.raw is vmdk_small, and nothing is wrong. */
static void expect_disk(void)
{
        struct image o = scanned();
        const struct index_damage *list;

        if (index_damages(o.index, &list))
                fail_msg("%s", list[0].text);
        assert_string_equal(index_info(o.index)->note, "");
        o.disk = image_disk_named(&o, "disk-web.raw");
        vmdk_expect_small(&o);
        image_end(&o);
        tarball_reset(NULL);
}

/* There is no such disk; a fault says WORD. */
static void expect_fault(const char *word)
{
        struct image o = scanned();

        if (!image_damage_says(&o, word))
                fail_msg("no fault says '%s'", word);
        for (size_t i = 0; i < index_disk_count(o.index); i++)
                assert_string_not_equal(index_disk(o.index, i)->name, "disk-web.raw");
        image_end(&o);
        tarball_reset(NULL);
}

static void test_chunks_are_one_file_in_the_order_of_their_numbers(void **state)
{
        (void)state;
        assert_true(chunk_count(image) > 2);
        add_ovf("a/vm.ovf", "ovf:href='web.vmdk' ovf:chunkSize='1000'");
        add_chunks("a/web.vmdk", image);
        expect_disk();
        add_chunks("web.vmdk", image);
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:chunkSize='1000'");
        expect_disk();
}

static void test_a_compressed_file_is_read_as_what_is_in_it(void **state)
{
        (void)state;
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip'");
        tarball_member("web.vmdk", packed.data, packed.len);
        expect_disk();
        add_ovf("vm.ovf", "ovf:compression='gzip' ovf:href='sub/web.vmdk.gz'");
        tarball_member("sub/web.vmdk.gz", packed.data, packed.len);
        expect_disk();
}

/* As one that is stored as it is: its disk is shown once. */
static void test_a_file_that_is_named_twice_is_one_file(void **state)
{
        struct image o;
        (void)state;

        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip'/><File "
                          "ovf:href='web.vmdk' ovf:compression='gzip'");
        add_ovf("other.ovf", "ovf:href='web.vmdk' ovf:compression='gzip'");
        tarball_member("web.vmdk", packed.data, packed.len);
        o = scanned();
        for (size_t i = 0; i < index_disk_count(o.index); i++)
                assert_string_not_equal(index_disk(o.index, i)->name, "disk-web.raw~2");
        o.disk = image_disk_named(&o, "disk-web.raw");
        vmdk_expect_small(&o);
        image_end(&o);
        tarball_reset(NULL);
}

static void test_a_compressed_file_may_be_cut_into_chunks(void **state)
{
        (void)state;
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip' ovf:chunkSize='1000'");
        add_chunks("web.vmdk", packed);
        expect_disk();
}

static void test_what_is_said_to_be_cut_or_compressed_may_be_whole(void **state)
{
        (void)state;
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip' ovf:chunkSize='1000'");
        tarball_member("web.vmdk", image.data, image.len);
        expect_disk();
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='identity'");
        tarball_member("web.vmdk", image.data, image.len);
        expect_disk();
}

static void test_a_chunk_that_is_missing_is_named(void **state)
{
        size_t count = chunk_count(image);

        (void)state;
        for (size_t missing = 0; missing < count; missing++) {
                char word[80], attributes[120];

                snprintf(attributes, sizeof attributes,
                         "href='web.vmdk' chunkSize='1000' size='%zu'", image.len);
                add_ovf("vm.ovf", attributes);
                for (size_t i = 0; i < count; i++)
                        if (i != missing)
                                add_chunk("web.vmdk", image, i, CHUNK);
                snprintf(word, sizeof word, "web.vmdk is not shown: its chunk %zu is missing",
                         missing);
                expect_fault(missing + 1 < count ? word : "web.vmdk is not shown: its chunks have");
        }
}

static void test_a_chunk_size_that_lies_is_named(void **state)
{
        static const char *const sizes[] = {"500", "999", "1001", "18446744073709551615"};

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                char attributes[120];

                snprintf(attributes, sizeof attributes, "href='web.vmdk' chunkSize='%s'", sizes[i]);
                add_ovf("vm.ovf", attributes);
                add_chunks("web.vmdk", image);
                expect_fault("has not the size that its OVF says");
        }
}

static void test_of_a_chunk_that_is_there_twice_the_last_counts(void **state)
{
        static char wrong[CHUNK];

        (void)state;
        add_ovf("vm.ovf", "href='web.vmdk' chunkSize='1000'");
        tarball_member("web.vmdk.000000001", wrong, sizeof wrong);
        add_chunks("web.vmdk", image);
        expect_disk();
}

static void test_names_that_lead_elsewhere_are_not_followed(void **state)
{
        static const char *const names[] = {"../web.vmdk", "/web.vmdk", "../../etc/shadow", ""};

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                char attributes[120];
                struct image o;

                snprintf(attributes, sizeof attributes, "href='%s' compression='gzip'", names[i]);
                tarball_member("web.vmdk", packed.data, packed.len);
                add_ovf("sub/vm.ovf", attributes);
                o = scanned();
                assert_int_equal(index_damage_count(o.index), 0);
                for (size_t k = 0; k < index_disk_count(o.index); k++)
                        assert_string_not_equal(index_disk(o.index, k)->name, "disk-web.raw");
                image_end(&o);
                tarball_reset(NULL);
        }
}

static void test_damage_of_a_compressed_file_is_lost_and_named(void **state)
{
        struct image o;
        uint8_t byte;

        (void)state;
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip'");
        tarball_member("web.vmdk", packed.data, packed.len);
        memset(tarball.data + tarball.len - TARBALL_BLOCK - packed.len / 2, 'x', 300);
        o = scanned();
        assert_true(index_damage_count(o.index) > 0);
        for (size_t i = 0; i < index_disk_count(o.index); i++) {
                struct disk *d = index_disk(o.index, i);

                if (strcmp(d->name, "disk-web.raw") == 0)
                        assert_int_equal(disk_read(d, &byte, 1, 3 * VMDK_GRAIN), -EIO);
        }
        image_end(&o);
}

static void test_a_bomb_takes_no_memory(void **state)
{
        struct bytes zeros = {.data = calloc(1, 64 << 20), .len = 64 << 20}, bomb;
        struct image o;

        (void)state;
        assert_non_null(zeros.data);
        memcpy(zeros.data, "COWD", 4);
        bomb = deflated(zeros);
        add_ovf("vm.ovf", "ovf:href='web.vmdk' ovf:compression='gzip'");
        tarball_member("web.vmdk", bomb.data, bomb.len);
        o = scanned();
        assert_int_equal(index_damage_count(o.index), 0);
        assert_non_null(strstr(index_info(o.index)->note, "web.vmdk"));
        image_end(&o);
        free(zeros.data);
        free(bomb.data);
}

static void test_an_ovf_may_be_anything(void **state)
{
        struct ovf ovf;
        static const char one[] = "<File href='a' chunkSize='1'/>";
        enum { FILES = 300, LEN = sizeof one - 1 };
        char *many = malloc(FILES * LEN);

        (void)state;
        assert_non_null(many);
        for (size_t i = 0; i < FILES; i++)
                memcpy(many + i * LEN, one, LEN);
        assert_int_equal(ovf_parse(many, FILES * LEN, &ovf), 0);
        assert_int_equal(ovf.files.count, OVF_FILES_MAX);
        ovf_fini(&ovf);
        free(many);
        assert_int_equal(ovf_parse("\0<File", 6, &ovf), 0);
        assert_int_equal(ovf.files.count, 0);
        ovf_fini(&ovf);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_chunks_are_one_file_in_the_order_of_their_numbers,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_compressed_file_is_read_as_what_is_in_it,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_file_that_is_named_twice_is_one_file, tarball_reset),
            cmocka_unit_test_teardown(test_a_compressed_file_may_be_cut_into_chunks, tarball_reset),
            cmocka_unit_test_teardown(test_what_is_said_to_be_cut_or_compressed_may_be_whole,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_chunk_that_is_missing_is_named, tarball_reset),
            cmocka_unit_test_teardown(test_a_chunk_size_that_lies_is_named, tarball_reset),
            cmocka_unit_test_teardown(test_of_a_chunk_that_is_there_twice_the_last_counts,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_names_that_lead_elsewhere_are_not_followed,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_damage_of_a_compressed_file_is_lost_and_named,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_a_bomb_takes_no_memory, tarball_reset),
            cmocka_unit_test(test_an_ovf_may_be_anything),
        };

        return cmocka_run_group_tests(tests, make_images, free_images);
}
