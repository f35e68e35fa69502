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
 * After the last member gzip skips zeros, and warns of anything else but ignores it. Here
 * anything else is an error: a damaged header before a further member looks the same, and
 * must not pass for the end of the archive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/input.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/gzip/bgzf.h"
#include "archive/stream/gzip/gzip_isal.h"
#include "archive/stream/gzip/gzip_recover.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/resync.h"
#include "archive/stream/truncation.h"

#define CHUNK     ((size_t)256 << 10)
#define MAX_STEP  ((size_t)1 << 30) /* zlib counts in unsigned int */
#define HEADER    10                /* without its optional fields */
#define TRAILER   8                 /* CRC-32 and length */
#define GZIP_BITS (15 + 16)         /* zlib reads header and trailer */
#define RAW_BITS  (-15)

/*
 * A point at a member's start costs nothing to store, so name one if this much output precedes it.
 */
#define FREE_POINT_SPACING ((uint64_t)1 << 20)

/*
 * A call returns at the first block boundary after this much output, so that a point can be named
 * there.
 */
#define RETURN_AFTER ((size_t)64 << 10)

/*
 * Name no points this close to a member's start: in bgzf, the next member, which is free, is close.
 */
#define SMALL_MEMBER 65536

/* How much of the next member may have been decoded as part of the damaged one. */
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
        bool raw;        /* entered in the middle: we have to skip the trailer */
        bool first;      /* nothing was read yet */
        bool between;    /* next is a member's header or the end */
        bool sound;      /* the last failure casts no doubt on what was decoded before it */
        bool cut;        /* the last failure: the source has ended */
        uint64_t member; /* where in the source the last member begins */
        bool check;      /* compute CRCs */

        /* Entered in the middle by a pass that has the CRC of what is before: check it, too. */
        bool resumed;
        uLong crc;       /* of the member so far */
        uint64_t length; /* likewise */
};

struct gzip_pass {
        struct inflater f;
        uint64_t out;   /* bytes returned so far */
        uint64_t named; /* out at the last point */
        struct codec_trust trust;
        uint64_t usual;  /* what the last sound member held */
        uint64_t reread; /* bytes of input that were decoded in vain and then searched */
        bool recovered;  /* after damage, at least once */
        struct gzip_recovery recovery;
        bool at_boundary;        /* the byte at out is the first one after a boundary */
        uint64_t boundary;       /* the boundary's in_bit */
        uint64_t aux;            /* the boundary's kind */
        bool judged;             /* worth and history are those of the boundary at out */
        bool worth;              /* of a point */
        struct pass_state state; /* what it takes to go on from it */
        uInt history_len;
        unsigned char history[GZIP_WINDOW];
};

static const unsigned char magic[] = {0x1f, 0x8b, 0x08};

static bool gzip_probe(const void *head, size_t len)
{
        return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

/* F has its input, and is zero otherwise. Call inflater_close in either case. */
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

/* The current bit of the source. */
static uint64_t inflater_in_bit(const struct inflater *f)
{
        return input_offset(&f->in) * 8 - ((unsigned)f->z.data_type & 7);
}

/* input_want; fewer bytes are an error. */
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
                                  "a gzip member is followed by neither another member nor "
                                  "zeros");
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
        f->first = f->between = f->raw = f->resumed = false;
        f->member = input_offset(&f->in);
        return STEP_GO;
}

/* In zlib's words, and where zlib notices it. */
static int check_trailer(struct inflater *f, const unsigned char *trailer, struct error *err)
{
        const char *what = NULL;

        if (load_le32(trailer) != (uint32_t)f->crc) {
                what = "incorrect data check";
                input_skip(&f->in, 4);
        } else if (load_le32(trailer + 4) != (uint32_t)f->length) {
                what = "incorrect length check";
                input_skip(&f->in, TRAILER);
        }
        if (!what)
                return 0;
        f->sound = false;
        return error_set_at(err, EIO, input_offset(&f->in), "the gzip stream is damaged: %s", what);
}

