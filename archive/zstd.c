/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zstd (RFC 8878): many frames, skippable ones among them, of many blocks each.
 *
 *   | header | block | block | … | last block | checksum? | header | block | …
 *            ^ 3 bytes say how long it is
 *
 * The pass feeds libzstd one block at a time, so that both offsets of every boundary are exact.
 * A frame's start is a point for free. Inside a frame the parser (zstd_parse.h) judges a boundary:
 *
 *   boundary --peek at the next block--> candidate --follow a window of blocks--> accept
 *       \____ first block refutes: nothing happened ___/ \__ violation: refuse
 *                                                         \_ settled only far behind: defer
 *
 * The zstd command compresses in jobs, and a job's start can nearly always be entered. A job ends
 * in a short block or after exactly four windows, so it costs nothing to find. Where no job has
 * begun for long, every boundary is looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/codec.h"
#include "archive/error.h"
#include "archive/restart.h"
#include "archive/source.h"
#include "archive/zstd_frame.h"
#include "archive/zstd_parse.h"
#include "archive/zstd_segment.h"

#define INPUT_SIZE (512 << 10)
/* So much output without a job's start, and the frame is taken to have no jobs. */
#define JOB_MAX (UINT64_C(8) << 20)
/* After a refusal, the next candidate is not opened at once: segments would become tiny. */
#define RETRY_DISTANCE (UINT64_C(1) << 20)

struct zstd_pass {
        struct source *in;
        struct codec_limits limits;
        ZSTD_DCtx *dctx;
        void *history; /* of the point the pass was resumed at */

        uint8_t *input; /* INPUT_SIZE; [input_at, input_end) is not yet consumed */
        size_t input_at, input_end;
        uint64_t in_pos; /* of the compressed stream, at input_at */
        uint64_t out;

        bool seen_frame;
        bool in_frame;
        bool foreign_checksum; /* libzstd has not seen the frame's start: skip its checksum */
        struct zstd_frame frame;
        uint64_t frame_out; /* output of the frame so far */
        uint64_t job_out;   /* … and since what looked like a job's start */
        bool short_block;   /* the last block was not full */

        struct zstd_parse *parse; /* follows the open candidate */
        struct zstd_parse *peek;
        bool following;
        bool peeked; /* parse has seen the next block already */
        uint64_t candidate_out;
        uint64_t retry_out; /* no candidate in front of this */
};

static bool zstd_probe(const void *head, size_t len)
{
        struct zstd_frame frame;
        enum zstd_frame_kind kind = zstd_frame_parse(head, len, &frame);

        return kind == ZSTD_FRAME_DATA || kind == ZSTD_FRAME_SKIP;
}

static void zstd_pass_close(void *pass)
{
        struct zstd_pass *z = pass;

        if (!z)
                return;
        ZSTD_freeDCtx(z->dctx);
        zstd_parse_free(z->parse);
        zstd_parse_free(z->peek);
        free(z->history);
        free(z->input);
        free(z);
}

/* libzstd must not refuse what limits.window allows; the pass judges windows itself. */
static ZSTD_DCtx *new_context(void)
{
        ZSTD_DCtx *dctx = ZSTD_createDCtx();
        ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);

        if (dctx && !ZSTD_isError(bounds.error))
                ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax, bounds.upperBound);
        return dctx;
}

static int pass_new(struct source *in, const struct codec_limits *limits, uint64_t in_pos,
                    struct zstd_pass **out, struct error *err)
{
        struct zstd_pass *z = calloc(1, sizeof *z);

        if (!z)
                return error_set(err, ENOMEM, "out of memory");
        z->in = in;
        z->limits = *limits;
        z->in_pos = in_pos;
        z->input = malloc(INPUT_SIZE);
        z->dctx = new_context();
        if (!z->input || !z->dctx) {
                zstd_pass_close(z);
                return error_set(err, ENOMEM, "out of memory");
        }
        *out = z;
        return 0;
}

/*
 * Make LEN bytes of input (at most INPUT_SIZE) contiguous at *BYTES. Returns how many there are:
 * fewer only at the end of the file.
 */
