/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gathers the output that a boundary inside a frame refers to, while a pass goes on after the
 * boundary, from the far end to the near one.
 *
 *   |<----------- reach ----------->| boundary
 *   |.==..==.|===......=............|  ,---- how far the pass has come
 *   gathered ^ left                 |==|
 *            |<-------- window ------->|
 *
 * Nothing refers further back than a window. So with each block that the pass advances, as much of
 * the far end is settled, and the pass need not keep that output.
 */
#ifndef VMAFS_ZSTD_HISTORY_H
#define VMAFS_ZSTD_HISTORY_H

#include <stdint.h>

struct restart_builder;
struct zstd_parse;

struct zstd_history {
        uint8_t *bytes; /* SIZE of them, up to the boundary; what is not referred to is zeros */
        uint32_t size;
        uint32_t left;  /* bytes before the boundary of which nothing was gathered yet */
        uint32_t pages; /* of memory that the gathered ones take … */
        uint32_t page;  /* … the last one of them, counted from the boundary */
};

void zstd_history_free(struct zstd_history *h);

/* Start over for another boundary. */
void zstd_history_begin(struct zstd_history *h);

/*
 * Gather, with restart_recall, what PARSE refers to further back than NEAREST bytes before
 * BOUNDARY, an offset of the stream. 0; -ERANGE if that is before the stream, or takes more memory
 * than a point is worth; -ENOMEM.
 */
int zstd_history_gather(struct zstd_history *h, const struct zstd_parse *parse,
                        struct restart_builder *b, uint64_t boundary, uint32_t nearest);

/* The last LEN bytes before the boundary, where LEN is zstd_parse_reach; NULL if that is 0. */
const void *zstd_history_bytes(const struct zstd_history *h, uint32_t len);

#endif
