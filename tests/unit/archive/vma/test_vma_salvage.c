/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Damaged VMA archives: what can be had of them is had, and every byte that is served is right. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "index/index.h"
#include "tests/fixtures/salvage_model.h"
#include "tests/fixtures/vma_writer.h"

/* ---- junk and overwritten headers ---- */

static void test_sound(void **state)
{
        struct salvage m = salvage_make(1, NULL);

        (void)state;
        salvage_expect_fates(&m, "........");
        salvage_discard(&m);
}

/* A piece of any length between two extents: the one in front might have it inside. */
static void test_junk_between_extents(void **state)
{
        static const size_t lengths[] = {1, 7, 511, 512, 4096, 4608, 300001};

        (void)state;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                struct salvage m = salvage_make(i, NULL);

                salvage_insert(&m, m.extent[3], lengths[i], salvage_junk(lengths[i]));
                salvage_expect_fates(&m, "..?.....");
                assert_true(salvage_has_damage(&m, m.extent[3], "no extent header"));
                assert_true(salvage_has_damage(&m, m.extent[2], "displaced"));
                salvage_discard(&m);
        }
}

static void test_junk_in_front_of_the_first_extent(void **state)
{
        struct salvage m = salvage_make(2, NULL);

        (void)state;
        salvage_insert(&m, m.extent[0], 12345, salvage_junk(12345));
        salvage_open(&m);
        assert_int_equal(salvage_check(&m), 0);
        assert_true(salvage_has_damage(&m, m.extent[0], "no extent header"));
        salvage_discard(&m);
}

/* What a tape or a block device holds after an archive that is whole says nothing of it. */
static void test_junk_after_a_whole_archive(void **state)
{
        static const size_t lengths[] = {1, 511, 512, 5000, 300001};
        static const uint8_t zeros[300001];

        (void)state;
        for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
                struct salvage m = salvage_make(3 + i, NULL);
                size_t n = lengths[i / 2];

                salvage_insert(&m, m.extent[EXTENTS], n, i % 2 ? zeros : salvage_junk(n));
                salvage_expect_fates(&m, "........");
                assert_int_equal(index_damage_count(m.index), 0);
                assert_non_null(strstr(index_info(m.index)->note, "something follows"));
                salvage_discard(&m);
        }
}

/* A header that follows proves that something has got in between. */
static void test_junk_and_an_extent_again(void **state)
{
        struct salvage m = salvage_make(30, NULL);
        size_t n = (size_t)(m.len - m.extent[EXTENTS - 1]);
        uint8_t *last = malloc(n);

        (void)state;
        assert_non_null(last);
        memcpy(last, m.bytes + m.extent[EXTENTS - 1], n);
        salvage_insert(&m, m.extent[EXTENTS], 5000, salvage_junk(5000));
        salvage_insert(&m, m.extent[EXTENTS] + 5000, n, last);
        salvage_expect_fates(&m, ".......x");
        assert_true(salvage_has_damage(&m, m.extent[EXTENTS - 1], "displaced"));
        free(last);
        salvage_discard(&m);
}

/* Where clusters are missing, the rest may be what is left of them, and moved. */
static void test_junk_after_an_archive_that_is_not_whole(void **state)
{
        struct salvage m = salvage_make(31, NULL);

        (void)state;
        salvage_cut_out(&m, m.extent[6], m.extent[7] - m.extent[6]);
        salvage_insert(&m, m.len, 5000, salvage_junk(5000));
        salvage_expect_fates(&m, "......x?");
        salvage_discard(&m);
}

/* Part of the header is still there: so the blocks before it are where they should be. */
static void test_flipped_bits_of_headers(void **state)
{
        (void)state;
        for (unsigned at = 0; at < HEADER; at += 5) {
                struct salvage m = salvage_make(at, NULL);

                m.bytes[m.extent[4] + at] ^= (uint8_t)(1 << at % 8);
                salvage_expect_fates(&m, "....x...");
                assert_true(salvage_has_damage(&m, m.extent[4], "extent header"));
                salvage_discard(&m);
        }
}

