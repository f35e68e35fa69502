/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading an export, and where its data and holes are. Thread-safe. What the index does not know
 * yet is waited for (growth.h); why a request fails is logged.
 */
#ifndef VMAFS_READING_H
#define VMAFS_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content;
struct export;

/* The size in bytes. 0 or -ESHUTDOWN. */
int reading_size(struct content *c, const struct export *e, uint64_t *out);

/*
 * Read LEN bytes at POS, all below the size. 0; -EIO, also where only some of them are lost;
 * -ENOMEM; -ESHUTDOWN.
 */
int reading_read(struct content *c, const struct export *e, void *buf, size_t len, uint64_t pos);

/*
 * Call ADD for what lies in [POS, POS + LEN), data or zeros in blocks of 4 KiB as SEEK_HOLE of a
 * mount tells them apart: runs that follow one another, the first one of which may begin before
 * POS, and the last one end before or after POS + LEN. What is lost is data. ONE: the first run is
 * enough. 0, -ESHUTDOWN, or what ADD returned.
 */
int reading_map(struct content *c, const struct export *e, uint64_t len, uint64_t pos, bool one,
                int (*add)(void *ctx, uint64_t pos, uint64_t len, bool zeros), void *ctx);

#endif
