/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs and tasks, with threads and before there are any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "archive/workers.h"

struct seen {
        _Atomic unsigned runs;
        pthread_t by;
};

static void see(void *ctx, size_t arg)
{
        struct seen *s = ctx;

        (void)arg;
        s->by = pthread_self();
        s->runs++;
}

static struct workers *new_workers(unsigned threads)
{
        struct workers *w;

        assert_int_equal(workers_new(threads, &w), 0);
        return w;
}

/* Whatever happens, a task that was started has run once when it was joined. */
static void test_joined_task_has_run(void **state)
{
        struct workers *w = new_workers(2);
        (void)state;

        workers_release(w);
        for (int i = 0; i < 2000; i++) {
                struct seen s = {0};
                struct task t;

                workers_start(w, &t, see, &s);
                workers_join(w, &t);
                assert_int_equal(s.runs, 1);
        }
        workers_free(w);
}

static void test_before_release_the_joiner_runs_it(void **state)
{
        struct workers *w = new_workers(2);
        struct seen s = {0};
        struct task t;
        (void)state;

        workers_start(w, &t, see, &s);
        assert_int_equal(s.runs, 0);
        workers_join(w, &t);
        assert_int_equal(s.runs, 1);
        assert_true(pthread_equal(s.by, pthread_self()));
        workers_free(w);
}

static void test_without_workers_the_joiner_runs_it(void **state)
{
        struct seen s = {0};
        struct task t;
        (void)state;

        workers_start(NULL, &t, see, &s);
        workers_join(NULL, &t);
        assert_int_equal(s.runs, 1);
}

static void test_joining_twice_runs_it_once(void **state)
{
        struct seen s = {0};
        struct task t = {0};
        (void)state;

        workers_join(NULL, &t);
        workers_start(NULL, &t, see, &s);
        workers_join(NULL, &t);
        workers_join(NULL, &t);
        assert_int_equal(s.runs, 1);
}

/* A task that its joiner takes out of the queue leaves the others in it: first, middle and last. */
static void test_withdrawing_keeps_the_queue(void **state)
{
        struct workers *w = new_workers(1);
        struct seen jobs[4] = {0}, tasks[3] = {0};
        struct task t[3];
        (void)state;

        workers_start(w, &t[0], see, &tasks[0]);
        assert_int_equal(workers_submit(w, WORK_SOON, see, &jobs[0], 0), 0);
        workers_start(w, &t[1], see, &tasks[1]);
        assert_int_equal(workers_submit(w, WORK_SOON, see, &jobs[1], 0), 0);
        workers_start(w, &t[2], see, &tasks[2]);
        for (int i = 2; i >= 0; i--) {
                workers_join(w, &t[i]);
                assert_int_equal(tasks[i].runs, 1);
        }
        assert_int_equal(workers_submit(w, WORK_SOON, see, &jobs[2], 0), 0);
        assert_int_equal(workers_submit(w, WORK_LATER, see, &jobs[3], 0), 0);
        workers_release(w);
        workers_drain(w);
        for (int i = 0; i < 3; i++) {
                while (!jobs[i].runs)
                        ;
                assert_int_equal(jobs[i].runs, 1);
        }
        assert_int_equal(jobs[3].runs, 1);
        workers_free(w);
}

static void test_drain_needs_no_threads(void **state)
{
        struct workers *w = new_workers(2);
        struct seen s = {0};
        (void)state;

        for (int i = 0; i < 3; i++)
                assert_int_equal(workers_submit(w, WORK_LATER, see, &s, 0), 0);
        workers_drain(w);
        assert_int_equal(s.runs, 3);
        workers_free(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_joined_task_has_run),
            cmocka_unit_test(test_before_release_the_joiner_runs_it),
            cmocka_unit_test(test_without_workers_the_joiner_runs_it),
            cmocka_unit_test(test_joining_twice_runs_it_once),
            cmocka_unit_test(test_withdrawing_keeps_the_queue),
            cmocka_unit_test(test_drain_needs_no_threads),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
