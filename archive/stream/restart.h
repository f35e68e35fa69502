/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where decompression can start again: the table of restart points of one compressed stream,
 * and the builder that fills it during the one sequential pass.
 *
 *   decompressed  0         p1.out              p2.out      p3.out        size
 *                 |=segment 0=|====segment 1=====|=segment 2=|==segment 3==|
 *                 ^           ^ needs p1.history ^ continues ^ needs p3.history
 *   compressed    p0.in_bit   p1.in_bit                      p3.in_bit
 *
 * A segment is what is decoded, hashed and cached as one. p[i].hash is the XXH3-64 of the
 * decompressed bytes [p[i].out, p[i+1].out), taken in the pass: a mismatch on a later decode is
 * -EIO. Point 0 is the stream's beginning. Where the stream itself carries checksums of what a
 * whole segment decompresses to, as lzop's block headers do, the hash is of those (by_sums), and
 * they are of the bytes: so a pass need not decompress what it takes in.
 *
 * A segment that begins where no decoder can start "continues": it is reached by decoding on
 * from the nearest point in front of it. There are three ways to become one: the stream offered
 * nothing for RESTART_SEGMENT_MAX bytes; a candidate was refused; a point failed its second proof
 * and was dropped. So no boundary ever moves: only whether one can be entered changes, and a
 * decoded segment stays valid whatever becomes of its point.
 *
 * The table hides how histories are kept (compressed). It grows while the pass runs. All
 * functions on it are thread-safe; the builder belongs to the pass's one thread.
 */
#ifndef VMAFS_RESTART_H
#define VMAFS_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restart_builder;
struct restart_table;
struct source;

/* No segment is longer than this, in bytes of output. */
#define RESTART_SEGMENT_MAX (UINT64_C(32) << 20)

/* The in_bit of a boundary of which only the output position is known. */
#define RESTART_IN_UNKNOWN UINT64_MAX

struct restart_point {
        uint64_t in_bit; /* of the compressed stream, counted from its first byte's lowest bit */
        uint64_t out;    /* bytes of decompressed stream in front of the point */
        uint64_t hash;   /* XXH3-64 of the segment's decompressed bytes … */
        uint64_t aux;    /* the codec's own, e.g. the window descriptor or the header's flags */
        uint32_t history_len; /* decompressed bytes of history; 0: none needed */
        bool by_sums; /* … or of the stream's own words on them, which its codec compares */
};

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
 *                    of output in front of it, those that are never referred to zeroed.
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
 * of output further on, and at most MOST. More than RESTART_SEGMENT_MAX: no point is affordable.
 */
struct restart_spacing {
        uint64_t best, most;
};

struct restart_spacing restart_spacing(const struct restart_builder *b);

/*
 * The history of the point that was named last, from what is stored of it, freed by the caller;
 * NULL where there is none. -ENOMEM, -ENODATA.
 */
int restart_stored(struct restart_builder *b, void **history);

/*
 * What was returned behind the point that was named last is what that point's segment decodes to
 * from exactly what is stored, and a checksum of the stream itself will judge it before the pass
 * ends well. So the segment needs no other proof.
 */
void restart_vouch(struct restart_builder *b);

/*
 * The stream's own words on its next OUT_LEN bytes of output, which the codec is about to return or
 * to pass over: SUMS, of SUMS_LEN bytes, with checksums that the bytes are compared with whenever
 * they are decoded.
 */
void restart_sums(struct restart_builder *b, const void *sums, size_t sums_len, uint64_t out_len);

/* The codec has passed over the next LEN bytes of output, on which it has given the stream's words.
 */
void restart_pass_over(struct restart_builder *b, uint64_t len);

/*
 * Output that the codec has returned, so that it need not keep a copy. After restart_keep, the
 * last BYTES in front of here and in front of the open candidate can be recalled: LEN bytes from
 * OFFSET of the decompressed stream into BUF. -ERANGE for what is not kept.
 */
void restart_keep(struct restart_builder *b, uint64_t bytes);
int restart_recall(struct restart_builder *b, uint64_t offset, void *buf, size_t len);

/* For the driver of a pass: stream.c, and tests. */

typedef int (*restart_recall_fn)(void *ctx, uint64_t offset, void *buf, size_t len);

/* TABLE is new and empty, and stays the caller's. RECALL answers restart_recall. */
int restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                        struct restart_builder **out);
void restart_builder_free(struct restart_builder *b); /* NULL is allowed */

/* The codec has returned these LEN bytes: here moves on by them. */
int restart_advance(struct restart_builder *b, const void *buf, size_t len);