static void test_overwritten_header(void **state)
{
        struct salvage m = salvage_make(4, NULL);

        (void)state;
        salvage_wipe(&m, m.extent[4], HEADER);
        salvage_expect_fates(&m, "...?x...");
        salvage_discard(&m);
}

static void test_overwritten_headers(void **state)
{
        struct salvage m = salvage_make(5, NULL);

        (void)state;
        salvage_overwrite(&m, m.extent[1], HEADER, salvage_junk(HEADER));
        salvage_overwrite(&m, m.extent[2], HEADER, salvage_junk(HEADER));
        salvage_wipe(&m, m.extent[7], HEADER);
        salvage_expect_fates(&m, "?xx...?x");
        salvage_discard(&m);
}

static void test_all_headers_overwritten(void **state)
{
        struct salvage m = salvage_make(6, NULL);

        (void)state;
        for (unsigned e = 0; e < EXTENTS; e++)
                salvage_wipe(&m, m.extent[e], HEADER);
        salvage_expect_fates(&m, "xxxxxxxx");
        salvage_discard(&m);
}

/* ---- missing pieces ---- */

static void check_missing(uint64_t seed, unsigned extent, uint64_t offset, size_t n,
                          const char *fates)
{
        struct salvage m = salvage_make(seed, NULL);

        salvage_cut_out(&m, m.extent[extent] + offset, n);
        salvage_expect_fates(&m, fates);
        salvage_discard(&m);
}

static void test_missing_inside_data(void **state)
{
        (void)state;
        check_missing(1, 2, HEADER, 4096, "..?.....");
        check_missing(2, 2, HEADER + 8192, 8192, "..?.....");
        check_missing(3, 2, HEADER + 1000, 512, "..?.....");
        check_missing(4, 2, HEADER + 1000, 1, "..?.....");
        check_missing(5, 2, HEADER + 4097, 5003, "..?.....");
}

static void test_missing_header(void **state)
{
        (void)state;
        check_missing(6, 3, 0, 512, "..?x....");
        check_missing(7, 3, 100, 1, "...x....");
        check_missing(8, 3, 1, 511, "..?x....");
}

/* Whole blocks, and a header among them: what is left looks like an overwritten header. */
static void test_missing_across_a_header(void **state)
{
        struct salvage m = salvage_make(9, NULL);

        (void)state;
        salvage_cut_out(&m, m.extent[3] - 2048, 4096);
        salvage_expect_fates(&m, "..?x....");
        salvage_discard(&m);
        m = salvage_make(10, NULL);
        salvage_cut_out(&m, m.extent[3] - 12345, 20001);
        salvage_expect_fates(&m, "..?x....");
        salvage_discard(&m);
        m = salvage_make(11, NULL);
        salvage_cut_out(&m, m.extent[3] - 4096, m.extent[5] - m.extent[3] + 8192);
        salvage_expect_fates(&m, "..?xxx..");
        salvage_discard(&m);
}

static void test_missing_extents(void **state)
{
        struct salvage m = salvage_make(12, NULL);

        (void)state;
        salvage_cut_out(&m, m.extent[3], m.extent[5] - m.extent[3]);
        salvage_expect_fates(&m, "...xx...");
        salvage_discard(&m);
}

/* The end comes before the extent's own, but another header comes before that. */
static void test_missing_from_the_last_extent_but_one(void **state)
{
        struct salvage m = salvage_make(13, NULL);
        size_t n;

        (void)state;
        /* One whose last extent is smaller than what is going to be missing. */
        for (uint64_t seed = 14; m.len - m.extent[7] + 5 * BLOCK >= m.extent[7] - m.extent[6];
             seed++) {
                salvage_discard(&m);
                m = salvage_make(seed, NULL);
        }
        n = (size_t)(m.extent[7] - m.extent[6]) - HEADER - 100;
        assert_true(m.len - m.extent[7] < n);
        salvage_cut_out(&m, m.extent[6] + HEADER + 50, n);
        salvage_expect_fates(&m, "......?.");
        assert_true(salvage_has_damage(&m, m.extent[6], "displaced"));
        salvage_discard(&m);
}

