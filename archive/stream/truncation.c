/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/truncation.h"

#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"

enum { FILL = 16, GZIP_LENGTH = 4 };

/* How much the length of garbage may differ from that of the data it was decoded from. */
#define OFF_BY (UINT32_C(16) << 20)

/* Read the last LEN bytes of FILE. False: they cannot be read. */
static bool load_tail(struct source *file, void *buf, size_t len)
{
        return file->size >= len && source_pread(file, buf, len, file->size - len) == (ssize_t)len;
}

static bool is_fill(const uint8_t tail[FILL])
{
        return memcmp(tail, tail + 1, FILL - 1) == 0;
}

bool truncation_gzip(struct source *file, uint64_t made)
{
        uint8_t tail[FILL];
        uint32_t length, off;

        if (!load_tail(file, tail, FILL) || is_fill(tail))
                return false;
        /* A member ends with the length of its contents, modulo 2^32. */
        length = load_le32(tail + FILL - GZIP_LENGTH);
        off = length - (uint32_t)made;
        return off > OFF_BY && off < -OFF_BY;
}

/* Do the N bytes at P contain the beginning of a last block that would end after them? */
static bool ends_in_block(const uint8_t *p, size_t n)
{
        for (size_t at = 0; at + ZSTD_BLOCK_HEADER_SIZE <= n; at++) {
                struct zstd_block_header h = zstd_block_header(p + at);

                if (h.last && h.type != ZSTD_BLOCK_RESERVED && h.size <= ZSTD_PARSE_BLOCK_MAX &&
                    at + ZSTD_BLOCK_HEADER_SIZE + h.content == n)
                        return true;
        }
        return false;
}

bool truncation_zstd(struct source *file, bool checksum)
{
        size_t sum = checksum ? ZSTD_FRAME_CHECKSUM : 0;
        size_t len = (size_t)min_u64(file->size, ZSTD_BLOCK_HEADER_SIZE + ZSTD_PARSE_BLOCK_MAX +
                                                     ZSTD_FRAME_CHECKSUM);
        cleanup_free uint8_t *tail = malloc(len);

        if (!tail || len < FILL || !load_tail(file, tail, len) || is_fill(tail + len - FILL))
                return false;
        return !ends_in_block(tail, len - sum);
}
