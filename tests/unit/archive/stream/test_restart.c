/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_builder.h"
#include "tests/fixtures/stream_fixture.h"

#define STEP (256 << 10)

/* A pass over made-up output, compressed two to one. */
struct pass {
        struct bytes plain;
        size_t at;
        struct restart_table *table;
        struct restart_builder *builder;
};

static int recall(void *ctx, uint64_t offset, void *buf, size_t len)
{
        memcpy(buf, ((struct pass *)ctx)->plain.data + offset, len);
        return 0;
}

static void begin(struct pass *p, size_t len)
{
        *p = (struct pass){.plain = fixture_noise(len, 1)};
        assert_int_equal(restart_table_new(&p->table), 0);
        assert_int_equal(restart_builder_new(p->table, recall, p, &p->builder), 0);
}

static void end(struct pass *p)
{
        restart_builder_free(p->builder);
        restart_table_free(p->table);
        free(p->plain.data);
}

static void go_to(struct pass *p, size_t to)
{
        while (p->at < to) {
                size_t n = to - p->at < STEP ? to - p->at : STEP;

                if (p->at + n - restart_segment_start(p->builder) > RESTART_SEGMENT_MAX)
                        assert_int_equal(restart_split(p->builder), 0);
                assert_int_equal(restart_advance(p->builder, p->plain.data + p->at, n), 0);
                p->at += n;
        }
}

static void finish(struct pass *p)
{
        go_to(p, p->plain.len);
        assert_int_equal(restart_finish(p->builder, p->plain.len / 2), 0);
}

static uint64_t in_bit(const struct pass *p)
{
        return p->at * 4;
}

static struct restart_segment segment(const struct pass *p, size_t i)
{
        struct restart_segment s;

        assert_true(restart_get(p->table, i, &s));
        return s;
}

/* Each MiB of S has the hash of its bytes, also where the pass came in other steps. */
static void check_parts(const struct pass *p, const struct restart_segment *s)
{
        uint64_t len = s->end - s->point.out, hash, n = part_count(len);

        for (uint64_t i = 0; i < n; i++) {
                uint64_t at = i * PART_SIZE;

                assert_true(restart_part(p->table, s->index, i, &hash));
                assert_true(hash == part_hash(p->plain.data + s->point.out + at,
                                              min_u64(PART_SIZE, len - at)));
        }
        assert_false(restart_part(p->table, s->index, n, &hash));
}

static void check_hashes(const struct pass *p)
{
        for (size_t i = 0; i < restart_count(p->table); i++) {
                struct restart_segment s = segment(p, i);

                assert_true(s.point.hash == segment_hash(s.point.out, p->plain.data + s.point.out,
                                                         (size_t)(s.end - s.point.out)));
                check_parts(p, &s);
        }
}

static void test_accepted_candidate_is_a_point(void **state)
{
        const char history[] = "what lies in front";
        struct restart_segment s;
        void *back;
        struct pass p;
        size_t index;
        (void)state;

        begin(&p, 8 * MIB);
        go_to(&p, 3 * MIB);
        assert_int_equal(restart_candidate(p.builder, in_bit(&p), 99), 0);
        go_to(&p, 4 * MIB);
        assert_int_equal(restart_accept(p.builder, history, sizeof history), 0);
        finish(&p);
        assert_int_equal(restart_count(p.table), 2);
        s = segment(&p, 1);
        assert_true(s.point_held && !s.proven);
        assert_int_equal(s.point.out, 3 * MIB);
        assert_int_equal(s.point.aux, 99);
        assert_int_equal(s.in_end, p.plain.len / 2 * 8);
        assert_int_equal(s.point.history_len, sizeof history);
        assert_int_equal(restart_history(p.table, 1, &back), 0);
        assert_memory_equal(back, history, sizeof history);
        free(back);
        assert_true(restart_next_unproven(p.builder, &index));
        assert_int_equal(index, 1);
        assert_false(restart_next_unproven(p.builder, &index));
        check_hashes(&p);
        end(&p);
}

static void test_refused_candidate_continues(void **state)
{
        struct restart_segment s;
        struct pass p;
        (void)state;

        begin(&p, 8 * MIB);
        go_to(&p, 3 * MIB);
        assert_int_equal(restart_candidate(p.builder, in_bit(&p), 0), 0);
        go_to(&p, 4 * MIB);
        assert_int_equal(restart_refuse(p.builder), 0);
        finish(&p);
        assert_false(segment(&p, 1).point_held);
        restart_entry(p.table, 1, &s);
        assert_int_equal(s.index, 0);
        check_hashes(&p);
        end(&p);
}

static void defer_twice(struct pass *p)
{
        begin(p, 12 * MIB);
        for (size_t i = 1; i <= 3; i++) {
                go_to(p, i * 3 * MIB);
                if (i > 1)
                        assert_int_equal(restart_defer(p->builder, NULL, 0), 0);
                assert_int_equal(restart_candidate(p->builder, in_bit(p), i), 0);
        }
}

