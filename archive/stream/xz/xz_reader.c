/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_XZ

#include "archive/stream/xz/xz_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"

#define CHUNK ((size_t)256 << 10)

#define AUX_IN_STREAM (UINT64_C(1) << 63)

static const uint8_t magic[] = {0xfd, '7', 'z', 'X', 'Z', 0};

bool xz_probe(const void *head, size_t len)
{
        return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

int xz_reader_open(struct xz_reader *r, struct source *source, uint64_t offset, uint64_t window,
                   struct error *err)
{
        *r = (struct xz_reader){.window = window, .verify = true, .first = true};
        return input_init(&r->in, source, offset, UINT64_MAX, CHUNK, err);
}

void xz_reader_open_memory(struct xz_reader *r, void *bytes, size_t size, uint64_t offset)
{
        /* The pass has refused what is over its limit. */
        *r = (struct xz_reader){.window = UINT64_MAX, .first = true};
        input_init_memory(&r->in, bytes, size, offset);
}

void xz_reader_fini(struct xz_reader *r)
{
        lzma_end(&r->z);
        input_fini(&r->in);
}

uint64_t xz_aux(const struct xz_reader *r)
{
        return AUX_IN_STREAM | (uint64_t)r->check;
}

static int set_check(struct xz_reader *r, lzma_check check, struct error *err)
{
        if (!lzma_check_is_supported(check))
                return error_set_at(err, ENOTSUP, input_offset(&r->in),
                                    "uses the xz check of number %d, which is not known",
                                    (int)check);
        r->check = check;
        return 0;
}

int xz_enter(struct xz_reader *r, const struct restart_point *point, struct error *err)
{
        uint64_t check = point->aux & ~AUX_IN_STREAM;

        r->failure = (struct error){0};
        r->place = XZ_BETWEEN;
        r->at_block = false;
        if (point->aux == 0)
                return 0;
        if (check > LZMA_CHECK_ID_MAX || !(point->aux & AUX_IN_STREAM) || point->in_bit % 8)
                return error_set_at(err, EIO, point->in_bit / 8, "no point of an xz stream");
        r->first = false;
        r->place = XZ_BLOCKS;
        r->counted = false;
        return set_check(r, (lzma_check)check, err);
}

/* Make WANT bytes available in one piece; fewer are an error. */
static int need(struct xz_reader *r, size_t want, struct error *err)
{
        int rc = input_want(&r->in, want, err);

        if (rc == 0 && input_available(&r->in) < want)
                rc = error_set_at(err, EIO, input_offset(&r->in) + input_available(&r->in),
                                  "the xz stream is truncated");
        return rc;
}

static int fail(struct xz_reader *r, const char *why, struct error *err)
{
        return error_set_at(err, EIO, input_offset(&r->in), "%s", why);
}

/* ---- streams ---- */

static int read_stream_header(struct xz_reader *r, struct error *err)
{
        lzma_stream_flags flags;
        int rc = need(r, LZMA_STREAM_HEADER_SIZE, err);
        lzma_ret ret;

        if (rc < 0)
                return rc;
        ret = lzma_stream_header_decode(&flags, input_bytes(&r->in));
        if (ret == LZMA_OPTIONS_ERROR)
                return error_set_at(err, ENOTSUP, input_offset(&r->in),
                                    "uses a newer version of the xz format");
        if (ret != LZMA_OK)
                return fail(r, "the xz stream's header is damaged", err);
        rc = set_check(r, flags.check, err);
        if (rc < 0)
                return rc;
        input_skip(&r->in, LZMA_STREAM_HEADER_SIZE);
        r->first = false;
        r->place = XZ_BLOCKS;
        r->counted = true;
        r->blocks = r->sizes = 0;
        return 0;
}

/* 1: a stream's header is next. 0: the end. */
static int see_stream(struct xz_reader *r, struct error *err)
{
        int rc = input_want(&r->in, sizeof magic, err);

        if (rc < 0)
                return rc;
        if (xz_probe(input_bytes(&r->in), input_available(&r->in)))
                return 1;
        if (r->first)
                return fail(r, "the xz stream's header is damaged", err);
        rc = input_skip_zeros(&r->in, err);
        if (rc == 1)
                rc = input_want(&r->in, sizeof magic, err);
        else
                return rc;
        if (rc < 0)
                return rc;
        if (!xz_probe(input_bytes(&r->in), input_available(&r->in)))
                return fail(r, "an xz stream is followed by neither another one nor zeros", err);
        return 1;
}

/* ---- the index ---- */

static uint64_t add_sizes(uint64_t sum, uint64_t unpadded, uint64_t uncompressed)
{
        uint8_t both[16];

        store_le64(both, unpadded);
        store_le64(both + 8, uncompressed);
        return XXH3_64bits_withSeed(both, sizeof both, sum);
}

void xz_count_block(struct xz_reader *r, uint64_t unpadded, uint64_t uncompressed)
{
        r->blocks++;
        r->sizes = add_sizes(r->sizes, unpadded, uncompressed);
}

struct index_reader {
        struct xz_reader *r;
        uint64_t len; /* bytes so far */
        uint32_t crc;
};

static int take_bytes(struct index_reader *x, uint8_t *out, size_t n, struct error *err)
{
        int rc = need(x->r, n, err);

        if (rc < 0)
                return rc;
        memcpy(out, input_bytes(&x->r->in), n);
        x->crc = lzma_crc32(out, n, x->crc);
        x->len += n;
        input_skip(&x->r->in, n);
        return 0;
}

static int take_number(struct index_reader *x, uint64_t *out, struct error *err)
{
        lzma_vli v = 0;
        size_t pos = 0;
        lzma_ret ret;

        do {
                uint8_t byte;
                size_t in = 0;
                int rc = take_bytes(x, &byte, 1, err);

                if (rc < 0)
                        return rc;
                ret = lzma_vli_decode(&v, &pos, &byte, &in, 1);
        } while (ret == LZMA_OK);
        *out = v;
        return ret == LZMA_STREAM_END ? 0 : fail(x->r, "the xz index is damaged", err);
}

/* Read the index, which may be of any length, and compare it with what was counted. */
static int read_sizes(struct index_reader *x, struct error *err)
{
        uint64_t blocks = 0, sizes = 0;
        uint8_t indicator;
        int rc = take_bytes(x, &indicator, 1, err);

        if (rc == 0)
                rc = take_number(x, &blocks, err);
        if (rc == 0 && x->r->counted && blocks != x->r->blocks)
                rc = fail(x->r, "the xz index has another number of blocks", err);
        for (uint64_t i = 0; rc == 0 && i < blocks; i++) {
                uint64_t unpadded, uncompressed;

                rc = take_number(x, &unpadded, err);
                if (rc == 0)
                        rc = take_number(x, &uncompressed, err);
                if (rc == 0)
                        sizes = add_sizes(sizes, unpadded, uncompressed);
        }
        if (rc == 0 && x->r->counted && sizes != x->r->sizes)
                rc = fail(x->r, "the xz index does not fit the blocks", err);
        return rc;
}

static int read_index(struct index_reader *x, struct error *err)
{
        uint8_t sum[4];
        int rc = read_sizes(x, err);

        while (rc == 0 && x->len % 4) {
                uint8_t zero;

                rc = take_bytes(x, &zero, 1, err);
                if (rc == 0 && zero != 0)
                        rc = fail(x->r, "the xz index is damaged", err);
        }
        if (rc < 0)
                return rc;
        rc = need(x->r, sizeof sum, err);
        if (rc < 0)
                return rc;
        if (load_le32(input_bytes(&x->r->in)) != x->crc)
                return fail(x->r, "the checksum of the xz index does not match", err);
        input_skip(&x->r->in, sizeof sum);
        x->len += sizeof sum;
        return 0;
}

static int read_footer(struct xz_reader *r, uint64_t index_len, struct error *err)
{
        lzma_stream_flags flags;
        int rc = need(r, LZMA_STREAM_HEADER_SIZE, err);

        if (rc < 0)
                return rc;
        if (lzma_stream_footer_decode(&flags, input_bytes(&r->in)) != LZMA_OK ||
            flags.backward_size != index_len || flags.check != r->check)
                return fail(r, "the xz stream's footer is damaged", err);
        input_skip(&r->in, LZMA_STREAM_HEADER_SIZE);
        return 0;
}

static int end_stream(struct xz_reader *r, struct error *err)
{
        struct index_reader x = {.r = r};
        int rc = read_index(&x, err);

        if (rc == 0)
                rc = read_footer(r, x.len, err);
        if (rc == 0)
                r->place = XZ_BETWEEN;
        return rc;
}

/* ---- blocks ---- */

bool xz_load_header(const uint8_t *header, size_t len, lzma_check check, lzma_block *b)
{
        lzma_filter filters[LZMA_FILTERS_MAX + 1];

        if (len == 0 || header[0] == 0 || lzma_block_header_size_decode(header[0]) > len)
                return false;
        *b = (lzma_block){.version = 1,
                          .check = check,
                          .header_size = lzma_block_header_size_decode(header[0]),
                          .filters = filters};
        if (lzma_block_header_decode(b, NULL, header) != LZMA_OK)
                return false;
        lzma_filters_free(filters, NULL);
        b->filters = NULL;
        return true;
}

/* The largest dictionary of FILTERS. */
static uint32_t find_dictionary(const lzma_filter *filters)
{
        uint32_t most = 0;

        for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++) {
                const lzma_options_lzma *o = filters[i].options;

                if (filters[i].id == LZMA_FILTER_LZMA2 && o && o->dict_size > most)
                        most = o->dict_size;
        }
        return most;
}

