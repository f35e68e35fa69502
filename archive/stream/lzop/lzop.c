/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lzop as a codec: every block is a place where decompression can start. The format is described
 * in lzop_reader.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/lzop/lzop_ahead.h"
#include "archive/stream/lzop/lzop_find.h"
#include "archive/stream/lzop/lzop_reader.h"
#include "archive/stream/lzop/lzop_skip.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"

#define POINT_SPACING ((uint64_t)LZOP_SKIP_RUN)
#define RETURN_AFTER  ((size_t)256 << 10)
#define USUAL_BLOCK   ((uint32_t)256 << 10) /* lzop's own choice */
/*
 * Look ahead only after so much was decoded in a row: a pass that skips would have skipped again by
 * then.
 */
#define LOOK_AFTER POINT_SPACING

struct lzop_pass {
        struct lzop_reader r;
        uint64_t out;       /* bytes returned so far */
        uint64_t named;     /* out at the last point */
        bool skipped;       /* a run was skipped last, and no point was named after it yet */
        unsigned char *big; /* a block that did not fit into the caller's room */
        size_t big_len, big_done;
        uint32_t usual; /* bytes of output of the largest block so far: of all but the last one */
        uint32_t flags; /* of the current or last member */
        uint32_t filter;
        bool resumed;    /* the point here was named in another process */
        uint64_t in_row; /* bytes decoded since the last damage or skipped run */
        struct lzop_ahead *ahead;
};

static void lzop_pass_close(void *pass)
{
        struct lzop_pass *p = pass;

        if (!p)
                return;
        lzop_ahead_free(p->ahead);
        input_fini(&p->r.in);
        free(p->big);
        free(p);
}

