/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A map that is filled from a kept index span by span, as it is asked for. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "index/index_internal.h"
#include "index/sidecar/stored_map.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { CLUSTER = 65536, BLOCK = MAP_BLOCK };

#define GIB   (UINT64_C(1) << 30)
#define LIMIT (UINT64_C(1) << 44)

/* The file of a sidecar that has nothing but one disk's extents in it. */
struct memory {
        struct source base;
        char *extents;
        size_t len;
        atomic_int error; /* what a read gives */
};

struct stored_disk {
        struct extent_map *truth;
        struct memory file;
        char *tables;
        size_t tables_len;
        struct stored_map *stored_map;
        struct extent_map *map; /* filled from stored_map */
};

static ssize_t memory_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct memory *m = (struct memory *)s;
        size_t n = offset < m->len ? min_u64(len, m->len - offset) : 0;

        if (m->error)
                return m->error;
        memcpy(buf, m->extents + min_u64(offset, m->len), n);
        return (ssize_t)n;
}

static const struct source_ops memory_ops = {.name = "memory", .pread = memory_pread};

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static void add(struct extent_map *m, uint64_t start, uint64_t len, uint64_t addr)
{
        struct extent e = {start, len, addr};
        struct map_twice twice;

        assert_int_equal(map_add(m, &e, 1, &twice), 1);
        assert_int_equal(twice.len, 0);
}

/* Clusters in runs that are dense, ragged, shuffled or zeros, 4 MiB by 4 MiB. */
static void add_mixture(struct extent_map *m, uint64_t size, enum map_gap gap)
{
        uint64_t seed = 88172645463325252u, addr = 12800;

        for (uint64_t at = 0; at < size; at += CLUSTER) {
                uint64_t kind = (at >> 22) * 2654435761u >> 16 & 3;
                uint64_t mask = kind == 0 ? 0xffff : kind == 1 ? next_random(&seed) & 0xffff : 0;

                if (kind == 2)
                        addr = next_random(&seed) % (LIMIT / 2) & ~UINT64_C(511);
                if (kind == 2)
                        mask = 0xffff;
                for (uint64_t i = 0; i < 16 && at + i * BLOCK < size; i++) {
                        uint64_t len = min_u64(BLOCK, size - at - i * BLOCK);

                        if (mask >> i & 1) {
                                add(m, at + i * BLOCK, len, addr);
                                addr += BLOCK;
                        } else if (gap == MAP_GAP_LOST) {
                                add(m, at + i * BLOCK, len, EXTENT_ZERO);
                        }
                }
        }
}

static void load(struct stored_disk *k)
{
        const uint8_t *at = (const uint8_t *)k->tables, *end = at + k->tables_len;

        assert_int_equal(stored_map_load(&k->file.base, k->file.len, &at, end, &k->stored_map), 0);
        assert_ptr_equal(at, end);
}

static int check(const struct stored_map *kept)
{
        void *window = malloc(STORED_MAP_WINDOW);
        int rc = stored_map_check(kept, window);

        free(window);
        return rc;
}

/* Write what TRUTH says, and take it up again. */
static void keep(struct stored_disk *k, struct extent_map *take_truth, enum map_gap gap)
{
        FILE *tables;

        *k = (struct stored_disk){.truth = take_truth, .file.base.ops = &memory_ops};
        map_seal(k->truth);
        tables = open_memstream(&k->tables, &k->tables_len);
        assert_int_equal(stored_map_write(k->truth, 0, tables, &k->file.extents, &k->file.len), 0);
        assert_int_equal(fclose(tables), 0);
        k->file.base.size = k->file.len;
        load(k);
        assert_int_equal(map_new(map_size(k->truth), gap, &k->map), 0);
        assert_int_equal(check(k->stored_map), 0);
        assert_int_equal(stored_map_size(k->stored_map), map_size(k->truth));
        assert_int_equal(stored_map_attach(k->stored_map, k->map, LIMIT), 0);
        map_seal(k->map);
}