static int check_window(const struct xz_reader *r, struct error *err)
{
        uint64_t mib = round_up(r->dictionary, 1 << 20) >> 20;

        if (r->dictionary <= r->window)
                return 0;
        return error_set_at(err, ENOTSUP, r->block_at,
                            "the xz block needs a dictionary of %" PRIu32
                            " bytes, and at most %" PRIu64
                            " are allowed; allow it with -o window=%" PRIu64
                            "M to mount, --window=%" PRIu64 "M otherwise",
                            r->dictionary, r->window, mib, mib);
}

static int start_decoder(struct xz_reader *r, lzma_filter *filters, struct error *err)
{
        lzma_ret ret;
        int rc;

        r->dictionary = find_dictionary(filters);
        rc = check_window(r, err);
        if (rc < 0)
                return rc;
        r->block.ignore_check = !r->verify;
        ret = lzma_block_decoder(&r->z, &r->block);
        if (ret == LZMA_MEM_ERROR)
                return error_set(err, ENOMEM, "out of memory");
        if (ret != LZMA_OK)
                return error_set_at(err, ENOTSUP, r->block_at,
                                    "uses filters of xz that liblzma does not know");
        return 0;
}

static int decode_header(struct xz_reader *r, struct error *err)
{
        lzma_filter filters[LZMA_FILTERS_MAX + 1];
        lzma_ret ret;
        int rc;

        r->block = (lzma_block){.version = 1,
                                .check = r->check,
                                .header_size = lzma_block_header_size_decode(*input_bytes(&r->in)),
                                .filters = filters};
        rc = need(r, r->block.header_size, err);
        if (rc < 0)
                return rc;
        ret = lzma_block_header_decode(&r->block, NULL, input_bytes(&r->in));
        if (ret == LZMA_MEM_ERROR)
                return error_set(err, ENOMEM, "out of memory");
        if (ret == LZMA_OPTIONS_ERROR)
                return error_set_at(err, ENOTSUP, r->block_at,
                                    "uses filters of xz that liblzma does not know");
        if (ret != LZMA_OK)
                return fail(r, "an xz block's header is damaged", err);
        rc = start_decoder(r, filters, err);
        lzma_filters_free(filters, NULL);
        r->block.filters = NULL;
        return rc;
}

