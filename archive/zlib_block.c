/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/zlib_block.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef VMAFS_ISAL
#include <isa-l/igzip_lib.h>
#endif

#include "archive/bytes.h"
#include "archive/cleanup.h"

#ifdef VMAFS_ISAL
enum wrapping { RAW = ISAL_DEFLATE, ZLIB = ISAL_ZLIB };

static int inflate_fast(enum wrapping wrapping, const void *in, size_t in_len, void *out,
                        size_t *len)
{
        cleanup_free struct inflate_state *z = malloc(sizeof *z);

        if (!z)
                return -ENOMEM;
        isal_inflate_init(z);
        z->crc_flag = wrapping;
        z->next_in = (uint8_t *)in;
        z->avail_in = (uint32_t)min_u64(in_len, UINT32_MAX);
        z->next_out = out;
        z->avail_out = (uint32_t)min_u64(*len, UINT32_MAX);
        if (isal_inflate_stateless(z) != ISAL_DECOMP_OK)
                return -EIO;
        *len = z->total_out;
        return 0;
}
#else
enum wrapping { RAW, ZLIB };

static int inflate_fast(enum wrapping wrapping, const void *in, size_t in_len, void *out,
                        size_t *len)
{
        (void)wrapping;
        (void)in;
        (void)in_len;
        (void)out;
        (void)len;
        return -ENOSYS;
}
#endif

int zlib_block(const void *in, size_t in_len, void *out, size_t *len)
{
        uLongf room = *len;
        uLong left = in_len;
        int rc = inflate_fast(ZLIB, in, in_len, out, len);

        if (rc == 0 || rc == -ENOMEM)
                return rc;
        rc = uncompress2(out, &room, in, &left);
        *len = room;
        if (rc == Z_OK)
                return 0;
        return rc == Z_MEM_ERROR ? -ENOMEM : -EIO;
}

static int inflate_raw(const void *in, size_t in_len, int window_bits, void *out, size_t len)
{
        z_stream z = {.next_in = (Bytef *)in,
                      .avail_in = (uInt)min_u64(in_len, UINT32_MAX),
                      .next_out = out,
                      .avail_out = (uInt)min_u64(len, UINT32_MAX)};
        int rc = inflateInit2(&z, -window_bits);

        if (rc != Z_OK)
                return rc == Z_MEM_ERROR ? -ENOMEM : -EIO;
        rc = inflate(&z, Z_FINISH);
        inflateEnd(&z);
        if (rc == Z_MEM_ERROR)
                return -ENOMEM;
        return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

int deflate_block(const void *in, size_t in_len, int window_bits, void *out, size_t len)
{
        size_t got = len;
        int rc = inflate_fast(RAW, in, in_len, out, &got);

        if (rc == -ENOMEM || (rc == 0 && got == len))
                return rc;
        return inflate_raw(in, in_len, window_bits, out, len);
}
