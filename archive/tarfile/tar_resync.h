/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the next header of a tar where there is none at the place where it should be. */
#ifndef VMAFS_TAR_RESYNC_H
#define VMAFS_TAR_RESYNC_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct tar_reader;

struct tar_found {
        uint64_t at;  /* byte of the stream, of the next header */
        bool shifted; /* bytes were cut out or inserted before the place of the missing header */
        bool doubted; /* the missing header may have described the member that was found */
        bool unended; /* none was found, but half an end mark and something else after it */
};

/*
 * BLOCK is the block at r->pos, or zeros if that cannot be read. The next header is the first one
 * from which headers lead from one to the next up to the archive's end. 1; 0: there is none, and
 * only OUT->shifted is set; -errno.
 */
int tar_resync(struct tar_reader *r, const unsigned char *block, struct tar_found *out,
               struct error *err);

/*
 * Zeros lie at r->pos: the archive's end, or an overwritten header. As tar_resync, but it searches
 * only if that is worthwhile. 1; 0: it is the end, unless OUT->unended; -errno.
 */
int tar_pass_zeros(struct tar_reader *r, struct tar_found *out, struct error *err);

#endif
