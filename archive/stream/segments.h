/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding the segments of a restart table, each checked against its hash.
 *
 *   ==point==|==point==|==continues==|==continues==|==point==
 *   alone      alone    on from the point in front, by the one cursor that is kept
 *
 * A segment with a point of its own is decoded alone, in parallel with any other. One that
 * continues is reached by decoding on; the cursor stays where it ended, so that reading such
 * segments in their order decodes each once.
 */
#ifndef VMAFS_SEGMENTS_H
#define VMAFS_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blockcache;
struct codec_limits;
struct codec_ops;
struct codec_piece;
struct error;
struct restart_point;
struct restart_segment;
struct restart_table;
struct segments;
struct source;

/* IN, TABLE and CACHE, whose memory takes the input of a segment, stay the caller's. */
int segments_new(const struct codec_ops *codec, const struct codec_limits *limits,
                 struct source *in, struct restart_table *table, struct blockcache *cache,
                 struct segments **out);
void segments_free(struct segments *s); /* NULL is allowed */

/*
 * Decode the LEN bytes of segment INDEX into OUT. -EIO with ERR naming it when it does not come
 * out as the pass saw it, -ENOMEM. A point that was never proven and fails is dropped, and the
 * segment reached in the other way. Thread-safe.
 */
int segments_decode(struct segments *s, size_t index, void *out, size_t len, struct error *err);

/*
 * By POINT alone, which may be wrong in every way, unchecked: as codec_ops.decode, of the input up
 * to bit IN_END.
 */
int segments_enter(const struct segments *s, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err);

/*
 * Of SEGMENT, whose point is by_sums, decode the piece alone with its byte AT: WHERE it is, into
 * *OUT, which the caller frees. Also where the rest of the segment is damaged. -EIO with ERR,
 * -ENOMEM. Thread-safe.
 */
int segments_piece(struct segments *s, const struct restart_segment *segment, uint64_t at,
                   void **out, struct codec_piece *where, struct error *err);

/*
 * The second proof: decode segment INDEX into SCRATCH, of LEN bytes, from exactly what its point
 * holds, and mark the point as proven or drop it. Thread-safe.
 */
void segments_prove(struct segments *s, size_t index, void *scratch, size_t len);

#endif
