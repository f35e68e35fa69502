/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who reads a stream in sequence: several disks are read from one archive at the same time, so
 * several readers are told apart, by the segment that each of them read last. Thread-safe.
 */
#ifndef VMAFS_TRACKS_H
#define VMAFS_TRACKS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACKS = 16 };

struct track {
        size_t index; /* the segment that was read last */
        size_t ahead; /* segments up to here have been asked for */
        uint64_t tick;
};

struct tracks {
        pthread_mutex_t lock; /* guards the rest */
        struct track track[TRACKS];
        uint64_t tick;
};

void tracks_init(struct tracks *t);
void tracks_fini(struct tracks *t);

/*
 * Segment INDEX is being read. Who has moved on to it is to have the segments [*FIRST, *END)
 * decoded ahead, at most DEPTH of them; for who has not, the range is empty.
 */
void tracks_note(struct tracks *t, size_t index, size_t depth, size_t *first, size_t *end);

#endif
