/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a pass finds restart points inside a frame. Block by block, the parser (zstd_parse.h)
 * judges a boundary behind the decoder:
 *
 *   boundary --peek at the next block--> candidate --follow a window of blocks--> accept
 *       \____ first block refutes: nothing happened ___/ \__ violation: refuse
 *                                                         \_ settled only far behind: defer
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
#include "archive/restart.h"
#include "archive/zstd_pass.h"
#include "archive/zstd_segment.h"

/* So much output without a job's start, and the frame is taken to have no jobs. */
#define JOB_MAX (UINT64_C(8) << 20)
/* After a refusal, the next candidate is not opened at once: segments would become tiny. */
#define RETRY_DISTANCE (UINT64_C(1) << 20)

/* What the followed boundary needs of the output in front of it; the rest is zeros. */
static int gather_history(const struct zstd_pass *z, struct restart_builder *b, void **history,
                          uint32_t *history_len)
{
        uint32_t reach = zstd_parse_reach(z->parse);
        uint32_t back = reach, len;
        cleanup_free char *bytes = NULL;

        *history = NULL;
        *history_len = reach;
        if (reach == 0)
                return 0;
        bytes = calloc(1, reach);
        if (!bytes)
                return -ENOMEM;
        while (zstd_parse_next(z->parse, &back, &len)) {
                int rc = -ERANGE;

                if (back <= z->candidate_out)
                        rc =
                            restart_recall(b, z->candidate_out - back, bytes + (reach - back), len);
                if (rc < 0)
                        return rc;
                back -= len;
        }
        *history = steal_ptr(&bytes);
        return 0;
}

static int accept_candidate(struct zstd_pass *z, struct restart_builder *b,
                            int (*verdict)(struct restart_builder *, const void *, size_t))
{
        cleanup_free void *history = NULL;
        uint32_t history_len;
        int rc = gather_history(z, b, &history, &history_len);

        z->following = false;
        /* References in front of the stream: no encoder writes them, and libzstd refuses them. */
        if (rc == -ERANGE)
                return restart_refuse(b);
        if (rc < 0)
                return rc;
        return verdict(b, history, history_len);
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
                break;
        case ZSTD_PROVEN:
                return accept_candidate(z, b, restart_accept);
        case ZSTD_REFUTED:
                z->following = false;
                z->retry_out = z->out + RETRY_DISTANCE;
                return restart_refuse(b);
        }
        return 0;
}

/* Could a job have begun here? Or is this frame without jobs, so that any boundary will do? */
static bool worth_a_look(struct zstd_pass *z)
{
        uint64_t job_size = max_u64(z->frame.window, 1) * 4;
        bool job = z->short_block || z->job_out % job_size == 0;

        if (z->short_block)
                z->job_out = 0;
        return job || z->job_out >= JOB_MAX;
}

int zstd_consider(struct zstd_pass *z, struct restart_builder *b,
                  const struct zstd_block_header *header, const uint8_t *content)
{
        struct zstd_parse *peek;
        int rc;

        if (!worth_a_look(z) || !restart_wanted(b) || z->out < z->retry_out)
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
        z->peeked = true;
        z->candidate_out = z->out;
        return 0;
}

/* Is the boundary here one to begin a piece at? 1: parse holds what it refers to. */
static int look_here(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
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
        return zstd_ahead_judge(&z->input, 0, z->parse, &work, err);
}

/* Name the boundary here as a point, and hold its history as it is stored. */
static int name_here(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        cleanup_free void *history = NULL;
        uint32_t history_len;
        int rc;

        z->candidate_out = z->out;
        rc = gather_history(z, b, &history, &history_len);
        if (rc == -ERANGE)
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: it refers to what is not there");
        if (rc == 0)
                rc = restart_here(b, z->input.pos * 8, zstd_frame_aux(&z->frame), history,
                                  history_len);
        free(steal_ptr(&history));
        if (rc == 0)
                rc = restart_stored(b, &history);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        free(z->history);
        z->history = steal_ptr(&history);
        z->history_len = history_len;
        return 0;
}

/* Search for a piece that begins SIZE bytes ahead. */
static int search(struct zstd_pass *z, struct restart_builder *b, size_t size, struct error *err)
{
        struct restart_spacing spacing = restart_spacing(b);
        int rc =
            zstd_ahead_start(&z->ahead, z->input.pos + size, z->frame.window, &spacing, z->mean);

        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

ssize_t zstd_plan(void *pass, struct restart_builder *b, struct error *err)
{
        struct zstd_pass *z = pass;
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
        if (rc == 0 && !was_cut)
                rc = search(z, b, 0, err);
        if (rc < 0)
                return rc;
        if (!zstd_ahead_take(&z->ahead, &z->input, &z->parse, &z->piece))
                return zstd_begin_inside(z, err);
        if (!z->piece.last)
                rc = search(z, b, z->piece.size, err);
        return rc < 0 ? rc : (ssize_t)z->piece.blocks * ZSTD_PARSE_BLOCK_MAX;
}

ssize_t zstd_decode_piece(struct zstd_pass *z, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        struct zstd_piece piece = z->piece;
        uint8_t *bytes;
        ssize_t n;
        size_t out;
        int rc;

        z->piece = (struct zstd_piece){0};
        n = zstd_input_want(&z->input, piece.size, &bytes, err);
        if (n < 0)
                return n;
        if ((size_t)n < piece.size)
                return zstd_cut_short(z, err);
        out = zstd_decode_blocks(z->dctx, z->frame.descriptor, z->history, z->history_len, bytes,
                                 piece.size, !piece.last, buf, len);
        if (ZSTD_isError(out))
                return zstd_begin_inside(z, err);
        restart_vouch(b);
        z->mean = max_u64((z->mean + out / piece.blocks) / 2, 1);
        z->at_cut = !piece.last;
        z->job_out = 0;
        z->short_block = true;
        rc = zstd_account(z, buf, out, piece.size, piece.last, err);
        return rc < 0 ? rc : (ssize_t)out;
}
