/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extents whose bytes are not trusted yet (archive/source/source.h), oldest first. At most
 * SOURCE_WITHHELD bytes of the archive's stream wait for their checksum.
 */
#ifndef VMAFS_BACKLOG_H
#define VMAFS_BACKLOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "archive/extent.h"

struct waiting;

/* For one thread. */
struct backlog {
        STAILQ_HEAD(, waiting) list;
};

void backlog_init(struct backlog *b);

/* N extents of disk number DISK wait until the frontier is at NEEDS. 0 or -ENOMEM. */
int backlog_add(struct backlog *b, uint64_t needs, uint32_t disk, const struct extent *extents,
                size_t n);

/*
 * Take the oldest extents, at most MAX and all of one *DISK, that FRONTIER has passed. Returns how
 * many.
 */
size_t backlog_take(struct backlog *b, uint64_t frontier, uint32_t *disk, struct extent *out,
                    size_t max);

/* Drop all extents. */
void backlog_clear(struct backlog *b);

#endif
