/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds a table of restart points during the one sequential pass over a compressed stream. The
 * codec names boundaries, the driver of the pass reports the output, and the builder decides which
 * boundaries become points.
 */
#ifndef VMAFS_RESTART_BUILDER_H
#define VMAFS_RESTART_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/pass_state.h"
#include "archive/stream/restart_table.h"

struct restart_builder;

/*
 * For a codec, during the pass. All positions are "here": the number of decompressed bytes that
 * the codec has returned so far, so a codec returns early when it reaches a boundary worth
 * naming.
 *
 * restart_wanted     is a point useful here? (spacing adapts to the sidecar's budget: a codec
 *                    with a choice asks before it spends anything on a boundary, and asks at
 *                    every boundary it could name, because their rhythm is learnt from that)
 * restart_candidate  a boundary whose worth is known only later (zstd). At most one candidate is
 *                    open at a time.
 * restart_accept     the open candidate is a point. HISTORY (copied) are the HISTORY_LEN bytes
 *                    of output before it, those that are never referred to zeroed.
 * restart_refuse     the open candidate is none.
 * restart_defer      the open candidate holds as far as here, and with it shares the fate of the
 *                    candidate that is opened here next. HISTORY as for accept.
 * restart_here       candidate and accept in one, for codecs that know at once.
 *
 * 0 or -errno (-ENOMEM).
 */
bool restart_wanted(struct restart_builder *b);
int restart_candidate(struct restart_builder *b, uint64_t in_bit, uint64_t aux);
int restart_accept(struct restart_builder *b, const void *history, size_t history_len);
int restart_refuse(struct restart_builder *b);
int restart_defer(struct restart_builder *b, const void *history, size_t history_len);
int restart_here(struct restart_builder *b, uint64_t in_bit, uint64_t aux, const void *history,
                 size_t history_len);

/*
 * For a codec that looks ahead, right after it has named a point: the next one is best BEST bytes
 * of output further on, and at most MOST where the stream can be cut there. Both grow as points cost
 * more.
 */
struct restart_spacing {
        uint64_t best, most;
};

struct restart_spacing restart_spacing(const struct restart_builder *b);

/*
 * The history of the last point named, as it was stored; the caller frees it. NULL if it needs
 * none. 0, -ENOMEM, -ENODATA.
 */
int restart_stored(struct restart_builder *b, void **history);

/*
 * The codec has decoded everything since the last point named from exactly what is stored for it,
 * and a checksum of the stream will verify it before the pass succeeds. So the segment needs no
 * other proof.
 */
void restart_vouch(struct restart_builder *b);

/*
 * SUMS, of SUMS_LEN bytes, are the stream's own checksums of its next OUT_LEN bytes of output,
 * which the codec is about to return or to skip. They are checked whenever those bytes are decoded.
 */
void restart_sums(struct restart_builder *b, const void *sums, size_t sums_len, uint64_t out_len);

/* The codec has skipped the next LEN bytes of output, for which it has passed restart_sums. */
void restart_pass_over(struct restart_builder *b, uint64_t len);

/*
 * Give the codec access to output that it has returned, so that it need not keep a copy. After
 * restart_keep, the last BYTES before here can be recalled: restart_recall copies LEN bytes from
 * OFFSET of the decompressed stream to BUF, or fails with -ERANGE if they are not kept. The last
 * BYTES before the open candidate are kept as well, until restart_release says that nothing before
 * OFFSET will be recalled for it.
 */
void restart_keep(struct restart_builder *b, uint64_t bytes);
void restart_release(struct restart_builder *b, uint64_t offset);
int restart_recall(struct restart_builder *b, uint64_t offset, void *buf, size_t len);

/*
 * For a codec right after it has named the boundary here, as a point or a candidate: with STATE it
 * could go on from that, as codec_ops.pass_resume does. SURE: the history is all that decoding needs
 * there, whether the point proves itself or not.
 */
void restart_checkpoint(struct restart_builder *b, const struct pass_state *state, bool sure);

/* For the driver of a pass: stream.c, and tests. */

typedef int (*restart_recall_fn)(void *ctx, uint64_t offset, void *buf, size_t len);

/* TABLE is empty, and the caller keeps it. RECALL implements restart_recall. */
int restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                        struct restart_builder **out);
void restart_builder_free(struct restart_builder *b); /* NULL is allowed */

/*
 * The last checkpoint whose point has been proven or is sure, and before which all is settled: where a pass
 * may go on once it has the table's first INDEX segments, the point of the one after those, and
 * STATE. None after byte OUT of the stream is meant. NULL: there is none. Valid until the next
 * call. Unlike all else here, it may be called while another thread has the builder.
 */
struct restart_checkpoint {
        size_t index;
        uint64_t out; /* the byte of the stream */
        bool sure;
        struct pass_state state; /* the builder's, then the codec's */
};

const struct restart_checkpoint *restart_last_checkpoint(struct restart_builder *b, uint64_t out);

/*
 * As restart_builder_new, for a TABLE that was loaded up to a checkpoint with STATE, of which the
 * codec's is left. -EINVAL if it is not to be believed: KEEP_MAX is the most that may be kept.
 */
int restart_builder_resume(struct restart_table *table, restart_recall_fn recall, void *ctx,
                           struct pass_state *state, uint64_t keep_max,
                           struct restart_builder **out);

/*
 * The codec has returned these LEN bytes; here advances past them. -EINVAL where the segment would
 * become longer than RESTART_SEGMENT_MAX.
 */
int restart_advance(struct restart_builder *b, const void *buf, size_t len);

/* Where the current segment begins. It changes when the codec names a point. */
uint64_t restart_segment_start(const struct restart_builder *b);

/* End the segment here, because it has become too long. */
int restart_split(struct restart_builder *b);

/*
 * The next LEN bytes of output are lost; IN_BIT bounds the input before them. They become a segment
 * that cannot be entered or read. restart_here must name a point after it.
 */
int restart_skip(struct restart_builder *b, uint64_t in_bit, uint64_t len);

/* The offset before which no output will be recalled. */
uint64_t restart_keep_from(const struct restart_builder *b);

/*
 * Get the next segment whose point waits for its second proof. The caller decodes it from what is
 * stored, and calls restart_proven or restart_drop. False: there is none now.
 */
bool restart_next_unproven(struct restart_builder *b, size_t *index);

/* The stream ends here, IN_BYTES into the input. An open candidate without a verdict is refused. */
int restart_finish(struct restart_builder *b, uint64_t in_bytes);

#endif
