/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/lzop_survey.h"

#include <string.h>

#include "archive/bytes.h"
#include "archive/source.h"

struct header {
        unsigned char bytes[LZOP_HEADER];
        size_t len;
        uint32_t in_len;
};

/* The header at byte AT, if it is one of a block of USUAL bytes of output. */
static bool read_header(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                        struct header *h)
{
        ssize_t n = source_pread(source, h->bytes, sizeof h->bytes, at);

        if (n < LZOP_LENGTHS || load_be32(h->bytes) != usual)
                return false;
        h->in_len = load_be32(h->bytes + 4);
        h->len = lzop_header_len(flags, h->in_len == usual);
        return h->in_len > 0 && h->in_len <= usual && h->len <= (size_t)n;
}

bool lzop_survey(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                 struct lzop_run *run)
{
        struct header h;

        *run = (struct lzop_run){.end = at};
        if (!lzop_has_sums(flags) || usual < LZOP_SURVEY_MIN || usual > LZOP_SURVEY_RUN ||
            !read_header(source, at, flags, usual, &h))
                return false;
        while (run->out_len < LZOP_SURVEY_RUN) {
                memcpy(run->headers + run->headers_len, h.bytes, h.len);
                run->headers_len += h.len;
                run->end += h.len + h.in_len;
                run->out_len += usual;
                if (!read_header(source, run->end, flags, usual, &h))
                        return false;
        }
        return true;
}
