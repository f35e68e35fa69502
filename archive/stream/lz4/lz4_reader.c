/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_LZ4

#include "archive/stream/lz4/lz4_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"

#define CHUNK ((size_t)512 << 10)

#define MAGIC          0x184d2204u
#define LEGACY         0x184c2102u
#define SKIPPABLE      0x184d2a50u
#define SKIPPABLE_MASK 0xfffffff0u

#define FLAG_DICTIONARY  0x01u
#define FLAG_CONTENT_SUM 0x04u
#define FLAG_SIZED       0x08u
#define FLAG_BLOCK_SUMS  0x10u
#define FLAG_INDEPENDENT 0x20u

#define STORED       (UINT32_C(1) << 31)
#define LEGACY_BLOCK ((size_t)8 << 20)

#define AUX_IN_FRAME    (UINT64_C(1) << 63)
#define AUX_LEGACY      UINT64_C(0x08)
#define AUX_LINKED      UINT64_C(0x10)
#define AUX_BLOCK_SUMS  UINT64_C(0x20)
#define AUX_CONTENT_SUM UINT64_C(0x40)
#define AUX_KNOWN       (AUX_IN_FRAME | UINT64_C(0x7f))

enum { HEADER_MIN = 7, HEADER_MAX = 15 };

static uint32_t magic_of(const void *head, size_t len)
{
        return len >= 4 ? load_le32(head) : 0;
}

static bool is_skippable(uint32_t magic)
{
        return (magic & SKIPPABLE_MASK) == SKIPPABLE;
}

bool lz4_probe(const void *head, size_t len)
{
        uint32_t magic = magic_of(head, len);

        return magic == MAGIC || magic == LEGACY;
}

size_t lz4_block_max(const struct lz4_frame *f)
{
        return f->legacy ? LEGACY_BLOCK : (size_t)1 << (8 + 2 * f->code);
}

int lz4_reader_open(struct lz4_reader *r, struct source *source, uint64_t offset, struct error *err)
{
        *r = (struct lz4_reader){.first = true, .sum = XXH32_createState()};
        if (!r->sum)
                return error_set(err, ENOMEM, "out of memory");
        return input_init(&r->in, source, offset, UINT64_MAX, CHUNK, err);
}

int lz4_reader_open_memory(struct lz4_reader *r, void *bytes, size_t size, uint64_t offset,
                           struct error *err)
{
        *r = (struct lz4_reader){.first = true, .sum = XXH32_createState()};
        input_init_memory(&r->in, bytes, size, offset);
        return r->sum ? 0 : error_set(err, ENOMEM, "out of memory");
}

void lz4_reader_fini(struct lz4_reader *r)
{
        XXH32_freeState(r->sum);
        free(r->buf);
        input_fini(&r->in);
}

/* Make room for blocks of the frame after the history. */
static int make_room(struct lz4_reader *r, struct error *err)
{
        size_t room = LZ4_HISTORY + lz4_block_max(&r->frame);
        uint8_t *bigger;

        r->at = r->last = LZ4_HISTORY;
        r->history = 0;
        if (room <= r->room)
                return 0;
        bigger = realloc(r->buf, room);
        if (!bigger)
                return error_set(err, ENOMEM, "out of memory");
        r->buf = bigger;
        r->room = room;
        return 0;
}

uint64_t lz4_aux(const struct lz4_reader *r)
{
        const struct lz4_frame *f = &r->frame;

        return AUX_IN_FRAME | f->code | (f->legacy ? AUX_LEGACY : 0) |
               (f->linked ? AUX_LINKED : 0) | (f->block_sums ? AUX_BLOCK_SUMS : 0) |
               (f->content_sum ? AUX_CONTENT_SUM : 0);
}

int lz4_enter(struct lz4_reader *r, const struct restart_point *point, const void *history,
              struct error *err)
{
        uint64_t aux = point->aux;
        int rc;

