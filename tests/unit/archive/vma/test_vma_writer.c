/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixture writer against genuine archives, and against a decoder that shares nothing with
 * the program's reader but bytes.h: the other tests stand on what this writer writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "tests/fixtures/vma_writer.h"

#define TINY "tests/data/good/tiny.vma"

static const uint8_t uuid[16] = "a fixture's uuid";

/* An archive under construction, in a file without a name. */
struct archive {
        struct vma_writer *w;
        int fd;
};

/* A file's bytes. */
struct image {
        uint8_t *bytes;
        size_t len;
};

static void archive_init(struct archive *a)
{
        char path[] = "/tmp/vma-writer-XXXXXX";

        a->fd = mkstemp(path);
        assert_true(a->fd >= 0);
        unlink(path);
        assert_int_equal(vma_writer_open(a->fd, uuid, 1700000000, &a->w), 0);
}

static void read_image(int fd, struct image *out)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        out->len = (size_t)st.st_size;
        out->bytes = malloc(out->len + 1);
        assert_non_null(out->bytes);
        assert_int_equal(pread(fd, out->bytes, out->len, 0), out->len);
}

/* Close the writer and take what it wrote. */
static void archive_finish(struct archive *a, struct image *out)
{
        assert_int_equal(vma_writer_close(a->w), 0);
        read_image(a->fd, out);
        close(a->fd);
}

static void image_fini(struct image *m)
{
        free(m->bytes);
}

static bool md5_holds(const uint8_t *bytes, size_t len, size_t field)
{
        cleanup_free uint8_t *copy = malloc(len);
        uint8_t md5[16];

        assert_non_null(copy);
        memcpy(copy, bytes, len);
        memset(copy + field, 0, sizeof md5);
        assert_true(EVP_Digest(copy, len, md5, NULL, EVP_md5(), NULL));
        return memcmp(md5, bytes + field, sizeof md5) == 0;
}

static size_t header_size(const struct image *m)
{
        return load_be32(m->bytes + 56);
}

/* The blob at OFFSET of the buffer; *LEN its length. */
static const uint8_t *blob(const struct image *m, uint32_t offset, size_t *len)
{
        const uint8_t *p = m->bytes + load_be32(m->bytes + 48) + offset;

        assert_in_range(offset, 1, load_be32(m->bytes + 52) - 2);
        *len = load_le16(p);
        return p + 2;
}

/* Say to W all that the header of M says, in the order in which its blobs stand. */
static void repeat_header(struct vma_writer *w, const struct image *m)
{
        size_t len = 0;

        assert_memory_equal(m->bytes, "VMA\0\0\0\0\1", 8);
        assert_true(md5_holds(m->bytes, header_size(m), 32));
        for (size_t i = 0; i < 256; i++) {
                uint32_t name_at = load_be32(m->bytes + 2044 + 4 * i);
                uint32_t data_at = load_be32(m->bytes + 3068 + 4 * i);
                const uint8_t *name;
                const uint8_t *data;

                if (name_at == 0)
                        continue;
                name = blob(m, name_at, &len);
                assert_int_equal(name[len - 1], 0);
                data = blob(m, data_at, &len);
                assert_int_equal(vma_writer_config(w, (const char *)name, data, len), 0);
        }
        for (size_t i = 0; i < 256; i++) {
                const uint8_t *dev = m->bytes + 4096 + 32 * i;

                if (load_be32(dev) != 0)
                        assert_int_equal(
                            vma_writer_device(w, (uint8_t)i,
                                              (const char *)blob(m, load_be32(dev), &len),
                                              load_be64(dev + 8)),
                            0);
        }
        assert_int_equal(vma_writer_header(w, NULL), 0);
}

static void spread_blocks(uint16_t mask, const uint8_t *stored, uint8_t *cluster)
{
        for (unsigned i = 0; i < 16; i++) {
                if (!(mask >> i & 1))
                        continue;
                memcpy(cluster + i * 4096, stored, 4096);
                stored += 4096;
        }
}