static ssize_t input(struct zstd_pass *z, size_t len, const uint8_t **bytes, struct error *err)
{
        size_t have = z->input_end - z->input_at;

        if (have < len) {
                ssize_t n;

                memmove(z->input, z->input + z->input_at, have);
                z->input_at = 0;
                z->input_end = have;
                n = source_pread(z->in, z->input + have, INPUT_SIZE - have, z->in_pos + have);
                if (n < 0)
                        return error_set_at(err, (int)-n, z->in_pos + have,
                                            "the compressed file cannot be read: %s",
                                            strerror((int)-n));
                z->input_end += (size_t)n;
                have = z->input_end;
        }
        *bytes = z->input + z->input_at;
        return (ssize_t)min_u64(have, len);
}

static void consume(struct zstd_pass *z, size_t len)
{
        z->input_at += len;
        z->in_pos += len;
}

static int cut_short(const struct zstd_pass *z, struct error *err)
{
        return error_set_at(err, EIO, z->in_pos + (z->input_end - z->input_at),
                            "the zstd stream is cut short");
}

static int damaged(const struct zstd_pass *z, size_t code, struct error *err)
{
        return error_set_at(err, EIO, z->in_pos, "the zstd stream is damaged: %s",
                            ZSTD_getErrorName(code));
}

/* What cannot be read although it is sound. */
static int check_frame(const struct zstd_pass *z, struct error *err)
{
        if (z->frame.reserved)
                return error_set_at(err, ENOTSUP, z->in_pos,
                                    "the zstd frame uses a feature that is not known");
        if (z->frame.dictionary)
                return error_set_at(err, ENOTSUP, z->in_pos,
                                    "the zstd frame was compressed with dictionary %" PRIu32
                                    ", which is not part of it",
                                    z->frame.dictionary);
        if (z->frame.window > z->limits.window)
                return error_set_at(
                    err, ENOTSUP, z->in_pos,
                    "the zstd frame needs a window of %" PRIu64 " bytes, over the limit of %" PRIu64
                    "; allow it with -o window=%" PRIu64 "M",
                    z->frame.window, z->limits.window, round_up(z->frame.window, 1 << 20) >> 20);
        return 0;
}

/* Bytes that are fed to libzstd and bring no output: headers and checksums. */
static int feed_silent(struct zstd_pass *z, const uint8_t *bytes, size_t len, struct error *err)
{
        char nothing[1];
        ZSTD_outBuffer out = {.dst = nothing};
        ZSTD_inBuffer in = {.src = bytes, .size = len};

        while (in.pos < in.size) {
                size_t before = in.pos;
                size_t rc = ZSTD_decompressStream(z->dctx, &out, &in);

                if (ZSTD_isError(rc) || in.pos == before)
                        return damaged(z, rc, err);
        }
        return 0;
}

static int begin_frame(struct zstd_pass *z, const uint8_t *bytes, struct restart_builder *b,
                       struct error *err)
{
        int rc = check_frame(z, err);

        if (rc < 0)
                return rc;
        ZSTD_DCtx_reset(z->dctx, ZSTD_reset_session_only);
        rc = feed_silent(z, bytes, z->frame.header_size, err);
        if (rc < 0)
                return rc;
        consume(z, z->frame.header_size);
        if (b)
                restart_keep(b, z->frame.window);
        z->in_frame = true;
        z->foreign_checksum = false;
        z->frame_out = 0;
        z->job_out = 0;
        z->short_block = false;
        return 0;
}

/* A skippable frame: its content is not even read. */
static int skip_frame(struct zstd_pass *z, struct error *err)
{
        uint64_t whole = (uint64_t)ZSTD_FRAME_SKIPPABLE + z->frame.skip;

        if (!range_within(z->in_pos, whole, z->in->size))
                return error_set_at(err, EIO, z->in->size, "the zstd stream is cut short");
        z->in_pos += whole;
        z->input_at += min_u64(whole, z->input_end - z->input_at);
        return 1;
}

