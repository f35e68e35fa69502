/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that run jobs for all archives of a process.
 *
 *   pool ──> workers ──> jobs of one stream: by urgency, then in their order
 *        ──> workers ──> jobs of another one
 *
 * Each stream, scan and so on has a queue of its own (struct workers). Threads take jobs from the
 * queues in turn, urgent ones of all queues first.
 *
 * No thread is started before worker_pool_release, so that the process may fork until then, nor
 * before the first job.
 */
#ifndef VMAFS_WORKERS_H
#define VMAFS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct worker_pool;
struct workers;

enum urgency {
        WORK_SOON,  /* somebody will want the result in a moment */
        WORK_LATER, /* nobody waits, but it has to be done: see workers_drain */
        /* It waits for a disk, mostly: other threads do it, of which there are more. */
        WORK_DISK,
};

typedef void (*work_fn)(void *ctx, size_t arg);

/* How many threads the machine can run at the same time. */
unsigned workers_processors(void);

/* Create a pool of THREADS threads, and others for jobs that wait for disks. 0 or -ENOMEM. */
int worker_pool_new(unsigned threads, struct worker_pool **out);
void worker_pool_free(struct worker_pool *p); /* no queues may be left; NULL is allowed */

/* Run jobs from now on; until then they wait, except in workers_drain. */
void worker_pool_release(struct worker_pool *p);

/* How many threads it was created for. */
unsigned worker_pool_threads(const struct worker_pool *p);

/* Create a queue of P, which must outlive it. 0 or -ENOMEM. */
int workers_new(struct worker_pool *p, struct workers **out);

/* Waits for running jobs, and drops those that were not begun. NULL is allowed. */
void workers_free(struct workers *w);

/* How many threads may run W's jobs: none before the pool's release, or if none can be started. */
unsigned workers_threads(struct workers *w);

/*
 * Queue a job. CTX must stay valid until the job has run or workers_free has returned. 0 or
 * -ENOMEM.
 */
int workers_submit(struct workers *w, enum urgency urgency, work_fn fn, void *ctx, size_t arg);

/* Work whose result is waited for. Whoever starts it provides the memory. */
struct task {
        work_fn fn;
        void *ctx;
        bool started,
            queued; /* not joined yet; it may run by itself. Of its owner's thread alone */
        bool done;  /* guarded by the pool's lock */
};

/*
 * Run FN(CTX, 0), on another thread if one is free before it is joined. If W is NULL, joining runs
 * it. T must be joined before T, CTX or W goes away.
 */
void workers_start(struct workers *w, struct task *t, work_fn fn, void *ctx);

/*
 * The same for a task that only calculates: where as many threads run as there are processors, it
 * is left to the next one that waits for a task of W's, or is free. One thread more would take time
 * from those on which others wait.
 */
void workers_offer(struct workers *w, struct task *t, work_fn fn, void *ctx);

/*
 * Return when T has run; at once if it was not started. Until then the caller may run other tasks
 * of W, so it must not hold a lock that one of them takes.
 */
void workers_join(struct workers *w, struct task *t);

/* Help with W's WORK_LATER jobs until all are done. */
void workers_drain(struct workers *w);

#endif
