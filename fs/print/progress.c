/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"
#include "index/index.h"

struct progress {
        void (*show)(void *ctx, double elapsed);
        void *ctx; /* itself, where it is an index that is scanned: … */
        struct index *index;
        const char *what; /* … this one */
        bool resumed;     /* a part of it was passed before, in no time: … */
        unsigned first;   /* … so many percent */
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t stopped;
        bool stop; /* lock */
};

static double now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void show_index(void *ctx, double elapsed)
{
        const struct progress *p = ctx;
        uint64_t done = index_scanned(p->index);
        unsigned percent = index_percent(p->index);
        char size[32], rate[32];

        fprintf(stderr, "%s %u%%, %s", p->what, percent, report_size(done, size));
        if (!p->resumed)
                fprintf(stderr, ", %s/s", report_size((uint64_t)((double)done / elapsed), rate));
        if (percent > p->first) {
                unsigned left = (unsigned)(elapsed / (percent - p->first) * (100 - percent));

                fprintf(stderr, ", %u:%02u left", left / 60, left % 60);
        }
}

/* True when told to stop, false after a fifth of a second. */
static bool pause_a_little(struct progress *p)
{
        struct timespec until;
        scoped_lock(&p->lock);

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        if (!p->stop)
                pthread_cond_timedwait(&p->stopped, &p->lock, &until);
        return p->stop;
}

static void *run(void *arg)
{
        struct progress *p = arg;
        double start = now();
        bool shown = false;

        while (!pause_a_little(p)) {
                double elapsed = now() - start;

                if (elapsed < 1)
                        continue;
                fputs("\r\033[Kvmafs: ", stderr);
                p->show(p->ctx, elapsed);
                fflush(stderr);
                shown = true;
        }
        if (shown)
                fputs("\r\033[K", stderr);
        return NULL;
}

static struct progress *start(struct progress *p)
{
        if (!p)
                return NULL;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->stopped, NULL);
        if (pthread_create(&p->thread, NULL, run, p) != 0) {
                free(p);
                return NULL;
        }
        return p;
}

struct progress *progress_start_with(void (*show)(void *ctx, double elapsed), void *ctx)
{
        struct progress *p = isatty(STDERR_FILENO) ? calloc(1, sizeof *p) : NULL;

        if (!p)
                return NULL;
        p->show = show;
        p->ctx = ctx;
        return start(p);
}

struct progress *progress_start(struct index *index, const char *what)
{
        struct progress *p = isatty(STDERR_FILENO) ? calloc(1, sizeof *p) : NULL;

        if (!p)
                return NULL;
        p->show = show_index;
        p->ctx = p;
        p->index = index;
        p->what = what;
        p->resumed = index_resumed(index) > 0;
        p->first = p->resumed ? index_percent(index) : 0;
        return start(p);
}

void progress_stop(struct progress *p)
{
        if (!p)
                return;
        {
                scoped_lock(&p->lock);
                p->stop = true;
                pthread_cond_signal(&p->stopped);
        }
        pthread_join(p->thread, NULL);
        pthread_cond_destroy(&p->stopped);
        pthread_mutex_destroy(&p->lock);
        free(p);
}