static void keep_mixture(struct stored_disk *k, uint64_t size, enum map_gap gap)
{
        struct extent_map *m;

        assert_int_equal(map_new(size, gap, &m), 0);
        add_mixture(m, size, gap);
        keep(k, m, gap);
}

static void drop(struct stored_disk *k)
{
        stored_map_free(k->stored_map);
        map_free(k->map);
        map_free(k->truth);
        free(k->tables);
        free(k->file.extents);
}

/* As the volume of a map does it. */
static int find(struct stored_disk *k, uint64_t pos, struct extent *e)
{
        int rc;

        map_find(k->map, pos, e);
        if (e->addr != MAP_UNLOADED)
                return 0;
        rc = stored_map_fill(k->stored_map, pos);
        map_find(k->map, pos, e);
        return rc;
}

static uint64_t addr_at(const struct extent *e, uint64_t pos)
{
        return e->addr <= EXTENT_ADDR_MAX ? e->addr + (pos - e->start) : e->addr;
}

/* Does the map say of the block at POS what the truth says? */
static bool is_true(struct stored_disk *k, uint64_t pos)
{
        struct extent a, b;

        map_find(k->truth, pos, &a);
        return find(k, pos, &b) == 0 && addr_at(&a, pos) == addr_at(&b, pos);
}

static void check_all(struct stored_disk *k)
{
        for (uint64_t pos = 0; pos < map_size(k->truth); pos += BLOCK)
                assert_true(is_true(k, pos));
        assert_int_equal(map_totals(k->map).stored, map_totals(k->truth).stored);
        assert_int_equal(map_totals(k->map).lost, 0);
}

static void round_trip(uint64_t size, enum map_gap gap)
{
        struct stored_disk k;

        keep_mixture(&k, size, gap);
        assert_int_equal(stored_map_stored(k.stored_map), map_totals(k.truth).stored);
        assert_int_equal(map_totals(k.map).stored, 0);
        check_all(&k);
        drop(&k);
}

static void test_dense_disk(void **state)
{
        (void)state;
        round_trip(3 * MAP_SPAN, MAP_GAP_LOST);
        round_trip(2 * MAP_SPAN + 5 * CLUSTER + 3 * BLOCK + 512, MAP_GAP_LOST);
        round_trip(512, MAP_GAP_LOST);
}

static void test_sparse_disk(void **state)
{
        (void)state;
        round_trip(3 * MAP_SPAN, MAP_GAP_ZERO);
        round_trip(MAP_SPAN + 512, MAP_GAP_ZERO);
}

static void test_no_disk_at_all(void **state)
{
        struct stored_disk k;
        (void)state;

        keep_mixture(&k, 0, MAP_GAP_LOST);
        assert_int_equal(k.file.len, 0);
        assert_int_equal(stored_map_stored(k.stored_map), 0);
        drop(&k);
}

/* A disk that its archive answers for is a head: its size, and how much of it is stored. */
static void test_only_a_total(void **state)
{
        static const struct {
                uint64_t at, len;
                uint32_t count;
        } wrong[] = {{3 * CLUSTER + 1, 0, 0}, {CLUSTER, 1, 0}, {CLUSTER, 0, 1}};
        struct memory file = {.base.ops = &memory_ops};
        struct stored_map *k;
        char *tables = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&tables, &len);
        const uint8_t *at;

        (void)state;
        assert_non_null(out);
        stored_map_write_total(3 * CLUSTER, CLUSTER, out);
        assert_int_equal(fclose(out), 0);
        at = (uint8_t *)tables;
        assert_int_equal(stored_map_load(&file.base, 0, &at, at + len, &k), 0);
        assert_ptr_equal(at, tables + len);
        assert_true(stored_map_is_total(k));
        assert_int_equal(stored_map_size(k), 3 * CLUSTER);
        assert_int_equal(stored_map_stored(k), CLUSTER);
        assert_int_equal(stored_map_extents(k), 0);
        stored_map_free(k);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                store_le64(tables + 8, wrong[i].at);
                store_le64(tables + 16, wrong[i].len);
                store_le32(tables + 24, wrong[i].count);
                at = (uint8_t *)tables;
                assert_int_equal(stored_map_load(&file.base, 0, &at, at + len, &k), -EINVAL);
        }
        free(tables);
}