static void test_missing_tail(void **state)
{
        struct salvage m = salvage_make(14, NULL);

        (void)state;
        m.len = m.extent[5] + HEADER + 5 * BLOCK + 100;
        salvage_open(&m);
        salvage_check(&m);
        for (unsigned e = 0; e < 5; e++)
                salvage_expect_whole(&m, e);
        for (size_t i = 0; i < BLOCKS; i++)
                if (m.block_at[i])
                        assert_int_equal(m.lost[i], m.block_at[i] + BLOCK > m.len);
        salvage_discard(&m);
}

/* ---- archives inside of the guest ---- */

/* A cluster that holds the beginning of an archive of its own, with data. */
static const uint8_t *nested_archive(const uint8_t id[16])
{
        static uint8_t cluster[CLUSTER], data[CLUSTER];
        int fd = memfd_create("nested", MFD_CLOEXEC);
        struct vma_writer *w;

        memset(data, 0x5a, sizeof data);
        memset(cluster, 0x11, sizeof cluster);
        assert_int_equal(vma_writer_open(fd, id, 1, &w), 0);
        assert_int_equal(vma_writer_device(w, 1, "a", (uint64_t)CLUSTERS * CLUSTER), 0);
        assert_int_equal(vma_writer_header(w, NULL), 0);
        assert_int_equal(vma_writer_cluster(w, 1, 9, 0x00ff, data), 0);
        assert_int_equal(vma_writer_flush(w), 0);
        assert_int_equal(vma_writer_cluster(w, 1, 10, 0, data), 0);
        assert_int_equal(vma_writer_close(w), 0);
        assert_int_equal(pread(fd, cluster + 77, CLUSTER - 77, 0), 12288 + 512 * 3 + 8 * BLOCK);
        close(fd);
        return cluster;
}

/* The extent with cluster C. */
static unsigned extent_of(const struct salvage *m, uint32_t c)
{
        unsigned i = 0;

        while (m->order[i] != c)
                i++;
        return i / SLOTS;
}

static void test_foreign_archive_in_guest_data(void **state)
{
        static const uint8_t other[16] = {1, 2, 3, 4, 5, 6, 0x47, 8, 9, 10, 11, 12, 13, 14, 15, 16};
        struct salvage m = salvage_make(15, nested_archive(other));
        char fates[] = "........";
        unsigned e = extent_of(&m, 0);

        (void)state;
        /* The search goes through the guest's data. */
        salvage_wipe(&m, m.extent[e], HEADER);
        fates[e] = 'x';
        if (e > 0)
                fates[e - 1] = '?';
        salvage_expect_fates(&m, fates);
        salvage_discard(&m);
}

/* What the inner one says is in the archive twice, with another content: nobody's to choose. */
static void test_own_archive_in_guest_data(void **state)
{
        struct salvage m = salvage_make(16, nested_archive(salvage_uuid));
        unsigned e = extent_of(&m, 0);

        (void)state;
        salvage_wipe(&m, m.extent[e], HEADER);
        assert_true(extent_of(&m, 9) != e && extent_of(&m, 10) != e);
        salvage_open(&m);
        salvage_check(&m);
        for (unsigned i = 0; i < 16; i++)
                assert_true(m.lost[9 * 16 + i] && m.lost[10 * 16 + i]);
        salvage_discard(&m);
}

/* As long as the outer chain holds, nobody looks inside. */
static void test_own_archive_in_guest_data_of_a_sound_one(void **state)
{
        struct salvage m = salvage_make(17, nested_archive(salvage_uuid));

        (void)state;
        salvage_expect_fates(&m, "........");
        salvage_discard(&m);
}