static int begin_block(struct xz_reader *r, struct error *err)
{
        int rc;

        r->block_at = input_offset(&r->in);
        r->block_out = 0;
        r->at_block = true;
        rc = decode_header(r, err);
        if (rc < 0)
                return rc;
        input_skip(&r->in, r->block.header_size);
        r->place = XZ_INSIDE;
        return 1;
}

static int next_block(struct xz_reader *r, struct error *err)
{
        while (r->place != XZ_INSIDE) {
                int rc;

                if (r->place == XZ_BETWEEN) {
                        rc = see_stream(r, err);
                        if (rc <= 0)
                                return rc;
                        rc = read_stream_header(r, err);
                        if (rc < 0)
                                return rc;
                }
                rc = need(r, 1, err);
                if (rc < 0)
                        return rc;
                if (*input_bytes(&r->in) != 0)
                        return begin_block(r, err);
                rc = end_stream(r, err);
                if (rc < 0)
                        return rc;
        }
        return 1;
}

static int say_failure(const struct xz_reader *r, struct error *err)
{
        if (err)
                *err = r->failure;
        return -r->failure.code;
}

int xz_next_block(struct xz_reader *r, struct error *err)
{
        int rc = r->failure.code ? -1 : next_block(r, &r->failure);

        return rc < 0 ? say_failure(r, err) : rc;
}

/* Give the decoder what there is of input. */
static lzma_ret step(struct xz_reader *r)
{
        size_t had = input_available(&r->in);
        lzma_ret ret;

        r->z.next_in = input_bytes(&r->in);
        r->z.avail_in = had;
        ret = lzma_code(&r->z, LZMA_RUN);
        input_skip(&r->in, had - r->z.avail_in);
        return ret;
}

static int fail_block(struct xz_reader *r, lzma_ret ret)
{
        if (ret == LZMA_MEM_ERROR)
                return error_set(&r->failure, ENOMEM, "out of memory");
        return error_set_at(&r->failure, EIO, input_offset(&r->in),
                            "the xz block that begins at byte %" PRIu64 " is damaged", r->block_at);
}

/* Decode until Z has no more room. 1: the block has ended. */
static int fill(struct xz_reader *r)
{
        while (r->z.avail_out > 0) {
                int rc = need(r, 1, &r->failure);
                lzma_ret ret;

                if (rc < 0)
                        return rc;
                ret = step(r);
                if (ret == LZMA_STREAM_END)
                        return 1;
                if (ret != LZMA_OK)
                        return fail_block(r, ret);
        }
        return 0;
}

ssize_t xz_read_block(struct xz_reader *r, void *out, size_t len, struct error *err)
{
        size_t done;
        int rc;

        if (r->failure.code)
                return say_failure(r, err);
        if (r->place != XZ_INSIDE)
                return 0;
        r->z.next_out = out;
        r->z.avail_out = len;
        rc = fill(r);
        done = len - r->z.avail_out;
        r->block_out += done;
        if (rc == 1) {
                xz_count_block(r, lzma_block_unpadded_size(&r->block), r->block.uncompressed_size);
                r->place = XZ_BLOCKS;
                r->at_block = false;
        }
        return rc < 0 && done == 0 ? say_failure(r, err) : (ssize_t)done;
}

#endif
