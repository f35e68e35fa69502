/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects sequential readers of a stream. Several disks of an archive may be read at the same time,
 * so several readers are tracked, each by the farthest segment that it has reached.
 *
 *   segments   | . | . | A | . | . | . | . | . | B | . | .      two tracks
 *                        └ ahead ─┘              └ ahead ─┘     what to decode for them
 *                                    └ followed ─┘              what A will want of B's
 *
 * A reader has several requests in flight, which come in any order: whatever is NEAR a track,
 * before or after it, belongs to that track. Thread-safe.
 */
#ifndef VMAFS_READAHEAD_H
#define VMAFS_READAHEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READAHEAD_TRACKS = 16 };

struct reader_track {
        size_t index;    /* the farthest segment that was read */
        size_t ahead;    /* segments up to here have been asked for */
        bool sequential; /* it has moved on */
        uint64_t tick;   /* when it was read last; 0: the track is free */
};

struct readahead {
        pthread_mutex_t lock; /* guards the rest */
        struct reader_track track[READAHEAD_TRACKS];
        uint64_t tick;
};

void readahead_init(struct readahead *t);
void readahead_fini(struct readahead *t);

/*
 * Segment INDEX is being read. If a reader has moved on to it, segments [*FIRST, *END), at most
 * DEPTH, should be decoded ahead. Otherwise the range is empty.
 */
void readahead_note(struct readahead *t, size_t index, size_t near, size_t depth, size_t *first,
                    size_t *end);

/*
 * Will a sequential reader, who is more than NEAR and at most REACH segments before INDEX, soon
 * come to it? A stale reader does not count.
 */
bool readahead_followed(struct readahead *t, size_t index, size_t near, size_t reach);

#endif
