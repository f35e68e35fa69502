/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzip2 as a codec: every block is a place where decompression can start, at whatever bit it
 * begins. The format is described in bzip2_reader.h.
 */
#ifdef VMAFS_BZIP2

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/block_pass.h"
#include "archive/stream/bzip2/bzip2_find.h"
#include "archive/stream/bzip2/bzip2_reader.h"
#include "archive/stream/codec.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_table.h"

/* A block of bzip2 -9 holds 900 kB: each of them is worth a point, for they are slow to decode. */
#define POINT_SPACING ((uint64_t)512 << 10)
#define RETURN_AFTER  ((size_t)128 << 10)

struct bzip2_pass {
        struct block_pass base;
        struct bzip2_reader r;
        uint64_t searched; /* up to this bit of the file, for where it goes on */
};

static void bzip2_pass_close(void *pass)
{
        struct bzip2_pass *p = pass;

        if (!p)
                return;
        bzip2_reader_fini(&p->r);
        free(p);
}

/* A pass that begins at byte AT of IN. NULL, with ERR: out of memory. */
static struct bzip2_pass *pass_new(struct source *in, uint64_t at, struct error *err)
{
        struct bzip2_pass *p = calloc(1, sizeof *p);

        if (!p) {
                error_fill(err, ENOMEM, "out of memory");
                return NULL;
        }
        p->base.in = &p->r.in;
        if (bzip2_reader_open(&p->r, in, at, err) < 0) {
                bzip2_pass_close(p);
                return NULL;
        }
        return p;
}

/* RC is what came of making P. */
static int hand_over(struct bzip2_pass *p, int rc, void **pass)
{
        if (rc < 0)
                bzip2_pass_close(p);
        else
                *pass = p;
        return rc < 0 ? rc : 0;
}

/* A block needs no history, so there is no window to limit. */
static int bzip2_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                           struct error *err)
{
        struct bzip2_pass *p = pass_new(in, 0, err);

        (void)limits;
        if (!p)
                return -ENOMEM;
        *pass = p;
        return 0;
}

static int bzip2_pass_recover(struct source *in, const struct codec_limits *limits,
                              const struct restart_point *point, void *take_history, void **pass,
                              struct error *err)
{
        struct bzip2_pass *p = pass_new(in, point->in_bit / 8, err);

        (void)limits;
        free(take_history);
        return p ? hand_over(p, bzip2_enter(&p->r, point, err), pass) : -ENOMEM;
}

/* ---- going on in another process ---- */

static void checkpoint(const struct block_pass *base, struct pass_state *s)
{
        const struct bzip2_pass *p = (const struct bzip2_pass *)base;

        state_put(s, p->r.block_bit);
        state_put(s, base->out);
        state_put(s, p->r.counted);
        state_put(s, p->r.sum);
}

static int resume(struct bzip2_pass *p, const struct restart_point *point, struct pass_state *s,
                  struct error *err)
{
        uint64_t bit = state_get(s), out = state_get(s), counted, sum;
        int rc = bzip2_enter(&p->r, point, err);

        block_pass_go_on(&p->base, out);
        p->base.trust.proven = out;
        counted = state_get(s);
        sum = state_get(s);
        p->r.counted = counted;
        p->r.sum = (uint32_t)sum;
        p->base.resumed = true;
        if (!state_is_used_up(s) || bit != point->in_bit || bit / 8 > p->r.in.source->size ||
            out != point->out || point->aux == 0 || counted > 1 || sum > UINT32_MAX)
                return -EINVAL;
        return rc;
}

static int bzip2_pass_resume(struct source *in, const struct codec_limits *limits,
                             const struct restart_point *point, void *take_history,
                             struct pass_state *state, struct restart_builder *b, void **pass,
                             struct error *err)
{
        struct bzip2_pass *p = pass_new(in, point->in_bit / 8, err);

        (void)limits;
        (void)b;
        free(take_history);
        return p ? hand_over(p, resume(p, point, state, err), pass) : -ENOMEM;
}

/* ---- the pass ---- */

