/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps of disks of which little is known: what they say, against a model of a few places that are
 * far from one another, and that their memory is bounded by what was added.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/map/map.h"

enum { BLOCK = MAP_BLOCK, CLUSTER = 65536, CLUSTER_BLOCKS = 16 };

#define TIB (UINT64_C(1) << 40)

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static struct extent_map *new_map(uint64_t size)
{
        struct extent_map *m;

        assert_int_equal(map_new(size, MAP_GAP_LOST, &m), 0);
        return m;
}

/* All N of them. Returns whether something was there before. */
static bool add(struct extent_map *m, const struct extent *e, size_t n)
{
        bool ambiguous = false;

        while (n) {
                struct map_twice twice;
                ssize_t added = map_add(m, e, n, &twice);

                assert_true(added > 0 && (size_t)added <= n);
                ambiguous |= twice.len > 0;
                e += added;
                n -= (size_t)added;
        }
        return ambiguous;
}

/* The cluster at byte START as a format emits it: what MASK does not name is zeros. */
static size_t cluster_extents(uint64_t start, unsigned mask, uint64_t addr, struct extent *out)
{
        size_t n = 0;

        for (unsigned i = 0; i < CLUSTER_BLOCKS; i++) {
                uint64_t found = mask >> i & 1 ? addr : EXTENT_ZERO;
                struct extent *last = n ? &out[n - 1] : NULL;

                if (last && extent_continues(last, &(struct extent){0, 0, found}))
                        last->len += BLOCK;
                else
                        out[n++] = (struct extent){start + (uint64_t)i * BLOCK, BLOCK, found};
                if (found != EXTENT_ZERO && addr != EXTENT_LOST)
                        addr += BLOCK;
        }
        return n;
}

/* ---- against a model ---- */

enum { LOCATIONS = 40, PLACE_BLOCKS = 3000 * CLUSTER_BLOCKS };

/* Places of the disk, in order, and what each block of them is; all else is unknown. */
struct model {
        uint64_t size;
        uint64_t start[LOCATIONS]; /* bytes */
        uint64_t *addr[LOCATIONS];
};

static void model_new(struct model *o, uint64_t *seed)
{
        uint64_t stride = 256 * TIB / LOCATIONS / CLUSTER;

        o->size = 256 * TIB;
        for (size_t p = 0; p < LOCATIONS; p++) {
                o->start[p] = (p * stride + next_random(seed) % (stride - 3000)) * CLUSTER;
                o->addr[p] = malloc(PLACE_BLOCKS * sizeof **o->addr);
                assert_non_null(o->addr[p]);
                for (size_t i = 0; i < PLACE_BLOCKS; i++)
                        o->addr[p][i] = MAP_UNKNOWN;
        }
}

static void model_free(struct model *o)
{
        for (size_t p = 0; p < LOCATIONS; p++)
                free(o->addr[p]);
}

/* Returns whether something else than a loss was there before, where E is not a loss itself. */
static bool model_add(struct model *o, size_t p, const struct extent *e)
{
        uint64_t *a = &o->addr[p][(e->start - o->start[p]) / BLOCK];
        bool word = e->addr == EXTENT_ZERO || e->addr == EXTENT_LOST, ambiguous = false;

        for (uint64_t i = 0; i < e->len / BLOCK; i++) {
                if (a[i] == MAP_UNKNOWN) {
                        a[i] = word ? e->addr : e->addr + i * BLOCK;
                        continue;
                }
                ambiguous |= a[i] != EXTENT_LOST && e->addr != EXTENT_LOST;
                a[i] = EXTENT_LOST;
        }
        return ambiguous;
}

static uint64_t random_addr(uint64_t *seed)
{
        switch (next_random(seed) % 5) {
        case 0:
                return EXTENT_ZERO;
        case 1:
                return EXTENT_LOST;
        default:
                return next_random(seed) % (1 << 20) * 512;
        }
}

/* One cluster with a mask, a run of whole ones, or some blocks. Returns how many extents. */
static size_t random_extents(const struct model *o, size_t p, uint64_t *seed, struct extent *out)
{
        uint64_t what = next_random(seed) % 16, cluster = next_random(seed) % 2900;
        uint64_t addr = random_addr(seed), start = o->start[p] + cluster * CLUSTER;

        if (what == 0) {
                uint64_t first = next_random(seed) % 40;

                *out = (struct extent){start + first * BLOCK, (next_random(seed) % 60 + 1) * BLOCK,
                                       addr};
                return 1;
        }
        if (what == 1) {
                *out = (struct extent){start, (next_random(seed) % 99 + 1) * CLUSTER, addr};
                return 1;
        }
        return cluster_extents(start, next_random(seed) & 0xffff & next_random(seed) << 4,
                               addr == EXTENT_ZERO ? 4096 : addr, out);
}

