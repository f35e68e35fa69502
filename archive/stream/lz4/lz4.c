/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lz4 as a codec: a block is a place where decompression can start, with 64 KiB of history if it is
 * linked to those before it. The format is described in lz4_reader.h.
 */
#ifdef VMAFS_LZ4

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/lz4/lz4_reader.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/resync.h"

#define POINT_SPACING ((uint64_t)1 << 20)
#define RETURN_AFTER  ((size_t)256 << 10)

enum { HEADER_NEED = 19 };

struct lz4_pass {
        struct lz4_reader r;
        uint64_t out;   /* bytes returned so far */
        uint64_t named; /* out at the last point */
        struct codec_trust trust;
        uint64_t searched; /* up to this byte of the file, for where it goes on */
};

static void lz4_pass_close(void *pass)
{
        struct lz4_pass *p = pass;

        if (!p)
                return;
        lz4_reader_fini(&p->r);
        free(p);
}

/* Open a pass at byte AT of IN. 0 or -ENOMEM. */
static int pass_new(struct source *in, uint64_t at, struct lz4_pass **out, struct error *err)
{
        struct lz4_pass *p = calloc(1, sizeof *p);

        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        if (lz4_reader_open(&p->r, in, at, err) < 0) {
                lz4_pass_close(p);
                return -ENOMEM;
        }
        *out = p;
        return 0;
}

static int lz4_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                         struct error *err)
{
        struct lz4_pass *p = NULL;
        int rc = pass_new(in, 0, &p, err);

        (void)limits; /* a window is 64 KiB */
        if (rc < 0)
                return rc;
        rc = lz4_next_block(&p->r, err);
        if (rc < 0)
                lz4_pass_close(p);
        else
                *pass = p;
        return rc < 0 ? rc : 0;
}

static int lz4_pass_recover(struct source *in, const struct codec_limits *limits,
                            const struct restart_point *point, void *take_history, void **pass,
                            struct error *err)
{
        cleanup_free void *history = take_history;
        struct lz4_pass *p = NULL;
        int rc = pass_new(in, point->in_bit / 8, &p, err);

        (void)limits;
        if (rc < 0)
                return rc;
        rc = lz4_enter(&p->r, point, history, err);
        if (rc < 0)
                lz4_pass_close(p);
        else
                *pass = p;
        return rc;
}

/* ---- the pass ---- */

/* A point that needs a history has its price. */
static bool worth_naming(const struct lz4_pass *p, struct restart_builder *b)
{
        bool free_of_cost;

        if (!b || p->out == 0)
                return false;
        free_of_cost = p->r.history == 0 && p->out - p->named >= POINT_SPACING;
        return restart_wanted(b) || free_of_cost;
}

