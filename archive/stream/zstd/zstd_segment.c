/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decodes one segment of a zstd stream, which may begin and end inside frames.
 *
 *   file     … block | block  block  last | checksum | header | block  block | block …
 *                    ^ point                                                 ^ in_end
 *   decoded          [stand-in][ blocks  ]   and then  [stand-in][ blocks ][ last ]
 *
 * Each piece of a frame is decoded in one shot after a stand-in header, which is written over the
 * bytes before the piece: no frame header is shorter than that. A piece that is cut gets an empty
 * last block. Frame checksums are skipped, since the segment's own hash covers everything.
 */
#include "archive/stream/zstd/zstd_segment.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"

static_assert(CODEC_MARGIN >= ZSTD_FRAME_STANDIN_SIZE && CODEC_MARGIN >= ZSTD_BLOCK_HEADER_SIZE,
              "what is written beside the input has room");

struct segment {
        uint64_t in_start; /* of the compressed stream, for errors */
        uint8_t *input;    /* SIZE bytes, with CODEC_MARGIN before and after */
        size_t at, size;
        uint8_t *out;
        size_t done, len;
        ZSTD_DCtx *dctx;
};

static int damaged(const struct segment *s, struct error *err)
{
        return error_set_at(err, EIO, s->in_start + s->at, "the zstd stream is damaged");
}

/* Move to the end of the blocks at s->at. *CUT: the frame goes on after the segment. */
static int skip_blocks(struct segment *s, bool *cut, struct error *err)
{
        *cut = false;
        for (;;) {
                struct zstd_block_header header;

                if (s->at == s->size) {
                        *cut = true;
                        return 0;
                }
                if (s->size - s->at < ZSTD_BLOCK_HEADER_SIZE)
                        return damaged(s, err);
                header = zstd_block_header(s->input + s->at);
                if (!range_within(s->at + ZSTD_BLOCK_HEADER_SIZE, header.content, s->size))
                        return damaged(s, err);
                s->at += (size_t)ZSTD_BLOCK_HEADER_SIZE + header.content;
                if (header.last)
                        return 0;
        }
}

size_t zstd_decode_blocks(ZSTD_DCtx *dctx, uint8_t descriptor, const void *history,
                          size_t history_len, uint8_t *blocks, size_t size, bool open, void *out,
                          size_t len)
{
        static const uint8_t empty_last[ZSTD_BLOCK_HEADER_SIZE] = {1, 0, 0};
        uint8_t *head = blocks - ZSTD_FRAME_STANDIN_SIZE, *end = blocks + size;
        uint8_t in_front[ZSTD_FRAME_STANDIN_SIZE], after[ZSTD_BLOCK_HEADER_SIZE];
        size_t tail = open ? sizeof empty_last : 0, n;

        memcpy(in_front, head, sizeof in_front);
        memcpy(after, end, tail);
        zstd_frame_standin(head, descriptor);
        memcpy(end, empty_last, tail);
        ZSTD_DCtx_reset(dctx, ZSTD_reset_session_only);
        if (history_len)
                ZSTD_DCtx_refPrefix(dctx, history, history_len);
        n = ZSTD_decompressDCtx(dctx, out, len, head, sizeof in_front + size + tail);
        memcpy(head, in_front, sizeof in_front);
        memcpy(end, after, tail);
        return n;
}

/* The blocks at s->at, which belong to FRAME, up to its end or the segment's. */
static int decode_piece(struct segment *s, const struct zstd_frame *frame, const void *history,
                        size_t history_len, struct error *err)
{
        size_t start = s->at, n;
        bool cut;
        int rc = skip_blocks(s, &cut, err);

        if (rc < 0)
                return rc;
        n = zstd_decode_blocks(s->dctx, frame->descriptor, history, history_len, s->input + start,
                               s->at - start, cut, s->out + s->done, s->len - s->done);
        if (ZSTD_isError(n))
                return damaged(s, err);
        s->done += n;
        if (!cut && frame->checksum)
                s->at += min_u64(ZSTD_FRAME_CHECKSUM, s->size - s->at);
        return 0;
}

static int decode_frame(struct segment *s, struct error *err)
{
        struct zstd_frame frame;

        switch (zstd_frame_parse(s->input + s->at, s->size - s->at, &frame)) {
        case ZSTD_FRAME_SKIP:
                s->at += frame.header_size;
                s->at += min_u64(frame.skip, s->size - s->at);
                return 0;
        case ZSTD_FRAME_DATA:
                s->at += frame.header_size;
                return decode_piece(s, &frame, NULL, 0, err);
        case ZSTD_FRAME_SHORT:
        case ZSTD_FRAME_FOREIGN:
                break;
        }
        return damaged(s, err);
}

int zstd_segment(const struct restart_point *point, const void *history, uint8_t *input,
                 size_t size, void *out, size_t len, struct error *err)
{
        struct segment s = {.in_start = point->in_bit / 8,
                            .input = input,
                            .size = size,
                            .out = out,
                            .len = len,
                            .dctx = ZSTD_createDCtx()};
        struct zstd_frame frame;
        int rc = 0;

        if (!s.dctx)
                return -ENOMEM;
        if (zstd_frame_from_aux(point->aux, &frame))
                rc = decode_piece(&s, &frame, history, point->history_len, err);
        while (rc == 0 && s.at < s.size)
                rc = decode_frame(&s, err);
        if (rc == 0 && s.done != s.len)
                rc = damaged(&s, err);
        ZSTD_freeDCtx(s.dctx);
        return rc;
}
