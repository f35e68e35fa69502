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
#include "archive/stream/codec.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/xz/xz_find.h"
#include "archive/stream/xz/xz_reader.h"

#define POINT_SPACING ((uint64_t)1 << 20)
#define RETURN_AFTER  ((size_t)128 << 10)

struct xz_pass {
        struct xz_reader r;
        uint64_t out;   /* bytes returned so far */
        uint64_t named; /* out at the last point */
        bool resumed;   /* the point here was named in another process */
        struct codec_trust trust;
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

static void checkpoint(const struct xz_pass *p, struct restart_builder *b)
{
        struct pass_state s = {0};

        state_put(&s, p->r.block_at);
        state_put(&s, p->out);
        state_put(&s, p->r.counted);
        state_put(&s, p->r.blocks);
        state_put(&s, p->r.sizes);
        state_put(&s, p->trust.settled);
        state_put(&s, p->trust.proven_from);
        state_put(&s, p->trust.proven);
        restart_checkpoint(b, &s, true);
}

static int resume(struct xz_pass *p, const struct restart_point *point, struct pass_state *s,
                  struct error *err)
{
        uint64_t at = state_get(s), counted;
        int rc = xz_enter(&p->r, point, err);

        p->out = p->named = state_get(s);
        counted = state_get(s);
        p->r.counted = counted;
        p->r.blocks = state_get(s);
        p->r.sizes = state_get(s);
        p->trust.settled = state_get(s);
        p->trust.proven_from = state_get(s);
        p->trust.proven = state_get(s);
        p->resumed = true;
        if (!state_is_used_up(s) || at != point->in_bit / 8 || at > p->r.in.source->size ||
            p->out != point->out || point->aux == 0 || counted > 1 || p->trust.settled != p->out ||
            p->trust.proven > p->out || p->trust.proven_from > p->trust.proven)
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

static bool worth_naming(const struct xz_pass *p, struct restart_builder *b)
{
        return b && p->out > 0 &&
               (p->resumed || restart_wanted(b) || p->out - p->named >= POINT_SPACING);
}

/* Name a point before the block that begins here. */
static int name_point(struct xz_pass *p, struct restart_builder *b, struct error *err)
{
        bool named = p->resumed;
        int rc = named ? 0 : restart_here(b, p->r.block_at * 8, xz_aux(&p->r), NULL, 0);

        p->resumed = false;
        p->named = p->out;
        if (rc == 0 && !named)
                checkpoint(p, b);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* The block has ended, at byte OUT of the output. */
static void settle(struct xz_pass *p, uint64_t out)
{
        codec_settle(&p->trust, out,
                     p->r.check == LZMA_CHECK_NONE ? CODEC_UNCHECKED : CODEC_PROVEN);
}

/* Should the pass return where a block has ended, so that a point can be named there? */
static bool returns_at(const struct xz_pass *p, size_t done)
{
        return done >= RETURN_AFTER || (done > 0 && p->out + done - p->named >= POINT_SPACING);
}

/*
 * Decode into BUF until it is full, or to the end of a block where the pass returns. *DONE is valid
 * even on failure. 1: there is more. 0: the end.
 */
static int decode_run(struct xz_pass *p, uint8_t *buf, size_t len, size_t *done,
                      struct restart_builder *b, struct error *err)
{
        for (;;) {
                bool begins = p->r.place != XZ_INSIDE || p->r.block_out == 0;
                int rc = xz_next_block(&p->r, err);
                ssize_t n;

                if (rc <= 0)
                        return rc;
                if (begins && *done == 0 && worth_naming(p, b)) {
                        rc = name_point(p, b, err);
                        if (rc < 0)
                                return rc;
                }
                n = xz_read_block(&p->r, buf + *done, len - *done, err);
                if (n < 0)
                        return (int)n;
                *done += (size_t)n;
                if (p->r.place != XZ_INSIDE)
                        settle(p, p->out + *done);
                if (*done == len || (p->r.place != XZ_INSIDE && returns_at(p, *done)))
                        return 1;
        }
}

static ssize_t xz_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                       struct error *err)
{
        struct xz_pass *p = pass;
        size_t done = 0;
        int rc = decode_run(p, buf, len, &done, b, err);

        if (done == 0 && rc < 0)
                return rc;
        if (rc < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        p->out += done;
        return (ssize_t)done;
}

static struct codec_trust xz_trust(const void *pass)
{
        return ((const struct xz_pass *)pass)->trust;
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
        p->out = p->named = p->trust.settled = out + gap->lost;
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

static int decode_exactly(struct xz_reader *r, uint8_t *out, size_t len, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = xz_next_block(r, err);

                if (n == 0)
                        return error_set_at(err, EIO, input_offset(&r->in),
                                            "the xz blocks do not fill a segment");
                if (n > 0)
                        n = xz_read_block(r, out + done, len - done, err);
                if (n < 0)
                        return (int)n;
                done += (size_t)n;
        }
        return 0;
}

/* The caller has a hash of the segment, so the blocks' checks need not be compared. */
static int xz_decode(const struct restart_point *point, const void *history, uint8_t *input,
                     size_t size, void *out, size_t len, struct error *err)
{
        struct xz_reader r;
        int rc;

        (void)history;
        xz_reader_open_memory(&r, input, size, point->in_bit / 8);
        rc = xz_enter(&r, point, err);
        if (rc == 0)
                rc = decode_exactly(&r, out, len, err);
        xz_reader_fini(&r);
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
