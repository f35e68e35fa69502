/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zstd (RFC 8878): many frames, skippable ones among them, of many blocks each.
 *
 *   | header | block | block | … | last block | checksum? | header | block | …
 *            ^ 3 bytes say how long it is
 *
 * The pass feeds libzstd one block at a time, so that both offsets of every boundary are exact, or
 * a whole piece if zstd_points.c has found one. A point at a frame's start costs nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/resync.h"
#include "archive/stream/truncation.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_pass.h"
#include "archive/stream/zstd/zstd_recover.h"
#include "archive/stream/zstd/zstd_segment.h"

static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};

enum { FRAME_BLOCKS_MAX = 65536 }; /* of a frame that is decoded whole */

/* How much of a frame to examine to recognise it. */
enum { FRAME_NEED = ZSTD_FRAME_HEADER_MAX + ZSTD_BLOCK_HEADER_SIZE };

static bool zstd_probe(const void *head, size_t len)
{
        struct zstd_frame frame;
        enum zstd_frame_kind kind = zstd_frame_parse(head, len, &frame);

        return kind == ZSTD_FRAME_DATA || kind == ZSTD_FRAME_SKIP;
}

void zstd_pass_close(void *pass)
{
        struct zstd_pass *z = pass;

        if (!z)
                return;
        zstd_ahead_fini(&z->ahead);
        zstd_beside_join(&z->beside);
        ZSTD_freeDCtx(z->dctx);
        zstd_parse_free(z->parse);
        zstd_parse_free(z->peek);
        zstd_input_fini(&z->input);
        zstd_history_free(&z->gathered);
        free(z->history);
        free(z);
}

ZSTD_DCtx *zstd_new_context(void)
{
        ZSTD_DCtx *dctx = ZSTD_createDCtx();
        ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);

        if (dctx && !ZSTD_isError(bounds.error))
                ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax, bounds.upperBound);
        return dctx;
}

int zstd_pass_new(struct source *in, const struct codec_limits *limits, uint64_t in_pos,
                  struct zstd_pass **out, struct error *err)
{
        struct zstd_pass *z = calloc(1, sizeof *z);

        if (!z)
                return error_set(err, ENOMEM, "out of memory");
        z->limits = *limits;
        z->mean = ZSTD_PARSE_BLOCK_MAX;
        z->reach_part = ZSTD_REACH_PART;
        zstd_beside_init(&z->beside, &z->checksum, limits->workers);
        z->dctx = zstd_new_context();
        if (zstd_input_init(&z->input, in, in_pos) < 0 ||
            zstd_ahead_init(&z->ahead, in, limits->workers) < 0 || !z->dctx) {
                zstd_pass_close(z);
                return error_set(err, ENOMEM, "out of memory");
        }
        *out = z;
        return 0;
}

int zstd_cut_short(struct zstd_pass *z, struct error *err)
{
        z->cut = true;
        return error_set_at(err, EIO, z->input.source->size, "the zstd stream is cut short");
}

static int damaged(const struct zstd_pass *z, size_t code, struct error *err)
{
        return error_set_at(err, EIO, z->input.pos, "the zstd stream is damaged: %s",
                            ZSTD_getErrorName(code));
}

/* Sound streams that cannot be read. */
int zstd_check_frame(const struct zstd_pass *z, struct error *err)
{
        uint64_t mib = round_up(z->frame.window, 1 << 20) >> 20;

        if (z->frame.reserved)
                return error_set_at(err, ENOTSUP, z->input.pos,
                                    "the zstd frame uses a feature that is not known");
        if (z->frame.dictionary)
                return error_set_at(err, ENOTSUP, z->input.pos,
                                    "the zstd frame was compressed with dictionary %" PRIu32
                                    ", which is not part of it",
                                    z->frame.dictionary);
        if (z->frame.window > z->limits.window)
                return error_set_at(err, ENOTSUP, z->input.pos,
                                    "the zstd frame needs a window of %" PRIu64
                                    " bytes, over the limit of %" PRIu64
                                    "; allow it with -o window=%" PRIu64
                                    "M to mount, --window=%" PRIu64 "M otherwise",
                                    z->frame.window, z->limits.window, mib, mib);
        return 0;
}

