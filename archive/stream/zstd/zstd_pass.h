/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a pass over a zstd stream, between its two halves: zstd.c walks frames and blocks,
 * and zstd_points.c finds where they can be entered.
 */
#ifndef VMAFS_ZSTD_PASS_H
#define VMAFS_ZSTD_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <zstd.h>

#include "archive/stream/codec.h"
#include "archive/stream/zstd/zstd_ahead.h"
#include "archive/stream/zstd/zstd_beside.h"
#include "archive/stream/zstd/zstd_checksum.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_history.h"
#include "archive/stream/zstd/zstd_input.h"
#include "archive/stream/zstd/zstd_parse.h"

/* What a job's start is taken to refer to at first: a part of the window. */
#define ZSTD_REACH_PART 8

struct error;
struct restart_builder;

struct zstd_pass {
        struct codec_limits limits;
        ZSTD_DCtx *dctx;
        void *history; /* of the point where dctx's session began, if it did inside a frame */
        struct zstd_input input;
        uint64_t out;
        uint64_t call_pos;  /* of the input, when the last call of pass began */
        uint64_t frame_pos; /* of the input, where the frame begins */
        struct codec_trust trust;
        struct zstd_checksum checksum; /* of the frame so far */
        struct zstd_frame frame;
        uint64_t frame_out; /* output of the frame so far */
        uint64_t job_out;   /* … and since what looked like a job's start */
        uint32_t history_len;
        uint64_t usual; /* what the last sound frame held by its header */
        bool unsettled; /* a frame has begun, and not ended well */
        bool seen_frame;
        bool in_frame;
        bool cut;         /* the file has ended inside of it */
        bool whole;       /* it was decoded from its start, so that its checksum can be */
        bool short_block; /* the last block was not full */
        bool has_points;  /* the output that points take fits: it can be entered inside */

        /* The open candidate. */
        bool following;
        bool following_job;       /* it may be a job's start */
        bool peeked;              /* parse has seen the next block already */
        struct zstd_parse *parse; /* follows it */
        struct zstd_parse *peek;
        uint64_t candidate_out;
        struct zstd_history gathered; /* of what parse refers to … */
        uint64_t settled;             /* … with so much output after the boundary */
        uint64_t retry_out;           /* no candidate before this */

        bool resumed; /* plan has named the point here, and begun a search, in another process */

        /* Looking ahead. */
        uint64_t look_out;              /* not before this */
        struct restart_spacing spacing; /* as it was at the last point */
        uint64_t mean;                  /* bytes of output in a block, of late */
        unsigned reach_part;            /* of the window: what a job's start refers to, it seems */
        unsigned modest; /* pieces in a row whose ends refer to no more than half of that */
        bool at_cut;     /* parse holds what the boundary here refers to */
        bool has_jobs;   /* one has been found in the frame */
        struct zstd_ahead ahead;
        struct zstd_piece piece; /* what plan has found; size 0: nothing */
        struct zstd_beside beside;
        struct pass_state planned; /* of the point where it begins, until that has its history */

        uint64_t searched; /* byte of the input up to which a frame was searched for a way back */
};

/* zstd.c: */

/* A pass that begins at byte IN_POS of IN. 0 or -ENOMEM. */
int zstd_pass_new(struct source *in, const struct codec_limits *limits, uint64_t in_pos,
                  struct zstd_pass **out, struct error *err);
void zstd_pass_close(void *pass); /* NULL is allowed */

/* Is z->frame one that can be read? 0 or -ENOTSUP. */
int zstd_check_frame(const struct zstd_pass *z, struct error *err);

/* The stream ends where it must not. */
int zstd_cut_short(struct zstd_pass *z, struct error *err);

/*
 * A context that does not refuse what limits.window allows: the pass judges windows itself. NULL:
 * out of memory.
 */
ZSTD_DCtx *zstd_new_context(void);

/* Begin a session of libzstd inside the frame, after z->history. */
int zstd_begin_inside(struct zstd_pass *z, struct error *err);

/*
 * The next SIZE bytes of blocks, with the frame's LAST or not, have become N bytes. BUF: these, for
 * the frame's checksum; NULL: they are summed up later.
 */
int zstd_account(struct zstd_pass *z, const void *buf, size_t n, size_t size, bool last,
                 struct error *err);

/* zstd_resume.c: */

/* Where a pass can go on later. */
enum zstd_checkpoint {
        ZSTD_AT_FRAME,     /* one begins, or the stream ends */
        ZSTD_AT_PIECE,     /* plan is about to take the piece that was searched for */
        ZSTD_AT_CANDIDATE, /* one has just been opened */
};

/* What has to be known to go on from the boundary here, but for the frame's checksum so far. */
void zstd_save(const struct zstd_pass *z, enum zstd_checkpoint kind, struct pass_state *s);

/*
 * Tell B that the pass can go on from the boundary here, which has just been named, with what was
 * saved as S, and the checksum as it is. That uses S up; an empty one is none.
 */
void zstd_checkpoint(const struct zstd_pass *z, struct restart_builder *b, struct pass_state *s);

/* As codec_ops.pass_resume. */
int zstd_pass_resume(struct source *in, const struct codec_limits *limits,
                     const struct restart_point *point, void *take_history,
                     struct pass_state *state, struct restart_builder *b, void **pass,
                     struct error *err);

/* zstd_points.c: */

/* The boundary before a block that is not the frame's first: is it a candidate? -ENOMEM. */
int zstd_consider(struct zstd_pass *z, struct restart_builder *b,
                  const struct zstd_block_header *header, const uint8_t *content);

/* Bring the open candidate nearer to its verdict by the block that was just decoded. */
int zstd_follow(struct zstd_pass *z, struct restart_builder *b,
                const struct zstd_block_header *header, const uint8_t *content);

/*
 * Where a frame's own checksum will prove them, pieces between points are decoded in one shot, and
 * from exactly what is stored. Otherwise a pass block by block has to be there to compare with.
 * As codec_ops.plan.
 */
ssize_t zstd_plan(void *pass, struct restart_builder *b, struct error *err);

/* Decode the piece that plan has found. 0: it cannot be, and block by block is the way to go. */
ssize_t zstd_decode_piece(struct zstd_pass *z, void *buf, size_t len, struct restart_builder *b,
                          struct error *err);

#endif
