/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/workers.h"

#include <sys/queue.h>

#include "archive/cleanup.h"

#define URGENCIES   3
#define THREADS_MAX 64
/* Reads in flight: enough for 10,000 a second where each takes 1.6 ms. */
#define DISK_THREADS 16

struct job {
        TAILQ_ENTRY(job) next;
        work_fn fn;
        void *ctx;
        size_t arg;
        struct task *task; /* NULL: nobody waits for it */
        bool offered;
};

struct workers {
        struct worker_pool *pool;

        /* Guarded by the pool's lock. */
        TAILQ_HEAD(, job) jobs[URGENCIES];
        unsigned running[URGENCIES];
        TAILQ_ENTRY(workers) turn; /* in the order in which their jobs last ran */
};

/* Threads that do the same kinds of work. */
struct crew {
        struct worker_pool *pool;
        unsigned wanted, started;
        unsigned idle;   /* wait for a job, … */
        unsigned called; /* … or have been woken for one, and have not noticed yet */
        bool for_disks;
        pthread_cond_t submitted; /* with the pool's lock */
        pthread_t threads[THREADS_MAX];
};

struct worker_pool {
        unsigned size, processors;
        pthread_mutex_t lock; /* guards everything below */
        pthread_cond_t finished;
        TAILQ_HEAD(turns, workers) turns;
        bool released;
        bool stopping;
        struct crew decoders, readers;
};

unsigned workers_processors(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n > 0 ? (unsigned)n : 1;
}

static void init_crew(struct crew *c, struct worker_pool *p, unsigned threads, bool for_disks)
{
        c->pool = p;
        c->wanted = threads;
        c->for_disks = for_disks;
        pthread_cond_init(&c->submitted, NULL);
}

int worker_pool_new(unsigned threads, struct worker_pool **out)
{
        struct worker_pool *p = calloc(1, sizeof *p);

        if (!p)
                return -ENOMEM;
        p->size = threads < THREADS_MAX ? threads : THREADS_MAX;
        p->processors = workers_processors();
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->finished, NULL);
        TAILQ_INIT(&p->turns);
        init_crew(&p->decoders, p, p->size, false);
        init_crew(&p->readers, p, DISK_THREADS, true);
        *out = p;
        return 0;
}

static void end_crew(struct crew *c)
{
        for (unsigned i = 0; i < c->started; i++)
                pthread_join(c->threads[i], NULL);
        pthread_cond_destroy(&c->submitted);
}

void worker_pool_free(struct worker_pool *p)
{
        if (!p)
                return;
        pthread_mutex_lock(&p->lock);
        p->stopping = true;
        pthread_cond_broadcast(&p->decoders.submitted);
        pthread_cond_broadcast(&p->readers.submitted);
        pthread_mutex_unlock(&p->lock);
        end_crew(&p->decoders);
        end_crew(&p->readers);
        pthread_cond_destroy(&p->finished);
        pthread_mutex_destroy(&p->lock);
        free(p);
}

unsigned worker_pool_threads(const struct worker_pool *p)
{
        return p->size;
}

/* ---- running jobs: the caller holds the pool's lock ---- */

static struct job *take(struct workers *w, enum urgency urgency)
{
        struct job *job = TAILQ_FIRST(&w->jobs[urgency]);

        if (job)
                TAILQ_REMOVE(&w->jobs[urgency], job, next);
        return job;
}

/* The lock is released while the job runs. */
static void run(struct workers *w, struct job *job, enum urgency urgency)
{
        struct worker_pool *p = w->pool;

        w->running[urgency]++;
        pthread_mutex_unlock(&p->lock);
        job->fn(job->ctx, job->arg);
        pthread_mutex_lock(&p->lock);
        w->running[urgency]--;
        if (job->task)
                job->task->done = true;
        pthread_cond_broadcast(&p->finished);
        free(job);
}

/* Run the next job of URGENCY of whose turn it is. False: there is none. */
static bool run_next(struct worker_pool *p, enum urgency urgency)
{
        struct workers *w = NULL;

        TAILQ_FOREACH(w, &p->turns, turn)
        {
                struct job *job = take(w, urgency);

                if (!job)
                        continue;
                TAILQ_REMOVE(&p->turns, w, turn);
                TAILQ_INSERT_TAIL(&p->turns, w, turn);
                run(w, job, urgency);
                return true;
        }
        return false;
}

static bool run_any(struct crew *c)
{
        if (c->for_disks)
                return run_next(c->pool, WORK_DISK);
        return run_next(c->pool, WORK_SOON) || run_next(c->pool, WORK_LATER);
}

static void wait_for_job(struct crew *c)
{
        c->idle++;
        pthread_cond_wait(&c->submitted, &c->pool->lock);
        /* The pool's end and a spurious wakeup call nobody. */
        if (c->called > 0)
                c->called--;
        else
                c->idle--;
}

static void call_one(struct crew *c)
{
        if (c->idle == 0)
                return;
        c->idle--;
        c->called++;
        pthread_cond_signal(&c->submitted);
}

static void *work(void *arg)
{
        struct crew *c = arg;
        scoped_lock(&c->pool->lock);

        while (!c->pool->stopping)
                if (!run_any(c))
                        wait_for_job(c);
        return NULL;
}

/* A thread that cannot be had is done without: see workers_drain. */
static void start_threads(struct crew *c)
{
        while (c->started < c->wanted) {
                if (pthread_create(&c->threads[c->started], NULL, work, c) != 0)
                        c->wanted = c->started;
                else
                        c->started++;
        }
}

