/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding, in compressed bytes that are not yet decoded, where a zstd frame can be cut.
 *
 *   point                      judged: refuted      judged: proven
 *   |[block][block] …          |[block]             |[block][block] … a window of blocks
 *   `------------------------- the piece -----------'
 *
 * Both ends of a piece can be entered, so it can be decoded in one shot, straight to where it
 * belongs, which costs two thirds of decoding it block by block.
 *
 * Of all boundaries that can be entered only those serve here that refer to little in front of
 * them, as the start of a job does: others are soon told from them, and would cost too much.
 */
#ifndef VMAFS_ZSTD_AHEAD_H
#define VMAFS_ZSTD_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/restart.h"
#include "archive/stream/zstd/zstd_input.h"
#include "archive/workers.h"

struct error;
struct zstd_block_header;
struct zstd_parse;
struct workers;

/* Frames with larger windows are not looked into: what it takes to judge grows with the window. */
#define ZSTD_AHEAD_WINDOW_MAX (UINT64_C(8) << 20)

struct zstd_piece {
        size_t size;     /* bytes of whole blocks */
        unsigned blocks; /* at most RESTART_SEGMENT_MAX of output */
        bool last;       /* ends with the frame's last block */
};

/*
 * The block AT bytes ahead of IN. 1, with its HEADER, and CONTENT behind that, valid until the next
 * call; 0: none can begin there, or it is too far; -errno.
 */
int zstd_ahead_block(struct zstd_input *in, size_t at, struct zstd_block_header *header,
                     const uint8_t **content, struct error *err);

/*
 * Is the boundary AT bytes ahead of IN one that refers to at most REACH bytes in front of it? 1:
 * yes, and P, made for the frame's window, holds to what; 0; or -errno. *WORK is how many
 * compressed bytes had to be parsed.
 */
int zstd_ahead_judge(struct zstd_input *in, size_t at, uint64_t reach, struct zstd_parse *p,
                     uint64_t *work, struct error *err);

struct zstd_search {
        uint64_t pos;    /* of the compressed stream: the piece's beginning, a block's */
        uint64_t window; /* the frame's */
        uint64_t reach;  /* how far in front of its end the next piece may refer to */
        uint64_t mean;   /* what a block usually holds, bytes */
        struct restart_spacing spacing;
};

/*
 * The search for the piece behind the one that is being decoded, on a thread of its own. It has an
 * input and parsers of its own, which change places with the pass's when its result is taken.
 */
struct zstd_ahead {
        struct workers *workers; /* NULL: the search runs when its result is asked for */
        struct task task;
        struct zstd_input input; /* at the search's beginning */
        struct zstd_parse *judged, *other;
        struct zstd_search search;
        struct zstd_piece piece;
        bool found;
};

/* IN and WORKERS stay the caller's. -ENOMEM. */
int zstd_ahead_init(struct zstd_ahead *a, struct source *in, struct workers *workers);
void zstd_ahead_fini(struct zstd_ahead *a);

/* Have SEARCH begin. -ENOMEM, -EOVERFLOW as zstd_parse_new. */
int zstd_ahead_start(struct zstd_ahead *a, const struct zstd_search *search);

/*
 * The piece that begins at IN, if that was searched for and is there, within the spacing and the
 * bounds on memory. True: *PIECE is set, IN's bytes are at hand, and unless it is the frame's last
 * piece, *PARSE holds what its end refers to. A file that cannot be read has no pieces.
 */
bool zstd_ahead_take(struct zstd_ahead *a, struct zstd_input *in, struct zstd_parse **parse,
                     struct zstd_piece *piece);

/* P, or another one made for WINDOW. 0, -ENOMEM, -EOVERFLOW as zstd_parse_new. */
int zstd_ahead_parser(struct zstd_parse **p, uint64_t window);

#endif