        r->failure = (struct error){0};
        r->have_block = r->in_frame = r->whole = false;
        r->at = r->last = 0;
        if (aux == 0)
                return 0;
        r->frame = (struct lz4_frame){.legacy = aux & AUX_LEGACY,
                                      .linked = aux & AUX_LINKED,
                                      .block_sums = aux & AUX_BLOCK_SUMS,
                                      .content_sum = aux & AUX_CONTENT_SUM,
                                      .code = aux & 7};
        if (!(aux & AUX_IN_FRAME) || (aux & ~AUX_KNOWN) || r->frame.code < 4 ||
            point->history_len > LZ4_HISTORY || point->in_bit % 8)
                return error_set_at(err, EIO, point->in_bit / 8, "no point of an lz4 frame");
        rc = make_room(r, err);
        if (rc < 0)
                return rc;
        if (point->history_len > 0)
                memcpy(r->buf + LZ4_HISTORY - point->history_len, history, point->history_len);
        r->history = point->history_len;
        r->first = false;
        r->in_frame = true;
        return 0;
}

const uint8_t *lz4_history(const struct lz4_reader *r, size_t *len)
{
        *len = r->history;
        return r->buf + LZ4_HISTORY - r->history;
}

/* Make WANT bytes available in one piece; fewer are an error. */
static int need(struct lz4_reader *r, size_t want, struct error *err)
{
        int rc = input_want(&r->in, want, err);

        if (rc == 0 && input_available(&r->in) < want)
                rc = error_set_at(err, EIO, input_offset(&r->in) + input_available(&r->in),
                                  "the lz4 stream is truncated");
        return rc;
}

static int fail(const struct lz4_reader *r, const char *why, struct error *err)
{
        return error_set_at(err, EIO, input_offset(&r->in), "%s", why);
}

/* ---- frames ---- */

bool lz4_load_header(const uint8_t *head, size_t len, struct lz4_frame *f, size_t *size)
{
        uint32_t magic = magic_of(head, len);
        unsigned flags;

        *f = (struct lz4_frame){.legacy = magic == LEGACY, .code = 7};
        *size = 4;
        if (f->legacy)
                return true;
        if (magic != MAGIC || len < HEADER_MIN)
                return false;
        flags = head[4];
        f->linked = !(flags & FLAG_INDEPENDENT);
        f->block_sums = flags & FLAG_BLOCK_SUMS;
        f->content_sum = flags & FLAG_CONTENT_SUM;
        f->sized = flags & FLAG_SIZED;
        f->code = head[5] >> 4 & 7;
        *size = (size_t)HEADER_MIN + (f->sized ? 8 : 0) + (flags & FLAG_DICTIONARY ? 4 : 0);
        if (len < *size)
                return false;
        if (f->sized)
                f->content = load_le64(head + 6);
        return (XXH32(head + 4, *size - 5, 0) >> 8 & 0xff) == head[*size - 1];
}

/* Refuse what is not supported of the frame whose sound header is at HEAD. */
static int check_abilities(const struct lz4_reader *r, const uint8_t *head, struct error *err)
{
        uint64_t at = input_offset(&r->in);

        if (r->frame.legacy)
                return 0;
        if (head[4] >> 6 != 1 || (head[4] & 2) || (head[5] & 0x8f) || r->frame.code < 4)
                return error_set_at(err, ENOTSUP, at, "uses a newer version of the lz4 format");
        if (head[4] & FLAG_DICTIONARY)
                return error_set_at(err, ENOTSUP, at,
                                    "is compressed by lz4 with a dictionary, which is not here");
        return 0;
}

static int read_header(struct lz4_reader *r, struct error *err)
{
        size_t size;
        int rc = input_want(&r->in, HEADER_MAX + 4, err);

        if (rc < 0)
                return rc;
        if (!lz4_load_header(input_bytes(&r->in), input_available(&r->in), &r->frame, &size))
                return fail(r, "an lz4 frame's header is damaged", err);
        rc = check_abilities(r, input_bytes(&r->in), err);
        if (rc == 0)
                rc = make_room(r, err);
        if (rc < 0)
                return rc;
        input_skip(&r->in, size);
        XXH32_reset(r->sum, 0);
        r->frame_out = 0;
        r->whole = r->in_frame = true;
        r->first = false;
        return 1;
}

