/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * So many threads decode at a time as the machine can run. With more of them, each evicts from the
 * processor's caches what the others work on: bzip2 took a quarter more processor time.
 *
 * Turns come in the order in which they are asked for. Whoever has one must not wait for anything
 * but the processor.
 */
#ifndef VMAFS_TURNS_H
#define VMAFS_TURNS_H

#include <pthread.h>
#include <sys/queue.h>

struct turn;

struct turns {
        pthread_mutex_t lock; /* guards what follows, but not most */
        unsigned most;        /* 0: any number */
        unsigned taken;
        unsigned waiting; /* threads in the queue */
        STAILQ_HEAD(, turn) queue;
};

void turns_init(struct turns *t, unsigned most);
void turns_fini(struct turns *t);

/* Wait for a turn. turns_end must follow. */
void turns_begin(struct turns *t);
void turns_end(struct turns *t);

#endif