static bool is_inside(const struct block_pass *p)
{
        return ((const struct bzip2_pass *)p)->r.place == BZIP2_INSIDE;
}

static int next_block(struct block_pass *p, uint64_t out, struct error *err)
{
        (void)out;
        return bzip2_next_block(&((struct bzip2_pass *)p)->r, err);
}

static ssize_t read_block(struct block_pass *p, void *buf, size_t len, struct error *err)
{
        return bzip2_read_block(&((struct bzip2_pass *)p)->r, buf, len, err);
}

static void settle(struct block_pass *p, uint64_t out)
{
        codec_settle(&p->trust, out, CODEC_PROVEN);
}

static struct block_point point_of(const struct block_pass *p)
{
        const struct bzip2_reader *r = &((const struct bzip2_pass *)p)->r;

        return (struct block_point){.in_bit = r->block_bit, .aux = bzip2_aux(r)};
}

static const struct block_ops ops = {
    .name = "bzip2",
    .inside = is_inside,
    .next = next_block,
    .read = read_block,
    .settle = settle,
    .point = point_of,
    .checkpoint = checkpoint,
    .spacing = POINT_SPACING,
    .return_after = RETURN_AFTER,
};

static ssize_t bzip2_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        return block_pass_run(&ops, pass, buf, len, b, err);
}

static struct codec_trust bzip2_trust(const void *pass)
{
        return ((const struct bzip2_pass *)pass)->base.trust;
}

static size_t bzip2_memory(const void *pass)
{
        const struct bzip2_pass *p = pass;

        return p->r.in.size + (p->r.owned ? BZIP2_MEMORY : 0);
}

/*
 * Nothing says how much a damaged block holds, and the stream's own checksum cannot be compared
 * after it.
 */
static int bzip2_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct bzip2_pass *p = pass;
        uint64_t at = input_offset(&p->r.in);
        uint64_t from = (p->r.at_block ? p->r.block_bit : at * 8) + 1;
        struct restart_point point = {0};
        int rc;

        /* The reader stays at the block's last byte, and where blocks are shifted, needs the next. */
        *gap = (struct codec_lost_range){.in_end = min_u64(at + 2, p->r.in.source->size),
                                         .lost = SOURCE_LOST_UNKNOWN};
        if (p->r.level == 0)
                p->r.level = 9;
        rc = bzip2_find(&p->r, max_u64(from, p->searched), &gap->in_bit, &gap->aux);
        if (rc <= 0)
                return rc;
        p->searched = gap->in_bit + 1;
        point.in_bit = gap->in_bit;
        point.aux = gap->aux;
        rc = bzip2_enter(&p->r, &point, NULL);
        if (rc < 0)
                return rc;
        input_seek(&p->r.in, gap->in_bit / 8);
        block_pass_go_on(&p->base, out + gap->lost);
        return 1;
}

/* ---- one segment ---- */

static int bzip2_decode(const struct restart_point *point, const void *history, uint8_t *input,
                        size_t size, void *out, size_t len, struct error *err)
{
        size_t tables = round_up((uintptr_t)input + size + CODEC_MARGIN, alignof(max_align_t)) -
                        (uintptr_t)input;
        struct bzip2_pass p = {.base.in = &p.r.in};
        int rc;

        (void)history;
        bzip2_reader_open_memory(&p.r, input, size, point->in_bit / 8, input + tables);
        rc = bzip2_enter(&p.r, point, err);
        if (rc == 0)
                rc = block_pass_exactly(&ops, &p.base, out, len, err);
        bzip2_reader_fini(&p.r);
        return rc;
}

const struct codec_ops bzip2_codec = {
    .name = "bzip2",
    .probe = bzip2_probe,
    .pass_open = bzip2_pass_open,
    .pass_close = bzip2_pass_close,
    .pass_recover = bzip2_pass_recover,
    .pass_resume = bzip2_pass_resume,
    .memory = bzip2_memory,
    .pass = bzip2_pass,
    .trust = bzip2_trust,
    .recover = bzip2_recover,
    .decode = bzip2_decode,
    .scratch = BZIP2_MEMORY + alignof(max_align_t),
};

#endif