static void test_extent_stored_again(void **state)
{
        struct salvage m = salvage_make(18, NULL);
        size_t n = (size_t)(m.extent[3] - m.extent[2]);
        uint8_t *copy = malloc(n);

        (void)state;
        memcpy(copy, m.bytes + m.extent[2], n);
        copy[HEADER + 1] ^= 1;
        salvage_insert(&m, m.extent[6], n, copy);
        salvage_expect_fates(&m, "..x.....");
        free(copy);
        salvage_discard(&m);
}

/* ---- a medium that fails ---- */

struct bad_source {
        struct source base;
        const struct salvage *m;
        uint64_t bad_from, bad_to;
};

static ssize_t bad_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct bad_source *b = (const struct bad_source *)s;

        if (offset < b->bad_to && offset + len > b->bad_from)
                return -EIO;
        memcpy(buf, b->m->bytes + offset, len);
        return (ssize_t)len;
}

static const struct source_ops bad_ops = {.name = "bad", .pread = bad_pread};

/* Counts how often each cluster is said to be somewhere. */
static int count_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                         uint64_t origin)
{
        unsigned *seen = ctx;

        (void)disk;
        (void)origin;
        for (size_t i = 0; i < n; i++)
                for (uint64_t at = 0; at < extents[i].len; at += BLOCK)
                        seen[(extents[i].start + at) / BLOCK] += extents[i].addr != EXTENT_LOST;
        return 0;
}

static int ignore_entry(void *ctx, const struct entry *entry)
{
        (void)ctx;
        (void)entry;
        return 0;
}

static int ignore_damage(void *ctx, const struct damage *damage)
{
        (void)ctx;
        (void)damage;
        return 0;
}

static int ignore_progress(void *ctx, uint64_t done)
{
        (void)ctx;
        (void)done;
        return 0;
}

/* Sectors from FROM to TO cannot be read; the extents FIRST to LAST have lost their header. */
static void check_bad_sectors(const struct salvage *m, uint64_t from, uint64_t to, unsigned first,
                              unsigned last)
{
        struct bad_source source = {.m = m, .bad_from = from, .bad_to = to};
        unsigned seen[BLOCKS] = {0};
        struct archive_sink sink = {.ctx = seen,
                                    .entry = ignore_entry,
                                    .extents = count_extents,
                                    .damage = ignore_damage,
                                    .progress = ignore_progress};
        struct archive *a;
        struct error err = {0};

        source.base.ops = &bad_ops;
        source.base.size = m->len;
        assert_int_equal(
            archive_open(&source.base, &(struct archive_origin){.name = "a.vma"}, &sink, &a, &err),
            0);
        assert_int_equal(a->ops->scan(a, &sink, &err), 0);
        for (unsigned i = 0; i < CLUSTERS; i++) {
                bool lost = i / SLOTS >= first && i / SLOTS <= last;

                for (unsigned b = 0; b < 16; b++)
                        assert_int_equal(seen[m->order[i] * 16 + b], lost ? 0 : 1);
        }
        archive_close(a);
}

static void test_unreadable_sectors(void **state)
{
        struct salvage m = salvage_make(19, NULL);
        uint64_t page = m.extent[3] / BLOCK * BLOCK;

        (void)state;
        /* A bad sector moves nothing: what is before it is to be believed. */
        check_bad_sectors(&m, m.extent[3], m.extent[3] + HEADER, 3, 3);
        check_bad_sectors(&m, page, page + BLOCK, 3, 3);
        check_bad_sectors(&m, page, m.extent[5] + 5, 3, 5);
        check_bad_sectors(&m, page, m.len, 3, EXTENTS - 1);
        /* Nor does one inside of the data concern the map: reading it fails. */
        check_bad_sectors(&m, m.extent[3] + 5000, m.extent[3] + 6000, EXTENTS, EXTENTS);
        salvage_discard(&m);
}

/* ---- at random ---- */