/* Say to W what the extent at P says. Returns where the next one begins. */
static const uint8_t *repeat_extent(struct vma_writer *w, const struct image *m, const uint8_t *p)
{
        static uint8_t cluster[65536];
        const uint8_t *data = p + 512;
        unsigned count = load_be16(p + 6);

        assert_memory_equal(p, "VMAE\0\0", 6);
        assert_memory_equal(p + 8, m->bytes + 8, 16);
        assert_true(md5_holds(p, 512, 24));
        for (unsigned i = 0; i < 59; i++) {
                uint64_t word = load_be64(p + 40 + 8 * i);
                uint16_t mask = (uint16_t)(word >> 48);

                if (word == 0)
                        continue;
                spread_blocks(mask, data, cluster);
                data += (size_t)__builtin_popcount(mask) * 4096;
                assert_int_equal(
                    vma_writer_cluster(w, (uint8_t)(word >> 32), (uint32_t)word, mask, cluster), 0);
        }
        assert_int_equal(data - p, 512 + count * 4096);
        return data;
}

/* Take the archive PATH apart, write it again, and expect the same bytes. */
static void expect_same_again(const char *path)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct archive a;
        struct image genuine;
        struct image again;
        const uint8_t *p;

        assert_true(fd >= 0);
        read_image(fd, &genuine);
        archive_init(&a);
        vma_writer_close(a.w);
        assert_int_equal(
            vma_writer_open(a.fd, genuine.bytes + 8, (int64_t)load_be64(genuine.bytes + 24), &a.w),
            0);
        repeat_header(a.w, &genuine);
        p = genuine.bytes + header_size(&genuine);
        while (p < genuine.bytes + genuine.len) {
                p = repeat_extent(a.w, &genuine, p);
                /* Full ones are flushed already. */
                if (vma_writer_offset(a.w) < (uint64_t)(p - genuine.bytes))
                        assert_int_equal(vma_writer_flush(a.w), 0);
        }
        archive_finish(&a, &again);
        assert_int_equal(again.len, genuine.len);
        assert_memory_equal(again.bytes, genuine.bytes, genuine.len);
        image_fini(&again);
        image_fini(&genuine);
}

static void writes_a_genuine_archive_again_byte_for_byte(void **state)
{
        (void)state;
        expect_same_again(TINY);
}

/* Several extents, two devices, two configurations: more than may lie in the tree. */
static void writes_larger_genuine_archives_again(void **state)
{
        const char *dir = getenv("VMAFS_REFERENCE");
        char path[4096];

        (void)state;
        if (!dir)
                dir = "../shared/reference";
        snprintf(path, sizeof path, "%s/small.vma", dir);
        if (access(path, R_OK) < 0) {
                print_message("no reference archives in %s\n", dir);
                skip();
        }
        expect_same_again(path);
        snprintf(path, sizeof path, "%s/small.ooo.vma", dir);
        expect_same_again(path);
}

static void numbers_blobs_from_byte_one(void **state)
{
        struct archive a;
        struct image m;
        size_t len = 0;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_config(a.w, "x.conf", "abc", 3), 0);
        assert_int_equal(vma_writer_config(a.w, "empty", NULL, 0), 0);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        archive_finish(&a, &m);
        assert_int_equal(load_be32(m.bytes + 2044), 1);
        assert_memory_equal(blob(&m, 1, &len), "x.conf", 7);
        assert_int_equal(len, 7);
        assert_memory_equal(blob(&m, load_be32(m.bytes + 3068), &len), "abc", 3);
        assert_int_equal(len, 3);
        blob(&m, load_be32(m.bytes + 3072), &len);
        assert_int_equal(len, 0);
        image_fini(&m);
}

static void takes_blobs_of_two_bytes_length_and_no_more(void **state)
{
        cleanup_free char *large = calloc(1, 65536);
        struct archive a;
        struct image m;
        uint32_t at;
        size_t len = 0;

        (void)state;
        assert_non_null(large);
        archive_init(&a);
        assert_int_equal(vma_writer_blob(a.w, large, 65536, &at), -EINVAL);
        assert_int_equal(vma_writer_config(a.w, "large", large, 65535), 0);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        archive_finish(&a, &m);
        blob(&m, load_be32(m.bytes + 3068), &len);
        assert_int_equal(len, 65535);
        image_fini(&m);
}

static void keeps_to_256_configurations(void **state)
{
        struct archive a;

        (void)state;
        archive_init(&a);
        for (int i = 0; i < 256; i++)
                assert_int_equal(vma_writer_config(a.w, "name", "", 0), 0);
        assert_int_equal(vma_writer_config(a.w, "name", "", 0), -EINVAL);
        vma_writer_close(a.w);
        close(a.fd);
}

