/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Turns of decoding threads: how many at a time, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "archive/stream/decoder/turns.h"

enum { THREADS = 8, ROUNDS = 200, CROWD_MAX = TURNS_PATIENCE + 4 };

struct crowd {
        struct turns turns;
        atomic_uint inside, most, order, places[CROWD_MAX];
};

struct one {
        struct crowd *crowd;
        unsigned number;
        uint64_t place;
};

static void *take_turns(void *ctx)
{
        struct crowd *c = ctx;

        for (unsigned i = 0; i < ROUNDS; i++) {
                unsigned now, most;

                turns_begin(&c->turns, i % 7);
                now = atomic_fetch_add(&c->inside, 1) + 1;
                most = atomic_load(&c->most);
                while (most < now && !atomic_compare_exchange_weak(&c->most, &most, now))
                        ;
                sched_yield();
                atomic_fetch_sub(&c->inside, 1);
                turns_end(&c->turns);
        }
        return NULL;
}

static void run_crowd(struct crowd *c, unsigned most)
{
        pthread_t threads[THREADS];

        turns_init(&c->turns, most);
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, take_turns, c), 0);
        for (unsigned i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        turns_fini(&c->turns);
}

static void test_no_more_than_may(void **state)
{
        struct crowd c = {0};

        (void)state;
        run_crowd(&c, 2);
        assert_in_range(c.most, 1, 2);
        assert_int_equal(c.turns.taken, 0);
        assert_int_equal(c.turns.waiting, 0);
}

/* Whoever is one of any number waits for nobody. */
static void test_any_number(void **state)
{
        struct turns t;

        (void)state;
        turns_init(&t, 0);
        for (unsigned i = 0; i < 100; i++)
                turns_begin(&t, 0);
        assert_int_equal(t.taken, 100);
        for (unsigned i = 0; i < 100; i++)
                turns_end(&t);
        turns_fini(&t);
}

static unsigned waiting(struct turns *t)
{
        unsigned n;

        pthread_mutex_lock(&t->lock);
        n = t->waiting;
        pthread_mutex_unlock(&t->lock);
        return n;
}

static void *take_one(void *ctx)
{
        struct one *one = ctx;
        struct crowd *c = one->crowd;

        turns_begin(&c->turns, one->place);
        c->places[one->number] = atomic_fetch_add(&c->order, 1);
        turns_end(&c->turns);
        return NULL;
}

/* COUNT threads ask for a turn one after the other, each for its place. Their order, into ORDER. */
static void line_up(const uint64_t *places, unsigned count, unsigned *order)
{
        struct crowd c = {0};
        struct one ones[CROWD_MAX];
        pthread_t threads[CROWD_MAX];

        turns_init(&c.turns, 1);
        turns_begin(&c.turns, 0);
        for (unsigned i = 0; i < count; i++) {
                ones[i] = (struct one){&c, i, places[i]};
                assert_int_equal(pthread_create(&threads[i], NULL, take_one, &ones[i]), 0);
                while (waiting(&c.turns) < i + 1)
                        sched_yield();
        }
        assert_int_equal(c.order, 0);
        turns_end(&c.turns);
        for (unsigned i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < count; i++)
                order[i] = c.places[i];
        turns_fini(&c.turns);
}

static void test_what_comes_earlier_in_the_stream_goes_first(void **state)
{
        static const uint64_t places[] = {500, 300, 300, UINT64_MAX, 100, 0};
        static const unsigned expected[] = {4, 2, 3, 5, 1, 0};
        unsigned order[6];

        (void)state;
        line_up(places, 6, order);
        assert_memory_equal(order, expected, sizeof expected);
}

static void test_nobody_is_passed_for_ever(void **state)
{
        uint64_t places[CROWD_MAX];
        unsigned order[CROWD_MAX];

        (void)state;
        for (unsigned i = 0; i < CROWD_MAX; i++)
                places[i] = CROWD_MAX - i;
        line_up(places, CROWD_MAX, order);
        assert_int_equal(order[CROWD_MAX - 1], 0);
        assert_int_equal(order[0], TURNS_PATIENCE);
        assert_int_equal(order[1], TURNS_PATIENCE + 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_no_more_than_may),
            cmocka_unit_test(test_any_number),
            cmocka_unit_test(test_what_comes_earlier_in_the_stream_goes_first),
            cmocka_unit_test(test_nobody_is_passed_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
