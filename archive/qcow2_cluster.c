/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed clusters of qcow2: where they are, and what is in them. An entry of an L2 table gives
 * the first byte and how many 512-byte sectors the bytes touch; what follows the compressed data in
 * the last sector belongs to the next cluster.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "archive/blockcache.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/qcow2.h"
#include "archive/source.h"

enum {
        SECTOR = 512,
        WINDOW_BITS = 12, /* raw deflate with a history of 4 KiB */
};

struct qcow2_range qcow2_compressed_range(const struct qcow2_image *image, uint64_t entry)
{
        unsigned offset_bits = 62 - (image->cluster_bits - 8);
        uint64_t offset = entry & ((UINT64_C(1) << offset_bits) - 1);
        uint64_t sectors = (entry & ((UINT64_C(1) << 62) - 1)) >> offset_bits;

        return (struct qcow2_range){offset, (sectors + 1) * SECTOR - offset % SECTOR};
}

/* Exactly LEN bytes out of the IN_LEN at IN, which may have others behind them. */
static int inflate_cluster(const uint8_t *in, size_t in_len, void *out, size_t len)
{
        z_stream z = {.next_in = (Bytef *)in,
                      .avail_in = (uInt)in_len,
                      .next_out = out,
                      .avail_out = (uInt)len};
        int rc = inflateInit2(&z, -WINDOW_BITS);

        if (rc != Z_OK)
                return rc == Z_MEM_ERROR ? -ENOMEM : -EIO;
        rc = inflate(&z, Z_FINISH);
        inflateEnd(&z);
        if (rc == Z_MEM_ERROR)
                return -ENOMEM;
        return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

static int zstd_cluster(const uint8_t *in, size_t in_len, void *out, size_t len)
{
        size_t frame = ZSTD_findFrameCompressedSize(in, in_len);

        if (ZSTD_isError(frame))
                return -EIO;
        /* In one go: whatever window the frame asks for, nothing is allocated for it. */
        return ZSTD_decompress(out, len, in, frame) == len ? 0 : -EIO;
}

struct load {
        const struct qcow2_image *image;
        struct qcow2_range range;
};

static int load_cluster(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct load *load = ctx;
        /* The file may end with the compressed data, in front of the sector's end. */
        size_t in_len =
            (size_t)min_u64(load->range.len, load->image->file_size - load->range.offset);
        cleanup_free uint8_t *in = malloc(in_len);
        ssize_t n;

        (void)key;
        if (!in)
                return -ENOMEM;
        n = source_pread(load->image->source, in, in_len, load->range.offset);
        if (n < 0)
                return (int)n;
        if (load->image->compression == QCOW2_ZSTD)
                return zstd_cluster(in, (size_t)n, buf, len);
        return inflate_cluster(in, (size_t)n, buf, len);
}

int qcow2_read_compressed(const struct qcow2_image *image, uint64_t entry, uint64_t skip, void *buf,
                          size_t len)
{
        struct load load = {image, qcow2_compressed_range(image, entry)};
        size_t size = (size_t)1 << image->cluster_bits;
        uint64_t sectors = (load.range.offset % SECTOR + load.range.len) / SECTOR - 1;
        uint64_t key = (uint64_t)image->number << QCOW2_KEY_IMAGE_BIT |
                       sectors << QCOW2_KEY_OFFSET_BITS | load.range.offset;
        struct block *block;
        int rc;

        if (load.range.offset >= image->file_size)
                return -EIO;
        rc = blockcache_get(image->clusters, key, size, load_cluster, &load, &block);
        if (rc < 0)
                return rc;
        memcpy(buf, (const uint8_t *)block_data(block) + skip, len);
        blockcache_put(image->clusters, block);
        return 0;
}
