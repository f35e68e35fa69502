/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where decompression can start again: the table of restart points of one compressed stream.
 * restart_builder.h fills it during the one sequential pass.
 *
 *   decompressed  0         p1.out              p2.out      p3.out        size
 *                 |=segment 0=|====segment 1=====|=segment 2=|==segment 3==|
 *                 ^           ^ needs p1.history ^ continues ^ needs p3.history
 *   compressed    p0.in_bit   p1.in_bit                      p3.in_bit
 *
 * A segment is what can be decoded alone. Each MiB of it has a hash (parts.h), taken in the pass,
 * and p[i].hash is that of these hashes and of p[i].out, where the segment starts: a mismatch on a
 * later decode is -EIO. Point 0 is the stream's beginning. Where the stream itself carries
 * checksums of what a whole segment decompresses to, as lzop's block headers do, the hash is of
 * those (by_sums), and they are of the bytes: so a pass need not decompress what it takes in.
 *
 * A segment at whose beginning no decoder can start "continues": it is reached by decoding on from
 * the nearest earlier point. That happens if the stream offered no point for RESTART_SEGMENT_MAX
 * bytes, if a candidate was refused, or if a point failed its second proof and was dropped. So
 * boundaries never move. Only whether one can be entered changes, and a decoded segment stays valid
 * whatever becomes of its point.
 *
 * The table stores histories compressed. It grows while the pass runs. All functions on it are
 * thread-safe; the builder belongs to one thread at a time, which runs the pass.
 */
#ifndef VMAFS_RESTART_TABLE_H
#define VMAFS_RESTART_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restart_table;
struct source;

/* No segment is longer than this, in bytes of output. */
#define RESTART_SEGMENT_MAX (UINT64_C(32) << 20)

/* The in_bit of a boundary of which only the output position is known. */
#define RESTART_IN_UNKNOWN UINT64_MAX

struct restart_point {
        uint64_t in_bit; /* of the compressed stream, counted from its first byte's lowest bit */
        uint64_t out;    /* bytes of decompressed stream before the point */
        uint64_t hash;   /* of the segment's decompressed bytes, see parts.h … */
        uint64_t aux;    /* the codec's own, e.g. the window descriptor or the header's flags */
        uint32_t history_len; /* decompressed bytes of history; 0: none needed */
        bool by_sums; /* … or of the stream's own words on them, which its codec compares */
};

/* For readers. */

struct restart_segment {
        size_t index;
        struct restart_point point;
        uint64_t end;    /* bytes of decompressed stream up to the segment's end */
        uint64_t in_end; /* bit at which it ends, or RESTART_IN_UNKNOWN */
        bool point_held; /* its point suffices to decode the segment, if in_end is known */
        bool proven;     /* and that has been verified */
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

/* The nearest segment, INDEX or before it, whose proven point can be decoded on from. */
void restart_entry(struct restart_table *t, size_t index, struct restart_segment *out);

/* The hash of part PART of segment INDEX. False: its parts have none. */
bool restart_part(struct restart_table *t, size_t index, size_t part, uint64_t *hash);

/*
 * Get its history of point.history_len bytes, which the caller frees; NULL if that is 0. -ENODATA
 * if the store has lost it, in which case the point should be dropped, or if the point was dropped
 * meanwhile.
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
        bool unproven;         /* its point waits for its second proof; never in a sidecar */
        const void *history;   /* compressed as the table keeps it; NULL: in the store */
        size_t history_size;   /* bytes; 0: none */
        uint64_t history_at;   /* where in the store */
        uint64_t history_hash; /* XXH3-64 of the blob, checked when it is read from the store */
        const uint64_t *parts; /* the hashes of the segment's parts, the table's … */
        size_t part_count;     /* … of all of them, or 0: they have none */
};

/* HISTORY stays valid until restart_use_store; only for a finished table. */
bool restart_save(struct restart_table *t, size_t index, struct restart_record *out);

/* Read the blob of segment INDEX, which is in the store, into *BLOB, which the caller frees. */
int restart_stored_blob(struct restart_table *t, size_t index, void **blob);

/*
 * From now on T reads blobs from TAKE_STORE. For a table that was saved, AT[i] is where segment
 * i's blob is, and the ones in memory are freed; for one that is loaded AT is NULL.
 */
void restart_use_store(struct restart_table *t, struct source *take_store, const uint64_t *at);

/*
 * Append a record of a saved table to T, copying a blob that is in memory. Everything about it is
 * checked: -EINVAL for positions that do not rise, a history over HISTORY_MAX bytes or over the
 * output before it, a blob that is not a history of the stated length, a hash-only first record,
 * hashes of parts that are too few, too many or not what the segment's hash is of.
 */
int restart_load(struct restart_table *t, const struct restart_record *record,
                 uint64_t history_max);

/* The loaded table is complete: OUT_BYTES of output, IN_BYTES of input. -EINVAL as above. */
int restart_load_end(struct restart_table *t, uint64_t out_bytes, uint64_t in_bytes);

/*
 * For a pass that is interrupted and goes on later. Copies record INDEX of a table that grows into
 * *OUT, even the last one, which has no hash yet; the caller frees *HISTORY, where its blob is.
 * HISTORY NULL: without that. 0; -ENODATA if there is none such, its fate is not settled, or its
 * blob is in the store; -ENOMEM.
 *
 * restart_load takes those of the finished segments, and after them the last one's.
 */
int restart_copy(struct restart_table *t, size_t index, struct restart_record *out, void **history);

/* The point at which the growing segment begins. False: there is none. */
bool restart_growing(struct restart_table *t, struct restart_segment *out);

/*
 * For the builder alone.
 *
 * The last record of a table under construction is the segment that is still growing: it has a
 * point but no hash, and readers do not see it until the next one is begun.
 */

enum restart_state {
        RESTART_CONTINUES, /* cannot be entered */
        RESTART_OPEN,      /* a candidate without a verdict */
        RESTART_DEFERRED,  /* holds for its own segment; the rest depends on a later candidate */
        RESTART_POINT,
};

/* As a restart_point and a restart_record have them. */
struct restart_hash {
        uint64_t hash;
        bool by_sums;
        const uint64_t *parts; /* copied */
        size_t part_count;
};

/*
 * Finish the growing segment with HASH and begin one at OUT. If the growing one is still empty, it
 * is reused instead. 0 or -ENOMEM.
 */
int restart_table_begin(struct restart_table *t, struct restart_hash hash,
                        const struct restart_point *point, enum restart_state state);

/* Finish the growing segment for good: the stream ends. 0 or -ENOMEM. */
int restart_table_finish(struct restart_table *t, struct restart_hash hash, uint64_t out,
                         uint64_t in_bytes);

/* Compress and attach a history. *STORED is what that costs in a sidecar. */
int restart_table_attach(struct restart_table *t, size_t index, const void *history, size_t len,
                         uint64_t *stored);

void restart_table_set_state(struct restart_table *t, size_t index, enum restart_state state);

enum restart_state restart_table_state(struct restart_table *t, size_t index, bool *proven);

/* Records, the growing one included. */
size_t restart_table_records(struct restart_table *t);

/* What one segment costs in a sidecar apart from its history and its parts' hashes, bytes. */
#define RESTART_RECORD_SIZE 64

#endif
