/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_BZIP2

#include "archive/stream/bzip2/bzip2_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"

#define CHUNK ((size_t)256 << 10)

#define AUX_IN_STREAM (UINT64_C(1) << 63)

enum {
        STREAM_HEADER = 4,
        HEADER = 10,        /* of a block, and a stream's end: bytes */
        SHIFTED = 32 << 10, /* so much of a block is shifted at once */
};

bool bzip2_probe(const void *head, size_t len)
{
        const uint8_t *p = head;
        uint64_t what;

        if (len < STREAM_HEADER + HEADER || memcmp(p, "BZh", 3) != 0 || p[3] < '1' || p[3] > '9')
                return false;
        what = load_be64(p + STREAM_HEADER) >> 16;
        return what == BZIP2_BLOCK || what == BZIP2_END;
}

int bzip2_reader_open(struct bzip2_reader *r, struct source *source, uint64_t offset,
                      struct error *err)
{
        *r = (struct bzip2_reader){.first = true};
        return input_init(&r->in, source, offset, UINT64_MAX, CHUNK, err);
}

void bzip2_reader_open_memory(struct bzip2_reader *r, void *bytes, size_t size, uint64_t offset,
                              void *memory)
{
        *r = (struct bzip2_reader){.first = true, .memory = memory};
        input_init_memory(&r->in, bytes, size, offset);
}

static void close_decoder(struct bzip2_reader *r)
{
        if (r->open)
                BZ2_bzDecompressEnd(&r->z);
        r->open = false;
}

void bzip2_reader_fini(struct bzip2_reader *r)
{
        close_decoder(r);
        free(r->owned);
        input_fini(&r->in);
}

uint64_t bzip2_aux(const struct bzip2_reader *r)
{
        return AUX_IN_STREAM | r->level;
}

int bzip2_enter(struct bzip2_reader *r, const struct restart_point *point, struct error *err)
{
        uint64_t level = point->aux & ~AUX_IN_STREAM;

        close_decoder(r);
        r->failure = (struct error){0};
        r->shift = 0;
        r->taken = r->at_block = false;
        r->place = BZIP2_BETWEEN;
        if (point->aux == 0)
                return 0;
        if (level < 1 || level > 9 || !(point->aux & AUX_IN_STREAM))
                return error_set_at(err, EIO, point->in_bit / 8, "no point of a bzip2 stream");
        r->first = false;
        r->counted = false;
        r->level = (unsigned)level;
        r->shift = point->in_bit % 8;
        r->place = BZIP2_BLOCKS;
        return 0;
}

/* Make WANT bytes available in one piece; fewer are an error. */
static int need(struct bzip2_reader *r, size_t want, struct error *err)
{
        int rc = input_want(&r->in, want, err);

        if (rc == 0 && input_available(&r->in) < want)
                rc = error_set_at(err, EIO, input_offset(&r->in) + input_available(&r->in),
                                  "the bzip2 stream is truncated");
        return rc;
}

static int fail(const struct bzip2_reader *r, const char *why, struct error *err)
{
        return error_set_at(err, EIO, input_offset(&r->in), "%s", why);
}

/* ---- streams ---- */

/* A stream's header is next, but what follows it may be damaged. */
static bool is_header(const struct bzip2_reader *r)
{
        const unsigned char *p = input_bytes(&r->in);

        return input_available(&r->in) >= STREAM_HEADER && memcmp(p, "BZh", 3) == 0 &&
               p[3] >= '1' && p[3] <= '9';
}

/* 1: a stream's header is next. 0: the end. */
static int see_stream(struct bzip2_reader *r, struct error *err)
{
        int rc = input_want(&r->in, STREAM_HEADER, err);

        if (rc < 0 || is_header(r))
                return rc < 0 ? rc : 1;
        if (r->first)
                return fail(r, "the bzip2 stream's header is damaged", err);
        rc = input_skip_zeros(&r->in, err);
        if (rc <= 0)
                return rc;
        rc = input_want(&r->in, STREAM_HEADER, err);
        if (rc < 0 || is_header(r))
                return rc < 0 ? rc : 1;
        return fail(r, "a bzip2 stream is followed by neither another one nor zeros", err);
}

static int begin_stream(struct bzip2_reader *r, struct error *err)
{
        int rc = see_stream(r, err);

        if (rc <= 0)
                return rc;
        r->level = input_bytes(&r->in)[3] - '0';
        input_skip(&r->in, STREAM_HEADER);
        r->first = false;
        r->counted = true;
        r->sum = 0;
        r->place = BZIP2_BLOCKS;
        return 1;
}