/* Feed libzstd bytes without output: headers. */
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

/*
 * Begin a libzstd session. The pass verifies the checksum itself, since libzstd does not see the
 * whole frame. libzstd decodes a frame shorter than the smallest window only as a whole, not by
 * blocks, so it is presented as a frame with a window.
 */
static int feed_header(struct zstd_pass *z, const uint8_t *bytes, struct error *err)
{
        uint8_t header[ZSTD_FRAME_HEADER_MAX];
        size_t len = z->frame.header_size;

        if (z->frame.window < ZSTD_FRAME_WINDOW_MIN) {
                zstd_frame_standin(header, z->frame.descriptor);
                len = ZSTD_FRAME_STANDIN_SIZE;
        } else {
                memcpy(header, bytes, len);
                zstd_frame_hide_checksum(header);
        }
        ZSTD_DCtx_reset(z->dctx, ZSTD_reset_session_only);
        return feed_silent(z, header, len, err);
}

static int begin_frame(struct zstd_pass *z, const uint8_t *bytes, struct restart_builder *b,
                       struct error *err)
{
        int rc = zstd_check_frame(z, err);

        if (rc < 0)
                return rc;
        rc = feed_header(z, bytes, err);
        if (rc < 0)
                return rc;
        zstd_input_skip(&z->input, z->frame.header_size);
        z->has_points = z->frame.window <= z->limits.keep;
        if (b)
                restart_keep(b, z->has_points ? z->frame.window : 0);
        z->in_frame = true;
        z->whole = true;
        z->unsettled = true;
        zstd_checksum_reset(&z->checksum);
        z->frame_out = 0;
        z->job_out = 0;
        z->has_jobs = false;
        z->short_block = false;
        return 0;
}

int zstd_begin_inside(struct zstd_pass *z, struct error *err)
{
        uint8_t standin[ZSTD_FRAME_STANDIN_SIZE];

        ZSTD_DCtx_reset(z->dctx, ZSTD_reset_session_only);
        if (z->history_len)
                ZSTD_DCtx_refPrefix(z->dctx, z->history, z->history_len);
        zstd_frame_standin(standin, z->frame.descriptor);
        return feed_silent(z, standin, sizeof standin, err);
}

/* Skip a skippable frame without reading its contents. */
static int skip_frame(struct zstd_pass *z, struct error *err)
{
        uint64_t whole = (uint64_t)ZSTD_FRAME_SKIPPABLE + z->frame.skip;

        if (!range_within(z->input.pos, whole, z->input.source->size))
                return zstd_cut_short(z, err);
        zstd_input_skip(&z->input, whole);
        return 1;
}

/* Called between frames. 1: another one begins, or one was skipped; 0: the stream ends. */
static int next_frame(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        uint8_t *bytes;
        ssize_t n = zstd_input_want(&z->input, ZSTD_FRAME_HEADER_MAX, &bytes, err);
        enum zstd_frame_kind kind;
        struct pass_state state;
        int rc;

        if (n <= 0)
                return (int)n;
        kind = zstd_frame_parse(bytes, (size_t)n, &z->frame);
        if (kind == ZSTD_FRAME_SHORT)
                return zstd_cut_short(z, err);
        if (kind == ZSTD_FRAME_FOREIGN)
                return error_set_at(err, EIO, z->input.pos,
                                    z->seen_frame
                                        ? "something other than zstd follows the last zstd frame"
                                        : "not a zstd frame");
        z->seen_frame = true;
        z->frame_pos = z->input.pos;
        if (b && restart_wanted(b)) {
                rc = restart_here(b, z->input.pos * 8, 0, NULL, 0);
                if (rc < 0)
                        return error_set(err, -rc, "out of memory");
                zstd_save(z, ZSTD_AT_FRAME, &state);
                zstd_checkpoint(z, b, &state);
        }
        if (kind == ZSTD_FRAME_SKIP)
                return skip_frame(z, err);
        rc = begin_frame(z, bytes, b, err);
        return rc < 0 ? rc : 1;
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
                        return error_set_at(err, EIO, z->input.pos, "the zstd stream is damaged");
        }
        return (ssize_t)out.pos;
}

