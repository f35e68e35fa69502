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
 * Find where in the N bytes at P, which begin at byte AT of the file, the format goes on, or return
 * RESYNC_NONE. Each byte with NEED bytes after it is tried once.
 */
typedef size_t (*resync_fn)(void *ctx, const uint8_t *p, size_t n, uint64_t at);

/*
 * Set *FOUND to the first place at or after byte FROM of IN that FN finds. Unreadable parts are
 * skipped. NEED, at most 4096, includes the byte itself. 1, 0 if there is none, or -ENOMEM.
 */
int resync_search(struct source *in, uint64_t from, size_t need, resync_fn fn, void *ctx,
                  uint64_t *found);

#endif
