/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xz as a codec: every block is a place where decompression can start, and needs nothing from
 * before it. xz -T0, xz --block-size and pixz write many of them; plain xz writes one. The format is
 * described in xz_reader.h.
 */
#ifdef VMAFS_XZ

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/block_pass.h"
#include "archive/stream/codec.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/xz/xz_find.h"
#include "archive/stream/xz/xz_reader.h"

#define POINT_SPACING ((uint64_t)1 << 20)
#define RETURN_AFTER  ((size_t)128 << 10)

struct xz_pass {
        struct block_pass base;
        struct xz_reader r;
        struct xz_map map;
        uint64_t searched; /* up to this byte of the file, for where it goes on */
};

static void xz_pass_close(void *pass)
{
        struct xz_pass *p = pass;

        if (!p)
                return;
        xz_map_fini(&p->map);
        xz_reader_fini(&p->r);
        free(p);
}

/* A pass that begins at byte AT of IN. NULL, with ERR: out of memory. */
static struct xz_pass *pass_new(struct source *in, uint64_t at, const struct codec_limits *limits,
                                struct error *err)
{
        struct xz_pass *p = calloc(1, sizeof *p);

        if (!p) {
                error_fill(err, ENOMEM, "out of memory");
                return NULL;
        }
        p->base.in = &p->r.in;
        if (xz_reader_open(&p->r, in, at, limits->window, err) < 0) {
                xz_pass_close(p);
                return NULL;
        }
        return p;
}

/* RC is what came of making P. */
static int hand_over(struct xz_pass *p, int rc, void **pass)
{
        if (rc < 0)
                xz_pass_close(p);
        else
                *pass = p;
        return rc < 0 ? rc : 0;
}

static int xz_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                        struct error *err)
{
        struct xz_pass *p = pass_new(in, 0, limits, err);

        return p ? hand_over(p, xz_next_block(&p->r, err), pass) : -ENOMEM;
}

static int xz_pass_recover(struct source *in, const struct codec_limits *limits,
                           const struct restart_point *point, void *take_history, void **pass,
                           struct error *err)
{
        struct xz_pass *p = pass_new(in, point->in_bit / 8, limits, err);

        free(take_history);
        return p ? hand_over(p, xz_enter(&p->r, point, err), pass) : -ENOMEM;
}

/* ---- going on in another process ---- */

static void checkpoint(const struct block_pass *base, struct pass_state *s)
{
        const struct xz_pass *p = (const struct xz_pass *)base;

        state_put(s, p->r.block_at);
        state_put(s, base->out);
        state_put(s, p->r.counted);
        state_put(s, p->r.blocks);
        state_put(s, p->r.sizes);
        state_put(s, base->trust.settled);
        state_put(s, base->trust.proven_from);
        state_put(s, base->trust.proven);
}

static int resume(struct xz_pass *p, const struct restart_point *point, struct pass_state *s,
                  struct error *err)
{
        uint64_t at = state_get(s), out = state_get(s), counted;
        struct codec_trust *trust = &p->base.trust;
        int rc = xz_enter(&p->r, point, err);

        block_pass_go_on(&p->base, out);
        counted = state_get(s);
        p->r.counted = counted;
        p->r.blocks = state_get(s);
        p->r.sizes = state_get(s);
        trust->settled = state_get(s);
        trust->proven_from = state_get(s);
        trust->proven = state_get(s);
        p->base.resumed = true;
        if (!state_is_used_up(s) || at != point->in_bit / 8 || at > p->r.in.source->size ||
            out != point->out || point->aux == 0 || counted > 1 || trust->settled != out ||
            trust->proven > out || trust->proven_from > trust->proven)
                return -EINVAL;
        return rc;
}

static int xz_pass_resume(struct source *in, const struct codec_limits *limits,
                          const struct restart_point *point, void *take_history,
                          struct pass_state *state, struct restart_builder *b, void **pass,
                          struct error *err)
{
        struct xz_pass *p = pass_new(in, point->in_bit / 8, limits, err);

        (void)b;
        free(take_history);
        return p ? hand_over(p, resume(p, point, state, err), pass) : -ENOMEM;
}

/* ---- the pass ---- */

static bool is_inside(const struct block_pass *p)
{
        return ((const struct xz_pass *)p)->r.place == XZ_INSIDE;
}

static int next_block(struct block_pass *p, uint64_t out, struct error *err)
{
        (void)out;
        return xz_next_block(&((struct xz_pass *)p)->r, err);
}

