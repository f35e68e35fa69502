/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/mount_wait.h"

#include <stdint.h>
#include <time.h>

#include "fs/print/report.h"
#include "fs/process/daemon.h"
#include "index/index.h"

enum { HANG_SECONDS = 5 }; /* after which a read of the archive is taken to hang */

static void *tell_progress(void *arg)
{
        struct mount_wait *w = arg;
        uint64_t seen = 0, before;
        unsigned told = 0;

        do {
                unsigned percent = index_percent(w->index);

                if (percent != told)
                        daemon_tell(w->daemon, percent);
                told = percent;
                before = seen;
                index_wait(w->index, &seen);
                /* It returns without a change if the index was sealed or stopped. */
        } while (told < 100 && seen != before);
        daemon_finish(w->daemon, STATUS_OK);
        return NULL;
}

void mount_wait_release(struct mount_wait *w, bool wait, struct index *index, struct daemon *daemon)
{
        *w = (struct mount_wait){.index = index, .daemon = daemon};
        if (wait && index) {
                daemon_outlive(daemon);
                w->started = pthread_create(&w->thread, NULL, tell_progress, w) == 0;
        }
        if (!w->started)
                daemon_finish(daemon, STATUS_OK);
}

void mount_wait_join(struct mount_wait *w)
{
        if (w->started)
                pthread_join(w->thread, NULL);
        w->started = false;
}

static bool join_soon(pthread_t thread)
{
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += HANG_SECONDS;
        return pthread_timedjoin_np(thread, NULL, &limit) == 0;
}

bool mount_wait_scan(pthread_t scan, const struct index *index)
{
        bool sealed;

        do {
                sealed = index_sealed(index);
                if (join_soon(scan))
                        return true;
        } while (sealed || index_sealed(index));
        return false;
}
