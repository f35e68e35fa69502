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
#include "archive/stream/block_pass.h"
#include "archive/stream/codec.h"
#include "archive/stream/lz4/lz4_reader.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/resync.h"

#define POINT_SPACING ((uint64_t)1 << 20)
#define RETURN_AFTER  ((size_t)256 << 10)

enum { HEADER_NEED = 19 };

struct lz4_pass {
        struct block_pass base;
        struct lz4_reader r;
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
        p->base.in = &p->r.in;
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

static bool is_inside(const struct block_pass *p)
{
        return lz4_is_inside(&((const struct lz4_pass *)p)->r);
}

/* Does nothing but a checksum at the frame's end speak for its blocks? */
static bool waits_for_end(const struct lz4_frame *f)
{
        return f->content_sum && !f->block_sums;
}

static int next_block(struct block_pass *base, uint64_t out, struct error *err)
{
        struct lz4_reader *r = &((struct lz4_pass *)base)->r;
        bool was = r->in_frame && waits_for_end(&r->frame);
        uint64_t before = r->frames;
        bool whole = r->whole;
        int rc = lz4_next_block(r, err);

        if (was && r->frames != before)
                codec_settle(&base->trust, out, whole ? CODEC_PROVEN : CODEC_BROKEN);
        return rc;
}

static ssize_t read_block(struct block_pass *p, void *buf, size_t len, struct error *err)
{
        struct lz4_reader *r = &((struct lz4_pass *)p)->r;
        int rc = lz4_is_inside(r) ? 0 : lz4_decode_block(r, err);

        return rc < 0 ? rc : (ssize_t)lz4_take(r, buf, len);
}

static void settle(struct block_pass *p, uint64_t out)
{
        const struct lz4_frame *f = &((struct lz4_pass *)p)->r.frame;

        if (!waits_for_end(f))
                codec_settle(&p->trust, out, f->block_sums ? CODEC_PROVEN : CODEC_UNCHECKED);
}

static struct block_point point_of(const struct block_pass *p)
{
        const struct lz4_reader *r = &((const struct lz4_pass *)p)->r;
        struct block_point point = {.in_bit = r->block_at * 8, .aux = lz4_aux(r)};

        point.history = lz4_history(r, &point.history_len);
        return point;
}

static const struct block_ops ops = {
    .name = "lz4",
    .inside = is_inside,
    .next = next_block,
    .read = read_block,
    .settle = settle,
    .point = point_of,
    .spacing = POINT_SPACING,
    .return_after = RETURN_AFTER,
};

static ssize_t lz4_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                        struct error *err)
{
        return block_pass_run(&ops, pass, buf, len, b, err);
}

static struct codec_trust lz4_trust(const void *pass)
{
        return ((const struct lz4_pass *)pass)->base.trust;
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
        block_pass_go_on(&p->base, out + gap->lost);
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

/* The caller has a hash of the segment. */
static int lz4_decode(const struct restart_point *point, const void *history, uint8_t *input,
                      size_t size, void *out, size_t len, struct error *err)
{
        struct lz4_pass p = {.base.in = &p.r.in};
        int rc = lz4_reader_open_memory(&p.r, input, size, point->in_bit / 8, err);

        if (rc == 0)
                rc = lz4_enter(&p.r, point, history, err);
        if (rc == 0)
                rc = block_pass_exactly(&ops, &p.base, out, len, err);
        lz4_reader_fini(&p.r);
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
