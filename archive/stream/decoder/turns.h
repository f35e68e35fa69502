/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * So many threads decode at a time as the machine can run. With more of them, each evicts from the
 * processor's caches what the others work on: bzip2 took a quarter more processor time.
 *
 * The next turn goes to the thread whose segment begins first. A kernel that reads ahead asks for a
 * dozen segments at once, in a loose order, and for more when it has the first of them. First come,
 * first served made it wait for that one, and the processors idle. A thread that has been passed
 * TURNS_PATIENCE times goes next in any case: it may serve another reader.
 *
 * Whoever has a turn must not wait for anything but the processor.
 */
#ifndef VMAFS_TURNS_H
#define VMAFS_TURNS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

enum { TURNS_PATIENCE = 16 };

struct turn;

struct turns {
        pthread_mutex_t lock; /* guards what follows, but not most */
        unsigned most;        /* 0: any number */
        unsigned taken;
        unsigned waiting;         /* threads in the queue */
        TAILQ_HEAD(, turn) queue; /* in the order of asking */
};

void turns_init(struct turns *t, unsigned most);
void turns_fini(struct turns *t);

/* Wait for a turn to decode what begins at byte PLACE of the stream. turns_end must follow. */
void turns_begin(struct turns *t, uint64_t place);
void turns_end(struct turns *t);

#endif
