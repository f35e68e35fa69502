/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/map/map.h"

enum { BLOCK = MAP_BLOCK, CLUSTER = 65536, CLUSTER_BLOCKS = 16 };

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* A small fixed generator: a failure can be run again. */
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

static void add(struct extent_map *m, uint64_t start, uint64_t len, uint64_t addr)
{
        struct extent e = {start, len, addr};
        struct map_twice twice = {0};

        assert_int_equal(map_add(m, &e, 1, &twice), 1);
        assert_int_equal(twice.len, 0);
}

/* The same of many, whatever is ambiguous among them. */
static void add_all(struct extent_map *m, const struct extent *e, size_t n)
{
        while (n) {
                struct map_twice twice;
                ssize_t added = map_add(m, e, n, &twice);

                assert_true(added > 0 && (size_t)added <= n);
                e += added;
                n -= (size_t)added;
        }
}

/* The address of the block at POS: what find says, moved on to POS. */
static uint64_t addr_at(const struct extent_map *m, uint64_t pos)
{
        struct extent e;

        map_find(m, pos, &e);
        assert_true(e.start <= pos && pos < e.start + e.len);
        assert_true(e.start + e.len <= map_size(m));
        if (e.addr == EXTENT_ZERO || e.addr == EXTENT_LOST || e.addr == MAP_UNKNOWN)
                return e.addr;
        return e.addr + (pos - e.start);
}

static void test_empty_is_unknown_then_lost(void **state)
{
        struct extent_map *m = new_map(MIB);

        (void)state;
        assert_int_equal(addr_at(m, 0), MAP_UNKNOWN);
        map_seal(m);
        assert_int_equal(addr_at(m, 0), EXTENT_LOST);
        assert_int_equal(map_totals(m).lost, MIB);
        map_free(m);
}

static void test_gap_can_be_zero(void **state)
{
        struct extent_map *m;

        (void)state;
        assert_int_equal(map_new(MIB, MAP_GAP_ZERO, &m), 0);
        add(m, 0, CLUSTER, 512);
        map_seal(m);
        assert_int_equal(addr_at(m, CLUSTER), EXTENT_ZERO);
        assert_int_equal(map_totals(m).stored, CLUSTER);
        assert_int_equal(map_totals(m).lost, 0);
        map_free(m);
}

static void test_a_gap_can_turn_out_to_be_lost(void **state)
{
        struct extent_map *m;

        (void)state;
        assert_int_equal(map_new(MIB, MAP_GAP_ZERO, &m), 0);
        add(m, 0, CLUSTER, 512);
        map_set_gap(m, MAP_GAP_LOST);
        map_seal(m);
        assert_int_equal(addr_at(m, CLUSTER), EXTENT_LOST);
        assert_int_equal(map_totals(m).lost, MIB - CLUSTER);
        map_free(m);
}

static void test_size_zero(void **state)
{
        struct extent_map *m = new_map(0);

        (void)state;
        map_seal(m);
        assert_int_equal(map_totals(m).lost, 0);
        map_free(m);
}

static void test_find_inside_a_long_extent(void **state)
{
        struct extent_map *m = new_map(GIB);

        (void)state;
        add(m, 0, GIB, 12288);
        map_seal(m);
        for (uint64_t pos = 0; pos < GIB; pos += 7 * MIB + 512)
                assert_int_equal(addr_at(m, pos), 12288 + pos);
        map_free(m);
}

static void test_last_partial_block(void **state)
{
        struct extent_map *m = new_map(CLUSTER + 512);
        struct extent e;

        (void)state;
        add(m, 0, CLUSTER, 1000);
        add(m, CLUSTER, 512, 1000 + CLUSTER);
        map_seal(m);
        map_find(m, CLUSTER + 511, &e);
        assert_int_equal(e.start + e.len, CLUSTER + 512);
        assert_int_equal(map_totals(m).stored, CLUSTER + BLOCK);
        map_free(m);
}

static void test_twice_is_lost_and_counted(void **state)
{
        struct extent_map *m = new_map(MIB);
        struct extent again = {CLUSTER, 2 * CLUSTER, 900000};
        struct map_twice twice = {0};

        (void)state;
        add(m, 0, 2 * CLUSTER, 4096);
        assert_int_equal(map_add(m, &again, 1, &twice), 1);
        assert_int_equal(twice.len, CLUSTER);
        assert_int_equal(twice.first, CLUSTER);
        add(m, 3 * CLUSTER, MIB - 3 * CLUSTER, EXTENT_ZERO);
        map_seal(m);
        assert_int_equal(addr_at(m, 0), 4096);
        assert_int_equal(addr_at(m, CLUSTER), EXTENT_LOST);
        assert_int_equal(addr_at(m, 2 * CLUSTER), 900000 + CLUSTER);
        assert_int_equal(map_totals(m).lost, CLUSTER);
        map_free(m);
}