/* Two blocks of 64 TiB: what is zeros costs nothing, wherever it is. */
static void test_huge_disk(void **state)
{
        const uint64_t size = UINT64_C(64) << 40, second = size - 3 * BLOCK;
        struct extent_map *m;
        struct stored_disk k;
        struct extent e;
        (void)state;

        assert_int_equal(map_new(size, MAP_GAP_ZERO, &m), 0);
        add(m, 5 * GIB, BLOCK, 4096);
        add(m, second, BLOCK, 65536);
        keep(&k, m, MAP_GAP_ZERO);
        assert_true(k.tables_len + k.file.len < 128);
        assert_int_equal(find(&k, 9 * GIB, &e), 0);
        assert_true(e.addr == EXTENT_ZERO && e.len > GIB);
        assert_true(is_true(&k, 5 * GIB) && is_true(&k, 5 * GIB - 1) &&
                    is_true(&k, 5 * GIB + BLOCK));
        assert_true(is_true(&k, second) && is_true(&k, second - 1) && is_true(&k, size - 1));
        drop(&k);
}

/* Only what is asked for is filled. */
static void test_one_span_is_filled(void **state)
{
        struct stored_disk k;
        struct extent e;
        (void)state;

        keep_mixture(&k, 4 * MAP_SPAN, MAP_GAP_LOST);
        assert_int_equal(find(&k, 2 * MAP_SPAN + 1, &e), 0);
        map_find(k.map, MAP_SPAN, &e);
        assert_true(e.addr == MAP_UNLOADED && e.start == MAP_SPAN && e.len == MAP_SPAN);
        map_find(k.map, 2 * MAP_SPAN, &e);
        assert_true(e.addr != MAP_UNLOADED);
        check_all(&k);
        /* Again is of no harm. */
        assert_int_equal(stored_map_fill(k.stored_map, 0), 0);
        check_all(&k);
        drop(&k);
}

struct walk {
        struct stored_disk *k;
        uint64_t pos;
};

static int take(void *ctx, const struct extent *e)
{
        struct walk *w = ctx;

        assert_int_equal(e->start, w->pos);
        for (; w->pos < min_u64(e->start + e->len, map_size(w->k->truth)); w->pos += BLOCK) {
                struct extent truth;

                map_find(w->k->truth, w->pos, &truth);
                assert_int_equal(addr_at(&truth, w->pos), addr_at(e, w->pos));
        }
        return 0;
}

static void test_walk_gives_every_extent(void **state)
{
        struct stored_disk k;
        struct walk w = {.k = &k};
        struct extent_map *m;
        (void)state;

        keep_mixture(&k, MAP_SPAN + 3 * CLUSTER, MAP_GAP_LOST);
        assert_int_equal(stored_map_each(k.stored_map, take, &w), 0);
        assert_int_equal(w.pos, map_size(k.truth));
        drop(&k);
        /* with zeros in front, between, and after */
        assert_int_equal(map_new(6 * MAP_SPAN, MAP_GAP_ZERO, &m), 0);
        add(m, MAP_SPAN, BLOCK, 0);
        add(m, 4 * MAP_SPAN - BLOCK, BLOCK, BLOCK);
        keep(&k, m, MAP_GAP_ZERO);
        w = (struct walk){.k = &k};
        assert_int_equal(stored_map_each(k.stored_map, take, &w), 0);
        assert_int_equal(w.pos, map_size(k.truth));
        drop(&k);
}