static int lzop_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                          struct error *err)
{
        struct lzop_pass *p = calloc(1, sizeof *p);
        int rc;

        /* A block needs no history, so there is no window to limit. */
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = lzop_reader_open(&p->r, in, 0, UINT64_MAX, err);
        p->ahead = lzop_ahead_new(limits->workers);
        if (rc == 0 && !p->ahead)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
                rc = lzop_next_member(&p->r, err);
        if (rc < 0) {
                lzop_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

static bool worth_naming(const struct lzop_pass *p, struct restart_builder *b)
{
        return b && (p->resumed || restart_wanted(b) || p->out - p->named >= POINT_SPACING);
}

/* Tell B that the pass can go on from the point at byte AT of the file, which was just named. */
static void checkpoint(const struct lzop_pass *p, uint64_t at, struct restart_builder *b)
{
        struct pass_state s = {0};

        state_put(&s, at);
        state_put(&s, p->out);
        state_put(&s, p->usual);
        state_put(&s, p->in_row);
        restart_checkpoint(b, &s, true);
}

/*
 * Name a point before the block at byte AT of the current member, at the end of what was returned.
 */
static int name_point(struct lzop_pass *p, uint64_t at, struct restart_builder *b,
                      struct error *err)
{
        bool named = p->resumed;
        int rc = named ? 0 : restart_here(b, at * 8, lzop_aux(&p->r), NULL, 0);

        p->resumed = false;
        p->named = p->out;
        if (rc == 0 && !named)
                checkpoint(p, at, b);
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

static int resume(struct lzop_pass *p, const struct restart_point *point, struct pass_state *s,
                  struct error *err)
{
        uint64_t at = state_get(s), usual;
        int rc;

        p->out = p->named = state_get(s);
        usual = state_get(s);
        p->in_row = state_get(s);
        if (!state_is_used_up(s) || point->in_bit % 8 || at != point->in_bit / 8 ||
            at > p->r.in.source->size || p->out != point->out || point->aux == 0 ||
            usual > LZOP_MAX_BLOCK || p->in_row > p->out)
                return -EINVAL;
        p->usual = (uint32_t)usual;
        p->resumed = true;
        rc = lzop_enter(&p->r, point, err);
        p->flags = p->r.flags;
        p->filter = p->r.filter;
        return rc;
}

static int lzop_pass_resume(struct source *in, const struct codec_limits *limits,
                            const struct restart_point *point, void *take_history,
                            struct pass_state *state, struct restart_builder *b, void **pass,
                            struct error *err)
{
        struct lzop_pass *p = calloc(1, sizeof *p);
        int rc;

        (void)b;
        free(take_history);
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = lzop_reader_open(&p->r, in, point->in_bit / 8, UINT64_MAX, err);
        p->ahead = lzop_ahead_new(limits->workers);
        if (rc == 0 && !p->ahead)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
                rc = resume(p, point, state, err);
        if (rc < 0) {
                lzop_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

static size_t hand_out_big(struct lzop_pass *p, void *buf, size_t len)
{
        size_t n = (size_t)min_u64(len, p->big_len - p->big_done);

        memcpy(buf, p->big + p->big_done, n);
        p->big_done += n;
        if (p->big_done == p->big_len) {
                free(p->big);
                p->big = NULL;
        }
        return n;
}

/* As lzop_next_block. */
static int find_next(struct lzop_pass *p, struct error *err)
{
        bool look = p->r.in_member && !p->r.have_block && p->in_row >= LOOK_AFTER;

        if (look && lzop_ahead_next(p->ahead, &p->r, p->usual))
                return 1;
        return lzop_next_block(&p->r, err);
}

/* Decode r.block into OUT, and note its member's properties. */
static int decode_next(struct lzop_pass *p, unsigned char *out, struct error *err)
{
        uint32_t len = p->r.block.out_len;
        int rc = 0;

        if (!lzop_ahead_decode(p->ahead, &p->r, out))
                rc = lzop_decode_block(&p->r, out, err);
        if (rc < 0)
                return rc;
        p->in_row += len;
        if (len > p->usual)
                p->usual = len;
        return 0;
}

/* The same into the caller's buffer, which is large enough. */
static int decode_here(struct lzop_pass *p, unsigned char *out, struct restart_builder *b,
                       struct error *err)
{
        const struct lzop_block *block = &p->r.block;
        int rc = decode_next(p, out, err);

        if (rc == 0 && b && lzop_has_sums(p->r.flags))
                restart_sums(b, block->header, block->header_len, block->out_len);
        return rc;
}

static int decode_big(struct lzop_pass *p, struct error *err)
{
        unsigned char *big = malloc(p->r.block.out_len);
        int rc;

        if (!big)
                return error_set(err, ENOMEM, "out of memory");
        p->big_len = p->r.block.out_len;
        p->big_done = 0;
        rc = decode_next(p, big, err);
        if (rc < 0)
                free(big);
        else
                p->big = big;
        return rc;
}

/*
 * Decode whole blocks into BUF, up to about RETURN_AFTER bytes or the first block that does not
 * fit. *DONE is valid even on failure. 1: there is more. 0: the end.
 */
static int decode_run(struct lzop_pass *p, unsigned char *buf, size_t len, size_t *done,
                      struct restart_builder *b, struct error *err)
{
        while (*done < RETURN_AFTER) {
                int rc = find_next(p, err);

                if (rc <= 0)
                        return rc;
                p->flags = p->r.flags;
                p->filter = p->r.filter;
                if (*done == 0 && worth_naming(p, b)) {
                        rc = name_point(p, p->r.block.offset, b, err);
                        if (rc < 0)
                                return rc;
                }
                if (p->r.block.out_len > len - *done)
                        return 1;
                rc = decode_here(p, buf + *done, b, err);
                if (rc < 0)
                        return rc;
                *done += p->r.block.out_len;
        }
        return 1;
}

static ssize_t lzop_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                         struct error *err)
{
        struct lzop_pass *p = pass;
        size_t done = 0;
        int rc = 1;

        if (!p->big) {
                rc = decode_run(p, buf, len, &done, b, err);
                if (rc == 1 && done == 0)
                        rc = decode_big(p, err);
        }
        if (p->big)
                done = hand_out_big(p, buf, len);
        if (done == 0 && rc < 0)
                return rc;
        if (rc < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        p->out += done;
        return (ssize_t)done;
}

/*
 * A run begins only where pass would also name a point, so that the table is the same whichever of
 * the two made it.
 */
static ssize_t lzop_skip(void *pass, struct restart_builder *b, struct error *err)
{
        struct lzop_pass *p = pass;
        struct lzop_reader *r = &p->r;
        uint64_t at = r->have_block ? r->block.offset : input_offset(&r->in);
        struct lzop_run run;
        bool found = r->in_member && !p->big && (p->skipped || worth_naming(p, b)) &&
                     lzop_skip_run(r->in.source, at, r->flags, p->usual, &run);
        int rc;

        if (!found && !p->skipped)
                return 0;
        rc = name_point(p, at, b, err);
        if (rc < 0)
                return rc;
        p->skipped = found;
        if (!found)
                return 0;
        restart_sums(b, run.headers, run.headers_len, run.out_len);
        restart_pass_over(b, run.out_len);
        input_seek(&r->in, run.end);
        r->have_block = false;
        p->flags = r->flags;
        p->filter = r->filter;
        p->out += run.out_len;
        p->in_row = 0;
        return (ssize_t)run.out_len;
}

/*
 * Is only the current block damaged, and not its header? Then its lengths are right, and nothing
 * after it is displaced.
 */
static bool is_lost_alone(const struct lzop_pass *p, uint64_t *next)
{
        const struct lzop_block *block = &p->r.block;
        bool last;

        if (!p->r.have_block || block->out_len > p->usual)
                return false;
        *next = input_offset(&p->r.in) + block->in_len;
        return lzop_goes_on(p->r.in.source, *next, p->usual, &last) &&
               (last || block->out_len == p->usual);
}

/* Returned blocks have been checked against their checksum, if they have one. */
static struct codec_trust lzop_trust(const void *pass)
{
        const struct lzop_pass *p = pass;

        return (struct codec_trust){.settled = p->out,
                                    .proven = lzop_has_sums(p->flags) ? p->out : 0};
}

static int lzop_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct lzop_pass *p = pass;
        struct lzop_reader *r = &p->r;
        uint64_t at = input_offset(&r->in);
        struct restart_point point = {0};
        int rc = 1;

        *gap = (struct codec_lost_range){.in_end = at, .lost = SOURCE_LOST_UNKNOWN};
        r->flags = p->flags;
        r->filter = p->filter;
        if (p->usual == 0)
                p->usual = USUAL_BLOCK;
        if (is_lost_alone(p, &gap->in_bit)) {
                gap->lost = r->block.out_len;
                gap->exact = true;
                gap->aux = lzop_aux(r);
        } else {
                /* The current block's header is consumed, and no other block begins inside it. */
                rc = lzop_find(r, p->usual, at + !r->have_block, &gap->in_bit, &gap->aux);
        }
        if (rc <= 0)
                return rc;
        input_seek(&r->in, gap->in_bit);
        r->have_block = false;
        r->in_member = false;
        p->in_row = 0;
        gap->in_bit *= 8;
        point.aux = gap->aux;
        p->out = p->named = out + gap->lost;
        rc = lzop_enter(r, &point, NULL);
        return rc < 0 ? rc : 1;
}

/*
 * Read the next block of a segment that has LEFT bytes of output to go, and add its header to SUMS.
 */
static int next_of_segment(struct lzop_reader *r, size_t left, XXH3_state_t *sums,
                           struct error *err)
{
        int rc = lzop_next_block(r, err);

        if (rc < 0)
                return rc;
        if (rc == 0 || r->block.out_len > left)
                return error_set_at(err, EIO, input_offset(&r->in),
                                    "the lzop blocks do not fill a segment");
        XXH3_64bits_update(sums, r->block.header, r->block.header_len);
        return 0;
}

static int check_sums(const struct restart_point *point, const XXH3_state_t *sums,
                      struct error *err)
{
        if (!point->by_sums || XXH3_64bits_digest(sums) == point->hash)
                return 0;
        return error_set_at(err, EIO, point->in_bit / 8,
                            "the lzop blocks are not what they were when they were indexed");
}

static int decode_exactly(struct lzop_reader *r, unsigned char *out, size_t len, XXH3_state_t *sums,
                          struct error *err)
{
        size_t done = 0;

        while (done < len) {
                int rc = next_of_segment(r, len - done, sums, err);

                if (rc == 0)
                        rc = lzop_decode_block(r, out + done, err);
                if (rc < 0)
                        return rc;
                done += r->block.out_len;
        }
        return 0;
}

/* RC says that something is unsupported, but the pass supported it, so the file has changed. */
static int as_damage(int rc, struct error *err)
{
        if (rc != -ENOTSUP)
                return rc;
        if (err)
                err->code = EIO;
        return -EIO;
}

static int lzop_decode_segment(const struct restart_point *point, const void *history,
                               uint8_t *input, size_t size, void *out, size_t len,
                               struct error *err)
{
        XXH3_state_t *sums = XXH3_createState();
        struct lzop_reader r;
        int rc;

        (void)history;
        if (!sums)
                return error_set(err, ENOMEM, "out of memory");
        XXH3_64bits_reset(sums);
        lzop_reader_open_memory(&r, input, size, point->in_bit / 8);
        rc = lzop_enter(&r, point, err);
        if (rc == 0)
                rc = decode_exactly(&r, out, len, sums, err);
        if (rc == 0)
                rc = check_sums(point, sums, err);
        input_fini(&r.in);
        XXH3_freeState(sums);
        return as_damage(rc, err);
}

/* A block of a segment: its header and position. */
struct piece {
        struct lzop_block block;
        uint64_t data;  /* offset in the file */
        uint64_t start; /* offset in the segment's output */
        uint32_t flags, filter;
};

/*
 * Go through the headers of a segment of LEN bytes without decoding, and set P to the block with
 * its byte AT.
 */
static int find_piece(struct lzop_reader *r, uint64_t at, size_t len, XXH3_state_t *sums,
                      struct piece *p, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                int rc = next_of_segment(r, len - done, sums, err);

                if (rc < 0)
                        return rc;
                if (at >= done && at - done < r->block.out_len)
                        *p = (struct piece){.block = r->block,
                                            .data = input_offset(&r->in),
                                            .start = done,
                                            .flags = r->flags,
                                            .filter = r->filter};
                done += r->block.out_len;
                lzop_skip_block(r);
        }
        return p->block.out_len > 0 ? 0 : error_set(err, EINVAL, "no such byte in the segment");
}

/* Decode P into *OUT, which the caller frees. */
static int decode_piece(struct lzop_reader *r, const struct piece *p, void **out, struct error *err)
{
        cleanup_free unsigned char *bytes = malloc(p->block.out_len);
        int rc;

        if (!bytes)
                return error_set(err, ENOMEM, "out of memory");
        input_seek(&r->in, p->data);
        r->block = p->block;
        r->have_block = true;
        r->flags = p->flags;
        r->filter = p->filter;
        rc = lzop_decode_block(r, bytes, err);
        if (rc == 0)
                *out = steal_ptr(&bytes);
        return rc;
}

static int lzop_piece(struct source *in, const struct restart_point *point, uint64_t in_end,
                      size_t len, uint64_t at, void **out, struct codec_piece *where,
                      struct error *err)
{
        XXH3_state_t *sums = XXH3_createState();
        struct piece piece = {0};
        struct lzop_reader r;
        int rc;

        if (!sums)
                return error_set(err, ENOMEM, "out of memory");
        XXH3_64bits_reset(sums);
        rc =
            lzop_reader_open_sparse(&r, in, point->in_bit / 8, in_end / 8 + (in_end % 8 != 0), err);
        if (rc == 0)
                rc = lzop_enter(&r, point, err);
        if (rc == 0)
                rc = find_piece(&r, at, len, sums, &piece, err);
        if (rc == 0)
                rc = check_sums(point, sums, err);
        if (rc == 0)
                rc = decode_piece(&r, &piece, out, err);
        *where = (struct codec_piece){.start = piece.start, .len = piece.block.out_len};
        input_fini(&r.in);
        XXH3_freeState(sums);
        return as_damage(rc, err);
}

static size_t lzop_memory(const void *pass)
{
        const struct lzop_pass *p = pass;

        return p->r.in.size + (p->big ? p->big_len : 0);
}

const struct codec_ops lzop_codec = {
    .name = "lzop",
    .probe = lzop_probe,
    .pass_open = lzop_pass_open,
    .pass_close = lzop_pass_close,
    .pass_resume = lzop_pass_resume,
    .memory = lzop_memory,
    .pass = lzop_pass,
    .skip = lzop_skip,
    .trust = lzop_trust,
    .recover = lzop_recover,
    .decode = lzop_decode_segment,
    .piece = lzop_piece,
};