static void test_lost_wins_whatever_the_order(void **state)
{
        struct extent_map *m = new_map(MIB);

        (void)state;
        add(m, 0, CLUSTER, EXTENT_LOST);
        add(m, 0, CLUSTER, 4096);
        add(m, CLUSTER, CLUSTER, 4096 + CLUSTER);
        add(m, CLUSTER, BLOCK, EXTENT_LOST);
        assert_int_equal(addr_at(m, 0), EXTENT_LOST);
        assert_int_equal(addr_at(m, CLUSTER), EXTENT_LOST);
        assert_int_equal(addr_at(m, CLUSTER + BLOCK), 4096 + CLUSTER + BLOCK);
        map_free(m);
}

static void test_refuses_what_does_not_fit(void **state)
{
        struct extent_map *m = new_map(MIB);
        struct extent crooked = {512, BLOCK, 0}, far = {MAP_SIZE_MAX, BLOCK, 0},
                      wraps = {UINT64_MAX - BLOCK + 1, 2 * BLOCK, 0},
                      high = {0, BLOCK, EXTENT_ADDR_MAX};
        struct map_twice twice = {0};

        (void)state;
        assert_int_equal(map_add(m, &crooked, 1, &twice), -EINVAL);
        assert_int_equal(map_add(m, &far, 1, &twice), -EFBIG);
        assert_int_equal(map_add(m, &wraps, 1, &twice), -EFBIG);
        assert_int_equal(map_add(m, &high, 1, &twice), -EFBIG);
        assert_int_equal(map_resize(m, MAP_SIZE_MAX + 1), -EFBIG);
        map_free(m);
}

static void test_growing_size(void **state)
{
        struct extent_map *m = new_map(CLUSTER);

        (void)state;
        add(m, 0, CLUSTER, 0);
        add(m, CLUSTER, CLUSTER, CLUSTER);
        assert_int_equal(map_resize(m, 2 * CLUSTER), 0);
        map_seal(m);
        assert_int_equal(addr_at(m, CLUSTER), CLUSTER);
        assert_int_equal(map_totals(m).stored, 2 * CLUSTER);
        map_free(m);
}

static void test_far_apart_costs_little(void **state)
{
        struct extent_map *m = new_map(256 * TIB);

        (void)state;
        add(m, 256 * TIB - CLUSTER, CLUSTER, 4096);
        map_seal(m);
        assert_int_equal(addr_at(m, 256 * TIB - 1), 4096 + CLUSTER - 1);
        assert_int_equal(addr_at(m, 128 * TIB), EXTENT_LOST);
        assert_int_equal(map_totals(m).lost, 256 * TIB - CLUSTER);
        map_free(m);
}

/* ---- against a model: one address a block ---- */

struct model {
        uint64_t size;
        uint64_t blocks;
        uint64_t *addr; /* MAP_UNKNOWN, a word, or an address */
};

static void model_add(struct model *o, const struct extent *e)
{
        for (uint64_t at = 0; at < e->len; at += BLOCK) {
                uint64_t *a = &o->addr[(e->start + at) / BLOCK];
                bool word = e->addr == EXTENT_ZERO || e->addr == EXTENT_LOST;

                if (*a != MAP_UNKNOWN || e->addr == EXTENT_LOST)
                        *a = EXTENT_LOST;
                else
                        *a = word ? e->addr : e->addr + at;
        }
}

/* A cluster of N blocks with MASK as a format emits it: extents into OUT, how many there are. */
static size_t cluster_extents(uint64_t cluster, unsigned blocks, unsigned mask, uint64_t addr,
                              struct extent *out)
{
        size_t n = 0;

        for (unsigned i = 0; i < blocks; i++) {
                bool stored = mask >> i & 1;
                struct extent *last = n ? &out[n - 1] : NULL;

                if (last && (last->addr == EXTENT_ZERO) == !stored)
                        last->len += BLOCK;
                else
                        out[n++] = (struct extent){cluster * CLUSTER + i * BLOCK, BLOCK,
                                                   stored ? addr : EXTENT_ZERO};
                addr += stored ? BLOCK : 0;
        }
        return n;
}

static void compare(const struct extent_map *m, const struct model *o, bool sealed)
{
        struct map_totals t;
        uint64_t stored = 0, lost = 0;

        for (uint64_t i = 0; i < o->blocks; i++) {
                uint64_t want = o->addr[i];

                if (sealed && want == MAP_UNKNOWN)
                        want = EXTENT_LOST;
                assert_int_equal(addr_at(m, i * BLOCK), want);
                stored += want != EXTENT_ZERO && want != EXTENT_LOST;
                lost += want == EXTENT_LOST;
        }
        if (!sealed)
                return;
        t = map_totals(m);
        assert_int_equal(t.stored, stored * BLOCK);
        assert_int_equal(t.lost, lost * BLOCK);
}

