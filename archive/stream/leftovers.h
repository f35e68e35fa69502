/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a sequential reader leaves unread of a segment, kept when the segment goes.
 *
 *   segment  |rrrrrrrrrr|....|rrrrrrrrrrrrrr|....|rrrrrr|      r: read
 *   kept                |unit|              |unit|             a few units of 32 KiB
 *
 * A backup of a running machine stores what the guest was about to overwrite far before its turn. A
 * reader of the disk passes such a cluster by, and comes back for it when the segment around it has
 * long been evicted: decoding all of that again for each cluster costs several times the disk.
 * Nobody has to say what is out of order: it is what was passed by.
 *
 * What was read is noted in steps of 4 KiB, for the segments that were read last. Thread-safe.
 */
#ifndef VMAFS_LEFTOVERS_H
#define VMAFS_LEFTOVERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/restart_table.h"

#define STRAY_STEP (UINT64_C(4) << 10)
#define STRAY_UNIT (UINT64_C(32) << 10)

enum {
        STRAY_SEGMENTS = 32, /* that are watched */
        STRAY_STEPS = RESTART_SEGMENT_MAX / STRAY_STEP,
        STRAY_UNITS = RESTART_SEGMENT_MAX / STRAY_UNIT,
};

struct watched_segment {
        uint64_t start, len;             /* in the stream; LEN 0: unused */
        uint64_t tick;                   /* when it was read last */
        uint64_t read[STRAY_STEPS / 64]; /* steps of which a byte was read */
};

struct leftovers {
        pthread_mutex_t lock; /* guards the rest */
        uint64_t tick;
        struct watched_segment segments[STRAY_SEGMENTS];
};

/* A segment that was left, and its units that have a stray in them. */
struct left_segment {
        uint64_t start, len;
        size_t count;
        uint16_t units[STRAY_UNITS];
};

void leftovers_init(struct leftovers *s);
void leftovers_fini(struct leftovers *s);

/* N bytes at byte OFFSET of the segment of LEN bytes at START were read. */
void leftovers_note(struct leftovers *s, uint64_t start, uint64_t len, uint64_t offset, uint64_t n);

/* Were BYTES or more read of the watched segments that begin in [START, END)? */
bool leftovers_much_read(struct leftovers *s, uint64_t start, uint64_t end, uint64_t bytes);

/*
 * Take out a segment that ends at or before END, and no more than REACH before it, of which most
 * was read. False: there is none.
 */
bool leftovers_leave(struct leftovers *s, uint64_t end, uint64_t reach, struct left_segment *out);

#endif