/* The file fails, and then it does not. */
static void test_what_cannot_be_read_stays_kept(void **state)
{
        struct stored_disk k;
        struct extent e;
        (void)state;

        keep_mixture(&k, 2 * MAP_SPAN, MAP_GAP_LOST);
        k.file.error = -EIO;
        assert_int_equal(find(&k, 0, &e), -EIO);
        assert_true(e.addr == MAP_UNLOADED);
        k.file.error = 0;
        k.file.extents[3] ^= 1;
        assert_int_equal(find(&k, 0, &e), -EBADMSG);
        assert_true(e.addr == MAP_UNLOADED);
        assert_int_equal(check(k.stored_map), -EINVAL);
        k.file.extents[3] ^= 1;
        check_all(&k);
        drop(&k);
}

/* Load TABLES with the number at AT, of SIZE bytes, changed to VALUE. */
static int load_with(struct stored_disk *k, size_t at, size_t size, uint64_t value)
{
        uint8_t *copy = malloc(k->tables_len), number[8];
        const uint8_t *tables = copy;
        struct stored_map *stored_map = NULL;
        int rc;

        memcpy(copy, k->tables, k->tables_len);
        store_le64(number, value);
        memcpy(copy + at, number, size);
        rc =
            stored_map_load(&k->file.base, k->file.len, &tables, copy + k->tables_len, &stored_map);
        stored_map_free(stored_map);
        free(copy);
        return rc;
}

static void test_tables_that_cannot_be(void **state)
{
        const size_t second = SC_DISK + SC_SPAN;
        struct stored_disk k;
        const uint8_t *at;
        struct stored_map *stored_map;
        (void)state;

        keep_mixture(&k, 2 * MAP_SPAN, MAP_GAP_LOST);
        assert_int_equal(load_with(&k, 0, 0, 0), 0);
        assert_int_equal(load_with(&k, SC_DISK_SIZE, 8, MAP_SPAN), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_SIZE, 8, MAP_SIZE_MAX + 1), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_SIZE, 8, UINT64_MAX), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_AT, 8, 1), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_AT, 8, UINT64_MAX), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_LEN, 8, k.file.len - 1), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_SPANS, 4, 1), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_SPANS, 4, 3), -EINVAL);
        assert_int_equal(load_with(&k, SC_DISK_SPANS, 4, UINT32_MAX), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_NUMBER, 4, 0), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_NUMBER, 4, 2), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_NUMBER, 4, UINT32_MAX), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_LEN, 4, 0), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_LEN, 4, UINT32_MAX), -EINVAL);
        assert_int_equal(load_with(&k, second + SC_SPAN_STORED, 4, MAP_SPAN / BLOCK + 1), -EINVAL);
        for (size_t len = 0; len < k.tables_len; len++) {
                at = (const uint8_t *)k.tables;
                assert_int_equal(
                    stored_map_load(&k.file.base, k.file.len, &at, at + len, &stored_map), -EINVAL);
        }
        drop(&k);
}

/* Filling a map, whose limit is 1 MiB, from one span of these extents, with right hashes. */
static int fill_from(const char *extents, size_t len, uint32_t stored)
{
        struct stored_disk k = {.file.base.ops = &memory_ops};
        uint8_t tables[SC_DISK + SC_SPAN] = {0};
        struct extent e;
        int rc;

        k.file.extents = malloc(len);
        memcpy(k.file.extents, extents, len);
        k.file.base.size = len;
        k.file.len = len;
        store_le64(tables + SC_DISK_SIZE, 2 * MAP_SPAN);
        store_le64(tables + SC_DISK_LEN, len);
        store_le32(tables + SC_DISK_SPANS, 1);
        store_le32(tables + SC_DISK + SC_SPAN_LEN, (uint32_t)len);
        store_le32(tables + SC_DISK + SC_SPAN_STORED, stored);
        store_le64(tables + SC_DISK + SC_SPAN_HASH, XXH3_64bits(extents, len));
        k.tables_len = sizeof tables;
        k.tables = malloc(k.tables_len);
        memcpy(k.tables, tables, k.tables_len);
        load(&k);
        assert_int_equal(map_new(2 * MAP_SPAN, MAP_GAP_LOST, &k.map), 0);
        assert_int_equal(check(k.stored_map), 0);
        assert_int_equal(stored_map_attach(k.stored_map, k.map, 1 << 20), 0);
        map_seal(k.map);
        rc = find(&k, 0, &e);
        assert_int_equal(rc < 0, e.addr == MAP_UNLOADED);
        drop(&k);
        return rc;
}