/* The 64 bits at BYTES from bit SHIFT on; one more byte is read if SHIFT is not 0. */
static uint64_t load_bits(const uint8_t *bytes, unsigned shift)
{
        uint64_t v = load_be64(bytes);

        return shift == 0 ? v : v << shift | bytes[8] >> (8 - shift);
}

/* The 48 bits of a block's or an end's magic number. */
static uint64_t load_magic(const uint8_t *bytes, unsigned shift)
{
        return load_bits(bytes, shift) >> 16;
}

/* The 32 bits that follow it. */
static uint32_t load_sum(const uint8_t *bytes, unsigned shift)
{
        return (uint32_t)(load_bits(bytes + 2, shift) & UINT32_MAX);
}

static int end_stream(struct bzip2_reader *r, uint32_t sum, struct error *err)
{
        if (r->counted && sum != r->sum)
                return fail(r, "the checksum of a bzip2 stream does not match", err);
        input_skip(&r->in, HEADER + (r->shift > 0));
        r->shift = 0;
        r->place = BZIP2_BETWEEN;
        return 0;
}

/* ---- blocks ---- */

static int fail_block(struct bzip2_reader *r, int ret, struct error *err)
{
        if (ret == BZ_MEM_ERROR)
                return error_set(err, ENOMEM, "out of memory");
        return error_set_at(err, EIO, input_offset(&r->in),
                            "the bzip2 block that begins at bit %" PRIu64 " is damaged",
                            r->block_bit);
}

/* Called by libbz2. */
static void *take_memory(void *reader, int count, int size)
{
        struct bzip2_reader *r = reader;
        size_t len = round_up((size_t)count * (size_t)size, alignof(max_align_t));
        void *taken = r->memory + r->used;

        if (len > BZIP2_MEMORY - r->used)
                return NULL;
        r->used += len;
        return taken;
}

static void leave_memory(void *reader, void *taken)
{
        (void)reader;
        (void)taken;
}

static int open_decoder(struct bzip2_reader *r, struct error *err)
{
        char header[STREAM_HEADER] = {'B', 'Z', 'h', (char)('0' + r->level)};
        int ret;

        close_decoder(r);
        if (!r->memory)
                r->memory = r->owned = malloc(BZIP2_MEMORY);
        if (!r->memory)
                return error_set(err, ENOMEM, "out of memory");
        r->used = 0;
        r->z = (bz_stream){.bzalloc = take_memory, .bzfree = leave_memory, .opaque = r};
        ret = BZ2_bzDecompressInit(&r->z, 0, 0);
        if (ret != BZ_OK)
                return error_set(err, ENOMEM, "out of memory");
        r->open = true;
        r->z.next_in = header;
        r->z.avail_in = sizeof header;
        ret = BZ2_bzDecompress(&r->z);
        return ret == BZ_OK ? 0 : fail_block(r, ret, err);
}

/*
 * The bytes of the input after the first SKIP, shifted: *N of them at *OUT, which may be in BUF, of
 * SHIFTED bytes. The last one may lack its lowest bits. *N is 0 where the input ends.
 */
static int load_shifted(struct bzip2_reader *r, size_t skip, uint8_t *buf, const uint8_t **out,
                        size_t *n, struct error *err)
{
        int rc = input_want(&r->in, skip + 2, err);
        const uint8_t *p = input_bytes(&r->in) + skip;

        if (rc < 0)
                return rc;
        *n = (size_t)min_u64(input_available(&r->in) - skip, SHIFTED);
        /* The byte after the last one is needed as well, but for the file's last one. */
        if (r->shift && *n > 1)
                --*n;
        *out = r->shift ? buf : p;
        for (size_t i = 0; r->shift && i < *n; i++) {
                unsigned here = p[i];
                unsigned next = skip + i + 1 < input_available(&r->in) ? p[i + 1] : 0;

                buf[i] = (uint8_t)(here << r->shift | next >> (8 - r->shift));
        }
        return 0;
}

/*
 * Give the decoder the block's input. It takes none of what follows the block, and no output before
 * it has all of it. Where the input ends first, that shows in the output.
 */
static int give_block(struct bzip2_reader *r, struct error *err)
{
        uint8_t buf[SHIFTED];
        bool all = false;

        r->z.avail_out = 0;
        while (!all) {
                const uint8_t *bytes;
                size_t n, took;
                int rc = load_shifted(r, r->taken, buf, &bytes, &n, err), ret;

                if (rc < 0 || n == 0)
                        return rc;
                r->z.next_in = (char *)(uintptr_t)bytes;
                r->z.avail_in = (unsigned)n;
                ret = BZ2_bzDecompress(&r->z);
                took = n - r->z.avail_in;
                all = r->z.avail_in > 0;
                if (took > 0) {
                        /* The last byte stays, since the block may end in it. */
                        input_skip(&r->in, took - !r->taken);
                        r->taken = true;
                }
                if (ret != BZ_OK)
                        return fail_block(r, ret, err);
        }
        return 0;
}

