/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Continues inside a zstd frame after damage. Without this, damage in the single frame that vzdump
 * writes would cost everything after it.
 *
 *   sound | damage | blocks again: a chain of headers
 *   fails ^        |         |                   |
 *                  |         |                   ` another boundary, all of whose references are
 *                  |         |                     known: decoding continues here
 *                  |         ` a boundary that can be entered, but refers to lost data: decoded
 *                  |           from here twice, after two different made-up histories
 *
 * Each byte of output is a literal or a copy of an earlier byte, and which one does not depend on
 * any byte's value. So with two histories that differ in every byte, the outputs differ in exactly
 * the bytes that come from the unknown history. Bytes that agree are right.
 */
#ifndef VMAFS_ZSTD_RECOVER_H
#define VMAFS_ZSTD_RECOVER_H

#include <stdint.h>

struct zstd_pass;

/*
 * Z has failed at a block of its frame. Move its input to the nearest later boundary that can be
 * entered with a known history. 1, with *HISTORY of *LEN bytes, which the caller frees, or NULL if
 * none is needed; 0 if the frame has no such boundary; -ENOMEM.
 */
int zstd_recover_from(struct zstd_pass *z, void **history, uint32_t *len);

#endif
