/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lzop_fixture.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lzo/lzo1x.h>
#include <zlib.h>

void lzop_append_be32(struct bytes *b, uint32_t value)
{
        value = htobe32(value);
        bytes_append(b, &value, 4);
}

static uint32_t sum_of(int crc, const void *data, size_t len)
{
        return (uint32_t)(crc ? crc32_z(0, data, len) : adler32_z(1, data, len));
}

const struct lzop_header lzop_plain = {.version = 0x1040, .needed = 0x0940, .method = 1};

void lzop_append_header(struct bytes *b, const struct lzop_header *h)
{
        unsigned char fixed[] = {(unsigned char)(h->version >> 8),
                                 (unsigned char)h->version,
                                 0x20,
                                 0xa0,
                                 (unsigned char)(h->needed >> 8),
                                 (unsigned char)h->needed,
                                 (unsigned char)h->method,
                                 5};
        int crc = (h->flags & LZOP_HEADER_CRC32) != 0;
        size_t start;

        bytes_append(b, "\x89LZO\0\r\n\x1a\n", 9);
        start = b->len;
        bytes_append(b, fixed, sizeof fixed);
        lzop_append_be32(b, h->flags);
        if (h->flags & LZOP_FILTER)
                lzop_append_be32(b, h->filter);
        bytes_append(b, "\0\0\x81\xa4\x6b\0\0\0\0\0\0\0\4name", 17);
        lzop_append_be32(b, sum_of(crc, b->data + start, b->len - start));
        if (!(h->flags & LZOP_EXTRA))
                return;
        start = b->len;
        lzop_append_be32(b, (uint32_t)strlen(h->extra));
        bytes_append(b, h->extra, strlen(h->extra));
        lzop_append_be32(b, sum_of(crc, b->data + start, b->len - start));
}

void lzop_append_block(struct bytes *b, uint32_t flags, const unsigned char *data, size_t len)
{
        lzo_uint size = len + len / 16 + 64 + 3;
        unsigned char *out = malloc(size);
        void *work = malloc(LZO1X_1_MEM_COMPRESS);
        int stored;

        assert_int_equal(lzo1x_1_compress(data, len, out, &size, work), LZO_E_OK);
        stored = size >= len;
        lzop_append_be32(b, (uint32_t)len);
        lzop_append_be32(b, (uint32_t)(stored ? len : size));
        if (flags & LZOP_ADLER32_OUT)
                lzop_append_be32(b, sum_of(0, data, len));
        if (flags & LZOP_CRC32_OUT)
                lzop_append_be32(b, sum_of(1, data, len));
        if (!stored && (flags & LZOP_ADLER32_IN))
                lzop_append_be32(b, sum_of(0, out, size));
        if (!stored && (flags & LZOP_CRC32_IN))
                lzop_append_be32(b, sum_of(1, out, size));
        bytes_append(b, stored ? data : out, stored ? len : size);
        free(work);
        free(out);
}

struct bytes lzop_make_member(const struct lzop_header *h, const struct bytes *data, size_t block)
{
        struct bytes b = {0};

        lzop_append_header(&b, h);
        for (size_t at = 0; at < data->len; at += block)
                lzop_append_block(&b, h->flags, data->data + at,
                                  data->len - at < block ? data->len - at : block);
        lzop_append_be32(&b, 0);
        return b;
}
