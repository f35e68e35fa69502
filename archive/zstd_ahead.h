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

struct error;
struct restart_spacing;
struct zstd_input;
struct zstd_parse;

/* Frames with larger windows are not looked into: what it takes to judge grows with the window. */
#define ZSTD_AHEAD_WINDOW_MAX (UINT64_C(8) << 20)

struct zstd_piece {
        size_t size;     /* bytes of whole blocks */
        unsigned blocks; /* at most RESTART_SEGMENT_MAX of output */
        bool last;       /* ends with the frame's last block */
};

/*
 * Is the boundary AT bytes ahead of IN such a one? 1: yes, and P, made for the frame's window,
 * holds what it refers to; 0; or -errno. *WORK is how many compressed bytes had to be parsed.
 */
int zstd_ahead_judge(struct zstd_input *in, size_t at, struct zstd_parse *p, uint64_t *work,
                     struct error *err);

/*
 * Find the piece that begins at IN. MEAN is what a block usually holds, bytes. 1: *PIECE is set,
 * and unless it is the frame's last, *JUDGED holds what its end refers to; it may have changed
 * places with *OTHER. 0: there is none within SPACING and the bounds on memory; -errno.
 */
int zstd_ahead_piece(struct zstd_input *in, const struct restart_spacing *spacing, uint64_t mean,
                     struct zstd_parse **judged, struct zstd_parse **other,
                     struct zstd_piece *piece, struct error *err);

#endif