static void settle_frame(struct zstd_pass *z)
{
        enum codec_verdict verdict = z->frame.checksum ? CODEC_PROVEN : CODEC_UNCHECKED;

        codec_settle(&z->trust, z->out, z->whole ? verdict : CODEC_BROKEN);
        z->usual = z->frame.content;
        z->unsettled = false;
}

static int end_frame(struct zstd_pass *z, struct error *err)
{
        uint8_t *bytes;
        ssize_t n;

        z->in_frame = false;
        if (z->whole && z->frame.content != ZSTD_FRAME_CONTENT_UNKNOWN &&
            z->frame.content != z->frame_out)
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: the frame holds %" PRIu64
                                    " bytes where its header says %" PRIu64,
                                    z->frame_out, z->frame.content);
        if (!z->frame.checksum) {
                settle_frame(z);
                return 0;
        }
        n = zstd_input_want(&z->input, ZSTD_FRAME_CHECKSUM, &bytes, err);
        if (n < 0)
                return (int)n;
        if (n < ZSTD_FRAME_CHECKSUM)
                return zstd_cut_short(z, err);
        if (z->whole && load_le32(bytes) != (uint32_t)zstd_checksum_digest(&z->checksum))
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: the frame's checksum is wrong");
        zstd_input_skip(&z->input, ZSTD_FRAME_CHECKSUM);
        settle_frame(z);
        return 0;
}

int zstd_account(struct zstd_pass *z, const void *buf, size_t n, size_t size, bool last,
                 struct error *err)
{
        if (z->whole && z->frame.content != ZSTD_FRAME_CONTENT_UNKNOWN &&
            n > z->frame.content - z->frame_out)
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: the frame is longer than it says");
        zstd_input_skip(&z->input, size);
        z->out += n;
        z->frame_out += n;
        z->job_out += n;
        if (buf && z->frame.checksum && z->whole)
                zstd_checksum_update(&z->checksum, buf, n);
        return last ? end_frame(z, err) : 0;
}

/* Decode the frame's next block. Returns the length of its output, which may be 0. */
static ssize_t next_block(struct zstd_pass *z, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        struct zstd_block_header header;
        uint8_t *bytes;
        size_t size;
        ssize_t n;
        int rc = 0;

        n = zstd_input_want(&z->input, ZSTD_BLOCK_HEADER_SIZE, &bytes, err);
        if (n < 0)
                return n;
        if (n < ZSTD_BLOCK_HEADER_SIZE)
                return zstd_cut_short(z, err);
        header = zstd_block_header(bytes);
        /* libzstd accepts an empty compressed block here, but refuses it in one-shot decoding. */
        if (header.type == ZSTD_BLOCK_RESERVED || header.size > ZSTD_PARSE_BLOCK_MAX ||
            (header.type == ZSTD_BLOCK_COMPRESSED && header.size == 0))
                return error_set_at(err, EIO, z->input.pos,
                                    "the zstd stream is damaged: no block begins here");
        size = (size_t)ZSTD_BLOCK_HEADER_SIZE + header.content;
        n = zstd_input_want(&z->input, size, &bytes, err);
        if (n < 0)
                return n;
        if ((size_t)n < size)
                return zstd_cut_short(z, err);
        if (b && z->frame_out > 0)
                rc = zstd_consider(z, b, &header, bytes + ZSTD_BLOCK_HEADER_SIZE);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        n = decode_block(z, bytes, size, buf, len, err);
        if (n < 0)
                return n;
        if (b && z->following)
                rc = zstd_follow(z, b, &header, bytes + ZSTD_BLOCK_HEADER_SIZE);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        z->short_block = (size_t)n < min_u64(z->frame.window, ZSTD_PARSE_BLOCK_MAX);
        rc = zstd_account(z, buf, (size_t)n, size, header.last, err);
        return rc < 0 ? rc : n;
}