enum mask_kind { MASK_FULL, MASK_RANDOM, MASK_MIXED };

static unsigned random_mask(enum mask_kind kind, uint64_t *seed)
{
        uint64_t r = next_random(seed);

        if (kind == MASK_FULL || (kind == MASK_MIXED && r % 3 == 0))
                return 0xffff;
        if (kind == MASK_MIXED && r % 3 == 1)
                return 0;
        return (unsigned)(r >> 20) & 0xffff;
}

/*
 * Fill a disk cluster by cluster, shuffled or not, with damage in one of DAMAGE clusters (0:
 * never), and compare all along.
 */
static void check_against_model(uint64_t size, bool shuffled, enum mask_kind kind, unsigned damage,
                                uint64_t seed)
{
        uint64_t clusters = (size + CLUSTER - 1) / CLUSTER, addr = 12288;
        struct model o = {.size = size, .blocks = (size + BLOCK - 1) / BLOCK};
        uint64_t *order = calloc(clusters, sizeof *order);
        struct extent_map *m = new_map(size);

        o.addr = malloc(o.blocks * sizeof *o.addr);
        assert_non_null(o.addr);
        assert_non_null(order);
        for (uint64_t i = 0; i < o.blocks; i++)
                o.addr[i] = MAP_UNKNOWN;
        for (uint64_t i = 0; i < clusters; i++)
                order[i] = i;
        for (uint64_t i = clusters; shuffled && i > 1; i--) {
                uint64_t j = next_random(&seed) % i, keep = order[j];

                order[j] = order[i - 1];
                order[i - 1] = keep;
        }
        for (uint64_t i = 0; i < clusters; i++) {
                struct extent e[CLUSTER_BLOCKS];
                unsigned mask = random_mask(kind, &seed);
                uint64_t left = o.blocks - order[i] * CLUSTER_BLOCKS;
                size_t n = cluster_extents(order[i],
                                           left < CLUSTER_BLOCKS ? (unsigned)left : CLUSTER_BLOCKS,
                                           mask, addr, e);
                unsigned what = damage ? (unsigned)(next_random(&seed) % (damage * 4)) : 99999;

                if (i % 59 == 0)
                        addr += 512;
                if (what == 0)
                        continue; /* missing */
                if (what == 1)
                        e[n - 1].addr = EXTENT_LOST;
                if (what == 2)
                        n = n > 1 ? n - 1 : n; /* the end of it is missing */
                add_all(m, e, n);
                for (size_t k = 0; k < n; k++)
                        model_add(&o, &e[k]);
                if (what == 3) {
                        add_all(m, e, n);
                        for (size_t k = 0; k < n; k++)
                                model_add(&o, &e[k]);
                }
                addr += (uint64_t)__builtin_popcount(mask) * BLOCK;
                if (i == clusters / 3)
                        compare(m, &o, false);
        }
        map_seal(m);
        compare(m, &o, true);
        for (uint64_t i = 0; i < o.blocks; i++)
                if (o.addr[i] == MAP_UNKNOWN)
                        o.addr[i] = EXTENT_LOST;
        map_free(m);
        free(order);
        free(o.addr);
}

static void test_model_in_order(void **state)
{
        (void)state;
        check_against_model(300 * MIB, false, MASK_FULL, 0, 1);
        check_against_model(300 * MIB + 512, false, MASK_MIXED, 0, 2);
}

static void test_model_shuffled(void **state)
{
        (void)state;
        check_against_model(200 * MIB, true, MASK_FULL, 0, 3);
        check_against_model(200 * MIB + 5 * BLOCK, true, MASK_RANDOM, 0, 4);
        check_against_model(200 * MIB + 512, true, MASK_MIXED, 0, 5);
}

static void test_model_damaged(void **state)
{
        (void)state;
        for (uint64_t seed = 10; seed < 20; seed++)
                check_against_model(150 * MIB + 512 * seed, seed % 2, (enum mask_kind)(seed % 3),
                                    seed % 3 ? 50 : 2, seed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty_is_unknown_then_lost),
            cmocka_unit_test(test_gap_can_be_zero),
            cmocka_unit_test(test_a_gap_can_turn_out_to_be_lost),
            cmocka_unit_test(test_size_zero),
            cmocka_unit_test(test_find_inside_a_long_extent),
            cmocka_unit_test(test_last_partial_block),
            cmocka_unit_test(test_twice_is_lost_and_counted),
            cmocka_unit_test(test_lost_wins_whatever_the_order),
            cmocka_unit_test(test_refuses_what_does_not_fit),
            cmocka_unit_test(test_growing_size),
            cmocka_unit_test(test_far_apart_costs_little),
            cmocka_unit_test(test_model_in_order),
            cmocka_unit_test(test_model_shuffled),
            cmocka_unit_test(test_model_damaged),
        };

        return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
