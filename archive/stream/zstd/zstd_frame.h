/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frame headers of zstd (RFC 8878, 3.1.1.1 and 3.1.2), and the short one that stands in for them
 * where decompression starts in the middle of a frame.
 */
#ifndef VMAFS_ZSTD_FRAME_H
#define VMAFS_ZSTD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZSTD_FRAME_HEADER_MAX   18
#define ZSTD_FRAME_CHECKSUM     4
#define ZSTD_FRAME_SKIPPABLE    8 /* bytes of a skippable frame's header */
#define ZSTD_FRAME_STANDIN_SIZE 6 /* no frame header is shorter */

#define ZSTD_FRAME_WINDOW_MIN UINT64_C(1024) /* unless the frame is a single segment */

#define ZSTD_FRAME_CONTENT_UNKNOWN UINT64_MAX

enum zstd_frame_kind {
        ZSTD_FRAME_DATA,
        ZSTD_FRAME_SKIP,
        ZSTD_FRAME_SHORT,   /* more bytes are needed to tell */
        ZSTD_FRAME_FOREIGN, /* not zstd */
};

struct zstd_frame {
        size_t header_size; /* bytes before the first block */
        uint64_t window;    /* bytes */
        uint64_t content;   /* bytes of output, or ZSTD_FRAME_CONTENT_UNKNOWN */
        uint32_t skip;      /* of a skippable frame: bytes after its header */
        uint32_t dictionary;
        bool checksum;
        bool reserved;      /* the reserved bit is set: a format from the future */
        uint8_t descriptor; /* window descriptor of at least WINDOW */
};

/* From the first LEN bytes of what should be a frame. */
enum zstd_frame_kind zstd_frame_parse(const uint8_t *head, size_t len, struct zstd_frame *out);

/* Make of a header that was parsed one that promises no checksum. */
void zstd_frame_hide_checksum(uint8_t *head);

/* A header with nothing but a window, for ZSTD_FRAME_STANDIN_SIZE bytes at OUT. */
void zstd_frame_standin(uint8_t *out, uint8_t descriptor);

/* What a restart point's aux holds: 0 at the start of a frame. */
uint64_t zstd_frame_aux(const struct zstd_frame *frame);
bool zstd_frame_from_aux(uint64_t aux, struct zstd_frame *out);

#endif
