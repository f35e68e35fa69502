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
#include "archive/stream/bzip2/bzip2_find.h"
#include "archive/stream/bzip2/bzip2_reader.h"
#include "archive/stream/codec.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"

/* A block of bzip2 -9 holds 900 kB: each of them is worth a point, for they are slow to decode. */
#define POINT_SPACING ((uint64_t)512 << 10)
#define RETURN_AFTER  ((size_t)128 << 10)

struct bzip2_pass {
        struct bzip2_reader r;
        uint64_t out;   /* bytes returned so far */
        uint64_t named; /* out at the last point */
        bool resumed;   /* the point here was named in another process */
        struct codec_trust trust;
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

static void checkpoint(const struct bzip2_pass *p, struct restart_builder *b)
{
        struct pass_state s = {0};

        state_put(&s, p->r.block_bit);
        state_put(&s, p->out);
        state_put(&s, p->r.counted);
        state_put(&s, p->r.sum);
        restart_checkpoint(b, &s, true);
}

static int resume(struct bzip2_pass *p, const struct restart_point *point, struct pass_state *s,
                  struct error *err)
{
        uint64_t bit = state_get(s), counted, sum;
        int rc = bzip2_enter(&p->r, point, err);

        p->out = p->named = state_get(s);
        p->trust = (struct codec_trust){.settled = p->out, .proven = p->out};
        counted = state_get(s);
        sum = state_get(s);
        p->r.counted = counted;
        p->r.sum = (uint32_t)sum;
        p->resumed = true;
        if (!state_is_used_up(s) || bit != point->in_bit || bit / 8 > p->r.in.source->size ||
            p->out != point->out || point->aux == 0 || counted > 1 || sum > UINT32_MAX)
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

static bool worth_naming(const struct bzip2_pass *p, struct restart_builder *b)
{
        return b && p->out > 0 &&
               (p->resumed || restart_wanted(b) || p->out - p->named >= POINT_SPACING);
}

/* Name a point before the block that begins here. */
static int name_point(struct bzip2_pass *p, struct restart_builder *b, struct error *err)
{
        bool named = p->resumed;
        int rc = named ? 0 : restart_here(b, p->r.block_bit, bzip2_aux(&p->r), NULL, 0);

        p->resumed = false;
        p->named = p->out;
        if (rc == 0 && !named)
                checkpoint(p, b);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/* Should the pass return where a block has ended, so that a point can be named there? */
static bool returns_at(const struct bzip2_pass *p, size_t done)
{
        return done >= RETURN_AFTER || (done > 0 && p->out + done - p->named >= POINT_SPACING);
}

/*
 * Decode into BUF until it is full, or to the end of a block where the pass returns. *DONE is valid
 * even on failure. 1: there is more. 0: the end.
 */
static int decode_run(struct bzip2_pass *p, uint8_t *buf, size_t len, size_t *done,
                      struct restart_builder *b, struct error *err)
{
        for (;;) {
                bool begins = p->r.place != BZIP2_INSIDE || p->r.block_out == 0;
                int rc = bzip2_next_block(&p->r, err);
                ssize_t n;

                if (rc <= 0)
                        return rc;
                if (begins && *done == 0 && worth_naming(p, b)) {
                        rc = name_point(p, b, err);
                        if (rc < 0)
                                return rc;
                }
                n = bzip2_read_block(&p->r, buf + *done, len - *done, err);
                if (n < 0)
                        return (int)n;
                *done += (size_t)n;
                if (p->r.place != BZIP2_INSIDE)
                        codec_settle(&p->trust, p->out + *done, CODEC_PROVEN);
                if (*done == len || (p->r.place != BZIP2_INSIDE && returns_at(p, *done)))
                        return 1;
        }
}

static ssize_t bzip2_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                          struct error *err)
{
        struct bzip2_pass *p = pass;
        size_t done = 0;
        int rc = decode_run(p, buf, len, &done, b, err);

        if (done == 0 && rc < 0)
                return rc;
        if (rc < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        p->out += done;
        return (ssize_t)done;
}

static struct codec_trust bzip2_trust(const void *pass)
{
        return ((const struct bzip2_pass *)pass)->trust;
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

        *gap = (struct codec_lost_range){.in_end = at, .lost = SOURCE_LOST_UNKNOWN};
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
        p->out = p->named = p->trust.settled = out + gap->lost;
        return 1;
}

/* ---- one segment ---- */

static int decode_exactly(struct bzip2_reader *r, uint8_t *out, size_t len, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = bzip2_next_block(r, err);

                if (n == 0)
                        return error_set_at(err, EIO, input_offset(&r->in),
                                            "the bzip2 blocks do not fill a segment");
                if (n > 0)
                        n = bzip2_read_block(r, out + done, len - done, err);
                if (n < 0)
                        return (int)n;
                done += (size_t)n;
        }
        return 0;
}

static int bzip2_decode(const struct restart_point *point, const void *history, uint8_t *input,
                        size_t size, void *out, size_t len, struct error *err)
{
        size_t tables = round_up((uintptr_t)input + size + CODEC_MARGIN, alignof(max_align_t)) -
                        (uintptr_t)input;
        struct bzip2_reader r;
        int rc;

        (void)history;
        bzip2_reader_open_memory(&r, input, size, point->in_bit / 8, input + tables);
        rc = bzip2_enter(&r, point, err);
        if (rc == 0)
                rc = decode_exactly(&r, out, len, err);
        bzip2_reader_fini(&r);
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
