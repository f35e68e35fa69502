/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs and tasks, with threads and before there are any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

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

/* The one of the test that runs. */
static struct worker_pool *pool;

static struct workers *new_queue(void)
{
        struct workers *w;

        assert_int_equal(workers_new(pool, &w), 0);
        return w;
}

/* A pool with one queue. */
static struct workers *new_workers(unsigned threads)
{
        assert_int_equal(worker_pool_new(threads, &pool), 0);
        return new_queue();
}

static void free_workers(struct workers *w)
{
        workers_free(w);
        worker_pool_free(pool);
}

/* Whatever happens, a task that was started has run once when it was joined. */
static void test_joined_task_has_run(void **state)
{
        struct workers *w = new_workers(2);
        (void)state;

        worker_pool_release(pool);
        for (int i = 0; i < 2000; i++) {
                struct seen s = {0};
                struct task t;

                workers_start(w, &t, see, &s);
                workers_join(w, &t);
                assert_int_equal(s.runs, 1);
        }
        free_workers(w);
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
        free_workers(w);
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
        worker_pool_release(pool);
        workers_drain(w);
        for (int i = 0; i < 3; i++) {
                while (!jobs[i].runs)
                        ;
                assert_int_equal(jobs[i].runs, 1);
        }
        assert_int_equal(jobs[3].runs, 1);
        free_workers(w);
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
        free_workers(w);
}

/* ---- several queues ---- */

/* Jobs of two queues in the order in which they were run. */
struct order {
        pthread_mutex_t lock;
        char who[64];
        size_t n;
};

struct ranked {
        struct order *order;
        char who;
};

static void note(void *ctx, size_t arg)
{
        struct ranked *r = ctx;

        (void)arg;
        pthread_mutex_lock(&r->order->lock);
        r->order->who[r->order->n++] = r->who;
        pthread_mutex_unlock(&r->order->lock);
}

/* Who has had many jobs queued first does not have them all run first. */
static void test_queues_take_turns(void **state)
{
        struct workers *w = new_workers(1), *other = new_queue();
        struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct ranked a = {&order, 'a'}, b = {&order, 'b'}, later = {&order, 'l'};
        (void)state;

        for (int i = 0; i < 10; i++)
                assert_int_equal(workers_submit(w, WORK_SOON, note, &a, 0), 0);
        assert_int_equal(workers_submit(w, WORK_LATER, note, &later, 0), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(workers_submit(other, WORK_SOON, note, &b, 0), 0);
        worker_pool_release(pool);
        for (size_t n = 0; n < 14;) {
                pthread_mutex_lock(&order.lock);
                n = order.n;
                pthread_mutex_unlock(&order.lock);
        }
        assert_string_equal(order.who, "abababaaaaaaal");
        workers_free(other);
        free_workers(w);
}

struct slow {
        _Atomic bool go, done;
};

static void wait_to_go(void *ctx, size_t arg)
{
        struct slow *s = ctx;

        (void)arg;
        while (!s->go)
                ;
        s->done = true;
}

/* Who frees a queue waits for its own jobs, and for nobody else's. */
static void test_queue_is_freed_while_another_works(void **state)
{
        struct workers *w = new_workers(2), *other = new_queue();
        struct slow slow = {0};
        struct seen quick = {0};
        struct task t;
        (void)state;

        worker_pool_release(pool);
        assert_int_equal(workers_submit(w, WORK_SOON, wait_to_go, &slow, 0), 0);
        workers_start(other, &t, see, &quick);
        workers_join(other, &t);
        workers_free(other);
        assert_int_equal(quick.runs, 1);
        assert_false(slow.done);
        slow.go = true;
        free_workers(w);
}

struct pair {
        _Atomic bool begun;
        struct seen other;
};

static void wait_for_other(void *ctx, size_t arg)
{
        struct pair *p = ctx;

        (void)arg;
        p->begun = true;
        while (!p->other.runs)
                ;
}

/* The only thread runs the task that is joined, so whoever joins it has the time for the other. */
static void test_waiting_for_a_task_runs_others(void **state)
{
        struct workers *w = new_workers(1);
        struct pair p = {0};
        struct task first, second;
        (void)state;

        worker_pool_release(pool);
        workers_start(w, &first, wait_for_other, &p);
        while (!p.begun)
                ;
        workers_start(w, &second, see, &p.other);
        workers_join(w, &first);
        assert_true(pthread_equal(p.other.by, pthread_self()));
        workers_join(w, &second);
        assert_int_equal(p.other.runs, 1);
        free_workers(w);
}

/* A server that answers once it has so many requests at the same time, or after a while. */
struct server {
        _Atomic unsigned requests;
        unsigned most;
        _Atomic bool gave_up;
};

static void request(void *ctx, size_t arg)
{
        struct server *s = ctx;

        (void)arg;
        s->requests++;
        for (int i = 0; s->requests < s->most && !s->gave_up; i++) {
                usleep(1000);
                if (i == 5000)
                        s->gave_up = true;
        }
}

/* Who asks for more threads than there are processors has that many tasks wait at the same time. */
static void test_more_threads_than_processors_wait_together(void **state)
{
        enum { MOST = 64 };
        unsigned threads = workers_processors() + 3;
        struct workers *w;
        struct task tasks[MOST];
        (void)state;

        if (threads > MOST)
                skip();
        w = new_workers(threads);
        worker_pool_release(pool);
        /* The second time, threads have begun to wait for a job. */
        for (int round = 0; round < 2; round++) {
                struct server s = {.most = threads};

                for (unsigned i = 0; i < threads; i++)
                        workers_start(w, &tasks[i], request, &s);
                for (unsigned i = 0; i < threads; i++)
                        workers_join(w, &tasks[i]);
                assert_false(s.gave_up);
                usleep(50000);
        }
        free_workers(w);
}

/* Threads that wait for a disk are not those that decode. */
static void test_work_for_disks_has_threads_of_its_own(void **state)
{
        struct workers *w = new_workers(1);
        struct slow slow[4] = {0};
        struct seen soon = {0};
        (void)state;

        worker_pool_release(pool);
        for (int i = 0; i < 4; i++)
                assert_int_equal(workers_submit(w, WORK_DISK, wait_to_go, &slow[i], 0), 0);
        assert_int_equal(workers_submit(w, WORK_SOON, see, &soon, 0), 0);
        while (!soon.runs)
                ;
        /* All four are under way, or the last would not be done before the others may go. */
        slow[3].go = true;
        while (!slow[3].done)
                ;
        for (int i = 0; i < 3; i++)
                slow[i].go = true;
        free_workers(w);
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
            cmocka_unit_test(test_queues_take_turns),
            cmocka_unit_test(test_queue_is_freed_while_another_works),
            cmocka_unit_test(test_waiting_for_a_task_runs_others),
            cmocka_unit_test(test_more_threads_than_processors_wait_together),
            cmocka_unit_test(test_work_for_disks_has_threads_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