static void expect_header_size(uint32_t size)
{
        const struct vma_header_options opt = {.header_size = size};
        struct archive a;
        struct image m;

        archive_init(&a);
        assert_int_equal(vma_writer_config(a.w, "a", "b", 1), 0);
        assert_int_equal(vma_writer_header(a.w, &opt), 0);
        assert_int_equal(vma_writer_flush(a.w), 0);
        archive_finish(&a, &m);
        assert_int_equal(header_size(&m), size);
        assert_true(md5_holds(m.bytes, size, 32));
        assert_int_equal(m.len, size + 512);
        assert_memory_equal(m.bytes + size, "VMAE", 4);
        image_fini(&m);
}

static void writes_a_header_of_odd_size(void **state)
{
        (void)state;
        expect_header_size(12301);
}

static void writes_a_header_of_two_mebibytes(void **state)
{
        (void)state;
        expect_header_size(2 << 20);
}

static void refuses_a_header_too_small_for_its_blobs(void **state)
{
        const struct vma_header_options opt = {.header_size = 12292};
        struct archive a;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_config(a.w, "a", "b", 1), 0);
        assert_int_equal(vma_writer_header(a.w, &opt), -EINVAL);
        vma_writer_close(a.w);
        close(a.fd);
}

static void set_version_nine(void *ctx, uint8_t *header, size_t size)
{
        *(size_t *)ctx = size;
        header[7] = 9;
}

static void vouches_for_an_edited_header(void **state)
{
        size_t seen = 0;
        const struct vma_header_options opt = {.edit = set_version_nine, .edit_ctx = &seen};
        struct archive a;
        struct image m;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, &opt), 0);
        archive_finish(&a, &m);
        assert_int_equal(seen, 12800);
        assert_int_equal(load_be32(m.bytes + 4), 9);
        assert_true(md5_holds(m.bytes, header_size(&m), 32));
        image_fini(&m);
}

static void writes_a_header_with_a_wrong_md5(void **state)
{
        const struct vma_header_options opt = {.wrong_md5 = true};
        struct archive a;
        struct image m;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, &opt), 0);
        archive_finish(&a, &m);
        assert_false(md5_holds(m.bytes, header_size(&m), 32));
        image_fini(&m);
}

static void keeps_header_and_extents_in_turn(void **state)
{
        struct archive a;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_flush(a.w), -EINVAL);
        assert_int_equal(vma_writer_cluster(a.w, 1, 0, 0, NULL), -EINVAL);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        assert_int_equal(vma_writer_header(a.w, NULL), -EINVAL);
        assert_int_equal(vma_writer_config(a.w, "a", "", 0), -EINVAL);
        assert_int_equal(vma_writer_device(a.w, 1, "a", 512), -EINVAL);
        vma_writer_close(a.w);
        close(a.fd);
}

static void fills_58_slots_and_up_to_59_when_told(void **state)
{
        struct archive a;
        struct image m;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        for (uint32_t i = 0; i < 58; i++) {
                assert_int_equal(vma_writer_extents(a.w), 0);
                assert_int_equal(vma_writer_cluster(a.w, 1, i, 0, NULL), 0);
        }
        assert_int_equal(vma_writer_extents(a.w), 1);
        assert_int_equal(vma_writer_set_slots(a.w, 60), -EINVAL);
        assert_int_equal(vma_writer_set_slots(a.w, 59), 0);
        for (uint32_t i = 0; i < 59; i++) {
                assert_int_equal(vma_writer_extents(a.w), 1);
                assert_int_equal(vma_writer_cluster(a.w, 1, 58 + i, 0, NULL), 0);
        }
        assert_int_equal(vma_writer_extents(a.w), 2);
        archive_finish(&a, &m);
        assert_int_equal(load_be64(m.bytes + 12800 + 40 + 57 * 8), UINT64_C(1) << 32 | 57);
        assert_int_equal(load_be64(m.bytes + 12800 + 40 + 58 * 8), 0);
        assert_int_equal(load_be64(m.bytes + 13312 + 40 + 58 * 8), UINT64_C(1) << 32 | 116);
        image_fini(&m);
}