/* E, which map_find has found, is what the model has there. */
static void compare_extent(const struct model *o, const struct extent *e, uint64_t gap)
{
        for (size_t p = 0; p < LOCATIONS; p++) {
                uint64_t end = o->start[p] + (uint64_t)PLACE_BLOCKS * BLOCK;
                uint64_t pos = e->start > o->start[p] ? e->start : o->start[p];

                for (; pos < end && pos < e->start + e->len; pos += BLOCK) {
                        uint64_t want = o->addr[p][(pos - o->start[p]) / BLOCK];
                        bool data = e->addr < EXTENT_ADDR_MAX;

                        if (want == MAP_UNKNOWN)
                                want = gap;
                        assert_int_equal(e->addr + (data ? pos - e->start : 0), want);
                }
        }
}

static void compare(const struct extent_map *m, const struct model *o, bool sealed)
{
        uint64_t gap = sealed ? EXTENT_LOST : MAP_UNKNOWN, stored = 0, known = 0, lost = 0;
        struct map_totals t = map_totals(m);
        struct extent e;

        for (uint64_t pos = 0; pos < o->size; pos = e.start + e.len) {
                map_find(m, pos, &e);
                assert_true(e.start <= pos && pos < e.start + e.len);
                e.addr += e.addr < EXTENT_ADDR_MAX ? pos - e.start : 0;
                e = (struct extent){pos, e.start + e.len - pos, e.addr};
                compare_extent(o, &e, gap);
        }
        for (size_t p = 0; p < LOCATIONS; p++) {
                for (size_t i = 0; i < PLACE_BLOCKS; i++) {
                        known += o->addr[p][i] != MAP_UNKNOWN;
                        lost += o->addr[p][i] == EXTENT_LOST;
                        stored += o->addr[p][i] < EXTENT_ADDR_MAX;
                }
        }
        assert_int_equal(t.stored, stored * BLOCK);
        assert_int_equal(t.absent, o->size - known * BLOCK);
        assert_int_equal(t.lost, lost * BLOCK + t.absent);
}

/* ADDS times something is added in the first AT_ONCE of the places. */
static void check_against_model(int adds, size_t at_once, uint64_t seed)
{
        struct model o;
        struct extent_map *m = new_map(256 * TIB);

        model_new(&o, &seed);
        for (int i = 0; i < adds; i++) {
                struct extent e[CLUSTER_BLOCKS];
                size_t p = next_random(&seed) % at_once, n = random_extents(&o, p, &seed, e);
                bool ambiguous = false;

                for (size_t k = 0; k < n; k++)
                        ambiguous |= model_add(&o, p, &e[k]);
                /* More may be called ambiguous than is: of what was lost before. */
                assert_true(add(m, e, n) || !ambiguous);
                if (i == adds / 2)
                        compare(m, &o, false);
        }
        map_seal(m);
        compare(m, &o, true);
        map_free(m);
        model_free(&o);
}

static void test_model_of_few(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed < 6; seed++)
                check_against_model(2000, LOCATIONS, seed);
}

static void test_model_of_many(void **state)
{
        (void)state;
        for (uint64_t seed = 11; seed < 14; seed++)
                check_against_model(20000, 5, seed);
}

/* ---- memory ---- */

/* What is kept of the heap; under a sanitizer it is 0. */
static size_t heap(void)
{
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}

enum { SCATTERED = 100000 };

/* Bytes for each cluster that the map takes when it is sealed, and before, at the most. */
struct cost {
        double sealed, growing;
};

/*
 * SCATTERED clusters on DISKS disks of SIZE bytes, in groups of GROUP in random order; each with
 * what ADDR is, or data in the archive's order, where it is 0, and with random masks or none.
 */
static struct cost measure(size_t disks, uint64_t size, unsigned group, uint64_t addr, bool ragged)
{
        struct extent_map **m = calloc(disks, sizeof *m);
        uint64_t seed = 42, at = 12288;
        struct cost cost = {0};
        size_t before;

        assert_non_null(m);
        before = heap();
        for (size_t i = 0; i < disks; i++)
                m[i] = new_map(size);
        for (unsigned i = 0; i < SCATTERED; i++) {
                uint64_t spans = size / MAP_SPAN, in_disk = SCATTERED / disks;
                uint64_t number = i / disks, member = number / (in_disk / group + 1);
                uint64_t span = number % (in_disk / group + 1) * 0x9e3779b97f4a7c15 % spans;
                uint64_t cluster = (span * 7919 + member * 61) % 1024 + span * 1024;
                unsigned mask = ragged ? (unsigned)next_random(&seed) & 0xffff : 0xffff;
                struct extent e[CLUSTER_BLOCKS];
                size_t n = cluster_extents(cluster * CLUSTER, mask, addr ? addr : at, e);

                add(m[i % disks], e, n);
                at += (uint64_t)__builtin_popcount(mask) * BLOCK + (i % 59 ? 0 : 512);
        }
        cost.growing = (double)(heap() - before) / SCATTERED;
        for (size_t i = 0; i < disks; i++)
                map_seal(m[i]);
        cost.sealed = (double)(heap() - before) / SCATTERED;
        for (size_t i = 0; i < disks; i++)
                map_free(m[i]);
        free(m);
        return cost;
}