static int skip_frame(struct lz4_reader *r, struct error *err)
{
        uint32_t len;
        int rc = need(r, 8, err);

        if (rc < 0)
                return rc;
        len = load_le32(input_bytes(&r->in) + 4);
        if (r->in.limit - input_offset(&r->in) < 8 + (uint64_t)len)
                return error_set_at(err, EIO, r->in.limit, "the lz4 stream is truncated");
        if (8 + (size_t)len <= input_available(&r->in))
                input_skip(&r->in, 8 + (size_t)len);
        else
                input_seek(&r->in, input_offset(&r->in) + 8 + len);
        return 0;
}

/* Called between frames. 1: now in a frame. 0: the end. */
static int next_frame(struct lz4_reader *r, struct error *err)
{
        for (;;) {
                int rc = input_want(&r->in, 4, err);
                uint32_t magic;

                if (rc < 0)
                        return rc;
                magic = magic_of(input_bytes(&r->in), input_available(&r->in));
                if (magic == MAGIC || magic == LEGACY)
                        return read_header(r, err);
                if (!is_skippable(magic))
                        break;
                rc = skip_frame(r, err);
                if (rc < 0)
                        return rc;
        }
        if (r->first)
                return fail(r, "the lz4 frame's header is damaged", err);
        return input_skip_zeros(&r->in, err) == 0
                   ? 0
                   : fail(r, "an lz4 frame is followed by neither another one nor zeros", err);
}

static void leave_frame(struct lz4_reader *r)
{
        r->in_frame = false;
        r->frames++;
}

static int end_frame(struct lz4_reader *r, struct error *err)
{
        uint32_t sum = 0;
        int rc = r->frame.content_sum ? need(r, 8, err) : 0;

        if (rc < 0)
                return rc;
        if (r->frame.content_sum)
                sum = load_le32(input_bytes(&r->in) + 4);
        if (r->whole && r->frame.content_sum && sum != XXH32_digest(r->sum))
                return fail(r, "the checksum of an lz4 frame does not match", err);
        if (r->whole && r->frame.sized && r->frame.content != r->frame_out)
                return fail(r, "an lz4 frame holds more or less than its header says", err);
        input_skip(&r->in, r->frame.content_sum ? 8 : 4);
        leave_frame(r);
        return 0;
}

/* ---- blocks ---- */

/* The most that a block takes in the file. */
static size_t in_max(const struct lz4_frame *f)
{
        return f->legacy ? (size_t)LZ4_COMPRESSBOUND(LEGACY_BLOCK) : lz4_block_max(f);
}

/* Does a legacy frame end here: with the file, with another frame, or with zeros after it? */
static bool legacy_ends(const struct lz4_reader *r)
{
        size_t n = input_available(&r->in);
        uint32_t v = magic_of(input_bytes(&r->in), n);

        return n == 0 || v == MAGIC || v == LEGACY || is_skippable(v) || (n >= 4 && v == 0);
}

/* Read a block's length, or the end of the frame. */
static int read_length(struct lz4_reader *r, struct error *err)
{
        uint32_t v;
        int rc = input_want(&r->in, 4, err);

        if (rc == 0 && r->frame.legacy && legacy_ends(r)) {
                leave_frame(r);
                return 0;
        }
        if (rc == 0)
                rc = need(r, 4, err);
        if (rc < 0)
                return rc;
        v = load_le32(input_bytes(&r->in));
        if (v == 0 && !r->frame.legacy)
                return end_frame(r, err);
        r->block_at = input_offset(&r->in);
        r->stored = !r->frame.legacy && (v & STORED);
        r->in_len = r->stored ? v & ~STORED : v;
        if (r->in_len > in_max(&r->frame))
                return fail(r, "the length of an lz4 block is damaged", err);
        input_skip(&r->in, 4);
        r->have_block = true;
        return 0;
}

