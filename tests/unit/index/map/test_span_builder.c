/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A map from extents in guest order is the one that they make one at a time, in any order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/map/map.h"
#include "index/map/span_builder.h"

#define CLUSTER (16 * (uint64_t)MAP_BLOCK)
#define SIZE    (200 * (UINT64_C(1) << 20) + 3 * MAP_BLOCK)

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static struct extent_map *new_map(enum map_gap gap)
{
        struct extent_map *m;

        assert_int_equal(map_new(SIZE, gap, &m), 0);
        return m;
}

static void add_alone(struct extent_map *m, const struct extent *e)
{
        struct map_twice twice;

        assert_int_equal(map_add(m, e, 1, &twice), 1);
        assert_int_equal(twice.len, 0);
}

static void compare(const struct extent_map *a, const struct extent_map *b)
{
        struct map_totals x = map_totals(a), y = map_totals(b);

        assert_int_equal(x.stored, y.stored);
        assert_int_equal(x.lost, y.lost);
        assert_int_equal(x.absent, y.absent);
        for (uint64_t pos = 0; pos < SIZE; pos += MAP_BLOCK) {
                struct extent e, f;

                map_find(a, pos, &e);
                map_find(b, pos, &f);
                e.addr += e.addr < EXTENT_ADDR_MAX ? pos - e.start : 0;
                f.addr += f.addr < EXTENT_ADDR_MAX ? pos - f.start : 0;
                assert_int_equal(e.addr, f.addr);
        }
}

/* Extents of up to MOST blocks; one in HOLES of zeros, one in GAPS of nothing. */
static void check(unsigned most, unsigned holes, unsigned gaps, enum map_gap gap)
{
        struct extent_map *once = new_map(gap), *alone = new_map(gap);
        struct span_builder refill = {.map = once};
        uint64_t seed = most * 1000 + holes * 10 + gaps, addr = 0;

        for (uint64_t pos = 0; pos < SIZE;) {
                struct extent e = {pos, (1 + next_random(&seed) % most) * MAP_BLOCK, EXTENT_ZERO};

                e.len = e.len < SIZE - pos ? e.len : SIZE - pos;
                pos += e.len;
                if (gaps && next_random(&seed) % gaps == 0)
                        continue;
                if (!holes || next_random(&seed) % holes) {
                        /* Mostly it goes on where the last one ended. */
                        addr += next_random(&seed) % 4 ? 0 : CLUSTER;
                        e.addr = addr;
                        addr += e.len;
                }
                assert_int_equal(span_builder_add(&refill, &e), 0);
                add_alone(alone, &e);
        }
        assert_int_equal(span_builder_end(&refill), 0);
        map_seal(once);
        map_seal(alone);
        compare(once, alone);
        map_free(once);
        map_free(alone);
}

static void test_pieces_of_clusters(void **state)
{
        (void)state;
        check(4, 2, 0, MAP_GAP_LOST);
}

static void test_extents_over_many_clusters(void **state)
{
        (void)state;
        check(3000, 5, 0, MAP_GAP_LOST);
}

static void test_odd_extents(void **state)
{
        (void)state;
        check(40, 3, 0, MAP_GAP_LOST);
}

static void test_what_nothing_says_anything_of(void **state)
{
        (void)state;
        check(40, 3, 4, MAP_GAP_ZERO);
}

static void test_lost_extents(void **state)
{
        struct extent_map *m = new_map(MAP_GAP_ZERO);
        struct span_builder refill = {.map = m};
        const struct extent e = {5 * MAP_BLOCK, 40 * MAP_BLOCK, EXTENT_LOST};
        (void)state;

        assert_int_equal(span_builder_add(&refill, &e), 0);
        assert_int_equal(span_builder_end(&refill), 0);
        map_seal(m);
        assert_int_equal(map_totals(m).lost, e.len);
        map_free(m);
}

static void test_the_same_again_is_refused(void **state)
{
        struct extent_map *m = new_map(MAP_GAP_LOST);
        struct span_builder refill = {.map = m};
        const struct extent e = {CLUSTER, CLUSTER, 12345};
        (void)state;

        assert_int_equal(span_builder_add(&refill, &e), 0);
        assert_int_equal(span_builder_add(&refill, &e), -EINVAL);
        map_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pieces_of_clusters),
            cmocka_unit_test(test_extents_over_many_clusters),
            cmocka_unit_test(test_odd_extents),
            cmocka_unit_test(test_what_nothing_says_anything_of),
            cmocka_unit_test(test_lost_extents),
            cmocka_unit_test(test_the_same_again_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
