/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going on inside a zstd frame, behind damage in it. Without this, damage in the single frame that
 * vzdump writes costs everything behind it.
 *
 *   sound | damage | blocks again        boundary that can be entered,   another, and what it
 * refers |        | chain of headers    but refers to what is lost      to is known: here we are ^
 * fails  ^                     ^                               ^
 *                                        `-- decoded twice, behind two --'
 *                                            different made-up histories
 *
 * Each byte of output is a copy of a literal or of a byte in front of it, and which one does not
 * depend on any byte's value. So with histories that differ in every byte, the output differs in
 * exactly those bytes that come from the history, which nobody knows; what is alike is right.
 */
#ifndef VMAFS_ZSTD_REJOIN_H
#define VMAFS_ZSTD_REJOIN_H

#include <stdint.h>

struct zstd_pass;

/*
 * Z has failed at a block of its frame. Move its input to the nearest boundary behind it that can
 * be entered with a known history: 1, with *HISTORY, of *LEN bytes, which is the caller's to free;
 * NULL where none is needed. 0: the frame has none. -ENOMEM.
 */
int zstd_rejoin(struct zstd_pass *z, void **history, uint32_t *len);

#endif
