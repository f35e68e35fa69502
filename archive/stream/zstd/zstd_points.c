/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a pass finds restart points inside a frame. Block by block, the parser (zstd_parse.h)
 * judges a boundary after the decoder:
 *
 *   boundary --peek at the next block--> candidate --follow a window of blocks--> accept
 *       \____ first block refutes: nothing happened ___/ \__ violation: refuse
 *                                                         \_ settled only far after: defer
 *
 * The zstd command compresses in jobs, and a job's start can nearly always be entered. A job ends
 * in a short block or after exactly four windows, so it costs nothing to find. Where no job has
 * begun for long, every boundary is looked at.
 *
 * Once at a job's start, the pass looks ahead for another (zstd_ahead.h), and what lies between
 * them is decoded in one shot.
 */
#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_pass.h"
#include "archive/stream/zstd/zstd_segment.h"

/* So much output without a job's start, and a frame is taken to have no jobs: a job's, but … */
#define JOB_MIN (UINT64_C(8) << 20)
#define JOB_MAX (UINT64_C(32) << 20)
/* So many jobs' output without a job's start, and a frame that had jobs is taken to have no more.
 */
#define JOBS_MISSED 4
/* A job is four windows long, or ends early. */
#define JOB_WINDOWS 4
/* The most that a job's start is taken to refer to, and still be cheap to find: half a window. */
#define REACH_PART_LEAST 2
/* So many pieces in a row that referred to half of what they might, and they may less. */
#define MODEST_ROW 8
/* After a refusal, the next candidate is not opened at once: segments would become tiny. */
#define RETRY_DISTANCE (UINT64_C(1) << 20)
/* What has been settled of a boundary's history is gathered in so many parts. */
#define STEPS 8

/* The open candidate is none, nor is another one soon. */
static int refuse_candidate(struct zstd_pass *z, struct restart_builder *b)
{
        z->following = false;
        z->retry_out = z->out + RETRY_DISTANCE;
        zstd_history_free(&z->gathered);
        return restart_refuse(b);
}

/* The history of the boundary at candidate_out, complete, to VERDICT. */
static int accept_candidate(struct zstd_pass *z, struct restart_builder *b,
                            int (*verdict)(struct restart_builder *, const void *, size_t))
{
        uint32_t len = zstd_parse_reach(z->parse);
        int rc = zstd_history_gather(&z->gathered, z->parse, b, z->candidate_out, 0);

        /* References before the stream: no encoder writes them, and libzstd refuses them. */
        if (rc == -ERANGE)
                return refuse_candidate(z, b);
        z->following = false;
        if (rc == 0)
                rc = verdict(b, zstd_history_bytes(&z->gathered, len), len);
        zstd_history_free(&z->gathered);
        return rc;
}

/*
 * Nothing has been settled yet, and that may last for the rest of the frame. So take, a part of the
 * window at a time, what can no longer be referred to from further on, and let its output go.
 */
static int gather_settled(struct zstd_pass *z, struct restart_builder *b)
{
        uint64_t window = z->frame.window;
        uint64_t settled = min_u64(z->out - z->candidate_out, window), left = window - settled;
        int rc;

        if (settled == z->settled || (left > 0 && settled - z->settled < window / STEPS))
                return 0;
        rc = zstd_history_gather(&z->gathered, z->parse, b, z->candidate_out, (uint32_t)left);
        if (rc == -ERANGE)
                return refuse_candidate(z, b);
        z->settled = settled;
        restart_release(b,
                        left > 0 ? z->candidate_out - min_u64(z->candidate_out, left) : UINT64_MAX);
        return rc;
}

int zstd_follow(struct zstd_pass *z, struct restart_builder *b,
                const struct zstd_block_header *header, const uint8_t *content)
{
        enum zstd_verdict verdict = zstd_parse_verdict(z->parse);

        if (!z->peeked)
                verdict = zstd_parse_block(z->parse, header, content);
        z->peeked = false;
        if (verdict != ZSTD_REFUTED && header->last)
                verdict = zstd_parse_end(z->parse);
        switch (verdict) {
        case ZSTD_PENDING:
                return gather_settled(z, b);
        case ZSTD_PROVEN:
                z->has_jobs |= z->following_job;
                return accept_candidate(z, b, restart_accept);
        case ZSTD_REFUTED:
                return refuse_candidate(z, b);
        }
        return 0;
}

