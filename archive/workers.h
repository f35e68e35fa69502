/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few threads that run jobs, in order of urgency and then of arrival.
 *
 * No thread exists before workers_release, so that a process may fork until then, nor before the
 * first job.
 */
#ifndef VMAFS_WORKERS_H
#define VMAFS_WORKERS_H

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

/* From now on jobs are run; until then they wait, except in workers_drain. */
void workers_release(struct workers *w);

/* Waits for the jobs that run; forgets those that were not begun. NULL is allowed. */
void workers_free(struct workers *w);

/* 0 or -ENOMEM. CTX stays valid until the job has run or workers_free has returned. */
int workers_submit(struct workers *w, enum urgency urgency, work_fn fn, void *ctx, size_t arg);

/* Return when all WORK_LATER jobs are done, lending a hand. */
void workers_drain(struct workers *w);

#endif
