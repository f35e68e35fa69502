/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/workers.h"

#include <stdbool.h>

#include "archive/cleanup.h"

#define URGENCIES   2
#define THREADS_MAX 64

struct job {
        struct job *next;
        work_fn fn;
        void *ctx;
        size_t arg;
        struct task *task; /* NULL: nobody waits for it */
};

struct workers {
        pthread_mutex_t lock; /* guards everything below */
        pthread_cond_t submitted;
        pthread_cond_t finished;
        struct job *first[URGENCIES];
        struct job **last[URGENCIES];
        unsigned running_later;
        bool released;
        bool stopping;
        unsigned wanted, started;
        pthread_t threads[THREADS_MAX];
};

unsigned workers_processors(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n > 0 ? (unsigned)n : 1;
}

int workers_new(unsigned threads, struct workers **out)
{
        struct workers *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->submitted, NULL);
        pthread_cond_init(&w->finished, NULL);
        for (size_t i = 0; i < URGENCIES; i++)
                w->last[i] = &w->first[i];
        w->wanted = threads < THREADS_MAX ? threads : THREADS_MAX;
        *out = w;
        return 0;
}

/* Caller holds the lock. */
static struct job *take(struct workers *w, enum urgency urgency)
{
        struct job *job = w->first[urgency];

        if (!job)
                return NULL;
        w->first[urgency] = job->next;
        if (!job->next)
                w->last[urgency] = &w->first[urgency];
        return job;
}

/* Caller holds the lock, which is released while the job runs. */
static void run(struct workers *w, struct job *job, enum urgency urgency)
{
        if (urgency == WORK_LATER)
                w->running_later++;
        pthread_mutex_unlock(&w->lock);
        job->fn(job->ctx, job->arg);
        pthread_mutex_lock(&w->lock);
        if (urgency == WORK_LATER)
                w->running_later--;
        if (job->task)
                job->task->done = true;
        if (urgency == WORK_LATER || job->task)
                pthread_cond_broadcast(&w->finished);
        free(job);
}

static void *work(void *arg)
{
        struct workers *w = arg;
        scoped_lock(&w->lock);

        while (!w->stopping) {
                enum urgency urgency = w->first[WORK_SOON] ? WORK_SOON : WORK_LATER;
                struct job *job = take(w, urgency);

                if (job)
                        run(w, job, urgency);
                else
                        pthread_cond_wait(&w->submitted, &w->lock);
        }
        return NULL;
}

/* Caller holds the lock. A thread that cannot be had is done without: see workers_drain. */
static void start_threads(struct workers *w)
{
        while (w->started < w->wanted) {
                if (pthread_create(&w->threads[w->started], NULL, work, w) != 0)
                        w->wanted = w->started;
                else
                        w->started++;
        }
}

unsigned workers_threads(struct workers *w)
{
        scoped_lock(&w->lock);

        return w->released ? w->wanted : 0;
}

void workers_release(struct workers *w)
{
        scoped_lock(&w->lock);

        w->released = true;
        if (w->first[WORK_SOON] || w->first[WORK_LATER])
                start_threads(w);
}

static int submit(struct workers *w, enum urgency urgency, const struct job *model)
{
        struct job *job = malloc(sizeof *job);

        if (!job)
                return -ENOMEM;
        *job = *model;
        pthread_mutex_lock(&w->lock);
        if (w->released)
                start_threads(w);
        *w->last[urgency] = job;
        w->last[urgency] = &job->next;
        pthread_cond_signal(&w->submitted);
        pthread_mutex_unlock(&w->lock);
        return 0;
}

int workers_submit(struct workers *w, enum urgency urgency, work_fn fn, void *ctx, size_t arg)
{
        return submit(w, urgency, &(struct job){.fn = fn, .ctx = ctx, .arg = arg});
}

void workers_start(struct workers *w, struct task *t, work_fn fn, void *ctx)
{
        *t = (struct task){.fn = fn, .ctx = ctx, .started = true};
        /* What is not in the queue is run by who joins it. */
        if (w)
                t->queued =
                    submit(w, WORK_SOON, &(struct job){.fn = fn, .ctx = ctx, .task = t}) == 0;
}

/* Take T's job out of the queue. Caller holds the lock. False: it was not there. */
static bool withdraw(struct workers *w, const struct task *t)
{
        for (struct job **link = &w->first[WORK_SOON]; *link; link = &(*link)->next) {
                struct job *job = *link;

                if (job->task != t)
                        continue;
                *link = job->next;
                if (!job->next)
                        w->last[WORK_SOON] = link;
                free(job);
                return true;
        }
        return false;
}

void workers_join(struct workers *w, struct task *t)
{
        bool run_here = !w || !t->queued;

        if (!t->started)
                return;
        t->started = false;
        if (!run_here) {
                scoped_lock(&w->lock);

                run_here = withdraw(w, t);
                while (!run_here && !t->done)
                        pthread_cond_wait(&w->finished, &w->lock);
        }
        if (run_here)
                t->fn(t->ctx, 0);
}

void workers_drain(struct workers *w)
{
        scoped_lock(&w->lock);

        for (;;) {
                struct job *job = take(w, WORK_LATER);

                if (job)
                        run(w, job, WORK_LATER);
                else if (w->running_later > 0)
                        pthread_cond_wait(&w->finished, &w->lock);
                else
                        return;
        }
}

void workers_free(struct workers *w)
{
        struct job *job;

        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_broadcast(&w->submitted);
        pthread_mutex_unlock(&w->lock);
        for (unsigned i = 0; i < w->started; i++)
                pthread_join(w->threads[i], NULL);
        while ((job = take(w, WORK_SOON)) || (job = take(w, WORK_LATER)))
                free(job);
        pthread_cond_destroy(&w->submitted);
        pthread_cond_destroy(&w->finished);
        pthread_mutex_destroy(&w->lock);
        free(w);
}