/* Could a job have begun here? */
static bool job_may_begin(const struct zstd_pass *z)
{
        uint64_t job_size = max_u64(z->frame.window, 1) * JOB_WINDOWS;

        return z->short_block || z->job_out % job_size == 0;
}

/* The same, or does this frame seem to have no jobs, so that any boundary will do? */
static bool worth_a_look(struct zstd_pass *z)
{
        uint64_t patience = z->frame.window * JOB_WINDOWS;

        patience = min_u64(max_u64(patience, JOB_MIN), JOB_MAX) * (z->has_jobs ? JOBS_MISSED : 1);
        if (z->short_block)
                z->job_out = 0;
        return job_may_begin(z) || z->job_out >= patience;
}

int zstd_consider(struct zstd_pass *z, struct restart_builder *b,
                  const struct zstd_block_header *header, const uint8_t *content)
{
        struct pass_state state;
        struct zstd_parse *peek;
        int rc;

        if (!z->has_points || !worth_a_look(z) || !restart_wanted(b) || z->out < z->retry_out)
                return 0;
        /* A candidate that still gathers references cannot pass its fate on. */
        if (z->following && zstd_parse_position(z->parse) < z->frame.window)
                return 0;
        rc = zstd_ahead_parser(&z->peek, z->frame.window);
        if (rc < 0)
                return rc == -EOVERFLOW ? 0 : rc;
        zstd_parse_start(z->peek, z->frame.window);
        if (zstd_parse_block(z->peek, header, content) == ZSTD_REFUTED)
                return 0;
        if (z->following) {
                rc = accept_candidate(z, b, restart_defer);
                if (rc < 0)
                        return rc;
        }
        rc = restart_candidate(b, z->input.pos * 8, zstd_frame_aux(&z->frame));
        if (rc < 0)
                return rc;
        peek = z->peek;
        z->peek = z->parse;
        z->parse = peek;
        z->following = true;
        z->following_job = job_may_begin(z);
        z->peeked = true;
        z->candidate_out = z->out;
        z->settled = 0;
        zstd_history_begin(&z->gathered);
        zstd_save(z, ZSTD_AT_CANDIDATE, &state);
        zstd_checkpoint(z, b, &state);
        return 0;
}

/*
 * How far back a job refers is a matter of the level: an eighth of the window at level 3, a quarter
 * at 12. Nothing says which it is, but that nothing else is found.
 */
static void allow_more_reach(struct zstd_pass *z)
{
        z->reach_part = z->reach_part > REACH_PART_LEAST ? z->reach_part / 2 : REACH_PART_LEAST;
        z->modest = 0;
}

/*
 * One job in hundreds refers to more than the others; what is allowed for its sake makes every
 * boundary that is refuted cost more, so it is taken back once a row of pieces did without.
 */
static void demand_less_reach(struct zstd_pass *z)
{
        bool modest = zstd_parse_reach(z->parse) <= z->frame.window / z->reach_part / 2;

        z->modest = modest ? z->modest + 1 : 0;
        if (z->modest < MODEST_ROW || z->reach_part >= ZSTD_REACH_PART)
                return;
        z->reach_part *= 2;
        z->modest = 0;
}

/* Is the boundary here one to begin a piece at? 1: parse holds what it refers to. */
static int look_here(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        bool full_job = !z->short_block && z->job_out <= z->frame.window * JOB_WINDOWS;
        uint64_t work;
        int rc;

        if (z->following || z->frame_out == 0 || z->out < z->look_out || !worth_a_look(z) ||
            !restart_wanted(b))
                return 0;
        z->look_out = z->out + RETRY_DISTANCE;
        rc = zstd_ahead_parser(&z->parse, z->frame.window);
        if (rc == 0)
                rc = zstd_ahead_parser(&z->peek, z->frame.window);
        if (rc < 0)
                return rc == -EOVERFLOW ? 0 : error_set(err, -rc, "out of memory");
        rc = zstd_ahead_judge(&z->input, 0, z->frame.window / z->reach_part, z->parse, &work, err);
        if (rc == 0 && full_job)
                allow_more_reach(z);
        z->has_jobs |= rc > 0;
        return rc;
}