static int end_member(struct inflater *f, struct error *err)
{
        if (f->raw) {
                int rc = inflater_need(f, TRAILER, err);

                /* As for a member that zlib knows from its beginning. */
                f->sound = f->resumed && f->cut;
                if (rc == 0 && f->resumed)
                        rc = check_trailer(f, input_bytes(&f->in), err);
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
 * Inflate into OUT, of ROOM bytes (not 0), by one call of inflate: with FLUSH Z_BLOCK, at most to
 * the end of a block. Sets *MADE to the bytes of output. Returns a step or -errno.
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
        if (f->resumed) {
                f->crc = crc32(f->crc, out, (uInt)*made);
                f->length += *made;
        }
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
        gzip_recovery_fini(&p->recovery);
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
        /* Go to the first block: there is no output yet. */
        for (int step = 0; rc >= 0 && step < 2; step++)
                rc = inflater_step(&p->f, Z_BLOCK, &none, sizeof none, &made, err);
        if (rc < 0) {
                gzip_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

/* What it takes to go on from the boundary at out: in a member, its checksum so far. */
static void put_state(struct gzip_pass *p)
{
        struct pass_state *s = &p->state;
        bool inside = p->aux == AT_BLOCK;

        *s = (struct pass_state){0};
        state_put(s, p->out);
        state_put(s, p->boundary);
        state_put(s, p->aux);
        state_put(s, p->f.member);
        state_put(s, inside ? p->f.z.total_out : 0);
        state_put(s, !inside ? 0 : p->f.resumed ? p->f.crc : p->f.z.adler);
        state_put(s, inside && p->f.resumed ? p->f.length : inside ? p->f.z.total_out : 0);
        state_put(s, p->trust.settled);
        state_put(s, p->trust.proven_from);
        state_put(s, p->trust.proven);
        state_put(s, p->usual);
        /* A member that was entered after damage has no checksum that could be verified. */
        if (inside && p->f.raw && !p->f.resumed)
                s->failed = true;
}

/*
 * Decide whether the boundary at out is worth a point. If so, save its window before output
 * overwrites it.
 */
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

/* Called after a step that made MADE bytes, DONE in all since the last call. */
static void note_boundary(struct gzip_pass *p, int step, size_t made, size_t done)
{
        if (made > 0)
                p->at_boundary = false;
        if (step == STEP_MEMBER) {
                p->usual = p->out + done - p->trust.settled;
                codec_settle(&p->trust, p->out + done,
                             p->f.raw && !p->f.resumed ? CODEC_BROKEN : CODEC_PROVEN);
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
        if (rc == 0)
                restart_checkpoint(b, &p->state, true);
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
                        if (name)
                                put_state(p);
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

/* Enter in the middle of a byte, with the window that the following blocks refer to. */
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

/* As put_state. False: that cannot have been the state at POINT. */
static bool get_state(struct gzip_pass *p, const struct restart_point *point, struct pass_state *s)
{
        const struct codec_trust *t = &p->trust;
        uint64_t total;

        p->out = p->named = state_get(s);
        p->boundary = state_get(s);
        p->aux = state_get(s);
        p->f.member = state_get(s);
        total = state_get(s);
        p->f.crc = (uLong)state_get(s);
        p->f.length = state_get(s);
        p->trust.settled = state_get(s);
        p->trust.proven_from = state_get(s);
        p->trust.proven = state_get(s);
        p->usual = state_get(s);
        p->f.z.total_out = (uLong)total;
        return state_is_used_up(s) && p->out == point->out && p->boundary == point->in_bit &&
               p->aux == point->aux && p->aux <= AT_BLOCK &&
               p->boundary / 8 <= p->f.in.source->size && p->f.member <= p->boundary / 8 &&
               total <= p->out && p->f.length <= p->out && p->f.crc <= UINT32_MAX &&
               t->settled <= p->out && t->proven_from <= t->proven && t->proven <= t->settled &&
               (p->aux == AT_BLOCK || t->settled == p->out);
}

static int resume(struct gzip_pass *p, const struct restart_point *point, const void *history,
                  struct pass_state *s, struct error *err)
{
        uLong total;
        int rc = 0;

        if (!get_state(p, point, s))
                return -EINVAL;
        total = p->f.z.total_out;
        input_seek(&p->f.in, p->boundary / 8);
        p->f.first = false;
        if (p->aux == AT_BLOCK) {
                rc = enter_block(&p->f, p->boundary % 8, history, point->history_len, err);
                p->f.z.total_out = total;
                p->f.resumed = true;
        }
        /* The point is named, and the next boundary has not been seen yet. */
        p->at_boundary = p->judged = true;
        return rc;
}

static int gzip_pass_resume(struct source *in, const struct codec_limits *limits,
                            const struct restart_point *point, void *take_history,
                            struct pass_state *state, struct restart_builder *b, void **pass,
                            struct error *err)
{
        cleanup_free void *history = take_history;
        struct gzip_pass *p = calloc(1, sizeof *p);
        int rc;

        (void)limits;
        (void)b;
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = input_init(&p->f.in, in, 0, UINT64_MAX, CHUNK, err);
        if (rc == 0)
                rc = inflater_open(&p->f, err);
        p->f.check = true;
        if (rc == 0)
                rc = resume(p, point, history, state, err);
        if (rc < 0) {
                gzip_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

/* The fixed part of a member's header. */
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

/* Is everything decoded right, and the only failure that the input ends? */
static bool only_missing(const struct gzip_pass *p, uint64_t out)
{
        if (!p->f.sound || !p->f.cut)
                return p->f.sound;
        return (!p->f.raw || p->f.resumed) &&
               truncation_gzip(p->f.in.source, out - min_u64(out, p->trust.settled));
}

static struct codec_trust gzip_trust(const void *pass)
{
        return ((const struct gzip_pass *)pass)->trust;
}

/*
 * zlib notices damage late, and may have decoded the next member's header by then, so the search
 * begins before that. The total of such bytes must not exceed what was consumed, or a file full of
 * headers would be decoded from each of them.
 */
static uint64_t search_from(struct gzip_pass *p, uint64_t failed_at)
{
        uint64_t back = min_u64(failed_at - min_u64(failed_at, p->f.member + 1), OVERRUN);

        if (p->f.between || p->reread + back > failed_at)
                back = 0;
        p->reread += back;
        return failed_at - back;
}

/* Continue the pass at bit BIT, of kind AUX, where GAP ends, with the history. */
static void go_on(struct gzip_pass *p, uint64_t bit, uint64_t aux, uint64_t out,
                  struct codec_lost_range *gap)
{
        gap->in_bit = p->boundary = bit;
        gap->aux = p->aux = aux;
        gap->history = p->history;
        gap->history_len = p->history_len;
        p->out = p->named = p->trust.settled = out + gap->lost;
        p->at_boundary = true;
        /* Whoever recovers names the point. */
        p->judged = true;
        p->worth = false;
        p->recovered = true;
}

/* Go on inside the member that failed, at or after byte FROM. 1, 0, -ENOMEM. */
static int recover_member(struct gzip_pass *p, uint64_t from, uint64_t out,
                          struct codec_lost_range *gap)
{
        uint64_t bit;
        int rc = gzip_recover_from(&p->recovery, p->f.in.source, from, &bit, p->history,
                                   &p->history_len);

        if (rc <= 0)
                return rc;
        input_seek(&p->f.in, bit / 8);
        rc = enter_block(&p->f, bit % 8, p->history, p->history_len, NULL);
        if (rc < 0)
                return rc == -ENOMEM ? rc : 0;
        gap->inside = true;
        p->f.member = bit / 8;
        go_on(p, bit, AT_BLOCK, out, gap);
        return 1;
}

static int go_on_at_member(struct gzip_pass *p, uint64_t from, uint64_t out,
                           struct codec_lost_range *gap)
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

/*
 * Of a bgzf member, exactly what its trailer says is lost, if it leads to another one, and that or
 * the previous one has the same size. 1, with GAP, or 0.
 */
static int pass_bgzf_member(struct gzip_pass *p, uint64_t out, struct codec_lost_range *gap)
{
        uint64_t start = p->trust.settled;
        struct bgzf_member m, next;

        if (p->f.between || p->f.raw || !bgzf_member(p->f.in.source, p->f.member, &m) ||
            !bgzf_member(p->f.in.source, m.next, &next) || out > start + m.out ||
            (m.out != p->usual && m.out != next.out))
                return 0;
        input_seek(&p->f.in, m.next);
        p->f.between = true;
        p->history_len = 0;
        gap->lost = start + m.out - out;
        gap->exact = true;
        go_on(p, m.next * 8, AT_MEMBER, out, gap);
        return 1;
}

static int gzip_recover(void *pass, uint64_t out, struct codec_lost_range *gap)
{
        struct gzip_pass *p = pass;
        uint64_t failed_at = input_offset(&p->f.in);
        bool missing = only_missing(p, out);
        uint64_t from = missing ? failed_at : search_from(p, failed_at);
        int rc = 0;

        *gap = (struct codec_lost_range){
            .in_end = failed_at, .sound = missing, .lost = SOURCE_LOST_UNKNOWN};
        if (!missing)
                rc = pass_bgzf_member(p, out, gap);
        /* A member that has ended is complete, unless it was not one of the archive's. */
        if (rc == 0 && (!p->f.between || p->recovered))
                rc = recover_member(p, from, out, gap);
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
                /* When all output is made, zlib still looks at what follows; ignore that. */
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
        /* The caller's hash covers the whole segment, so skip the CRCs. */
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
    .pass_resume = gzip_pass_resume,
    .pass = gzip_pass,
    .trust = gzip_trust,
    .recover = gzip_recover,
    .decode = gzip_decode,
    .stops = true,
};