static void expect_nonsense(const char *extents, size_t len, uint32_t stored)
{
        assert_int_equal(fill_from(extents, len, stored), -EBADMSG);
}

static void test_extents_that_cannot_be(void **state)
{
        (void)state;
        expect_nonsense("\xff", 1, 0);
        expect_nonsense("\x00", 1, 0);
        /* all of the span zeros: but one block is said to be stored; and a byte too many */
        expect_nonsense("\x80\x80\x04", 3, 1);
        expect_nonsense("\x80\x80\x04\x04", 4, 0);
        /* one block more than the span has, or one fewer */
        expect_nonsense("\x84\x80\x04", 3, 0);
        expect_nonsense("\xfc\xff\x03", 3, 0);
        /* a lost block before zeros */
        expect_nonsense("\x07\xfc\xff\x03", 4, 0);
        /* a block that ends at the limit; one that ends a byte after it; one far after it */
        assert_int_equal(fill_from("\x06\x80\xc0\x7f\xfc\xff\x03", 7, 1), 0);
        expect_nonsense("\x06\x82\xc0\x7f\xfc\xff\x03", 7, 1);
        expect_nonsense("\x06\x80\x80\x80\x80\x01\xfc\xff\x03", 9, 1);
}

struct reader {
        struct stored_disk *k;
        uint64_t seed;
        size_t wrong;
};

static void *read_at_random(void *arg)
{
        struct reader *r = arg;

        for (int i = 0; i < 4000; i++)
                r->wrong += !is_true(r->k, next_random(&r->seed) % map_size(r->k->truth));
        return NULL;
}

static void test_many_readers_fill(void **state)
{
        enum { READERS = 8 };
        struct reader readers[READERS];
        pthread_t threads[READERS];
        struct stored_disk k;
        (void)state;

        keep_mixture(&k, 12 * MAP_SPAN, MAP_GAP_LOST);
        for (size_t i = 0; i < READERS; i++) {
                readers[i] = (struct reader){.k = &k, .seed = 1 + i / 2};
                assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &readers[i]), 0);
        }
        for (size_t i = 0; i < READERS; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(readers[i].wrong, 0);
        }
        drop(&k);
}

/* ---- seeking ---- */

static void seek_begin(struct index *index, struct disk *d, struct stored_disk *k)
{
        static const struct format ops;
        static struct source source;
        static struct archive archive = {.ops = &ops, .source = &source};

        *index = (struct index){.archive = &archive, .sealed = true};
        *d = (struct disk){.index = index, .size = map_size(k->truth)};
        map_volume_init(&d->own, index, k->map);
        d->own.stored_map = k->stored_map;
        d->volume = &d->own.base;
}

/* As disk_next_data and disk_next_hole, of a map that is complete. */
static int next_of(const struct extent_map *m, uint64_t pos, bool hole, uint64_t *out)
{
        struct extent e = {.start = pos};

        for (*out = pos; *out < map_size(m); *out = e.start + e.len) {
                map_find(m, *out, &e);
                if ((e.addr == EXTENT_ZERO) == hole)
                        return 0;
        }
        return hole && pos < map_size(m) ? 0 : -ENXIO;
}

