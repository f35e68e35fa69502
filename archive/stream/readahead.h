/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who reads a stream in sequence: several disks are read from one archive at the same time, so
 * several readers are told apart, by the farthest segment that each of them has come to.
 *
 *   segments   | . | . | A | . | . | . | . | . | B | . | .      two tracks
 *                        └ ahead ─┘              └ ahead ─┘     to be decoded for them
 *                                    └ followed ─┘              what A will want of B's
 *
 * The requests of one reader are under way several at a time, and come in any order: what is NEAR
 * a track, in front of it or behind, is that track's. Thread-safe.
 */
#ifndef VMAFS_TRACKS_H
#define VMAFS_TRACKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACKS = 16 };

struct track {
        size_t index;    /* the farthest segment that was read */
        size_t ahead;    /* segments up to here have been asked for */
        bool sequential; /* it has moved on */
        uint64_t tick;   /* when it was read last; 0: the track is free */
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
void tracks_note(struct tracks *t, size_t index, size_t near, size_t depth, size_t *first,
                 size_t *end);

/*
 * Is somebody who reads in sequence more than NEAR segments and at most REACH behind INDEX, and
 * will soon come to it? Who has not read for long does not count.
 */
bool tracks_followed(struct tracks *t, size_t index, size_t near, size_t reach);

#endif
