/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/mount_wait.h"

#include <stdint.h>

#include "fs/print/report.h"
#include "fs/process/daemon.h"
#include "index/index.h"

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