static void stores_the_masked_blocks_in_order(void **state)
{
        static uint8_t cluster[VMA_CLUSTER];
        struct archive a;
        struct image m;
        const uint8_t *data;

        (void)state;
        vma_pattern(3, 7, cluster);
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        assert_int_equal(vma_writer_slot(a.w, 0, NULL, 0), 0);
        assert_int_equal(vma_writer_cluster(a.w, 3, 7, 0x8005, cluster), 0);
        archive_finish(&a, &m);
        assert_int_equal(load_be16(m.bytes + 12800 + 6), 3);
        assert_int_equal(load_be64(m.bytes + 12800 + 40), 0);
        assert_int_equal(load_be64(m.bytes + 12800 + 48), UINT64_C(0x8005000300000007));
        data = m.bytes + 12800 + 512;
        assert_memory_equal(data, cluster, 4096);
        assert_memory_equal(data + 4096, cluster + 2 * 4096, 4096);
        assert_memory_equal(data + 8192, cluster + 15 * 4096, 4096);
        assert_int_equal(m.len, 12800 + 512 + 3 * 4096);
        image_fini(&m);
}

static void stores_clusters_without_data_as_holes(void **state)
{
        static uint8_t cluster[VMA_CLUSTER];
        static const uint8_t zeros[VMA_CLUSTER];
        struct archive a;
        struct image m;
        struct stat st;
        const uint8_t *data;

        (void)state;
        vma_pattern(1, 1, cluster);
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        assert_int_equal(vma_writer_cluster(a.w, 1, 0, 0xffff, NULL), 0);
        assert_int_equal(vma_writer_cluster(a.w, 1, 1, 0xffff, cluster), 0);
        for (uint32_t i = 2; i < 58; i++)
                assert_int_equal(vma_writer_cluster(a.w, 1, i, 0xffff, NULL), 0);
        assert_int_equal(fstat(a.fd, &st), 0);
        assert_true(st.st_blocks * 512 < 4 * (off_t)VMA_CLUSTER);
        archive_finish(&a, &m);
        assert_int_equal(m.len, 12800 + 512 + 58 * VMA_CLUSTER);
        data = m.bytes + 12800 + 512;
        assert_memory_equal(data, zeros, VMA_CLUSTER);
        assert_memory_equal(data + VMA_CLUSTER, cluster, VMA_CLUSTER);
        assert_memory_equal(data + 57 * VMA_CLUSTER, zeros, VMA_CLUSTER);
        image_fini(&m);
}

static void writes_empty_extents_and_foreign_bytes(void **state)
{
        struct archive a;
        struct image m;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        assert_int_equal(vma_writer_flush(a.w), 0);
        assert_int_equal(vma_writer_cluster(a.w, 1, 0, 0, NULL), 0);
        assert_int_equal(vma_writer_raw(a.w, "rubbish", 7), 0);
        assert_int_equal(vma_writer_flush(a.w), 0);
        archive_finish(&a, &m);
        assert_int_equal(m.len, 12800 + 3 * 512 + 7);
        assert_int_equal(load_be64(m.bytes + 12800 + 40), 0);
        assert_int_equal(load_be64(m.bytes + 12800 + 512 + 40), UINT64_C(1) << 32);
        assert_memory_equal(m.bytes + 12800 + 1024, "rubbish", 7);
        assert_memory_equal(m.bytes + 12800 + 1024 + 7, "VMAE", 4);
        image_fini(&m);
}

/* An extent with one stored block and DAMAGE, after one that is right. */
static void damaged_extent(unsigned damage, uint8_t out[512])
{
        struct archive a;
        struct image m;

        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        assert_int_equal(vma_writer_flush(a.w), 0);
        vma_writer_damage(a.w, damage);
        assert_int_equal(vma_writer_cluster(a.w, 1, 0, 1, NULL), 0);
        archive_finish(&a, &m);
        assert_true(md5_holds(m.bytes + 12800, 512, 24));
        memcpy(out, m.bytes + 12800 + 512, 512);
        image_fini(&m);
}

/* Nothing but bytes [FROM, TO) and, unless it is what is wrong, the MD5 may differ. */
static void expect_damage(unsigned damage, size_t from, size_t to)
{
        uint8_t right[512];
        uint8_t wrong[512];

        damaged_extent(0, right);
        damaged_extent(damage, wrong);
        assert_int_equal(md5_holds(wrong, 512, 24), !(damage & VMA_WRONG_MD5));
        assert_memory_not_equal(wrong + from, right + from, to - from);
        memcpy(wrong + from, right + from, to - from);
        memcpy(wrong + 24, right + 24, 16);
        assert_memory_equal(wrong, right, 512);
}

