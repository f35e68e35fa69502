/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lzop: members one after another, each a header, blocks, and a length of 0 as its end. All
 * numbers are big-endian.
 *
 *   magic 9 | version 2 | library 2 | needed 2 | method 1 | level 1 | flags 4 | [filter 4]
 *           | mode 4 | mtime 4 | mtime high 4 | name length 1 | name | checksum 4
 *           | [extra: length 4, bytes, checksum 4]
 *   block:  out_len 4 | in_len 4 | [checksums of the output: Adler-32, CRC-32]
 *           | [checksums of the input, unless stored: Adler-32, CRC-32] | in_len bytes
 *
 * Header checksums cover what stands between the magic and themselves. A block is stored when
 * both lengths are equal. Every block can be entered alone, given its member's flags and filter,
 * which is what a restart point's aux holds; aux 0 is a point in front of a member's header.
 *
 * As with gzip, zeros may follow the last member and anything else is an error, though lzop only
 * warns: a damaged header in front of a further member must not pass for the end of the archive.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <lzo/lzo1x.h>
#include <zlib.h>

#include "archive/bytes.h"
#include "archive/codec.h"
#include "archive/error.h"
#include "archive/input.h"
#include "archive/restart.h"

#define CHUNK         ((size_t)512 << 10)
#define POINT_SPACING ((uint64_t)1 << 20)
#define RETURN_AFTER  ((size_t)256 << 10)
#define MAX_BLOCK     ((uint32_t)64 << 20) /* lzop's own limit */
#define MAX_EXTRA     ((uint32_t)1 << 20)
#define SPLIT         UINT32_MAX /* in place of a block's length: goes on in another file */

#define VERSION_MIN 0x0940 /* the layout above; older ones are from 1997 */
#define VERSION_MAX 0x1040 /* what a reader has to know, not what wrote the file */

#define FLAG_ADLER32_OUT  0x0001u
#define FLAG_ADLER32_IN   0x0002u
#define FLAG_EXTRA        0x0040u
#define FLAG_CRC32_OUT    0x0100u
#define FLAG_CRC32_IN     0x0200u
#define FLAG_FILTER       0x0800u
#define FLAG_HEADER_CRC32 0x1000u
#define FLAGS_KNOWN       0xfff03fffu /* the highest bits name system and character set */

#define MAX_FILTER 16u

#define AUX_IN_MEMBER    (UINT64_C(1) << 63)
#define AUX_FILTER_SHIFT 32

