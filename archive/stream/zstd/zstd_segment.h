/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_ZSTD_SEGMENT_H
#define VMAFS_ZSTD_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

struct error;
struct restart_point;

/*
 * Decode the SIZE bytes of whole BLOCKS alone, in one shot, into OUT of at most LEN bytes, after
 * HISTORY and a stand-in header with DESCRIPTOR. OPEN: none of the blocks is the frame's last.
 * ZSTD_FRAME_STANDIN_SIZE bytes before BLOCKS and ZSTD_BLOCK_HEADER_SIZE bytes after are
 * written to and restored. The bytes of output, or what ZSTD_isError knows.
 */
size_t zstd_decode_blocks(ZSTD_DCtx *dctx, uint8_t descriptor, const void *history,
                          size_t history_len, uint8_t *blocks, size_t size, bool open, void *out,
                          size_t len);

/* As codec_ops.decode. */
int zstd_segment(const struct restart_point *point, const void *history, uint8_t *input,
                 size_t size, void *out, size_t len, struct error *err);

#endif
