/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What another thread does for a pass while that decodes a piece, since decoding needs neither:
 *
 *   | piece, decoded: summed up here | piece: the pass decodes it
 *                                    ^ point: its history is compressed and stored here, and read
 *                                             back to be compared with what the pass decodes from
 */
#ifndef VMAFS_ZSTD_BESIDE_H
#define VMAFS_ZSTD_BESIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/workers.h"

struct restart_builder;
struct zstd_checksum;

struct zstd_beside {
        struct workers *workers; /* NULL: joining does all of it */
        struct task task;
        struct zstd_checksum *checksum;
        const void *bytes; /* LEN of them, to be summed up; NULL: none */
        size_t len;
        struct restart_builder *builder; /* whose open candidate gets HISTORY; NULL: none does */
        const void *history;
        uint32_t history_len;
        bool stored; /* the history is stored, and is what was given: see zstd_beside_join */
        int rc;
};

/* The frame's checksum so far is CHECKSUM. */
void zstd_beside_init(struct zstd_beside *s, struct zstd_checksum *checksum,
                      struct workers *workers);

/*
 * To be done when started: add the LEN bytes at BYTES to the checksum, and accept B's open
 * candidate with HISTORY. The memory stays the caller's, and has to be there until the end.
 */
void zstd_beside_sum(struct zstd_beside *s, const void *bytes, size_t len);
void zstd_beside_store(struct zstd_beside *s, struct restart_builder *b, const void *history,
                       uint32_t history_len);

/* Until it is joined, the checksum and the builder belong to another thread. */
void zstd_beside_start(struct zstd_beside *s);

/*
 * Wait for what was started; what was not is forgotten. 0 or -ENOMEM. S->stored says whether the
 * history in the table is the one given, also if none was, since that was loaded from there.
 */
int zstd_beside_join(struct zstd_beside *s);

#endif