static void test_deferred_candidates_share_acceptance(void **state)
{
        struct restart_segment s;
        struct pass p;
        (void)state;

        defer_twice(&p);
        restart_proven(p.table, 1);
        /* Deferred: good for its own segment, not to be decoded on from. */
        assert_true(segment(&p, 1).point_held);
        restart_entry(p.table, 1, &s);
        assert_int_equal(s.index, 0);
        assert_int_equal(restart_accept(p.builder, NULL, 0), 0);
        restart_entry(p.table, 1, &s);
        assert_int_equal(s.index, 1);
        end(&p);
}

static void test_deferred_candidates_share_refusal(void **state)
{
        struct pass p;
        (void)state;

        defer_twice(&p);
        assert_int_equal(restart_refuse(p.builder), 0);
        finish(&p);
        for (size_t i = 1; i <= 3; i++)
                assert_false(segment(&p, i).point_held);
        check_hashes(&p);
        end(&p);
}

static void test_dropped_point_continues(void **state)
{
        struct restart_segment s;
        struct pass p;
        (void)state;

        begin(&p, 8 * MIB);
        go_to(&p, 3 * MIB);
        assert_int_equal(restart_here(p.builder, in_bit(&p), 0, "abc", 3), 0);
        finish(&p);
        restart_drop(p.table, 1);
        s = segment(&p, 1);
        assert_false(s.point_held);
        assert_int_equal(s.point.history_len, 0);
        check_hashes(&p);
        end(&p);
}

static void test_find_hits_every_boundary(void **state)
{
        struct restart_segment s;
        struct pass p;
        (void)state;

        begin(&p, 20 * MIB);
        for (size_t i = 1; i < 20; i++) {
                go_to(&p, i * MIB);
                assert_int_equal(restart_here(p.builder, in_bit(&p), 0, NULL, 0), 0);
        }
        finish(&p);
        for (size_t i = 0; i < 20; i++) {
                assert_true(restart_find(p.table, i * MIB, &s));
                assert_int_equal(s.index, i);
                assert_true(restart_find(p.table, i * MIB + MIB - 1, &s));
                assert_int_equal(s.index, i);
        }
        assert_false(restart_find(p.table, 20 * MIB, &s));
        end(&p);
}

/* Ask at every GAP, and give each point a history that costs COST. Returns the stats. */
static struct restart_stats spaced(size_t len, size_t gap, size_t cost)
{
        struct bytes history = fixture_noise(cost, 3);
        struct restart_stats stats;
        struct pass p;

        begin(&p, len);
        for (size_t at = gap; at < len; at += gap) {
                go_to(&p, at);
                if (restart_wanted(p.builder))
                        assert_int_equal(restart_here(p.builder, in_bit(&p), 0, history.data, cost),
                                         0);
        }
        finish(&p);
        restart_measure(p.table, &stats);
        end(&p);
        free(history.data);
        return stats;
}

static void test_free_points_are_narrow(void **state)
{
        struct restart_stats stats = spaced(64 * MIB, STEP, 0);
        (void)state;

        assert_true(stats.points >= 20);
}

static void test_usual_cost_keeps_the_budget(void **state)
{
        struct restart_stats stats = spaced(128 * MIB, STEP, 16 << 10);
        (void)state;

        assert_true(stats.stored_bytes <= 64 * MIB * 7 / 1000);
        assert_true(stats.widest <= 8 * MIB);
        assert_true(stats.points >= 16);
}

/* Jobs of 8 MiB: each of them is worth a point. */
static void test_wide_gaps_stay_within_8_mib(void **state)
{
        struct restart_stats stats = spaced(128 * MIB, 8 * MIB - 4096, 32 << 10);
        (void)state;

        assert_true(stats.widest <= 8 * MIB);
}

static void test_dear_points_are_wider(void **state)
{
        struct restart_stats stats = spaced(192 * MIB, STEP, 400 << 10);
        (void)state;

        assert_true(stats.widest > 16 * MIB);
        assert_true(stats.points >= 2);
        assert_true(stats.stored_bytes <= 96 * MIB / 50 + (256 << 10));
}

/*
 * Jobs of 8 MiB, of which every third ends early, so that its point costs more than the budget has for
 * it: what was overspent is made good by segments of two jobs, and not by ones as long as can be.
 */
static void test_looking_ahead_keeps_the_budget(void **state)
{
        const size_t len = 1024 * MIB, job = 8 * MIB, cost = 70 << 10;
        struct bytes history = fixture_noise(cost, 3);
        struct restart_stats stats;
        struct pass p;
        (void)state;

        begin(&p, len);
        for (size_t i = 1, at = job; at < len; i++) {
                uint64_t best;

                go_to(&p, at);
                assert_int_equal(restart_here(p.builder, in_bit(&p), 0, history.data, cost), 0);
                best = min_u64(restart_spacing(p.builder).best, RESTART_SEGMENT_MAX);
                at += i % 3 == 0 ? 3 * MIB : (size_t)round_up(best, job);
        }
        finish(&p);
        restart_measure(p.table, &stats);
        assert_int_equal(stats.widest, 2 * job);
        assert_in_range(stats.stored_bytes, 512 * MIB / 50, 512 * MIB / 50 + (256 << 10));
        end(&p);
        free(history.data);
}

