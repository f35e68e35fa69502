/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lzop/lzop_skip.h"

#include <string.h>

#include "archive/source/source.h"

/* Read the header at byte AT, if it is of a block of USUAL bytes of output. */
static bool read_header(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                        struct lzop_block *block)
{
        unsigned char bytes[LZOP_HEADER];
        ssize_t n = source_pread(source, bytes, sizeof bytes, at);

        return n > 0 && lzop_load_header(bytes, (size_t)n, flags, usual, block);
}

bool lzop_skip_run(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                   struct lzop_run *run)
{
        struct lzop_block block;

        *run = (struct lzop_run){.end = at};
        if (!lzop_has_sums(flags) || usual < LZOP_SKIP_MIN || usual > LZOP_SKIP_RUN ||
            !read_header(source, at, flags, usual, &block))
                return false;
        while (run->out_len < LZOP_SKIP_RUN) {
                memcpy(run->headers + run->headers_len, block.header, block.header_len);
                run->headers_len += block.header_len;
                run->end += block.header_len + block.in_len;
                run->out_len += usual;
                if (!read_header(source, run->end, flags, usual, &block))
                        return false;
        }
        return true;
}
