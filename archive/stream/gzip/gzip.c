/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gzip: members one after another, each a header, a deflate stream of blocks and a CRC-32.
 *
 *   |hdr| block | block |last|crc|hdr| block |last|crc|000…
 *   ^           ^                ^
 *   member      block boundary:  member
 *               any bit, needs
 *               32 KiB of output
 *
 * Decompression restarts at the header of a member (aux AT_MEMBER, no history) or at a block
 * boundary (aux AT_BLOCK, the window is the history).
 *
 * Behind the last member gzip skips zeros, and warns of anything else but ignores it. Here
 * anything else is an error: a damaged header in front of a further member looks the same, and
 * must not pass for the end of the archive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/input.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/gzip/gzip_isal.h"
#include "archive/stream/gzip/gzip_recover.h"
#include "archive/stream/restart.h"
#include "archive/stream/resync.h"
#include "archive/stream/truncation.h"

#define CHUNK     ((size_t)256 << 10)
#define MAX_STEP  ((size_t)1 << 30) /* zlib counts in unsigned int */
#define HEADER    10                /* without its optional fields */
#define TRAILER   8                 /* CRC-32 and length */
#define GZIP_BITS (15 + 16)         /* zlib reads header and trailer */
#define RAW_BITS  (-15)

/* A member's start costs nothing to keep, so one is named wherever this much came before it. */
#define FREE_POINT_SPACING ((uint64_t)1 << 20)

/* A call returns at the first block boundary behind this much, so that a point may go there. */
#define RETURN_AFTER ((size_t)64 << 10)

/* Blocks this near to their member's start are passed over: bgzf's next member, free, is near. */
#define SMALL_MEMBER 65536

/* So much of a next member may have been taken for the damaged one. */
#define OVERRUN ((uint64_t)64 << 10)

enum { AT_MEMBER = 0, AT_BLOCK = 1 };

enum step {
        STEP_GO,     /* inside a block */
        STEP_BLOCK,  /* at a block boundary, another block follows */
        STEP_MEMBER, /* a member ended */
        STEP_END,    /* of the stream */
};

/* Inflates one member after another. */
struct inflater {
        struct input in;
        z_stream z;
        bool open;       /* z was initialised */
        bool raw;        /* entered in the middle: the trailer is ours to skip */
        bool first;      /* nothing was read yet */
        bool between;    /* what comes next is a member's header or the end */
        bool sound;      /* the last failure says nothing against what was decoded before it */
        bool cut;        /* the last failure: the source has ended */
        uint64_t member; /* where in the source the last member begins */
        bool check;      /* compute CRCs */
};

struct gzip_pass {
        struct inflater f;
        uint64_t out;    /* bytes returned so far */
        uint64_t named;  /* out at the last point */
        uint64_t member; /* out at the start of the last member */
        uint64_t block;  /* … and of the last block */
        uint64_t reread; /* bytes of input that were decoded in vain, and then searched */
        bool resumed;    /* behind damage, at least once */
        struct gzip_rejoin rejoin;
        bool at_boundary;  /* the byte at out is the first one behind a boundary */
        uint64_t boundary; /* the boundary's in_bit */
        uint64_t aux;      /* the boundary's kind */
        bool judged;       /* worth and history are those of the boundary at out */
        bool worth;        /* of a point */
        uInt history_len;
        unsigned char history[GZIP_WINDOW];
};

static const unsigned char magic[] = {0x1f, 0x8b, 0x08};