/* Gather the history of the boundary here, and name that. It becomes a point when B has it. */
static int name_here(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        struct zstd_history gathered = {0};
        int rc;

        zstd_history_begin(&gathered);
        rc = zstd_history_gather(&gathered, z->parse, b, z->out, 0);
        if (rc == 0)
                rc = restart_candidate(b, z->input.pos * 8, zstd_frame_aux(&z->frame));
        if (rc < 0)
                zstd_history_free(&gathered);
        if (rc == -ERANGE)
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: it refers to what is not there");
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        free(z->history);
        z->history = gathered.bytes;
        z->history_len = zstd_parse_reach(z->parse);
        zstd_beside_store(&z->beside, b, z->history, z->history_len);
        return 0;
}

/* Search for a piece that begins SIZE bytes ahead. */
static int search(struct zstd_pass *z, size_t size, struct error *err)
{
        struct zstd_search wanted = {
            .pos = z->input.pos + size,
            .window = z->frame.window,
            .reach = z->frame.window / z->reach_part,
            .mean = z->mean,
            .spacing = z->spacing,
        };
        int rc = zstd_ahead_start(&z->ahead, &wanted);

        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* Is a piece to be begun here? 1: the point is named, and a search is on its way. */
static int begin_piece(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        bool was_cut = z->at_cut;
        int rc;

        z->at_cut = false;
        z->piece = (struct zstd_piece){0};
        if (!z->in_frame || !z->whole || !z->frame.checksum ||
            z->frame.window > ZSTD_AHEAD_WINDOW_MAX)
                return 0;
        rc = was_cut ? 1 : look_here(z, b, err);
        if (rc <= 0)
                return rc;
        rc = name_here(z, b, err);
        z->spacing = restart_spacing(b);
        if (rc == 0 && !was_cut)
                rc = search(z, 0, err);
        if (rc < 0)
                return rc;
        zstd_save(z, ZSTD_AT_PIECE, &z->planned);
        return 1;
}

/* What was done beside is done: the boundary here is a point, and the frame is summed up so far. */
static int end_beside(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        int rc = zstd_beside_join(&z->beside);

        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        zstd_checkpoint(z, b, &z->planned);
        return 0;
}

ssize_t zstd_plan(void *pass, struct restart_builder *b, struct error *err)
{
        struct zstd_pass *z = pass;
        int rc = z->resumed ? 1 : begin_piece(z, b, err);

        z->resumed = false;
        if (rc > 0 && !zstd_ahead_take(&z->ahead, &z->input, &z->parse, &z->piece)) {
                allow_more_reach(z);
                rc = zstd_begin_inside(z, err);
        }
        if (z->piece.size && !z->piece.last) {
                demand_less_reach(z);
                rc = search(z, z->piece.size, err);
        }
        zstd_beside_start(&z->beside);
        if (rc == 0 && !z->piece.size)
                rc = end_beside(z, b, err);
        if (rc < 0)
                zstd_beside_join(&z->beside);
        return rc < 0 ? rc : (ssize_t)z->piece.blocks * ZSTD_PARSE_BLOCK_MAX;
}

ssize_t zstd_decode_piece(struct zstd_pass *z, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        struct zstd_piece piece = z->piece;
        uint8_t *bytes;
        ssize_t n = zstd_input_want(&z->input, piece.size, &bytes, err);
        bool there = n >= 0 && (size_t)n == piece.size;
        size_t out = 0;
        int rc;

        z->piece = (struct zstd_piece){0};
        if (there)
                out = zstd_decode_blocks(z->dctx, z->frame.descriptor, z->history, z->history_len,
                                         bytes, piece.size, !piece.last, buf, len);
        rc = end_beside(z, b, err);
        if (rc < 0 || n < 0)
                return rc < 0 ? rc : n;
        if (!there)
                return zstd_cut_short(z, err);
        /* What makes no output is not returned, so no boundary after it can be named. */
        if (ZSTD_isError(out) || out == 0)
                return zstd_begin_inside(z, err);
        if (z->beside.stored)
                restart_vouch(b);
        z->mean = max_u64((z->mean + out / piece.blocks) / 2, 1);
        z->at_cut = !piece.last;
        z->job_out = 0;
        z->short_block = true;
        rc = zstd_account(z, piece.last ? buf : NULL, out, piece.size, piece.last, err);
        if (!piece.last)
                zstd_beside_sum(&z->beside, buf, out);
        return rc < 0 ? rc : (ssize_t)out;
}