/* Where the segment begins that here is in; it changes when the codec names a point. */
uint64_t restart_segment_start(const struct restart_builder *b);

/* End the segment here, because it has become too long. */
int restart_split(struct restart_builder *b);

/*
 * The next LEN bytes of output are lost; IN_BIT bounds the input of what is in front of them. They
 * become a segment that nobody can enter and nobody may read. Behind it restart_here names a point.
 */
int restart_skip(struct restart_builder *b, uint64_t in_bit, uint64_t len);

/* The offset in front of which no output will be recalled any more. */
uint64_t restart_keep_from(const struct restart_builder *b);

/*
 * Take the next segment whose point waits for its second proof: decode it from what is stored
 * and report to restart_proven or restart_drop. False while there is none.
 */
bool restart_next_unproven(struct restart_builder *b, size_t *index);

/* The stream ends here, IN_BYTES into the input. An open candidate counts as accepted or not as
 * the codec left it: one without a verdict is refused. */
int restart_finish(struct restart_builder *b, uint64_t in_bytes);

/* For readers. */

struct restart_segment {
        size_t index;
        struct restart_point point;
        uint64_t end;    /* bytes of decompressed stream up to the segment's end */
        uint64_t in_end; /* bit at which it ends, or RESTART_IN_UNKNOWN */
        bool point_held; /* its point has all it takes to decode the segment, if in_end is known */
        bool proven;     /* and has been seen to do so */
};

int restart_table_new(struct restart_table **out);
void restart_table_free(struct restart_table *t); /* NULL is allowed */

/* Finished segments, and the decompressed bytes they cover. */
size_t restart_count(struct restart_table *t);
uint64_t restart_end(struct restart_table *t);

/* The finished segment with byte OFFSET of the decompressed stream, by binary search. */
bool restart_find(struct restart_table *t, uint64_t offset, struct restart_segment *out);

/* The finished segment INDEX. */
bool restart_get(struct restart_table *t, size_t index, struct restart_segment *out);

/* The nearest segment, INDEX or in front of it, whose proven point can be decoded on from. */
void restart_entry(struct restart_table *t, size_t index, struct restart_segment *out);

/*
 * Its history, of point.history_len bytes, freed by the caller; NULL when that is 0. -ENODATA
 * where the store has lost it, and the point is best dropped, or where it was dropped meanwhile.
 */
int restart_history(struct restart_table *t, size_t index, void **history);

/* The second proof's outcome. Dropping makes the segment a continuation. */
void restart_proven(struct restart_table *t, size_t index);
void restart_drop(struct restart_table *t, size_t index);

struct restart_stats {
        size_t segments;
        size_t points;         /* segments that can be entered */
        uint64_t stored_bytes; /* what the table costs in a sidecar */
        uint64_t widest;       /* most output bytes from a point to the next */
};

void restart_measure(struct restart_table *t, struct restart_stats *out);

/*
 * For the sidecar. A saved table is the records 0 … restart_count - 1 in order, each a point, a
 * flag and a blob, and the stream's two lengths. A blob is in memory or in the table's store, a
 * file: histories are too many to keep in memory for an archive of hundreds of gigabytes.
 */
struct restart_record {
        struct restart_point point;
        bool enter;            /* false: the segment continues */
        const void *history;   /* compressed as the table keeps it; NULL: in the store */
        size_t history_size;   /* bytes; 0: none */
        uint64_t history_at;   /* where in the store */
        uint64_t history_hash; /* XXH3-64 of the blob, checked when it is read from the store */
};

/* HISTORY stays valid until restart_use_store; only for a finished table. */
bool restart_save(struct restart_table *t, size_t index, struct restart_record *out);

/*
 * From now on T reads blobs from TAKE_STORE. For a table that was saved, AT[i] is where segment
 * i's blob is, and the ones in memory are freed; for one that is loaded AT is NULL.
 */
void restart_use_store(struct restart_table *t, struct source *take_store, const uint64_t *at);

/*
 * Append a record of a saved table to T, copying a blob that is in memory. Everything about it is
 * checked: -EINVAL for positions that do not rise, a history over HISTORY_MAX bytes or over the
 * output in front, a blob that is not a history of the stated length, a hash-only first record.
 */
int restart_load(struct restart_table *t, const struct restart_record *record,
                 uint64_t history_max);

/* The loaded table is complete: OUT_BYTES of output, IN_BYTES of input. -EINVAL as above. */
int restart_load_end(struct restart_table *t, uint64_t out_bytes, uint64_t in_bytes);

#endif
