/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Skips blocks of an lzop file by their headers alone.
 *
 *   at                                              run.end
 *   | header | data | header | data | ... | header | data | header
 *     `----------- all say USUAL bytes of output -------------^ and this one is of the kind
 *
 * A header has no checksum of its own. The next header, which must stand where this one says that
 * the block ends, and repeat the usual length, vouches for it. A block whose header says anything
 * else, or is not followed by such a header, is not skipped: it has to prove itself by being
 * decoded.
 */
#ifndef VMAFS_LZOP_SKIP_H
#define VMAFS_LZOP_SKIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/lzop/lzop_reader.h"

struct source;

/* Sizes of blocks, in output bytes, that may be skipped, and how many make a run. */
#define LZOP_SKIP_MIN  ((uint32_t)64 << 10)
#define LZOP_SKIP_RUN  ((uint32_t)1 << 20)
#define LZOP_SKIP_MANY (LZOP_SKIP_RUN / LZOP_SKIP_MIN)

struct lzop_run {
        uint64_t end;                                        /* the byte of the file after it */
        uint32_t out_len;                                    /* bytes of output */
        unsigned char headers[LZOP_SKIP_MANY * LZOP_HEADER]; /* of its blocks, in order … */
        size_t headers_len;                                  /* … and their length */
};

/*
 * Go through blocks of USUAL output bytes each, from byte AT of SOURCE on, of a member with these
 * FLAGS, until LZOP_SKIP_RUN bytes of output are complete. False, with an empty RUN, if there are
 * no such blocks.
 */
bool lzop_skip_run(struct source *source, uint64_t at, uint32_t flags, uint32_t usual,
                   struct lzop_run *run);

#endif
