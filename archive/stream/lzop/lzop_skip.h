/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of an lzop file, seen by their headers alone.
 *
 *   at                                              run.end
 *   | header | data | header | data | ... | header | data | header
 *     `----------- all say USUAL bytes of output -------------^ and this one is of the kind
 *
 * A header has no checksum of its own. What vouches for it is the one that stands where it says the
 * block ends, which repeats the usual length. A header that says anything else, or that nothing of
 * the kind follows, is not taken in here: its block has to prove itself by being decoded.
 */
#ifndef VMAFS_LZOP_SURVEY_H
#define VMAFS_LZOP_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct source;

/* What blocks may be surveyed, by their bytes of output, and how many of them make a run. */
#define LZOP_SURVEY_MIN  ((uint32_t)64 << 10)
#define LZOP_SURVEY_RUN  ((uint32_t)1 << 20)
#define LZOP_SURVEY_MANY (LZOP_SURVEY_RUN / LZOP_SURVEY_MIN)

struct lzop_run {
        uint64_t end;                                          /* the byte of the file behind it */
        uint32_t out_len;                                      /* bytes of output */
        unsigned char headers[LZOP_SURVEY_MANY * LZOP_HEADER]; /* of its blocks, one by one … */
        size_t headers_len;                                    /* … and their bytes */
};

/*
 * Take in blocks of USUAL bytes of output each from byte AT of SOURCE on, of a member with these
 * FLAGS, until LZOP_SURVEY_RUN bytes of output are complete. False, and RUN is nothing, where there
 * are no such blocks.
 */
bool lzop_survey(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                 struct lzop_run *run);

#endif