static struct crew *crew_of(struct worker_pool *p, enum urgency urgency)
{
        return urgency == WORK_DISK ? &p->readers : &p->decoders;
}

void worker_pool_release(struct worker_pool *p)
{
        struct workers *w;
        scoped_lock(&p->lock);

        p->released = true;
        TAILQ_FOREACH(w, &p->turns, turn)
        for (int i = 0; i < URGENCIES; i++)
                if (!TAILQ_EMPTY(&w->jobs[i]))
                        start_threads(crew_of(p, (enum urgency)i));
}

/* ---- queues ---- */

int workers_new(struct worker_pool *p, struct workers **out)
{
        struct workers *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->pool = p;
        for (size_t i = 0; i < URGENCIES; i++)
                TAILQ_INIT(&w->jobs[i]);
        scoped_lock(&p->lock);
        TAILQ_INSERT_TAIL(&p->turns, w, turn);
        *out = w;
        return 0;
}

/* Forget W's jobs that were not begun. Caller holds the lock. Does none run? */
static bool forget_jobs(struct workers *w)
{
        unsigned running = 0;

        for (int i = 0; i < URGENCIES; i++) {
                struct job *job;

                while ((job = take(w, (enum urgency)i)))
                        free(job);
                running += w->running[i];
        }
        return running == 0;
}

void workers_free(struct workers *w)
{
        struct worker_pool *p;

        if (!w)
                return;
        p = w->pool;
        pthread_mutex_lock(&p->lock);
        while (!forget_jobs(w))
                pthread_cond_wait(&p->finished, &p->lock);
        TAILQ_REMOVE(&p->turns, w, turn);
        pthread_mutex_unlock(&p->lock);
        free(w);
}

unsigned workers_threads(struct workers *w)
{
        scoped_lock(&w->pool->lock);

        return w->pool->released ? w->pool->decoders.wanted : 0;
}

/* Do as many threads run as there are processors, the calling one included? */
static bool is_crowded(const struct crew *c)
{
        unsigned busy = c->started - c->idle;

        return busy > 0 && busy + 1 >= c->pool->processors;
}

static int submit(struct workers *w, enum urgency urgency, const struct job *model)
{
        struct crew *crew = crew_of(w->pool, urgency);
        struct job *job = malloc(sizeof *job);

        if (!job)
                return -ENOMEM;
        *job = *model;
        pthread_mutex_lock(&w->pool->lock);
        if (w->pool->released)
                start_threads(crew);
        TAILQ_INSERT_TAIL(&w->jobs[urgency], job, next);
        if (job->offered && (is_crowded(crew) || crew->idle == 0))
                pthread_cond_broadcast(&w->pool->finished);
        else
                call_one(crew);
        pthread_mutex_unlock(&w->pool->lock);
        return 0;
}

int workers_submit(struct workers *w, enum urgency urgency, work_fn fn, void *ctx, size_t arg)
{
        return submit(w, urgency, &(struct job){.fn = fn, .ctx = ctx, .arg = arg});
}

/* ---- tasks ---- */

static void start(struct workers *w, struct task *t, const struct job *job)
{
        *t = (struct task){.fn = job->fn, .ctx = job->ctx, .started = true};
        /* What is not in the queue is run by who joins it. */
        if (w)
                t->queued = submit(w, WORK_SOON, job) == 0;
}

void workers_start(struct workers *w, struct task *t, work_fn fn, void *ctx)
{
        start(w, t, &(struct job){.fn = fn, .ctx = ctx, .task = t});
}

void workers_offer(struct workers *w, struct task *t, work_fn fn, void *ctx)
{
        start(w, t, &(struct job){.fn = fn, .ctx = ctx, .task = t, .offered = true});
}

/* Take T's job out of the queue. Caller holds the lock. False: it was not there. */
static bool withdraw(struct workers *w, const struct task *t)
{
        struct job *job;

        TAILQ_FOREACH(job, &w->jobs[WORK_SOON], next)
        if (job->task == t)
                break;
        if (!job)
                return false;
        TAILQ_REMOVE(&w->jobs[WORK_SOON], job, next);
        free(job);
        return true;
}

/* Run a task of W's that nobody has begun. Caller holds the lock. False: there is none. */
static bool help(struct workers *w)
{
        struct job *job;

        TAILQ_FOREACH(job, &w->jobs[WORK_SOON], next)
        if (job->task)
                break;
        if (!job)
                return false;
        TAILQ_REMOVE(&w->jobs[WORK_SOON], job, next);
        run(w, job, WORK_SOON);
        return true;
}

void workers_join(struct workers *w, struct task *t)
{
        bool run_here = !w || !t->queued;

        if (!t->started)
                return;
        t->started = false;
        if (!run_here) {
                scoped_lock(&w->pool->lock);

                run_here = withdraw(w, t);
                while (!run_here && !t->done)
                        if (!help(w))
                                pthread_cond_wait(&w->pool->finished, &w->pool->lock);
        }
        if (run_here)
                t->fn(t->ctx, 0);
}

void workers_drain(struct workers *w)
{
        scoped_lock(&w->pool->lock);

        for (;;) {
                struct job *job = take(w, WORK_LATER);

                if (job)
                        run(w, job, WORK_LATER);
                else if (w->running[WORK_LATER] > 0)
                        pthread_cond_wait(&w->pool->finished, &w->pool->lock);
                else
                        return;
        }
}