static ssize_t read_block(struct block_pass *p, void *buf, size_t len, struct error *err)
{
        return xz_read_block(&((struct xz_pass *)p)->r, buf, len, err);
}

static void settle(struct block_pass *p, uint64_t out)
{
        bool unchecked = ((struct xz_pass *)p)->r.check == LZMA_CHECK_NONE;

        codec_settle(&p->trust, out, unchecked ? CODEC_UNCHECKED : CODEC_PROVEN);
}

static struct block_point point_of(const struct block_pass *p)
{
        const struct xz_reader *r = &((const struct xz_pass *)p)->r;

        return (struct block_point){.in_bit = r->block_at * 8, .aux = xz_aux(r)};
}

static const struct block_ops ops = {
    .name = "xz",
    .inside = is_inside,
    .next = next_block,
    .read = read_block,
    .settle = settle,
    .point = point_of,
    .checkpoint = checkpoint,
    .spacing = POINT_SPACING,
    .return_after = RETURN_AFTER,
};

static ssize_t xz_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                       struct error *err)
{
        return block_pass_run(&ops, pass, buf, len, b, err);
}

static struct codec_trust xz_trust(const void *pass)
{
        return ((const struct xz_pass *)pass)->base.trust;
}

static size_t xz_memory(const void *pass)
{
        const struct xz_pass *p = pass;

        return p->r.in.size + p->r.dictionary;
}

/* ---- damage ---- */

/* Go on at byte AT of the file, where a point has AUX. */
static int go_on(struct xz_pass *p, uint64_t at, uint64_t aux, uint64_t out,
                 struct codec_lost_range *gap)
{
        const struct restart_point point = {.in_bit = at * 8, .aux = aux};
        int rc = xz_enter(&p->r, &point, NULL);

        if (rc < 0)
                return rc;
        input_seek(&p->r.in, at);
        gap->in_bit = at * 8;
        gap->aux = aux;
        block_pass_go_on(&p->base, out + gap->lost);
        return 1;
}

/* Only the current block is damaged, and BLOCK says how long it is. */
static int pass_over(struct xz_pass *p, const struct xz_extent *block, uint64_t out,
                     struct codec_lost_range *gap)
{
        bool counted = p->r.counted;
        int rc;

        gap->lost = block->uncompressed - p->r.block_out;
        gap->exact = true;
        rc = go_on(p, block->end, xz_aux(&p->r), out, gap);
        p->r.counted = counted;
        xz_count_block(&p->r, block->unpadded, block->uncompressed);
        return rc;
}

static int xz_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct xz_pass *p = pass;
        uint64_t at = input_offset(&p->r.in), aux;
        struct xz_extent block;
        int rc = 0;

        *gap = (struct codec_lost_range){.in_end = at, .lost = SOURCE_LOST_UNKNOWN};
        if (p->r.at_block)
                rc = xz_measure_block(&p->map, &p->r, &block);
        if (rc == 1)
                return pass_over(p, &block, out, gap);
        if (rc < 0)
                return rc;
        /* A decoder that has run past the damage may have passed the next header as well. */
        if (p->r.at_block)
                at = p->r.block_at;
        rc = xz_find(&p->r, max_u64(at + 1, p->searched), &at, &aux);
        if (rc <= 0)
                return rc;
        p->searched = at + 1;
        return go_on(p, at, aux, out, gap);
}

/* ---- one segment ---- */

/* The caller has a hash of the segment, so the blocks' checks need not be compared. */
static int xz_decode(const struct restart_point *point, const void *history, uint8_t *input,
                     size_t size, void *out, size_t len, struct error *err)
{
        struct xz_pass p = {.base.in = &p.r.in};
        int rc;

        (void)history;
        xz_reader_open_memory(&p.r, input, size, point->in_bit / 8);
        rc = xz_enter(&p.r, point, err);
        if (rc == 0)
                rc = block_pass_exactly(&ops, &p.base, out, len, err);
        xz_reader_fini(&p.r);
        if (rc != -ENOTSUP)
                return rc;
        /* The pass supported it, so the file has changed. */
        if (err)
                err->code = EIO;
        return -EIO;
}

const struct codec_ops xz_codec = {
    .name = "xz",
    .probe = xz_probe,
    .pass_open = xz_pass_open,
    .pass_close = xz_pass_close,
    .pass_recover = xz_pass_recover,
    .pass_resume = xz_pass_resume,
    .memory = xz_memory,
    .pass = xz_pass,
    .trust = xz_trust,
    .recover = xz_recover,
    .decode = xz_decode,
};

#endif
