/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding the segments of a restart table, each checked against its hash.
 *
 *   ==point==|==point==|==continues==|==continues==|==point==
 *   alone      alone    on from the point before, by the one cursor
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
#include <sys/types.h>

struct cache_owner;
struct codec_limits;
struct codec_ops;
struct codec_piece;
struct error;
struct paused;
struct restart_point;
struct restart_segment;
struct restart_table;
struct segments;
struct source;

/*
 * IN, TABLE and CACHE, whose memory takes the input of a segment, stay the caller's. At most THREADS
 * segments are decoded at a time.
 */
int segments_new(const struct codec_ops *codec, const struct codec_limits *limits,
                 struct source *in, struct restart_table *table, struct cache_owner *cache,
                 unsigned threads, struct segments **out);
void segments_free(struct segments *s); /* NULL is allowed */

/*
 * Bytes of output decoded for readers so far, including what was skipped on the way to what they
 * asked for. What a codec's piece decodes is not counted.
 */
uint64_t segments_decoded(const struct segments *s);

/*
 * How much memory decoding SEGMENT takes beyond its output, in bytes. Callers of the functions
 * below must account for it. What is kept between calls is accounted for here.
 */
size_t segments_memory(const struct segments *s, const struct restart_segment *segment);

/*
 * Decode the LEN bytes of segment INDEX into OUT. -EIO, with ERR naming it, if the result differs
 * from what the pass saw; -ENOMEM. If an unproven point fails, it is dropped, and the segment is
 * decoded from an earlier point. Thread-safe.
 */
int segments_decode(struct segments *s, size_t index, void *out, size_t len, struct error *err);

/* Has decoding segment INDEX failed in the last seconds? Then *ERR, unless ERR is NULL, says why. */
bool segments_has_failed(struct segments *s, size_t index, struct error *err);

/*
 * Of a segment that has failed lately: what is FROM its byte on cannot be had. UINT64_MAX: it has not
 * failed, or how much of it is sound was not looked for.
 */
void segments_note_lost(struct segments *s, size_t index, uint64_t from);
uint64_t segments_lost_from(struct segments *s, size_t index);

/* The decoders that stop inside segments; segments_decode goes on from where they are. */
struct paused *segments_paused(struct segments *s);

/*
 * Decode as much of the LEN bytes of SEGMENT into OUT as possible, whatever their hash. -EIO if
 * that is nothing, or it cannot be entered; -ENOMEM.
 */
ssize_t segments_salvage(struct segments *s, const struct restart_segment *segment, void *out,
                         size_t len);

/*
 * As codec_ops.decode, for the input up to bit IN_END. POINT may be completely wrong, and the
 * result is not checked.
 */
int segments_enter(struct segments *s, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err);

/*
 * Decode only the piece of SEGMENT, whose point is by_sums, that holds its byte AT. WHERE describes
 * the piece; *OUT holds it, and the caller frees it. Works even if the rest of the segment is
 * damaged. -EIO with ERR, -ENOMEM. Thread-safe.
 */
int segments_piece(struct segments *s, const struct restart_segment *segment, uint64_t at,
                   void **out, struct codec_piece *where, struct error *err);

/*
 * The second proof: decode segment INDEX into SCRATCH, of LEN bytes, from exactly what its point
 * holds, and mark the point as proven or drop it. Thread-safe.
 */
void segments_prove(struct segments *s, size_t index, void *scratch, size_t len);

#endif
