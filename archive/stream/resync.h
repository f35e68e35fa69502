/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Searching a damaged file for the place at which a format goes on.
 */
#ifndef VMAFS_RESYNC_H
#define VMAFS_RESYNC_H

#include <stddef.h>
#include <stdint.h>

struct source;

#define RESYNC_NONE SIZE_MAX

/*
 * Where in the N bytes at P, which begin at byte AT of the file, does it go on? RESYNC_NONE: not
 * here. It is asked of every byte that has NEED bytes behind it, once.
 */
typedef size_t (*resync_fn)(void *ctx, const uint8_t *p, size_t n, uint64_t at);

/*
 * The first place at or behind byte FROM of IN that FN finds, into *FOUND. What cannot be read is
 * passed by. NEED, at most 4096, includes the byte itself. 1, 0 where there is none, or -ENOMEM.
 */
int resync_search(struct source *in, uint64_t from, size_t need, resync_fn fn, void *ctx,
                  uint64_t *found);

#endif