/* The worst of what MEASURE gives where DISKS of SIZE bytes have clusters in groups of GROUP. */
static void check_cost(size_t disks, uint64_t size, unsigned group, double sealed, double growing)
{
        static const uint64_t addrs[] = {0, EXTENT_ZERO, EXTENT_LOST};

        for (size_t i = 0; i < 6; i++) {
                struct cost c = measure(disks, size, group, addrs[i / 2], i % 2);

                assert_true(c.sealed <= sealed);
                assert_true(c.growing <= growing);
        }
}

/* From one in each span that has any to what nearly fills it. */
static void test_a_cluster_takes_10_bytes_and_20_while_the_map_grows(void **state)
{
        static const unsigned groups[] = {1,   2,   4,   8,   16,  24,  30,  40,  64,
                                          100, 128, 200, 300, 400, 500, 700, 800, 1000};

        (void)state;
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
                check_cost(254, 256 * TIB, groups[i], 10, 20);
                check_cost(1, 16 * TIB, groups[i], 10, 20);
        }
}

static void test_zeros_far_from_one_another_take_five_bytes(void **state)
{
        struct cost c = measure(254, 256 * TIB, 1, EXTENT_ZERO, false);

        (void)state;
        assert_true(c.sealed <= 5);
        assert_true(c.growing <= 6);
}

/* Runs of up to 59 clusters, as an extent of VMA has them, each in a span of its own. */
static void test_a_run_far_from_all_others_takes_10_bytes_a_cluster(void **state)
{
        static const unsigned lengths[] = {2, 3, 15, 16, 17, 30, 59};

        (void)state;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                uint64_t len = (uint64_t)lengths[i] * CLUSTER;
                size_t before = heap();
                struct extent_map *m = new_map(1024 * TIB);

                for (uint64_t k = 0; k < 4000; k++)
                        add(m, &(struct extent){k * 4096 * MAP_SPAN + 3 * CLUSTER, len, k * len},
                            1);
                map_seal(m);
                assert_true((double)(heap() - before) / 4000 / lengths[i] <= 10);
                map_free(m);
        }
}

static void test_a_run_longer_than_a_span_is_one_entry(void **state)
{
        size_t before = heap();
        struct extent_map *m = new_map(MAP_SIZE_MAX);
        struct extent e = {0, MAP_SIZE_MAX - BLOCK, 12288};

        (void)state;
        e.addr = EXTENT_ZERO;
        add(m, &e, 1);
        add(m, &(struct extent){MAP_SIZE_MAX - BLOCK, BLOCK, 12288}, 1);
        map_seal(m);
        assert_true(heap() - before < 4096);
        map_find(m, 0, &e);
        while (e.addr == EXTENT_ZERO)
                map_find(m, e.start + e.len, &e);
        assert_int_equal(e.start, MAP_SIZE_MAX - BLOCK);
        assert_int_equal(map_totals(m).stored, BLOCK);
        assert_int_equal(map_totals(m).lost, 0);
        map_free(m);
}

/* In the middle of one: what is there twice is lost, and all else stays. */
static void test_a_long_run_can_be_broken(void **state)
{
        struct extent_map *m = new_map(256 * TIB);
        uint64_t middle = 77 * TIB + 5 * CLUSTER;
        struct extent e;

        (void)state;
        add(m, &(struct extent){0, 200 * TIB, 4096}, 1);
        assert_true(add(m, &(struct extent){middle, CLUSTER, 512}, 1));
        map_seal(m);
        map_find(m, middle, &e);
        assert_int_equal(e.addr, EXTENT_LOST);
        assert_int_equal(map_totals(m).stored, 200 * TIB - CLUSTER);
        for (int side = 0; side < 2; side++) {
                uint64_t pos = side ? middle + CLUSTER : middle - BLOCK;

                map_find(m, pos, &e);
                assert_int_equal(e.addr + (pos - e.start), 4096 + pos);
        }
        map_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_model_of_few),
            cmocka_unit_test(test_model_of_many),
            cmocka_unit_test(test_a_cluster_takes_10_bytes_and_20_while_the_map_grows),
            cmocka_unit_test(test_zeros_far_from_one_another_take_five_bytes),
            cmocka_unit_test(test_a_run_far_from_all_others_takes_10_bytes_a_cluster),
            cmocka_unit_test(test_a_run_longer_than_a_span_is_one_entry),
            cmocka_unit_test(test_a_long_run_can_be_broken),
        };

        return cmocka_run_group_tests_name("map_sparse", tests, NULL, NULL);
}