/* Name a point before the block that begins here. */
static int name_point(struct lz4_pass *p, struct restart_builder *b, struct error *err)
{
        size_t len;
        const uint8_t *history = lz4_history(&p->r, &len);
        int rc = restart_here(b, p->r.block_at * 8, lz4_aux(&p->r), history, len);

        p->named = p->out;
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* Does nothing but a checksum at the frame's end speak for its blocks? */
static bool waits_for_end(const struct lz4_frame *f)
{
        return f->content_sum && !f->block_sums;
}

/* A block of FRAME ends at byte OUT of the output. */
static void settle_block(struct lz4_pass *p, uint64_t out)
{
        if (!waits_for_end(&p->r.frame))
                codec_settle(&p->trust, out,
                             p->r.frame.block_sums ? CODEC_PROVEN : CODEC_UNCHECKED);
}

/* As lz4_next_block, after OUT bytes of output. */
static int next_block(struct lz4_pass *p, uint64_t out, struct error *err)
{
        bool was = p->r.in_frame && waits_for_end(&p->r.frame);
        uint64_t before = p->r.frames;
        bool whole = p->r.whole;
        int rc = lz4_next_block(&p->r, err);

        if (was && p->r.frames != before)
                codec_settle(&p->trust, out, whole ? CODEC_PROVEN : CODEC_BROKEN);
        return rc;
}

/*
 * Decode into BUF up to the end of the first block after RETURN_AFTER bytes. *DONE is valid even on
 * failure. 1: there is more. 0: the end.
 */
static int decode_run(struct lz4_pass *p, uint8_t *buf, size_t len, size_t *done,
                      struct restart_builder *b, struct error *err)
{
        while (*done < len && (*done < RETURN_AFTER || lz4_is_inside(&p->r))) {
                int rc = 0;

                if (!lz4_is_inside(&p->r)) {
                        rc = next_block(p, p->out + *done, err);
                        if (rc <= 0)
                                return rc;
                        if (*done == 0 && worth_naming(p, b))
                                rc = name_point(p, b, err);
                        if (rc >= 0)
                                rc = lz4_decode_block(&p->r, err);
                        if (rc < 0)
                                return rc;
                }
                *done += lz4_take(&p->r, buf + *done, len - *done);
                if (!lz4_is_inside(&p->r))
                        settle_block(p, p->out + *done);
        }
        return 1;
}

static ssize_t lz4_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                        struct error *err)
{
        struct lz4_pass *p = pass;
        size_t done = 0;
        int rc = decode_run(p, buf, len, &done, b, err);

        if (done == 0 && rc < 0)
                return rc;
        if (rc < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        p->out += done;
        return (ssize_t)done;
}

static struct codec_trust lz4_trust(const void *pass)
{
        return ((const struct lz4_pass *)pass)->trust;
}

static size_t lz4_memory(const void *pass)
{
        const struct lz4_pass *p = pass;

        return p->r.in.size + p->r.room;
}

/* ---- damage ---- */

/*
 * Is only the current block damaged, and not its length? Then the next one is where it should be, and
 * can be decoded if it is independent. How much is lost is not said anywhere.
 */
static bool is_lost_alone(const struct lz4_pass *p, uint64_t *next)
{
        const struct lz4_reader *r = &p->r;

        if (!r->have_block || r->frame.linked)
                return false;
        *next = r->block_at + 4 + r->in_len + (r->frame.block_sums ? 4 : 0);
        return lz4_goes_on(r, *next);
}

static size_t find_frame(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        (void)ctx;
        (void)at;
        for (size_t i = 0; i + HEADER_NEED <= n; i++) {
                struct lz4_frame f;
                size_t size;

                /* Too little speaks for a legacy frame. */
                if (p[i + 3] == 0x18 && lz4_load_header(p + i, n - i, &f, &size) && !f.legacy &&
                    p[i + 4] >> 6 == 1 && f.code >= 4)
                        return i;
        }
        return RESYNC_NONE;
}

static int go_on(struct lz4_pass *p, uint64_t at, uint64_t aux, uint64_t out,
                 struct codec_lost_range *gap)
{
        const struct restart_point point = {.in_bit = at * 8, .aux = aux};
        int rc = lz4_enter(&p->r, &point, NULL, NULL);

        if (rc < 0)
                return rc;
        input_seek(&p->r.in, at);
        gap->in_bit = at * 8;
        gap->aux = aux;
        p->searched = at;
        p->out = p->named = p->trust.settled = out + gap->lost;
        return 1;
}

static int lz4_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct lz4_pass *p = pass;
        uint64_t at = input_offset(&p->r.in), from;
        int rc;

        *gap = (struct codec_lost_range){.in_end = at, .lost = SOURCE_LOST_UNKNOWN};
        if (is_lost_alone(p, &at)) {
                gap->inside = waits_for_end(&p->r.frame);
                return go_on(p, at, lz4_aux(&p->r), out, gap);
        }
        from = p->r.have_block ? p->r.block_at : at;
        rc = resync_search(p->r.in.source, max_u64(from + 1, p->searched + 1), HEADER_NEED,
                           find_frame, NULL, &at);
        return rc <= 0 ? rc : go_on(p, at, 0, out, gap);
}

/* ---- one segment ---- */

static int decode_exactly(struct lz4_reader *r, uint8_t *out, size_t len, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                int rc = lz4_next_block(r, err);

                if (rc == 0)
                        return error_set_at(err, EIO, input_offset(&r->in),
                                            "the lz4 blocks do not fill a segment");
                if (rc > 0)
                        rc = lz4_decode_block(r, err);
                if (rc < 0)
                        return rc;
                done += lz4_take(r, out + done, len - done);
        }
        return 0;
}

/* The caller has a hash of the segment. */
static int lz4_decode(const struct restart_point *point, const void *history, uint8_t *input,
                      size_t size, void *out, size_t len, struct error *err)
{
        struct lz4_reader r;
        int rc = lz4_reader_open_memory(&r, input, size, point->in_bit / 8, err);

        if (rc == 0)
                rc = lz4_enter(&r, point, history, err);
        if (rc == 0)
                rc = decode_exactly(&r, out, len, err);
        lz4_reader_fini(&r);
        if (rc != -ENOTSUP)
                return rc;
        /* The pass supported it, so the file has changed. */
        if (err)
                err->code = EIO;
        return -EIO;
}

const struct codec_ops lz4_codec = {
    .name = "lz4",
    .probe = lz4_probe,
    .pass_open = lz4_pass_open,
    .pass_close = lz4_pass_close,
    .pass_recover = lz4_pass_recover,
    .memory = lz4_memory,
    .pass = lz4_pass,
    .trust = lz4_trust,
    .recover = lz4_recover,
    .decode = lz4_decode,
};

#endif