static void test_saved_table_loads(void **state)
{
        struct restart_record record;
        struct restart_table *copy;
        struct pass p;
        size_t n = 0;
        void *history;
        (void)state;

        begin(&p, 8 * MIB);
        go_to(&p, 3 * MIB);
        assert_int_equal(restart_here(p.builder, in_bit(&p), 5, "abc", 3), 0);
        finish(&p);
        restart_proven(p.table, 1);
        assert_int_equal(restart_table_new(&copy), 0);
        for (; restart_save(p.table, n, &record); n++)
                assert_int_equal(restart_load(copy, &record, 1 << 20), 0);
        assert_int_equal(n, 2);
        assert_int_equal(restart_load_end(copy, 8 * MIB, 4 * MIB), 0);
        assert_int_equal(restart_end(copy), 8 * MIB);
        for (size_t i = 0; i < 8; i++) {
                uint64_t then, now;

                assert_true(restart_part(p.table, i / 3 > 0, i < 3 ? i : i - 3, &then));
                assert_true(restart_part(copy, i / 3 > 0, i < 3 ? i : i - 3, &now));
                assert_true(then == now);
        }
        assert_int_equal(restart_history(copy, 1, &history), 0);
        assert_memory_equal(history, "abc", 3);
        free(history);
        restart_table_free(copy);
        end(&p);
}

static void test_unproven_point_is_saved_as_none(void **state)
{
        struct restart_record record;
        struct pass p;
        (void)state;

        begin(&p, 8 * MIB);
        go_to(&p, 3 * MIB);
        assert_int_equal(restart_here(p.builder, in_bit(&p), 5, "abc", 3), 0);
        finish(&p);
        assert_true(restart_save(p.table, 1, &record));
        assert_false(record.enter);
        assert_int_equal(record.history_size, 0);
        end(&p);
}

static void test_hostile_records_are_refused(void **state)
{
        const struct restart_record origin = {.enter = true};
        struct restart_record bad[] = {
            /* not after the last one; too far after it */
            {.enter = true},
            {.point = {.out = RESTART_SEGMENT_MAX + 1, .in_bit = 8}, .enter = true},
            /* a history without a blob; a blob that is none; more than the output in front */
            {.point = {.out = 100, .in_bit = 8, .history_len = 10}, .enter = true},
            {.point = {.out = 100, .in_bit = 8, .history_len = 10},
             .enter = true,
             .history = "not zstd at all",
             .history_size = 15},
            {.point = {.out = 100, .in_bit = 8, .history_len = 1000},
             .enter = true,
             .history = "x",
             .history_size = 1},
            /* to be entered nobody knows where; a history that nobody can use */
            {.point = {.out = 100, .in_bit = RESTART_IN_UNKNOWN}, .enter = true},
            {.point = {.out = 100, .in_bit = 8}, .history = "x", .history_size = 1},
        };
        struct restart_table *t;
        (void)state;

        assert_int_equal(restart_table_new(&t), 0);
        assert_int_equal(restart_load(t, &bad[1], 1 << 20), -EINVAL);
        assert_int_equal(restart_load(t, &origin, 1 << 20), 0);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_int_equal(restart_load(t, &bad[i], 1 << 20), -EINVAL);
        assert_int_equal(restart_load_end(t, 0, 10), -EINVAL);
        assert_int_equal(restart_load_end(t, RESTART_SEGMENT_MAX + 1, 10), -EINVAL);
        assert_int_equal(restart_load_end(t, 10, UINT64_MAX), -EINVAL);
        assert_int_equal(restart_load_end(t, 10, 10), 0);
        restart_table_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_accepted_candidate_is_a_point),
            cmocka_unit_test(test_refused_candidate_continues),
            cmocka_unit_test(test_deferred_candidates_share_acceptance),
            cmocka_unit_test(test_deferred_candidates_share_refusal),
            cmocka_unit_test(test_dropped_point_continues),
            cmocka_unit_test(test_find_hits_every_boundary),
            cmocka_unit_test(test_free_points_are_narrow),
            cmocka_unit_test(test_usual_cost_keeps_the_budget),
            cmocka_unit_test(test_wide_gaps_stay_within_8_mib),
            cmocka_unit_test(test_dear_points_are_wider),
            cmocka_unit_test(test_looking_ahead_keeps_the_budget),
            cmocka_unit_test(test_saved_table_loads),
            cmocka_unit_test(test_unproven_point_is_saved_as_none),
            cmocka_unit_test(test_hostile_records_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