static const unsigned char magic[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n'};

struct block {
        uint64_t offset; /* of its header */
        uint32_t out_len, in_len;
        unsigned char sums[16]; /* as they stand in the file */
};

struct lzop_reader {
        struct input in;
        bool first;     /* no member was read yet */
        bool in_member; /* flags and filter are those of the member we are in */
        uint32_t flags;
        uint32_t filter; /* 0 to MAX_FILTER; 0 is none */
        bool have_block; /* block is read, its data is what comes next */
        struct block block;
};

struct lzop_pass {
        struct lzop_reader r;
        uint64_t out;       /* bytes returned so far */
        uint64_t named;     /* out at the last point */
        unsigned char *big; /* a block that did not fit into the caller's room */
        size_t big_len, big_done;
};

static bool lzop_probe(const void *head, size_t len)
{
        return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

static int reader_open(struct lzop_reader *r, struct source *source, uint64_t offset,
                       uint64_t limit, struct error *err)
{
        *r = (struct lzop_reader){.first = true};
        if (lzo_init() != LZO_E_OK)
                return error_set(err, ENOTSUP, "the LZO library cannot be used");
        return input_init(&r->in, source, offset, limit, CHUNK, err);
}

/* WANT bytes in one piece, or it is an error. */
static int need(struct lzop_reader *r, size_t want, struct error *err)
{
        int rc = input_want(&r->in, want, err);

        if (rc == 0 && input_available(&r->in) < want)
                rc = error_set_at(err, EIO, input_offset(&r->in) + input_available(&r->in),
                                  "the lzop stream is truncated");
        return rc;
}

static uint32_t checksum(bool crc, const void *data, size_t len)
{
        return (uint32_t)(crc ? crc32_z(0, data, len) : adler32_z(1, data, len));
}

/* The LEN bytes from input_bytes + START and a checksum behind them. */
static int check_header_sum(struct lzop_reader *r, size_t start, size_t len, struct error *err)
{
        const unsigned char *data = input_bytes(&r->in) + start;

        if (load_be32(data + len) == checksum(r->flags & FLAG_HEADER_CRC32, data, len))
                return 0;
        return error_set_at(err, EIO, input_offset(&r->in),
                            "the lzop header is damaged: its checksum does not match");
}

/* The extra field *LEN bytes behind input_bytes, which is added to *LEN. */
static int check_extra(struct lzop_reader *r, size_t *len, struct error *err)
{
        uint32_t extra;
        int rc = need(r, *len + 4, err);

        if (rc < 0)
                return rc;
        extra = load_be32(input_bytes(&r->in) + *len);
        if (extra > MAX_EXTRA)
                return error_set_at(
                    err, EIO, input_offset(&r->in),
                    "the lzop header is damaged: its extra field is %" PRIu32 " bytes long", extra);
        rc = need(r, *len + 4 + extra + 4, err);
        if (rc == 0)
                rc = check_header_sum(r, *len, 4 + (size_t)extra, err);
        *len += 4 + (size_t)extra + 4;
        return rc;
}

/* What the header asks for that cannot be done. The checksum matched. */
static int check_abilities(const struct lzop_reader *r, unsigned needed, unsigned method,
                           struct error *err)
{
        uint64_t at = input_offset(&r->in);

        if (needed > VERSION_MAX)
                return error_set_at(err, ENOTSUP, at, "needs lzop %x.%03x or newer", needed >> 12,
                                    needed & 0xfff);
        if (method < 1 || method > 3)
                return error_set_at(err, ENOTSUP, at, "uses lzop's unknown method %u", method);
        if (r->flags & ~FLAGS_KNOWN)
                return error_set_at(err, ENOTSUP, at, "uses unknown lzop flags %#" PRIx32,
                                    r->flags & ~FLAGS_KNOWN);
        if (r->filter > MAX_FILTER)
                return error_set_at(err, ENOTSUP, at, "uses lzop's unknown filter %" PRIu32,
                                    r->filter);
        /* Nobody can tell what a stored block would carry then; lzop aborts. */
        if (((r->flags & FLAG_ADLER32_IN) && !(r->flags & FLAG_ADLER32_OUT)) ||
            ((r->flags & FLAG_CRC32_IN) && !(r->flags & FLAG_CRC32_OUT)))
                return error_set_at(err, ENOTSUP, at,
                                    "has lzop checksums of compressed data alone");
        return 0;
}

static int read_header(struct lzop_reader *r, struct error *err)
{
        enum { FIXED = 9 + 6 + 2 + 4 }; /* up to and including flags */
        const unsigned char *h;
        size_t len = FIXED;
        unsigned version, needed, method;
        int rc = need(r, FIXED + 4 + 12 + 1, err);

        if (rc < 0)
                return rc;
        h = input_bytes(&r->in);
        version = load_be16(h + 9);
        needed = load_be16(h + 13);
        method = h[15];
        if (version < VERSION_MIN)
                return error_set_at(err, ENOTSUP, input_offset(&r->in),
                                    "was written by lzop %x.%03x, which is too old", version >> 12,
                                    version & 0xfff);
        r->flags = load_be32(h + 17);
        r->filter = 0;
        if (r->flags & FLAG_FILTER) {
                r->filter = load_be32(h + len);
                len += 4;
        }
        len += 12;
        len += 1 + (size_t)h[len];
        rc = need(r, len + 4, err);
        if (rc == 0)
                rc = check_header_sum(r, sizeof magic, len - sizeof magic, err);
        if (rc == 0)
                rc = check_abilities(r, needed, method, err);
        len += 4;
        if (rc == 0 && (r->flags & FLAG_EXTRA))
                rc = check_extra(r, &len, err);
        /* Only now: a second try after a failure has to see the header again. */
        if (rc == 0)
                input_skip(&r->in, len);
        return rc;
}

static int skip_padding(struct lzop_reader *r, struct error *err)
{
        int rc = input_skip_zeros(&r->in, err);

        if (rc > 0)
                rc = error_set_at(err, EIO, input_offset(&r->in),
                                  "after an lzop member comes neither a further member nor zero "
                                  "padding");
        return rc;
}

/* Between members. 1: now in one. 0: the stream ends. */
static int next_member(struct lzop_reader *r, struct error *err)
{
        int rc = input_want(&r->in, sizeof magic, err);

        if (rc < 0)
                return rc;
        if (lzop_probe(input_bytes(&r->in), input_available(&r->in))) {
                rc = read_header(r, err);
                r->in_member = rc == 0;
                r->first = r->first && rc < 0;
                return rc < 0 ? rc : 1;
        }
        if (r->first)
                return error_set_at(err, EIO, input_offset(&r->in), "the lzop header is damaged");
        return skip_padding(r, err);
}

static size_t sums_len(uint32_t flags, bool stored)
{
        size_t n = 0;

        n += flags & FLAG_ADLER32_OUT ? 4 : 0;
        n += flags & FLAG_CRC32_OUT ? 4 : 0;
        n += !stored && flags & FLAG_ADLER32_IN ? 4 : 0;
        n += !stored && flags & FLAG_CRC32_IN ? 4 : 0;
        return n;
}

static int read_block_header(struct lzop_reader *r, struct error *err)
{
        struct block *block = &r->block;
        size_t len;
        int rc = need(r, 8, err);

        if (rc < 0)
                return rc;
        block->offset = input_offset(&r->in);
        block->out_len = load_be32(input_bytes(&r->in));
        block->in_len = load_be32(input_bytes(&r->in) + 4);
        if (block->out_len > MAX_BLOCK || block->in_len == 0 || block->in_len > block->out_len)
                return error_set_at(err, EIO, block->offset,
                                    "an lzop block's header is damaged: %" PRIu32
                                    " bytes out of %" PRIu32,
                                    block->out_len, block->in_len);
        len = sums_len(r->flags, block->in_len == block->out_len);
        rc = need(r, 8 + len, err);
        if (rc < 0)
                return rc;
        memcpy(block->sums, input_bytes(&r->in) + 8, len);
        input_skip(&r->in, 8 + len);
        r->have_block = true;
        return 0;
}

/*
 * Make r->block the next block of this or a later member. 1: have_block is set. 0: the stream
 * ends. After a failure the same call fails in the same way again.
 */
static int next_block(struct lzop_reader *r, struct error *err)
{
        while (!r->have_block) {
                uint32_t len;
                int rc;

                if (!r->in_member) {
                        rc = next_member(r, err);
                        if (rc <= 0)
                                return rc;
                }
                rc = need(r, 4, err);
                if (rc < 0)
                        return rc;
                len = load_be32(input_bytes(&r->in));
                if (len == SPLIT)
                        return error_set_at(err, ENOTSUP, input_offset(&r->in),
                                            "is one part of a split lzop file");
                if (len == 0) {
                        input_skip(&r->in, 4);
                        r->in_member = false;
                        continue;
                }
                rc = read_block_header(r, err);
                if (rc < 0)
                        return rc;
        }
        return 1;
}

static int fail_block(const struct lzop_reader *r, const char *why, struct error *err)
{
        return error_set_at(err, EIO, r->block.offset, "an lzop block is damaged: %s", why);
}

/* The Adler-32 and the CRC-32 that FLAGS say are at *SUMS, which moves behind them. */
static bool sums_match(bool adler, bool crc, const unsigned char **sums, const void *data,
                       size_t len)
{
        bool match = true;

        if (adler) {
                match = load_be32(*sums) == checksum(false, data, len);
                *sums += 4;
        }
        if (crc) {
                match = match && load_be32(*sums) == checksum(true, data, len);
                *sums += 4;
        }
        return match;
}

/* What lzop's --filter did: each byte is a difference to the one FILTER bytes before it. */
static void undo_filter(uint32_t filter, unsigned char *data, size_t len)
{
        for (size_t i = filter; filter > 0 && i < len; i++)
                data[i] = (unsigned char)(data[i] + data[i - filter]);
}

static int decompress(const struct lzop_reader *r, const unsigned char *data, unsigned char *out,
                      struct error *err)
{
        const struct block *block = &r->block;
        lzo_uint got = block->out_len;

        if (block->in_len == block->out_len) {
                memcpy(out, data, block->out_len);
                return 0;
        }
        if (lzo1x_decompress_safe(data, block->in_len, out, &got, NULL) != LZO_E_OK ||
            got != block->out_len)
                return fail_block(r, "no sense in it", err);
        return 0;
}

/* Decode r->block into OUT, which has room for its out_len bytes. */
static int decode_block(struct lzop_reader *r, unsigned char *out, struct error *err)
{
        const struct block *block = &r->block;
        const unsigned char *out_sums = block->sums;
        const unsigned char *in_sums = out_sums + sums_len(r->flags, true);
        const unsigned char *data;
        int rc = need(r, block->in_len, err);

        if (rc < 0)
                return rc;
        data = input_bytes(&r->in);
        if (block->in_len < block->out_len &&
            !sums_match(r->flags & FLAG_ADLER32_IN, r->flags & FLAG_CRC32_IN, &in_sums, data,
                        block->in_len))
                return fail_block(r, "the checksum of its compressed data does not match", err);
        rc = decompress(r, data, out, err);
        if (rc < 0)
                return rc;
        undo_filter(r->filter, out, block->out_len);
        if (!sums_match(r->flags & FLAG_ADLER32_OUT, r->flags & FLAG_CRC32_OUT, &out_sums, out,
                        block->out_len))
                return fail_block(r, "its checksum does not match", err);
        input_skip(&r->in, block->in_len);
        r->have_block = false;
        return 0;
}

static void lzop_pass_close(void *pass)
{
        struct lzop_pass *p = pass;

        if (!p)
                return;
        input_fini(&p->r.in);
        free(p->big);
        free(p);
}

static int lzop_pass_open(struct source *in, const struct codec_limits *limits, void **pass,
                          struct error *err)
{
        struct lzop_pass *p = calloc(1, sizeof *p);
        int rc;

        (void)limits; /* a block's history is the block */
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = reader_open(&p->r, in, 0, UINT64_MAX, err);
        if (rc == 0)
                rc = next_member(&p->r, err);
        if (rc < 0) {
                lzop_pass_close(p);
                return rc;
        }
        *pass = p;
        return 0;
}

static uint64_t aux_of(const struct lzop_reader *r)
{
        return AUX_IN_MEMBER | (uint64_t)r->filter << AUX_FILTER_SHIFT | r->flags;
}

static bool worth_naming(const struct lzop_pass *p, struct restart_builder *b)
{
        return b && (restart_wanted(b) || p->out - p->named >= POINT_SPACING);
}

/* In front of r.block, at the end of what was returned. */
static int name_point(struct lzop_pass *p, struct restart_builder *b, struct error *err)
{
        int rc = restart_here(b, p->r.block.offset * 8, aux_of(&p->r), NULL, 0);

        p->named = p->out;
        return rc < 0 ? error_set(err, -rc, "out of memory") : 0;
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

static int decode_big(struct lzop_pass *p, struct error *err)
{
        unsigned char *big = malloc(p->r.block.out_len);
        int rc;

        if (!big)
                return error_set(err, ENOMEM, "out of memory");
        p->big_len = p->r.block.out_len;
        p->big_done = 0;
        rc = decode_block(&p->r, big, err);
        if (rc < 0)
                free(big);
        else
                p->big = big;
        return rc;
}

/*
 * Whole blocks into BUF, about RETURN_AFTER bytes or the first one that does not fit. *DONE is
 * good even when this fails. 1: more. 0: the end.
 */
static int decode_run(struct lzop_pass *p, unsigned char *buf, size_t len, size_t *done,
                      struct restart_builder *b, struct error *err)
{
        while (*done < RETURN_AFTER) {
                int rc = next_block(&p->r, err);

                if (rc <= 0)
                        return rc;
                if (*done == 0 && worth_naming(p, b)) {
                        rc = name_point(p, b, err);
                        if (rc < 0)
                                return rc;
                }
                if (p->r.block.out_len > len - *done)
                        return 1;
                rc = decode_block(&p->r, buf + *done, err);
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

/* POINT comes from a sidecar perhaps: it is judged like a header. */
static int enter(struct lzop_reader *r, const struct restart_point *point, struct error *err)
{
        if (point->aux == 0)
                return 0;
        r->first = false;
        r->in_member = true;
        r->flags = (uint32_t)point->aux;
        r->filter = (uint32_t)((point->aux & ~AUX_IN_MEMBER) >> AUX_FILTER_SHIFT);
        return check_abilities(r, 0, 1, err);
}

static int decode_exactly(struct lzop_reader *r, unsigned char *out, size_t len, struct error *err)
{
        size_t done = 0;

        while (done < len) {
                int rc = next_block(r, err);

                if (rc < 0)
                        return rc;
                if (rc == 0 || r->block.out_len > len - done)
                        return error_set_at(err, EIO, input_offset(&r->in),
                                            "the lzop blocks do not fill a segment");
                rc = decode_block(r, out + done, err);
                if (rc < 0)
                        return rc;
                done += r->block.out_len;
        }
        return 0;
}

static int lzop_segment(struct source *in, const struct restart_point *point, const void *history,
                        uint64_t in_end, void *out, size_t len, struct error *err)
{
        struct lzop_reader r;
        int rc;

        (void)history;
        rc = reader_open(&r, in, point->in_bit / 8, in_end / 8 + (in_end % 8 != 0), err);
        if (rc == 0)
                rc = enter(&r, point, err);
        if (rc == 0)
                rc = decode_exactly(&r, out, len, err);
        input_fini(&r.in);
        if (rc != -ENOTSUP)
                return rc;
        /* The pass could do it, so it is not what the file asks for. */
        if (err)
                err->code = EIO;
        return -EIO;
}

const struct codec_ops lzop_codec = {
    .name = "lzop",
    .probe = lzop_probe,
    .pass_open = lzop_pass_open,
    .pass_close = lzop_pass_close,
    .pass = lzop_pass,
    .segment = lzop_segment,
};
