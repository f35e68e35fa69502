/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bgzf, which bgzip writes: gzip in members of at most 64 KiB whose headers say how long they are.
 *
 *   1f 8b 08 04 | 6 bytes | extra field with "BC" 2 0, length - 1 | deflate | CRC-32 | bytes of output
 */
#ifndef VMAFS_BGZF_H
#define VMAFS_BGZF_H

#include <stdbool.h>
#include <stdint.h>

struct source;

struct bgzf_member {
        uint64_t next; /* the byte after it */
        uint32_t out;  /* bytes of output, by its trailer */
};

/* Is there a whole member at byte AT of IN? */
bool bgzf_member(struct source *in, uint64_t at, struct bgzf_member *out);

#endif