static ssize_t zstd_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                         struct error *err)
{
        struct zstd_pass *z = pass;

        z->call_pos = z->input.pos;
        for (;;) {
                ssize_t n;

                if (!z->in_frame) {
                        n = next_frame(z, b, err);
                        if (n <= 0)
                                return n;
                        continue;
                }
                if (z->piece.size)
                        n = zstd_decode_piece(z, buf, len, b, err);
                else
                        n = next_block(z, buf, len, b, err);
                if (n != 0)
                        return n;
        }
}

/* The header of a frame that could be decoded, and of a block after it. */
static size_t find_frame(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        const struct zstd_pass *z = ctx;
        const uint8_t *first = p, *end = p + n;

        (void)at;
        while (end - p >= FRAME_NEED) {
                struct zstd_block_header block;
                struct zstd_frame frame;

                p = memmem(p, (size_t)(end - p), magic, sizeof magic);
                if (!p || end - p < FRAME_NEED)
                        break;
                if (zstd_frame_parse(p, FRAME_NEED, &frame) == ZSTD_FRAME_DATA && !frame.reserved &&
                    !frame.dictionary && frame.window <= z->limits.window) {
                        block = zstd_block_header(p + frame.header_size);
                        if (block.type != ZSTD_BLOCK_RESERVED && block.size <= ZSTD_PARSE_BLOCK_MAX)
                                return (size_t)(p - first);
                }
                p++;
        }
        return RESYNC_NONE;
}

static struct codec_trust zstd_trust(const void *pass)
{
        return ((const struct zstd_pass *)pass)->trust;
}

/*
 * Go on inside the damaged frame. 1, with GAP; 0, -ENOMEM. What was searched for another frame,
 * which seemed to contain this one, is not searched again.
 */
static int recover_frame(struct zstd_pass *z, uint64_t out, struct codec_lost_range *gap)
{
        void *history = NULL;
        uint32_t len = 0;
        int rc;

        if (z->frame.window > ZSTD_AHEAD_WINDOW_MAX || z->input.pos < z->searched)
                return 0;
        rc = zstd_recover_from(z, &history, &len);
        z->searched = z->input.pos;
        if (rc <= 0)
                return rc;
        free(z->history);
        z->history = history;
        z->history_len = len;
        gap->inside = true;
        gap->in_bit = z->input.pos * 8;
        gap->aux = zstd_frame_aux(&z->frame);
        gap->history = history;
        gap->history_len = len;
        z->whole = false;
        z->out = z->trust.settled = out + gap->lost;
        z->job_out = 0;
        return zstd_begin_inside(z, NULL) < 0 ? -ENOMEM : 1;
}

/* The byte after the damaged frame, if its blocks' headers lead there, or 0. */
static uint64_t follow_blocks(const struct zstd_pass *z)
{
        uint64_t at = z->frame_pos + z->frame.header_size;

        for (unsigned i = 0; i < FRAME_BLOCKS_MAX; i++) {
                uint8_t bytes[ZSTD_BLOCK_HEADER_SIZE];
                struct zstd_block_header h;

                if (source_pread(z->input.source, bytes, sizeof bytes, at) != sizeof bytes)
                        return 0;
                h = zstd_block_header(bytes);
                if (h.type == ZSTD_BLOCK_RESERVED || h.size > ZSTD_PARSE_BLOCK_MAX)
                        return 0;
                at += sizeof bytes + h.content;
                if (h.last)
                        return at + (z->frame.checksum ? ZSTD_FRAME_CHECKSUM : 0);
        }
        return 0;
}

/*
 * If a frame's header gives its contents' size, exactly that much is lost, provided that its blocks
 * lead to another frame, and that or the previous frame gives the same size, since the header may
 * be what is damaged. In a long frame it is better to continue inside. 1, with GAP, or 0.
 */
static int pass_whole_frame(struct zstd_pass *z, uint64_t out, struct codec_lost_range *gap)
{
        uint64_t content = z->frame.content, start = z->trust.settled, at;
        uint8_t head[ZSTD_FRAME_HEADER_MAX];
        struct zstd_frame next;
        ssize_t n;

        if (!z->unsettled || !z->whole || content > SOURCE_WITHHELD || out > start + content ||
            (!z->in_frame && z->frame_out != content))
                return 0;
        at = follow_blocks(z);
        n = at ? source_pread(z->input.source, head, sizeof head, at) : 0;
        if (n <= 0 || zstd_frame_parse(head, (size_t)n, &next) != ZSTD_FRAME_DATA ||
            (next.content != content && z->usual != content))
                return 0;
        zstd_input_move(&z->input, at);
        gap->in_bit = at * 8;
        gap->lost = start + content - out;
        gap->exact = true;
        z->out = z->trust.settled = start + content;
        z->in_frame = z->unsettled = false;
        return 1;
}

