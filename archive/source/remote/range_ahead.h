/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bytes of an object on a server will be wanted next. A reader in sequence is recognised by
 * its third read, and what is fetched before it asks grows with each further one, so that a few
 * reads at random cost nothing, and a long one never waits for the server's answer.
 *
 *   |======|======|- - - - - - - -|
 *    read   read   ahead: at most RANGE_AHEAD_MAX
 *
 * Not thread-safe.
 */
#ifndef VMAFS_RANGE_AHEAD_H
#define VMAFS_RANGE_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
        RANGE_AHEAD_TRACKS = 8,
        RANGE_AHEAD_MIN = 256 << 10,
        RANGE_AHEAD_MAX = 16 << 20,
};

struct range_track {
        uint64_t last;   /* where its last read began … */
        uint64_t next;   /* … and the farthest end of one */
        uint64_t end;    /* up to where was asked for */
        uint64_t window; /* 0: it has moved on less than twice */
        bool moved;      /* it has, once */
        bool announced;  /* up to END all is asked for, and nothing is to be guessed */
        uint64_t tick;   /* of its last read; 0: the track is free */
};

struct range_ahead {
        struct range_track tracks[RANGE_AHEAD_TRACKS];
        uint64_t tick;
};

/*
 * LEN bytes at OFFSET are being read. Sets [*FIRST, *END) to what should be fetched as well; it is
 * empty where nothing should.
 */
void range_ahead_note(struct range_ahead *a, uint64_t offset, uint64_t len, uint64_t *first,
                      uint64_t *end);

/* LEN bytes at OFFSET will be read, and have been asked for. */
void range_ahead_announce(struct range_ahead *a, uint64_t offset, uint64_t len);

#endif
