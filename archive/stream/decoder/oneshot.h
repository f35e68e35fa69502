/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decodes a segment, or its beginning, by one call of its codec, with all of its input in memory. */
#ifndef VMAFS_ONESHOT_H
#define VMAFS_ONESHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct codec_ops;
struct decoding;
struct error;
struct restart_point;
struct restart_segment;

/* Is SEGMENT's input known, and not too much for that? */
bool oneshot_fits(const struct restart_segment *segment);

/* The bytes of the file that have a bit before IN_END and none before POINT. */
size_t oneshot_input(const struct restart_point *point, uint64_t in_end);

/* The memory that CODEC takes to decode SEGMENT, which fits, beyond its output and history. */
size_t oneshot_memory(const struct codec_ops *codec, const struct restart_segment *segment);

/*
 * As codec_ops.decode, for the input up to bit IN_END. POINT may be completely wrong, and the
 * result is not checked.
 */
int oneshot_decode(struct decoding *d, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err);

#endif
