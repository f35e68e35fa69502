/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the blocks after a boundary: the parser must stay inside of them and of itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/stream/zstd/zstd_parse.h"

#define WINDOW (1 << 17)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct zstd_parse *p;
        uint32_t back, len, nearest;

        if (zstd_parse_new(WINDOW, &p) < 0)
                return 0;
        zstd_parse_start(p, UINT32_MAX);
        while (size >= ZSTD_BLOCK_HEADER_SIZE) {
                struct zstd_block_header h = zstd_block_header(data);
                uint8_t *content;

                data += ZSTD_BLOCK_HEADER_SIZE;
                size -= ZSTD_BLOCK_HEADER_SIZE;
                /* What is left is the block, so that more of the inputs get past this. */
                if (h.content > size) {
                        h.content = (uint32_t)size;
                        if (h.type != ZSTD_BLOCK_RLE)
                                h.size = h.content;
                }
                content = malloc(h.content + !h.content);
                memcpy(content, data, h.content);
                zstd_parse_block(p, &h, content);
                free(content);
                data += h.content;
                size -= h.content;
        }
        nearest = zstd_parse_reach(p);
        if (nearest > WINDOW)
                abort();
        for (back = nearest; zstd_parse_next(p, &back, &len); back -= len) {
                if (len == 0 || len > back || back > nearest)
                        abort();
                nearest = back - len;
        }
        zstd_parse_free(p);
        return 0;
}