static int find_next_frame(struct zstd_pass *z, uint64_t from, uint64_t out,
                           struct codec_lost_range *gap)
{
        uint64_t at;
        int rc = resync_search(z->input.source, from, FRAME_NEED, find_frame, z, &at);

        if (rc <= 0)
                return rc;
        zstd_input_move(&z->input, at);
        gap->in_bit = at * 8;
        z->out = z->trust.settled = out + gap->lost;
        z->in_frame = z->unsettled = false;
        return 1;
}

static int zstd_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct zstd_pass *z = pass;
        uint64_t from = z->seen_frame ? max_u64(z->input.pos, z->frame_pos + 1) : z->input.pos;
        int rc = 0;

        /* A segment's input is decoded to its end, so the end has to be exact. */
        *gap = (struct codec_lost_range){
            .in_end = z->call_pos,
            .sound = z->cut && z->whole && truncation_zstd(z->input.source, z->frame.checksum),
            .lost = SOURCE_LOST_UNKNOWN};
        zstd_beside_join(&z->beside);
        z->following = z->peeked = z->at_cut = false;
        z->piece = (struct zstd_piece){0};
        z->planned.len = 0;
        z->cut = false;
        rc = pass_whole_frame(z, out, gap);
        if (rc == 0 && z->in_frame)
                rc = recover_frame(z, out, gap);
        return rc != 0 ? rc : find_next_frame(z, from, out, gap);
}

static int zstd_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                          struct error *err)
{
        struct zstd_pass *z;
        uint8_t *bytes;
        ssize_t n;
        int rc = zstd_pass_new(in, limits, 0, &z, err);

        if (rc < 0)
                return rc;
        n = zstd_input_want(&z->input, ZSTD_FRAME_HEADER_MAX, &bytes, err);
        if (n < 0) {
                rc = (int)n;
        } else if (zstd_frame_parse(bytes, (size_t)n, &z->frame) == ZSTD_FRAME_DATA) {
                rc = zstd_check_frame(z, err);
        }
        if (rc < 0) {
                zstd_pass_close(z);
                return rc;
        }
        *pass = z;
        return 0;
}

static int zstd_pass_recover(struct source *in, const struct codec_limits *limits,
                             const struct restart_point *point, void *take_history, void **pass,
                             struct error *err)
{
        cleanup_free void *history = take_history;
        struct zstd_pass *z;
        int rc = zstd_pass_new(in, limits, point->in_bit / 8, &z, err);

        if (rc < 0)
                return rc;
        z->history = steal_ptr(&history);
        z->history_len = point->history_len;
        z->out = point->out;
        z->seen_frame = true;
        if (zstd_frame_from_aux(point->aux, &z->frame)) {
                rc = zstd_check_frame(z, err);
                if (rc == 0)
                        rc = zstd_begin_inside(z, err);
                z->in_frame = true;
        }
        if (rc < 0) {
                zstd_pass_close(z);
                return rc;
        }
        *pass = z;
        return 0;
}

static size_t zstd_memory(const void *pass)
{
        const struct zstd_pass *z = pass;

        return ZSTD_sizeof_DCtx(z->dctx) + z->history_len + z->input.size;
}

const struct codec_ops zstd_codec = {
    .name = "zstd",
    .probe = zstd_probe,
    .pass_open = zstd_pass_open,
    .pass_close = zstd_pass_close,
    .pass_recover = zstd_pass_recover,
    .pass_resume = zstd_pass_resume,
    .memory = zstd_memory,
    .plan = zstd_plan,
    .pass = zstd_pass,
    .trust = zstd_trust,
    .recover = zstd_recover,
    .decode = zstd_segment,
};
