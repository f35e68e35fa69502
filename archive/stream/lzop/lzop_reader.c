/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lzop/lzop_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <lzo/lzo1x.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"

#define CHUNK     ((size_t)512 << 10)
#define SPARSE    ((size_t)4 << 10)
#define MAX_EXTRA ((uint32_t)1 << 20)
#define SPLIT     UINT32_MAX /* as a block's length: the archive goes on in another file */

#define VERSION_MIN 0x0940 /* has the layout above; older versions are from 1997 */
#define VERSION_MAX 0x1040 /* the version that a reader needs, not the one that wrote the file */

#define FLAG_ADLER32_OUT  0x0001u
#define FLAG_ADLER32_IN   0x0002u
#define FLAG_EXTRA        0x0040u
#define FLAG_CRC32_OUT    0x0100u
#define FLAG_CRC32_IN     0x0200u
#define FLAG_FILTER       0x0800u
#define FLAG_HEADER_CRC32 0x1000u
#define FLAGS_KNOWN       0xfff03fffu /* the high bits name system and character set */

#define MAX_FILTER 16u

#define AUX_IN_MEMBER    (UINT64_C(1) << 63)
#define AUX_FILTER_SHIFT 32

static const unsigned char magic[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n'};

bool lzop_probe(const void *head, size_t len)
{
        return len >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

static int open_reader(struct lzop_reader *r, struct source *source, uint64_t offset,
                       uint64_t limit, size_t chunk, struct error *err)
{
        *r = (struct lzop_reader){.first = true};
        if (lzo_init() != LZO_E_OK)
                return error_set(err, ENOTSUP, "the LZO library cannot be used");
        return input_init(&r->in, source, offset, limit, chunk, err);
}

int lzop_reader_open(struct lzop_reader *r, struct source *source, uint64_t offset, uint64_t limit,
                     struct error *err)
{
        return open_reader(r, source, offset, limit, CHUNK, err);
}

int lzop_reader_open_sparse(struct lzop_reader *r, struct source *source, uint64_t offset,
                            uint64_t limit, struct error *err)
{
        return open_reader(r, source, offset, limit, SPARSE, err);
}

void lzop_reader_open_memory(struct lzop_reader *r, void *bytes, size_t size, uint64_t offset)
{
        *r = (struct lzop_reader){.first = true};
        input_init_memory(&r->in, bytes, size, offset);
}

/* Make WANT bytes available in one piece; fewer are an error. */
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
        return crc ? checksum_crc32(data, len) : checksum_adler32(data, len);
}

/* Check the LEN bytes from input_bytes + START against the checksum after them. */
static int check_header_sum(struct lzop_reader *r, size_t start, size_t len, struct error *err)
{
        const unsigned char *data = input_bytes(&r->in) + start;

        if (load_be32(data + len) == checksum(r->flags & FLAG_HEADER_CRC32, data, len))
                return 0;
        return error_set_at(err, EIO, input_offset(&r->in),
                            "the lzop header is damaged: its checksum does not match");
}

/* Check the extra field *LEN bytes after input_bytes, and add its length to *LEN. */
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

/* Refuse what is unsupported. The header's checksum is right. */
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
        /* It is undefined what a stored block carries then; lzop aborts. */
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
        /* Consume it only now: a second try after a failure must see the header again. */
        if (rc == 0)
                input_skip(&r->in, len);
        return rc;
}

/* Is a member's magic next? 1, 0, -errno. */
static int see_member(struct lzop_reader *r, struct error *err)
{
        int rc = input_want(&r->in, sizeof magic, err);

        return rc < 0 ? rc : lzop_probe(input_bytes(&r->in), input_available(&r->in));
}

/* Zeros after a member are padding, and another member may follow them. Returns as see_member. */
static int skip_padding(struct lzop_reader *r, struct error *err)
{
        int rc = input_skip_zeros(&r->in, err);

        if (rc <= 0)
                return rc;
        rc = see_member(r, err);
        if (rc == 0)
                rc = error_set_at(err, EIO, input_offset(&r->in),
                                  "an lzop member is followed by neither another member nor "
                                  "zeros");
        return rc;
}

