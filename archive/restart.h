/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where decompression can start again: the table of restart points of one compressed stream,
 * and the builder that fills it during the one sequential pass.
 *
 *   decompressed  0         p1.out              p2.out         size
 *                 |=segment 0=|====segment 1=====|==segment 2==|
 *                 ^           ^ needs p1.history ^ needs p2.history
 *   compressed    p0.in_bit   p1.in_bit          p2.in_bit
 *
 * Point 0 is always the stream's beginning. Segment i is [p[i].out, p[i+1].out) and is always
 * decoded whole, from p[i].in_bit with p[i].history, so that p[i].hash (XXH3-64 of its
 * decompressed bytes, taken in the pass) can be checked: a mismatch is -EIO.
 *
 * The table hides how histories are kept (compressed). It grows while the pass runs; points
 * below restart_count never change. restart_find and restart_history are thread-safe.
 */
#ifndef VMAFS_RESTART_H
#define VMAFS_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct restart_table;
struct restart_builder;

struct restart_point {
        uint64_t in_bit; /* of the compressed stream, counted from its first byte's lowest bit */
        uint64_t out;    /* bytes of decompressed stream in front of the point */
        uint64_t hash;   /* XXH3-64 of the segment's decompressed bytes */
        uint64_t aux;    /* the codec's own, e.g. the window descriptor or the header's flags */
        uint32_t history_len; /* decompressed bytes of history; 0: none needed */
};

/*
 * For a codec, during the pass. All positions are "here": the number of decompressed bytes that
 * the codec has returned so far, so a codec returns early when it reaches a boundary worth
 * naming.
 *
 * restart_wanted     is a point useful here? (spacing adapts to the sidecar's budget: a codec
 *                    with a choice asks before it spends anything on a boundary)
 * restart_candidate  a boundary whose worth is known only later (zstd). Forks the hash here.
 *                    At most one candidate is open at a time.
 * restart_accept     the open candidate is a point. HISTORY (copied) are the HISTORY_LEN bytes
 *                    of output in front of it, those that are never referred to zeroed.
 * restart_refuse     the open candidate is none.
 * restart_here       candidate and accept in one, for codecs that know at once.
 *
 * 0 or -errno (-ENOMEM).
 */
bool restart_wanted(const struct restart_builder *b);
int restart_candidate(struct restart_builder *b, uint64_t in_bit, uint64_t aux);
int restart_accept(struct restart_builder *b, const void *history, size_t history_len);
int restart_refuse(struct restart_builder *b);
int restart_here(struct restart_builder *b, uint64_t in_bit, uint64_t aux, const void *history,
                 size_t history_len);

#endif
