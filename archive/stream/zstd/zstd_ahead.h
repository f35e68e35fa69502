/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds, in compressed bytes that are not yet decoded, where a zstd frame can be cut.
 *
 *   point                      judged: refuted      judged: proven
 *   |[block][block] …          |[block]             |[block][block] … a window of blocks
 *   `------------------------- the piece -----------'
 *
 * Both ends of a piece can be entered, so it can be decoded in one shot, directly to its
 * destination, in two thirds of the time of decoding it block by block.
 *
 * Only boundaries that refer to little before them are used, like the start of a job. Others are
 * quickly recognised, and would cost too much.
 */
#ifndef VMAFS_ZSTD_AHEAD_H
#define VMAFS_ZSTD_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_input.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "archive/workers.h"

struct error;
struct workers;

/* Frames with larger windows are not examined, since the cost of judging grows with the window. */
#define ZSTD_AHEAD_WINDOW_MAX (UINT64_C(8) << 20)

/* At most so many in a piece. */
#define ZSTD_AHEAD_BLOCKS (RESTART_SEGMENT_MAX / ZSTD_PARSE_BLOCK_MAX)

struct zstd_piece {
        size_t size;     /* bytes of whole blocks */
        unsigned blocks; /* at most RESTART_SEGMENT_MAX of output */
        bool last;       /* ends with the frame's last block */
};

/*
 * The block AT bytes ahead of IN. 1, with its HEADER, and CONTENT after that, valid until the next
 * call; 0: none can begin there, or it is too far; -errno.
 */
int zstd_ahead_block(struct zstd_input *in, size_t at, struct zstd_block_header *header,
                     const uint8_t **content, struct error *err);

/*
 * Is the boundary AT bytes ahead of IN one that refers to at most REACH bytes before it? 1:
 * yes, and P, made for the frame's window, holds to what; 0; or -errno. *WORK is how many
 * compressed bytes had to be parsed.
 */
int zstd_ahead_judge(struct zstd_input *in, size_t at, uint64_t reach, struct zstd_parse *p,
                     uint64_t *work, struct error *err);

struct zstd_search {
        uint64_t pos;    /* of the compressed stream: the piece's beginning, a block's */
        uint64_t window; /* the frame's */
        uint64_t reach;  /* how far before its end the next piece may refer to */
        uint64_t mean;   /* what a block usually holds, bytes */
        struct restart_spacing spacing;
};

/*
 * Searches, on another thread, for the piece after the one being decoded. It has its own input and
 * parsers, which are swapped with the pass's when its result is taken.
 */
struct zstd_ahead {
        struct workers *workers; /* NULL: the search runs when its result is asked for */
        struct task task;
        struct zstd_input input; /* at the search's beginning */
        struct zstd_parse *judged, *other;
        struct zstd_search search;
        struct zstd_piece piece;
        size_t ends[ZSTD_AHEAD_BLOCKS]; /* of the blocks that follow, bytes of input */
        unsigned count;                 /* of these */
        bool ended;                     /* the last of them is the frame's last */
        bool found;
};

/* The caller keeps IN and WORKERS. 0 or -ENOMEM. */
int zstd_ahead_init(struct zstd_ahead *a, struct source *in, struct workers *workers);
void zstd_ahead_fini(struct zstd_ahead *a);

/* Start SEARCH. 0, -ENOMEM, or -EOVERFLOW as zstd_parse_new. */
int zstd_ahead_start(struct zstd_ahead *a, const struct zstd_search *search);

/*
 * Get the piece that begins at IN, if it was searched for and found within the bounds on memory and
 * the spacing, which is rounded up to whole jobs. True: *PIECE is set, its bytes are available in
 * IN, and unless it is the frame's last piece, *PARSE holds what its end refers to. An unreadable
 * file has no pieces.
 */
bool zstd_ahead_take(struct zstd_ahead *a, struct zstd_input *in, struct zstd_parse **parse,
                     struct zstd_piece *piece);

/* Make sure that P is for WINDOW, or replace it. 0, -ENOMEM, -EOVERFLOW as zstd_parse_new. */
int zstd_ahead_parser(struct zstd_parse **p, uint64_t window);

#endif