int lzop_next_member(struct lzop_reader *r, struct error *err)
{
        int rc = see_member(r, err);

        if (rc == 0 && r->first)
                return error_set_at(err, EIO, input_offset(&r->in), "the lzop header is damaged");
        if (rc == 0)
                rc = skip_padding(r, err);
        if (rc <= 0)
                return rc;
        rc = read_header(r, err);
        r->in_member = rc == 0;
        r->first = r->first && rc < 0;
        return rc < 0 ? rc : 1;
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

bool lzop_has_sums(uint32_t flags)
{
        return (flags & (FLAG_ADLER32_OUT | FLAG_CRC32_OUT)) != 0;
}

size_t lzop_header_len(uint32_t flags, bool stored)
{
        return LZOP_LENGTHS + sums_len(flags, stored);
}

static int read_block_header(struct lzop_reader *r, struct error *err)
{
        struct lzop_block *block = &r->block;
        size_t len;
        int rc = need(r, LZOP_LENGTHS, err);

        if (rc < 0)
                return rc;
        block->offset = input_offset(&r->in);
        block->out_len = load_be32(input_bytes(&r->in));
        block->in_len = load_be32(input_bytes(&r->in) + 4);
        if (block->out_len > LZOP_MAX_BLOCK || block->in_len == 0 || block->in_len > block->out_len)
                return error_set_at(err, EIO, block->offset,
                                    "an lzop block's header is damaged: %" PRIu32
                                    " bytes out of %" PRIu32,
                                    block->out_len, block->in_len);
        len = lzop_header_len(r->flags, block->in_len == block->out_len);
        rc = need(r, len, err);
        if (rc < 0)
                return rc;
        memcpy(block->header, input_bytes(&r->in), len);
        block->header_len = (uint32_t)len;
        input_skip(&r->in, len);
        r->have_block = true;
        return 0;
}

int lzop_next_block(struct lzop_reader *r, struct error *err)
{
        while (!r->have_block) {
                uint32_t len;
                int rc;

                if (!r->in_member) {
                        rc = lzop_next_member(r, err);
                        if (rc <= 0)
                                return rc;
                }
                rc = need(r, 4, err);
                if (rc < 0)
                        return rc;
                rc = input_want(&r->in, 5, err);
                if (rc < 0)
                        return rc;
                len = load_be32(input_bytes(&r->in));
                /* Anywhere else it is damage. */
                if (len == SPLIT && input_available(&r->in) == 4)
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

bool lzop_load_header(const unsigned char *bytes, size_t n, uint32_t flags, uint32_t out_len,
                      struct lzop_block *block)
{
        uint32_t in_len;
        size_t len;

        if (n < LZOP_LENGTHS || load_be32(bytes) != out_len)
                return false;
        in_len = load_be32(bytes + 4);
        len = lzop_header_len(flags, in_len == out_len);
        if (in_len == 0 || in_len > out_len || n < len)
                return false;
        *block =
            (struct lzop_block){.out_len = out_len, .in_len = in_len, .header_len = (uint32_t)len};
        memcpy(block->header, bytes, len);
        return true;
}

static int fail_block(const struct lzop_block *block, const char *why, struct error *err)
{
        return error_set_at(err, EIO, block->offset, "an lzop block is damaged: %s", why);
}

/*
 * Check the Adler-32 and the CRC-32 that are at *SUMS according to FLAGS, and move *SUMS past them.
 */
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

/* Undo lzop's --filter: each byte is the difference to the one FILTER bytes before it. */
static void undo_filter(uint32_t filter, unsigned char *data, size_t len)
{
        for (size_t i = filter; filter > 0 && i < len; i++)
                data[i] = (unsigned char)(data[i] + data[i - filter]);
}

static int decompress(const struct lzop_block *block, const unsigned char *data, unsigned char *out,
                      struct error *err)
{
        lzo_uint got = block->out_len;

        if (block->in_len == block->out_len) {
                memcpy(out, data, block->out_len);
                return 0;
        }
        if (lzo1x_decompress_safe(data, block->in_len, out, &got, NULL) != LZO_E_OK ||
            got != block->out_len)
                return fail_block(block, "no sense in it", err);
        return 0;
}

void lzop_skip_block(struct lzop_reader *r)
{
        uint32_t len = r->block.in_len;

        if (len <= input_available(&r->in))
                input_skip(&r->in, len);
        else
                input_seek(&r->in, input_offset(&r->in) + len);
        r->have_block = false;
}

int lzop_decode(const struct lzop_block *block, uint32_t flags, uint32_t filter,
                const unsigned char *data, unsigned char *out, struct error *err)
{
        const unsigned char *out_sums = block->header + LZOP_LENGTHS;
        const unsigned char *in_sums = out_sums + sums_len(flags, true);
        int rc;

        if (block->in_len < block->out_len &&
            !sums_match(flags & FLAG_ADLER32_IN, flags & FLAG_CRC32_IN, &in_sums, data,
                        block->in_len))
                return fail_block(block, "the checksum of its compressed data does not match", err);
        rc = decompress(block, data, out, err);
        if (rc < 0)
                return rc;
        undo_filter(filter, out, block->out_len);
        if (!sums_match(flags & FLAG_ADLER32_OUT, flags & FLAG_CRC32_OUT, &out_sums, out,
                        block->out_len))
                return fail_block(block, "its checksum does not match", err);
        return 0;
}

int lzop_decode_block(struct lzop_reader *r, unsigned char *out, struct error *err)
{
        int rc = need(r, r->block.in_len, err);

        if (rc == 0)
                rc = lzop_decode(&r->block, r->flags, r->filter, input_bytes(&r->in), out, err);
        if (rc < 0)
                return rc;
        input_skip(&r->in, r->block.in_len);
        r->have_block = false;
        return 0;
}

int lzop_enter(struct lzop_reader *r, const struct restart_point *point, struct error *err)
{
        if (point->aux == 0)
                return 0;
        r->first = false;
        r->in_member = true;
        r->flags = (uint32_t)point->aux;
        r->filter = (uint32_t)((point->aux & ~AUX_IN_MEMBER) >> AUX_FILTER_SHIFT);
        return check_abilities(r, 0, 1, err);
}

uint64_t lzop_aux(const struct lzop_reader *r)
{
        return AUX_IN_MEMBER | (uint64_t)r->filter << AUX_FILTER_SHIFT | r->flags;
}