static void damages_one_field_at_a_time(void **state)
{
        (void)state;
        expect_damage(VMA_WRONG_MAGIC, 0, 4);
        expect_damage(VMA_WRONG_RESERVED, 4, 6);
        expect_damage(VMA_WRONG_COUNT_MORE, 6, 8);
        expect_damage(VMA_WRONG_COUNT_LESS, 6, 8);
        expect_damage(VMA_WRONG_UUID, 8, 24);
        expect_damage(VMA_WRONG_MD5, 24, 40);
}

static void damages_only_the_open_extent(void **state)
{
        struct archive a;
        struct image m;

        (void)state;
        archive_init(&a);
        assert_int_equal(vma_writer_header(a.w, NULL), 0);
        vma_writer_damage(a.w, VMA_WRONG_MD5);
        assert_int_equal(vma_writer_flush(a.w), 0);
        assert_int_equal(vma_writer_flush(a.w), 0);
        archive_finish(&a, &m);
        assert_false(md5_holds(m.bytes + 12800, 512, 24));
        assert_true(md5_holds(m.bytes + 12800 + 512, 512, 24));
        image_fini(&m);
}

static void reports_what_cannot_be_written(void **state)
{
        cleanup_close int fd = open(TINY, O_RDONLY | O_CLOEXEC);
        struct vma_writer *w;

        (void)state;
        assert_int_equal(vma_writer_open(fd, uuid, 0, &w), 0);
        assert_int_equal(vma_writer_header(w, NULL), -EBADF);
        assert_int_equal(vma_writer_close(w), 0);
}

static void finds_the_blocks_that_are_not_zero(void **state)
{
        static uint8_t cluster[VMA_CLUSTER];

        (void)state;
        assert_int_equal(vma_nonzero_mask(cluster), 0);
        cluster[4095] = 1;
        cluster[15 * 4096] = 1;
        assert_int_equal(vma_nonzero_mask(cluster), 0x8001);
}

static void patterns_tell_blocks_clusters_and_devices_apart(void **state)
{
        static uint8_t a[VMA_CLUSTER];
        static uint8_t b[VMA_CLUSTER];

        (void)state;
        vma_pattern(1, 0, a);
        assert_int_equal(vma_nonzero_mask(a), 0xffff);
        assert_memory_not_equal(a, a + 4096, 4096);
        vma_pattern(1, 1, b);
        assert_memory_not_equal(a, b, 4096);
        vma_pattern(2, 0, b);
        assert_memory_not_equal(a, b, 4096);
        vma_pattern(1, 0, b);
        assert_memory_equal(a, b, VMA_CLUSTER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(writes_a_genuine_archive_again_byte_for_byte),
            cmocka_unit_test(writes_larger_genuine_archives_again),
            cmocka_unit_test(numbers_blobs_from_byte_one),
            cmocka_unit_test(takes_blobs_of_two_bytes_length_and_no_more),
            cmocka_unit_test(keeps_to_256_configurations),
            cmocka_unit_test(writes_a_header_of_odd_size),
            cmocka_unit_test(writes_a_header_of_two_mebibytes),
            cmocka_unit_test(refuses_a_header_too_small_for_its_blobs),
            cmocka_unit_test(vouches_for_an_edited_header),
            cmocka_unit_test(writes_a_header_with_a_wrong_md5),
            cmocka_unit_test(keeps_header_and_extents_in_turn),
            cmocka_unit_test(fills_58_slots_and_up_to_59_when_told),
            cmocka_unit_test(stores_the_masked_blocks_in_order),
            cmocka_unit_test(stores_clusters_without_data_as_holes),
            cmocka_unit_test(writes_empty_extents_and_foreign_bytes),
            cmocka_unit_test(damages_one_field_at_a_time),
            cmocka_unit_test(damages_only_the_open_extent),
            cmocka_unit_test(reports_what_cannot_be_written),
            cmocka_unit_test(finds_the_blocks_that_are_not_zero),
            cmocka_unit_test(patterns_tell_blocks_clusters_and_devices_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