/* Go to where the block ends that the decoder has taken. */
static int find_end(struct bzip2_reader *r, struct error *err)
{
        uint8_t around[1 + HEADER + 2] = {0};
        int rc = input_want(&r->in, sizeof around, err);

        if (rc < 0)
                return rc;
        memcpy(around, input_bytes(&r->in),
               (size_t)min_u64(input_available(&r->in), sizeof around));
        for (unsigned bit = r->shift + 1; bit <= r->shift + 8; bit++) {
                uint64_t what = load_magic(around + bit / 8, bit % 8);

                if (what != BZIP2_BLOCK && what != BZIP2_END)
                        continue;
                input_skip(&r->in, bit / 8);
                r->shift = bit % 8;
                r->taken = false;
                return 0;
        }
        return error_set_at(err, EIO, input_offset(&r->in),
                            "a bzip2 block is followed by neither another one nor its stream's "
                            "end");
}

static int begin_block(struct bzip2_reader *r, uint32_t sum, struct error *err)
{
        int rc;

        r->block_bit = input_offset(&r->in) * 8 + r->shift;
        r->block_out = 0;
        r->block_sum = sum;
        r->at_block = true;
        rc = open_decoder(r, err);
        if (rc == 0)
                rc = give_block(r, err);
        if (rc == 0)
                r->place = BZIP2_INSIDE;
        return rc;
}

/* A block or the stream's end comes next. */
static int next_in_stream(struct bzip2_reader *r, struct error *err)
{
        const uint8_t *p;
        uint64_t what;
        int rc = r->taken ? find_end(r, err) : 0;

        if (rc == 0)
                rc = need(r, HEADER + (r->shift > 0), err);
        if (rc < 0)
                return rc;
        p = input_bytes(&r->in);
        what = load_magic(p, r->shift);
        if (what == BZIP2_END)
                return end_stream(r, load_sum(p, r->shift), err);
        if (what == BZIP2_BLOCK)
                return begin_block(r, load_sum(p, r->shift), err);
        return fail(r, "a bzip2 block's header is damaged", err);
}

static int next_block(struct bzip2_reader *r, struct error *err)
{
        while (r->place != BZIP2_INSIDE) {
                int rc = 0;

                if (r->place == BZIP2_BETWEEN) {
                        rc = begin_stream(r, err);
                        if (rc <= 0)
                                return rc;
                }
                rc = next_in_stream(r, err);
                if (rc < 0)
                        return rc;
        }
        return 1;
}

static int say_failure(const struct bzip2_reader *r, struct error *err)
{
        if (err)
                *err = r->failure;
        return -r->failure.code;
}

int bzip2_next_block(struct bzip2_reader *r, struct error *err)
{
        int rc = r->failure.code ? -1 : next_block(r, &r->failure);

        return rc < 0 ? say_failure(r, err) : rc;
}

/* The block has been decoded, and its checksum is right. */
static void end_block(struct bzip2_reader *r)
{
        r->sum = (r->sum << 1 | r->sum >> 31) ^ r->block_sum;
        r->place = BZIP2_BLOCKS;
        r->at_block = false;
        close_decoder(r);
}

ssize_t bzip2_read_block(struct bzip2_reader *r, void *out, size_t len, struct error *err)
{
        size_t done;
        int ret;

        if (r->failure.code)
                return say_failure(r, err);
        if (r->place != BZIP2_INSIDE)
                return 0;
        r->z.next_out = out;
        r->z.avail_out = (unsigned)min_u64(len, UINT_MAX);
        r->z.avail_in = 0;
        ret = BZ2_bzDecompress(&r->z);
        done = (size_t)min_u64(len, UINT_MAX) - r->z.avail_out;
        r->block_out += done;
        if (ret != BZ_OK)
                fail_block(r, ret, &r->failure);
        else if (r->block_out == 0)
                error_fill_at(&r->failure, EIO, input_offset(&r->in) + 1,
                              "the bzip2 stream is truncated");
        else if (r->z.avail_out > 0)
                end_block(r);
        return r->failure.code && done == 0 ? say_failure(r, err) : (ssize_t)done;
}

#endif
