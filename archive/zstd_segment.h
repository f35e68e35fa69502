/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_ZSTD_SEGMENT_H
#define VMAFS_ZSTD_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct restart_point;
struct source;

/* As codec_ops.segment. */
int zstd_segment(struct source *in, const struct restart_point *point, const void *history,
                 uint64_t in_end, void *out, size_t len, struct error *err);

#endif