static bool gzip_probe(const void *head, size_t len)
{
        return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

/* F has its input, and is zeros otherwise. inflater_close in either case. */
static int inflater_open(struct inflater *f, struct error *err)
{
        f->first = f->between = true;
        if (inflateInit2(&f->z, GZIP_BITS) != Z_OK)
                return error_set(err, ENOMEM, "out of memory");
        f->open = true;
        return 0;
}

static void inflater_close(struct inflater *f)
{
        if (f->open)
                inflateEnd(&f->z);
        input_fini(&f->in);
}

/* Of the source, to the bit. */
static uint64_t inflater_in_bit(const struct inflater *f)
{
        return input_offset(&f->in) * 8 - ((unsigned)f->z.data_type & 7);
}

/* input_want, and it is an error when there are fewer. */
static int inflater_need(struct inflater *f, size_t want, struct error *err)
{
        int rc = input_want(&f->in, want, err);

        f->cut = rc == 0 && input_available(&f->in) < want;
        if (f->cut)
                rc = error_set_at(err, EIO, input_offset(&f->in) + input_available(&f->in),
                                  "the gzip stream is truncated");
        return rc;
}

static int skip_padding(struct inflater *f, struct error *err)
{
        int rc = input_skip_zeros(&f->in, err);

        if (rc > 0)
                rc = error_set_at(err, EIO, input_offset(&f->in),
                                  "after a gzip member comes neither a further member nor zero "
                                  "padding");
        return rc;
}

/* Between members: STEP_GO into the next one, or STEP_END. */
static int next_member(struct inflater *f, struct error *err)
{
        int rc = input_want(&f->in, sizeof magic, err);

        if (rc < 0)
                return rc;
        if (!gzip_probe(input_bytes(&f->in), input_available(&f->in))) {
                if (f->first)
                        return error_set_at(err, EIO, input_offset(&f->in),
                                            "the gzip header is damaged");
                rc = skip_padding(f, err);
                return rc < 0 ? rc : STEP_END;
        }
        inflateReset2(&f->z, GZIP_BITS);
        inflateValidate(&f->z, f->check);
        f->first = f->between = f->raw = false;
        f->member = input_offset(&f->in);
        return STEP_GO;
}

static int end_member(struct inflater *f, struct error *err)
{
        if (f->raw) {
                int rc = inflater_need(f, TRAILER, err);

                if (rc < 0)
                        return rc;
                input_skip(&f->in, TRAILER);
        }
        f->between = true;
        return STEP_MEMBER;
}

static int describe_inflate_error(const struct inflater *f, int rc, struct error *err)
{
        if (rc == Z_MEM_ERROR)
                return error_set(err, ENOMEM, "out of memory");
        return error_set_at(err, EIO, input_offset(&f->in), "the gzip stream is damaged: %s",
                            f->z.msg ? f->z.msg : "no sense in it");
}

/*
 * Inflate into OUT, of ROOM bytes (not 0), as far as one call goes: with FLUSH Z_BLOCK to the end
 * of a block. *MADE is how much came. A step or -errno.
 */
static int inflater_step(struct inflater *f, int flush, unsigned char *out, size_t room,
                         size_t *made, struct error *err)
{
        size_t available;
        int rc;

        *made = 0;
        f->sound = true;
        if (f->between)
                return next_member(f, err);
        rc = inflater_need(f, 1, err);
        if (rc < 0)
                return rc;
        f->sound = false;
        available = (size_t)min_u64(input_available(&f->in), MAX_STEP);
        room = (size_t)min_u64(room, MAX_STEP);
        f->z.next_in = input_bytes(&f->in);
        f->z.avail_in = (uInt)available;
        f->z.next_out = out;
        f->z.avail_out = (uInt)room;
        rc = inflate(&f->z, flush);
        input_skip(&f->in, available - f->z.avail_in);
        *made = room - f->z.avail_out;
        if (rc == Z_STREAM_END)
                return end_member(f, err);
        if (rc != Z_OK)
                return describe_inflate_error(f, rc, err);
        /* 128: a block ended; 64: it was the member's last one. */
        return (f->z.data_type & (128 | 64)) == 128 ? STEP_BLOCK : STEP_GO;
}

static void gzip_pass_close(void *pass)
{
        struct gzip_pass *p = pass;

        if (!p)
                return;
        inflater_close(&p->f);
        free(p);
}

static int gzip_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                          struct error *err)
{
        struct gzip_pass *p = calloc(1, sizeof *p);
        unsigned char none;
        size_t made;
        int rc;

        (void)limits; /* a deflate window never exceeds 32 KiB */
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = input_init(&p->f.in, in, 0, UINT64_MAX, CHUNK, err);
        if (rc == 0)
                rc = inflater_open(&p->f, err);
        p->f.check = true;
        p->at_boundary = true;
        /* Up to the first block: nothing comes out yet. */
        for (int step = 0; rc >= 0 && step < 2; step++)
                rc = inflater_step(&p->f, Z_BLOCK, &none, sizeof none, &made, err);
        if (rc < 0) {
                gzip_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

/* Whether the boundary at out is worth a point; if so, keep its window before output moves it. */
static void judge_boundary(struct gzip_pass *p, struct restart_builder *b)
{
        if (p->judged)
                return;
        p->judged = true;
        p->worth = b && (restart_wanted(b) ||
                         (p->aux == AT_MEMBER && p->out - p->named >= FREE_POINT_SPACING));
        p->history_len = 0;
        if (p->worth && p->aux == AT_BLOCK)
                inflateGetDictionary(&p->f.z, p->history, &p->history_len);
}

/* After a step that made MADE bytes, which makes them DONE since the last call. */
static void note_boundary(struct gzip_pass *p, int step, size_t made, size_t done)
{
        if (made > 0)
                p->at_boundary = false;
        if (step == STEP_MEMBER || step == STEP_BLOCK)
                p->block = p->out + done;
        if (step == STEP_MEMBER) {
                p->member = p->out + done;
                p->aux = AT_MEMBER;
                p->judged = false;
        } else if (step == STEP_BLOCK && p->f.z.total_out > SMALL_MEMBER) {
                p->aux = AT_BLOCK;
        } else {
                return;
        }
        p->boundary = inflater_in_bit(&p->f);
        p->at_boundary = true;
}

static bool time_to_return(const struct gzip_pass *p, size_t done)
{
        return p->at_boundary && done > 0 && (p->aux == AT_MEMBER || done >= RETURN_AFTER);
}

/* 0 or -errno. */
static int name_point(struct gzip_pass *p, const struct restart_point *at,
                      struct restart_builder *b, struct error *err)
{
        int rc = restart_here(b, at->in_bit, at->aux, p->history, at->history_len);

        p->named = p->out;
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
}

/*
 * A point is named only once output follows it, so that none stands at the stream's end: the
 * boundary, which may move over empty blocks, is remembered in AT until then.
 */
static ssize_t gzip_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                         struct error *err)
{
        struct gzip_pass *p = pass;
        struct restart_point at = {0};
        bool name = false;
        size_t done = 0;
        int step = STEP_GO;

        while (done < len && step != STEP_END && !time_to_return(p, done)) {
                size_t made;

                if (done == 0 && p->at_boundary) {
                        judge_boundary(p, b);
                        name = p->worth;
                        at.in_bit = p->boundary;
                        at.aux = p->aux;
                        at.history_len = p->history_len;
                }
                step = inflater_step(&p->f, Z_BLOCK, (unsigned char *)buf + done, len - done, &made,
                                     err);
                if (step < 0)
                        break;
                done += made;
                note_boundary(p, step, made, done);
        }
        if (step < 0 && (done == 0 || !p->f.sound))
                return step;
        if (step < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        if (name && done > 0) {
                int rc = name_point(p, &at, b, err);

                if (rc < 0)
                        return rc;
        }
        if (done > 0)
                p->judged = false;
        p->out += done;
        return (ssize_t)done;
}

/* A member's header, as far as it is always the same. */
static size_t find_member(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        const uint8_t *first = p, *end = p + n;

        (void)ctx;
        (void)at;
        while (end - p >= HEADER) {
                p = memmem(p, (size_t)(end - p), magic, sizeof magic);
                if (!p || end - p < HEADER)
                        break;
                /* Reserved flags are 0. */
                if ((p[3] & 0xe0) == 0)
                        return (size_t)(p - first);
                p++;
        }
        return RESYNC_NONE;
}

/* Is everything that was decoded right, and the failure only that there is no more of it? */
static bool only_missing(const struct gzip_pass *p, uint64_t out)
{
        if (!p->f.sound || !p->f.cut)
                return p->f.sound;
        return !p->f.raw && cutoff_gzip(p->f.in.source, out - min_u64(out, p->member));
}

/* How much of what was returned of the member that failed is not to be believed. */
static uint64_t doubt(const struct gzip_pass *p, uint64_t out)
{
        uint64_t member = out - min_u64(out, p->member), block = out - min_u64(out, p->block);
        bool wrong_sum = p->f.z.msg && strncmp(p->f.z.msg, "incorrect", 9) == 0 &&
                         strcmp(p->f.z.msg, "incorrect header check") != 0;

        if (p->f.between)
                return 0;
        if (wrong_sum)
                return member <= CODEC_DOUBT_WHOLE ? member : 0;
        /* A block that is out of step may go on for long. */
        return min_u64(member, max_u64(CODEC_DOUBT_NEAR, block));
}

/*
 * zlib notices damage late, and may have run over the next member's header by then: so the search
 * begins in front of that. In sum that must not be more than was consumed, or a file full of
 * headers were decoded from each of them.
 */
static uint64_t search_from(struct gzip_pass *p, uint64_t failed_at)
{
        uint64_t back = min_u64(failed_at - min_u64(failed_at, p->f.member + 1), OVERRUN);

        if (p->f.between || p->reread + back > failed_at)
                back = 0;
        p->reread += back;
        return failed_at - back;
}

/* Into the middle of a byte, with the window that the blocks from there on refer to. */
static int enter_block(struct inflater *f, unsigned bit, const void *history, uint32_t history_len,
                       struct error *err)
{
        inflateReset2(&f->z, RAW_BITS);
        f->raw = true;
        f->between = f->first = false;
        if (bit > 0) {
                int rc = inflater_need(f, 1, err);

                if (rc < 0)
                        return rc;
                inflatePrime(&f->z, (int)(8 - bit), input_bytes(&f->in)[0] >> bit);
                input_skip(&f->in, 1);
        }
        if (history_len > 0 && inflateSetDictionary(&f->z, history, history_len) != Z_OK)
                return error_set(err, ENOMEM, "out of memory");
        return 0;
}

/* The pass goes on at bit BIT, of kind AUX, where GAP ends, with what is in history. */
static void go_on(struct gzip_pass *p, uint64_t bit, uint64_t aux, uint64_t out,
                  struct codec_gap *gap)
{
        gap->in_bit = p->boundary = bit;
        gap->aux = p->aux = aux;
        gap->history = p->history;
        gap->history_len = p->history_len;
        p->out = p->named = p->member = p->block = out + gap->lost;
        p->at_boundary = true;
        /* Who resumes names the point. */
        p->judged = true;
        p->worth = false;
        p->resumed = true;
}

/* Go on inside the member that failed, at or behind byte FROM. 1, 0, -ENOMEM. */
static int rejoin_member(struct gzip_pass *p, uint64_t from, uint64_t out, struct codec_gap *gap)
{
        uint64_t bit;
        int rc = gzip_rejoin(&p->rejoin, p->f.in.source, from, &bit, p->history, &p->history_len);

        if (rc <= 0)
                return rc;
        input_seek(&p->f.in, bit / 8);
        rc = enter_block(&p->f, bit % 8, p->history, p->history_len, NULL);
        if (rc < 0)
                return rc == -ENOMEM ? rc : 0;
        p->f.member = bit / 8;
        go_on(p, bit, AT_BLOCK, out, gap);
        return 1;
}

static int go_on_at_member(struct gzip_pass *p, uint64_t from, uint64_t out, struct codec_gap *gap)
{
        uint64_t at;
        int rc = resync_search(p->f.in.source, from, HEADER, find_member, NULL, &at);

        if (rc <= 0)
                return rc;
        input_seek(&p->f.in, at);
        p->f.between = true;
        p->history_len = 0;
        go_on(p, at * 8, AT_MEMBER, out, gap);
        return 1;
}

static int gzip_resume(void *pass, uint64_t out, struct codec_gap *gap)
{
        struct gzip_pass *p = pass;
        uint64_t failed_at = input_offset(&p->f.in);
        bool missing = only_missing(p, out);
        uint64_t from = missing ? failed_at : search_from(p, failed_at);
        int rc = 0;

        *gap = (struct codec_gap){
            .in_end = failed_at, .doubt = missing ? 0 : doubt(p, out), .lost = SOURCE_GAP_UNKNOWN};
        /* Behind a member's end there is no more of it, unless it was none of the archive's. */
        if (!p->f.between || p->resumed)
                rc = rejoin_member(p, from, out, gap);
        return rc != 0 ? rc : go_on_at_member(p, from, out, gap);
}

static int inflate_exactly(struct inflater *f, unsigned char *out, size_t len, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                struct error why;
                size_t made;
                int step = inflater_step(f, Z_NO_FLUSH, out + done, len - done, &made, &why);

                done += made;
                /* With all output made, zlib still looks at what follows: not our concern. */
                if (done == len)
                        break;
                if (step < 0) {
                        if (err)
                                *err = why;
                        return step;
                }
                if (step == STEP_END)
                        return error_set_at(err, EIO, input_offset(&f->in),
                                            "the gzip stream ends inside a segment");
        }
        return 0;
}

static int gzip_decode(const struct restart_point *point, const void *history, uint8_t *input,
                       size_t size, void *out, size_t len, struct error *err)
{
        struct inflater f = {0};
        int rc;

        if (gzip_isal_decode(point, point->aux != AT_BLOCK, history, input, size, out, len) == 0)
                return 0;
        input_init_memory(&f.in, input, size, point->in_bit / 8);
        rc = inflater_open(&f, err);
        if (rc == 0 && point->aux == AT_BLOCK)
                rc = enter_block(&f, point->in_bit % 8, history, point->history_len, err);
        /* The caller's hash covers the whole segment, so CRCs are not computed again. */
        if (rc == 0)
                rc = inflate_exactly(&f, out, len, err);
        inflater_close(&f);
        return rc;
}

const struct codec_ops gzip_codec = {
    .name = "gzip",
    .probe = gzip_probe,
    .pass_open = gzip_pass_open,
    .pass_close = gzip_pass_close,
    .pass = gzip_pass,
    .resume = gzip_resume,
    .decode = gzip_decode,
};
