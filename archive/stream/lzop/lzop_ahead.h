/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blocks ahead of a pass over lzop that decodes them all, so that other threads can help it.
 *
 *     the pass                          the helpers
 *     v                                 v
 *   | waiting | done | waiting | done | running | waiting | not read yet ...
 *   `------------ the next ones, in memory --------------'
 *
 * The pass's own thread reads the file, from front to end. The helpers begin at the far end: what
 * comes next is left to the pass, which decodes it straight to where it belongs, and does not find
 * it half done. What they have decoded is copied there.
 *
 * Only blocks of the usual size are looked at. Whatever is not right with one, or with looking at
 * it, is left to the pass, which comes to it as if nobody had looked ahead.
 */
#ifndef VMAFS_LZOP_AHEAD_H
#define VMAFS_LZOP_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct lzop_ahead;
struct workers;

/* WORKERS, which may be NULL, stay the caller's and outlive it. NULL: out of memory. */
struct lzop_ahead *lzop_ahead_new(struct workers *workers);

/* Waits for the helpers. NULL is allowed. */
void lzop_ahead_free(struct lzop_ahead *a);

/*
 * Make r->block the next block of R's member, where R stands in front of one, from those that were
 * read ahead; USUAL is what a block decompresses to. True: have_block is set. False: R has to read
 * on for itself: it is no such block, or no thread would help.
 */
bool lzop_ahead_next(struct lzop_ahead *a, struct lzop_reader *r, uint32_t usual);

/*
 * As lzop_decode_block, if r->block is one from lzop_ahead_next and is sound. False: nothing has
 * changed for R.
 */
bool lzop_ahead_decode(struct lzop_ahead *a, struct lzop_reader *r, unsigned char *out);

#endif