/* N bytes at AT of the archive as it is are changed: note it if they are still where they were. */
static void touch(struct salvage *m, uint64_t at, size_t n, uint64_t moved_from)
{
        if (at + n <= moved_from)
                memset(m->touched + at, 1, n);
}

/* Damage M in one to four places, none of them the archive's own header. */
static void damage_at_random(struct salvage *m, uint64_t *random)
{
        size_t times = 1 + salvage_below(random, 4);
        uint64_t end = m->extent[EXTENTS - 1]; /* nothing is cut out of the last extent */
        uint64_t at[4], swap;

        for (size_t i = 0; i < times; i++)
                at[i] = m->extent[0] + salvage_below(random, end - m->extent[0]);
        /* From the back, so that what is before a place is where it was. */
        for (size_t i = 0; i < times; i++)
                for (size_t j = i + 1; j < times; j++)
                        if (at[j] > at[i]) {
                                swap = at[i];
                                at[i] = at[j];
                                at[j] = swap;
                        }
        for (size_t i = 0; i < times; i++) {
                uint64_t limit = i > 0 ? at[i - 1] : end;
                size_t n =
                    (size_t)(1 + salvage_below(random, salvage_below(random, 2) ? 100 : 200000));

                n = salvage_below(random, 3) ? n : (n / 512 + 1) * 512;
                n = (size_t)min_u64(n, limit - at[i]);
                switch (n ? salvage_below(random, 4) : 4) {
                case 0:
                        m->bytes[at[i]] ^= (uint8_t)(1 + salvage_below(random, 255));
                        touch(m, at[i], 1, limit);
                        break;
                case 1:
                        salvage_insert(m, at[i], n, salvage_junk(n));
                        break;
                case 2:
                        salvage_cut_out(m, at[i], n);
                        break;
                case 3:
                        salvage_overwrite(m, at[i], n, salvage_junk(n));
                        touch(m, at[i], n, limit);
                        break;
                default:
                        break;
                }
        }
}

static void test_random_damage(void **state)
{
        size_t lost = 0, seeds = 1500;

        (void)state;
        for (uint64_t seed = 0; seed < seeds; seed++) {
                uint64_t random = seed * 7919 + 1;
                struct salvage m = salvage_make(seed, NULL);

                damage_at_random(&m, &random);
                if (seed % 500 == 0)
                        print_message("seed %zu\n", (size_t)seed);
                salvage_open(&m);
                lost += salvage_check(&m);
                salvage_discard(&m);
        }
        /* Four places at most cost eight extents' worth, and usually much less. */
        assert_true(lost < seeds * BLOCKS / 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_sound),
            cmocka_unit_test(test_junk_between_extents),
            cmocka_unit_test(test_junk_in_front_of_the_first_extent),
            cmocka_unit_test(test_junk_after_a_whole_archive),
            cmocka_unit_test(test_junk_and_an_extent_again),
            cmocka_unit_test(test_junk_after_an_archive_that_is_not_whole),
            cmocka_unit_test(test_flipped_bits_of_headers),
            cmocka_unit_test(test_overwritten_header),
            cmocka_unit_test(test_overwritten_headers),
            cmocka_unit_test(test_all_headers_overwritten),
            cmocka_unit_test(test_missing_inside_data),
            cmocka_unit_test(test_missing_header),
            cmocka_unit_test(test_missing_across_a_header),
            cmocka_unit_test(test_missing_extents),
            cmocka_unit_test(test_missing_from_the_last_extent_but_one),
            cmocka_unit_test(test_missing_tail),
            cmocka_unit_test(test_foreign_archive_in_guest_data),
            cmocka_unit_test(test_own_archive_in_guest_data),
            cmocka_unit_test(test_own_archive_in_guest_data_of_a_sound_one),
            cmocka_unit_test(test_extent_stored_again),
            cmocka_unit_test(test_unreadable_sectors),
            cmocka_unit_test(test_random_damage),
        };

        return cmocka_run_group_tests_name("vma_salvage", tests, NULL, NULL);
}