/* Between frames. 1: there is another, or one was skipped; 0: the stream ends. */
static int next_frame(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = input(z, ZSTD_FRAME_HEADER_MAX, &bytes, err);
        enum zstd_frame_kind kind;
        int rc;

        if (n <= 0)
                return (int)n;
        kind = zstd_frame_parse(bytes, (size_t)n, &z->frame);
        if (kind == ZSTD_FRAME_SHORT)
                return cut_short(z, err);
        if (kind == ZSTD_FRAME_FOREIGN)
                return error_set_at(err, EIO, z->in_pos,
                                    z->seen_frame
                                        ? "something other than zstd follows the last zstd frame"
                                        : "not a zstd frame");
        z->seen_frame = true;
        if (b && restart_wanted(b)) {
                rc = restart_here(b, z->in_pos * 8, 0, NULL, 0);
                if (rc < 0)
                        return error_set(err, -rc, "out of memory");
        }
        if (kind == ZSTD_FRAME_SKIP)
                return skip_frame(z, err);
        rc = begin_frame(z, bytes, b, err);
        return rc < 0 ? rc : 1;
}

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

/* Bring the open candidate nearer to its verdict by the block that was just decoded. */
static int follow(struct zstd_pass *z, struct restart_builder *b,
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

static int ensure_parser(struct zstd_parse **p, uint64_t window)
{
        if (*p && zstd_parse_window(*p) == window)
                return 0;
        zstd_parse_free(*p);
        *p = NULL;
        return zstd_parse_new(window, p);
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

/* The boundary in front of a block that is not the frame's first: is it a candidate? */
static int consider(struct zstd_pass *z, struct restart_builder *b,
                    const struct zstd_block_header *header, const uint8_t *content)
{
        struct zstd_parse *peek;
        int rc;

        if (!worth_a_look(z) || !restart_wanted(b) || z->out < z->retry_out)
                return 0;
        /* A candidate that still gathers references cannot pass its fate on. */
        if (z->following && zstd_parse_position(z->parse) < z->frame.window)
                return 0;
        rc = ensure_parser(&z->peek, z->frame.window);
        if (rc < 0)
                return rc == -EOVERFLOW ? 0 : rc;
        zstd_parse_start(z->peek);
        if (zstd_parse_block(z->peek, header, content) == ZSTD_REFUTED)
                return 0;
        if (z->following) {
                rc = accept_candidate(z, b, restart_defer);
                if (rc < 0)
                        return rc;
        }
        rc = restart_candidate(b, z->in_pos * 8, zstd_frame_aux(&z->frame));
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

/* Decode the block of SIZE bytes, header included. Returns the bytes of output. */
static ssize_t decode_block(struct zstd_pass *z, const uint8_t *bytes, size_t size, void *buf,
                            size_t len, struct error *err)
{
        ZSTD_inBuffer in = {.src = bytes, .size = size};
        ZSTD_outBuffer out = {.dst = buf, .size = len};

        while (in.pos < in.size) {
                size_t in_before = in.pos, out_before = out.pos;
                size_t rc = ZSTD_decompressStream(z->dctx, &out, &in);

                if (ZSTD_isError(rc))
                        return damaged(z, rc, err);
                if (in.pos == in_before && out.pos == out_before)
                        return error_set_at(err, EIO, z->in_pos, "the zstd stream is damaged");
        }
        return (ssize_t)out.pos;
}

static int end_frame(struct zstd_pass *z, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n;
        int rc;

        z->in_frame = false;
        if (!z->frame.checksum)
                return 0;
        n = input(z, ZSTD_FRAME_CHECKSUM, &bytes, err);
        if (n < 0)
                return (int)n;
        if (n < ZSTD_FRAME_CHECKSUM)
                return cut_short(z, err);
        if (!z->foreign_checksum) {
                rc = feed_silent(z, bytes, ZSTD_FRAME_CHECKSUM, err);
                if (rc < 0)
                        return rc;
        }
        consume(z, ZSTD_FRAME_CHECKSUM);
        return 0;
}

/* The next block of the frame. Returns its output's length, which may be 0. */
static ssize_t next_block(struct zstd_pass *z, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        struct zstd_block_header header;
        const uint8_t *bytes;
        size_t size;
        ssize_t n;
        int rc = 0;

        n = input(z, ZSTD_BLOCK_HEADER_SIZE, &bytes, err);
        if (n < 0)
                return n;
        if (n < ZSTD_BLOCK_HEADER_SIZE)
                return cut_short(z, err);
        header = zstd_block_header(bytes);
        if (header.type == ZSTD_BLOCK_RESERVED || header.size > ZSTD_PARSE_BLOCK_MAX)
                return error_set_at(err, EIO, z->in_pos,
                                    "the zstd stream is damaged: no block begins here");
        size = (size_t)ZSTD_BLOCK_HEADER_SIZE + header.content;
        n = input(z, size, &bytes, err);
        if (n < 0)
                return n;
        if ((size_t)n < size)
                return cut_short(z, err);
        if (b && z->frame_out > 0)
                rc = consider(z, b, &header, bytes + ZSTD_BLOCK_HEADER_SIZE);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        n = decode_block(z, bytes, size, buf, len, err);
        if (n < 0)
                return n;
        if (b && z->following)
                rc = follow(z, b, &header, bytes + ZSTD_BLOCK_HEADER_SIZE);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        consume(z, size);
        z->out += (size_t)n;
        z->frame_out += (size_t)n;
        z->job_out += (size_t)n;
        z->short_block = (size_t)n < min_u64(z->frame.window, ZSTD_PARSE_BLOCK_MAX);
        if (header.last)
                rc = end_frame(z, err);
        return rc < 0 ? rc : n;
}

static ssize_t zstd_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                         struct error *err)
{
        struct zstd_pass *z = pass;

        for (;;) {
                ssize_t n;

                if (!z->in_frame) {
                        n = next_frame(z, b, err);
                        if (n <= 0)
                                return n;
                        continue;
                }
                n = next_block(z, buf, len, b, err);
                if (n != 0)
                        return n;
        }
}

static int zstd_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                          struct error *err)
{
        struct zstd_pass *z;
        const uint8_t *bytes;
        ssize_t n;
        int rc = pass_new(in, limits, 0, &z, err);

        if (rc < 0)
                return rc;
        n = input(z, ZSTD_FRAME_HEADER_MAX, &bytes, err);
        if (n < 0) {
                rc = (int)n;
        } else if (zstd_frame_parse(bytes, (size_t)n, &z->frame) == ZSTD_FRAME_DATA) {
                rc = check_frame(z, err);
        }
        if (rc < 0) {
                zstd_pass_close(z);
                return rc;
        }
        *pass = z;
        return 0;
}

static int zstd_pass_resume(struct source *in, const struct codec_limits *limits,
                            const struct restart_point *point, void *take_history, void **pass,
                            struct error *err)
{
        cleanup_free void *history = take_history;
        uint8_t standin[ZSTD_FRAME_STANDIN_SIZE];
        struct zstd_pass *z;
        int rc = pass_new(in, limits, point->in_bit / 8, &z, err);

        if (rc < 0)
                return rc;
        z->history = steal_ptr(&history);
        z->out = point->out;
        z->seen_frame = true;
        if (zstd_frame_from_aux(point->aux, &z->frame)) {
                rc = check_frame(z, err);
                if (rc == 0 && point->history_len)
                        ZSTD_DCtx_refPrefix(z->dctx, z->history, point->history_len);
                zstd_frame_standin(standin, z->frame.descriptor);
                if (rc == 0)
                        rc = feed_silent(z, standin, sizeof standin, err);
                z->in_frame = true;
                z->foreign_checksum = true;
        }
        if (rc < 0) {
                zstd_pass_close(z);
                return rc;
        }
        *pass = z;
        return 0;
}

const struct codec_ops zstd_codec = {
    .name = "zstd",
    .probe = zstd_probe,
    .pass_open = zstd_pass_open,
    .pass_close = zstd_pass_close,
    .pass_resume = zstd_pass_resume,
    .pass = zstd_pass,
    .segment = zstd_segment,
};
