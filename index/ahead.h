/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sequential readers of disks will need next, of an archive that has to be decoded. The
 * stream sees only what is read of it; the map knows which of its segments come next.
 *
 *   disk      |--read-->| next 64 MiB: decode   | the window: up to 4 GiB, listed by place
 *   archive   |..s....s...|=====|=====|=====|     s: strays of the window, in other segments
 *
 * A segment that holds strays is decoded once, for all of them that the window has and the cache
 * has room for; then the others.
 */
#ifndef VMAFS_AHEAD_H
#define VMAFS_AHEAD_H

#include <stdint.h>

struct ahead;
struct disk;
struct index;

/* For the disks of INDEX. 0 or -ENOMEM. */
int ahead_new(struct index *index, struct ahead **out);
void ahead_free(struct ahead *a); /* NULL is allowed */

/* LEN bytes at OFFSET of D are being read. Thread-safe. */
void ahead_note(struct ahead *a, struct disk *d, uint64_t offset, uint64_t len);

#endif