static int say_failure(const struct lz4_reader *r, struct error *err)
{
        if (err)
                *err = r->failure;
        return -r->failure.code;
}

int lz4_next_block(struct lz4_reader *r, struct error *err)
{
        int rc = r->failure.code ? -1 : 0;

        while (rc == 0 && !r->have_block) {
                if (!r->in_frame) {
                        rc = next_frame(r, &r->failure);
                        if (rc == 0)
                                return 0;
                }
                if (rc >= 0)
                        rc = read_length(r, &r->failure);
        }
        return rc < 0 ? say_failure(r, err) : 1;
}

/* Keep the end of what was decoded as the history of the next block. */
static void keep_history(struct lz4_reader *r)
{
        size_t have, keep;

        if (!r->frame.linked || r->last == LZ4_HISTORY)
                return;
        have = r->history + (r->last - LZ4_HISTORY);
        keep = (size_t)min_u64(have, LZ4_HISTORY);
        memmove(r->buf + LZ4_HISTORY - keep, r->buf + r->last - keep, keep);
        r->history = keep;
}

static int fail_block(struct lz4_reader *r, const char *why)
{
        return error_set_at(&r->failure, EIO, r->block_at, "an lz4 block is damaged: %s", why);
}

/* The block's data are available. The bytes made, or -errno. */
static int decompress(struct lz4_reader *r)
{
        const char *in = (const char *)input_bytes(&r->in);
        char *out = (char *)r->buf + LZ4_HISTORY;
        int n;

        if (r->stored) {
                memcpy(out, in, r->in_len);
                return (int)r->in_len;
        }
        n = LZ4_decompress_safe_usingDict(in, out, (int)r->in_len, (int)lz4_block_max(&r->frame),
                                          out - r->history, (int)r->history);
        return n < 0 ? fail_block(r, "no sense in it") : n;
}

static int decode_block(struct lz4_reader *r)
{
        size_t sum = r->frame.block_sums ? 4 : 0;
        int n = need(r, r->in_len + sum, &r->failure);
        const uint8_t *data = input_bytes(&r->in);

        if (n == 0 && sum && load_le32(data + r->in_len) != XXH32(data, r->in_len, 0))
                return fail_block(r, "its checksum does not match");
        if (n == 0)
                n = decompress(r);
        if (n < 0)
                return n;
        r->at = LZ4_HISTORY;
        r->last = LZ4_HISTORY + (size_t)n;
        r->frame_out += (uint64_t)n;
        if (r->whole && r->frame.content_sum)
                XXH32_update(r->sum, r->buf + LZ4_HISTORY, (size_t)n);
        input_skip(&r->in, r->in_len + sum);
        r->have_block = false;
        return 0;
}

int lz4_decode_block(struct lz4_reader *r, struct error *err)
{
        return r->failure.code || decode_block(r) < 0 ? say_failure(r, err) : 0;
}

size_t lz4_take(struct lz4_reader *r, void *out, size_t len)
{
        size_t n = (size_t)min_u64(len, r->last - r->at);

        memcpy(out, r->buf + r->at, n);
        r->at += n;
        if (r->at == r->last) {
                keep_history(r);
                r->at = r->last = LZ4_HISTORY;
        }
        return n;
}

bool lz4_goes_on(const struct lz4_reader *r, uint64_t at)
{
        uint8_t head[4];
        ssize_t n = source_pread(r->in.source, head, sizeof head, at);
        uint32_t v = magic_of(head, n > 0 ? (size_t)n : 0);

        if (r->frame.legacy && (n == 0 || v == MAGIC || v == LEGACY || is_skippable(v)))
                return true;
        if (n < 4 || (r->frame.legacy && v == 0))
                return false;
        return (r->frame.legacy ? v : v & ~STORED) <= in_max(&r->frame);
}

#endif