static void check_seeks(struct disk *d, const struct extent_map *truth)
{
        for (uint64_t pos = 0; pos <= map_size(truth); pos += 7 * BLOCK) {
                uint64_t a, b;
                int data = next_of(truth, pos, false, &b);

                assert_int_equal(disk_next_data(d, pos, &a), data);
                if (data == 0)
                        assert_int_equal(a, b);
                assert_int_equal(disk_next_hole(d, pos, &a), next_of(truth, pos, true, &b));
                if (pos < map_size(truth))
                        assert_int_equal(a, b);
        }
}

static void test_seeks_fill(void **state)
{
        struct stored_disk k;
        struct index index;
        struct disk d;
        (void)state;

        for (int gap = MAP_GAP_LOST; gap <= MAP_GAP_ZERO; gap++) {
                keep_mixture(&k, 2 * MAP_SPAN + 3 * CLUSTER + 512, (enum map_gap)gap);
                seek_begin(&index, &d, &k);
                check_seeks(&d, k.truth);
                drop(&k);
        }
}

/* Over what is all data, or all zeros, nothing has to be filled. */
static void test_seeks_skip_what_is_alike(void **state)
{
        struct extent_map *m;
        struct stored_disk k;
        struct index index;
        struct disk d;
        uint64_t found = 0;
        struct extent e;
        (void)state;

        assert_int_equal(map_new(5 * MAP_SPAN + 512, MAP_GAP_ZERO, &m), 0);
        add(m, MAP_SPAN, MAP_SPAN, 512);
        add(m, 2 * MAP_SPAN, MAP_SPAN + BLOCK, GIB);
        add(m, 5 * MAP_SPAN, 512, 0);
        keep(&k, m, MAP_GAP_ZERO);
        seek_begin(&index, &d, &k);
        assert_int_equal(disk_next_data(&d, 5, &found), 0);
        assert_int_equal(found, MAP_SPAN);
        assert_int_equal(disk_next_hole(&d, MAP_SPAN + 5, &found), 0);
        assert_int_equal(found, 3 * MAP_SPAN + BLOCK);
        map_find(k.map, MAP_SPAN, &e);
        assert_true(e.addr == MAP_UNLOADED);
        assert_int_equal(disk_next_hole(&d, 5 * MAP_SPAN, &found), 0);
        assert_int_equal(found, 5 * MAP_SPAN + 512);
        check_seeks(&d, k.truth);
        drop(&k);
}

static void test_seeks_take_what_fails_for_data(void **state)
{
        struct extent_map *m;
        struct stored_disk k;
        struct index index;
        struct disk d;
        uint64_t found = 0;
        (void)state;

        assert_int_equal(map_new(3 * MAP_SPAN, MAP_GAP_ZERO, &m), 0);
        add(m, MAP_SPAN + BLOCK, BLOCK, 0);
        keep(&k, m, MAP_GAP_ZERO);
        seek_begin(&index, &d, &k);
        k.file.error = -EIO;
        assert_int_equal(disk_next_data(&d, 0, &found), 0);
        assert_int_equal(found, MAP_SPAN);
        assert_int_equal(disk_next_hole(&d, MAP_SPAN + 7, &found), 0);
        assert_int_equal(found, 2 * MAP_SPAN);
        k.file.error = 0;
        check_seeks(&d, k.truth);
        drop(&k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_dense_disk),
            cmocka_unit_test(test_sparse_disk),
            cmocka_unit_test(test_no_disk_at_all),
            cmocka_unit_test(test_only_a_total),
            cmocka_unit_test(test_huge_disk),
            cmocka_unit_test(test_one_span_is_filled),
            cmocka_unit_test(test_walk_gives_every_extent),
            cmocka_unit_test(test_what_cannot_be_read_stays_kept),
            cmocka_unit_test(test_tables_that_cannot_be),
            cmocka_unit_test(test_extents_that_cannot_be),
            cmocka_unit_test(test_many_readers_fill),
            cmocka_unit_test(test_seeks_fill),
            cmocka_unit_test(test_seeks_skip_what_is_alike),
            cmocka_unit_test(test_seeks_take_what_fails_for_data),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
