/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few threads that run jobs, in order of urgency and then of arrival.
 *
 * No thread exists before workers_release, so that a process may fork until then, nor before the
 * first job.
 */
#ifndef VMAFS_WORKERS_H
#define VMAFS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct workers;

enum urgency {
        WORK_SOON,  /* somebody will want the result in a moment */
        WORK_LATER, /* nobody waits, but it has to be done: see workers_drain */
};

typedef void (*work_fn)(void *ctx, size_t arg);

/* How many threads the machine runs at the same time. */
unsigned workers_processors(void);

int workers_new(unsigned threads, struct workers **out);

/* How many of W's threads may run jobs: none before workers_release, nor if none can be had. */
unsigned workers_threads(struct workers *w);

/* From now on jobs are run; until then they wait, except in workers_drain. */
void workers_release(struct workers *w);

/* Waits for the jobs that run; forgets those that were not begun. NULL is allowed. */
void workers_free(struct workers *w);

/* 0 or -ENOMEM. CTX stays valid until the job has run or workers_free has returned. */
int workers_submit(struct workers *w, enum urgency urgency, work_fn fn, void *ctx, size_t arg);

/* Work whose outcome is waited for. It lies with who started it. */
struct task {
        work_fn fn;
        void *ctx;
        bool started,
            queued; /* not joined yet; it may run by itself. Of its owner's thread alone */
        bool done;  /* guarded by the workers' lock */
};

/*
 * Have FN(CTX, 0) run, on another thread if one is free before it is joined. W may be NULL: then
 * joining runs it. T must be joined before it, CTX or W goes away.
 */
void workers_start(struct workers *w, struct task *t, work_fn fn, void *ctx);

/* Return when T has run; at once if it was not started. */
void workers_join(struct workers *w, struct task *t);

/* Return when all WORK_LATER jobs are done, lending a hand. */
void workers_drain(struct workers *w);

#endif
