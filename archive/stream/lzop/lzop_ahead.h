/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads ahead of a pass that decodes all lzop blocks, so that other threads can help it.
 *
 *     the pass                          the helpers
 *     v                                 v
 *   | waiting | done | waiting | done | running | waiting | not read yet ...
 *   `------------ the next ones, in memory --------------'
 *
 * The pass's own thread reads the file sequentially. The helpers begin at the far end: the next
 * block is left to the pass, which decodes it directly to its destination, and never finds it half
 * done. What helpers have decoded is copied there.
 *
 * Only blocks of the usual size are read ahead. If anything is wrong with one, it is left to the
 * pass, as if there were no read-ahead.
 */
#ifndef VMAFS_LZOP_AHEAD_H
#define VMAFS_LZOP_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct lzop_ahead;
struct workers;

/* The caller keeps WORKERS, which may be NULL and must outlive it. NULL: out of memory. */
struct lzop_ahead *lzop_ahead_new(struct workers *workers);

/* Waits for the helpers. NULL is allowed. */
void lzop_ahead_free(struct lzop_ahead *a);

/*
 * R stands before a block of its member: set r->block to it, from those read ahead. USUAL is the
 * output size of a block. True: have_block is set. False: R has to read by itself, since the block
 * is unusual, or no thread would help.
 */
bool lzop_ahead_next(struct lzop_ahead *a, struct lzop_reader *r, uint32_t usual);

/* As lzop_decode_block, if r->block is from lzop_ahead_next and is sound. False: R is unchanged. */
bool lzop_ahead_decode(struct lzop_ahead *a, struct lzop_reader *r, unsigned char *out);

#endif
