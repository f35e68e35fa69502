/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed clusters of qcow2: where they are, and what is in them. An entry of an L2 table gives
 * the first byte and how many 512-byte sectors the bytes touch; what follows the compressed data in
 * the last sector belongs to the next cluster.
 */
#include "archive/qcow2/qcow2_cluster.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/zlib_block.h"

enum {
        SECTOR = 512,
        WINDOW_BITS = 12, /* raw deflate with a history of 4 KiB */
        IDLE_MAX = 16,
};

static struct qcow2_range range_of_sectors(const struct qcow2_image *image, uint64_t entry)
{
        unsigned offset_bits = 62 - (image->cluster_bits - 8);
        uint64_t offset = entry & ((UINT64_C(1) << offset_bits) - 1);
        uint64_t sectors = (entry & ((UINT64_C(1) << 62) - 1)) >> offset_bits;

        return (struct qcow2_range){offset, (sectors + 1) * SECTOR - offset % SECTOR};
}

/* Version 1 has the length in bytes. */
static struct qcow2_range qcow_range(const struct qcow2_image *image, uint64_t entry)
{
        unsigned offset_bits = 63 - image->cluster_bits;
        uint64_t len = entry >> offset_bits & (qcow2_cluster_size(image) - 1);

        return (struct qcow2_range){entry & ((UINT64_C(1) << offset_bits) - 1), len};
}

struct qcow2_range qcow2_compressed_range(const struct qcow2_image *image, uint64_t entry)
{
        if (image->is_qcow)
                return qcow_range(image, entry);
        return range_of_sectors(image, entry);
}

/* ---- decoders ---- */

/* Contexts of zstd that nobody uses now: to make one takes longer than to decode a small cluster.
 */
struct qcow2_decoders {
        _Atomic(ZSTD_DCtx *) idle[IDLE_MAX];
};

int qcow2_decoders_new(struct qcow2_decoders **out)
{
        *out = calloc(1, sizeof **out);
        return *out ? 0 : -ENOMEM;
}

void qcow2_decoders_free(struct qcow2_decoders *d)
{
        for (size_t i = 0; d && i < IDLE_MAX; i++)
                ZSTD_freeDCtx(d->idle[i]);
        free(d);
}

static ZSTD_DCtx *take_decoder(struct qcow2_decoders *d)
{
        for (size_t i = 0; i < IDLE_MAX; i++) {
                ZSTD_DCtx *decoder = atomic_exchange(&d->idle[i], NULL);

                if (decoder)
                        return decoder;
        }
        return ZSTD_createDCtx();
}

static void put_decoder(struct qcow2_decoders *d, ZSTD_DCtx *decoder)
{
        for (size_t i = 0; i < IDLE_MAX; i++) {
                ZSTD_DCtx *none = NULL;

                if (atomic_compare_exchange_strong(&d->idle[i], &none, decoder))
                        return;
        }
        ZSTD_freeDCtx(decoder);
}

static int zstd_cluster(const struct qcow2_image *image, const uint8_t *in, size_t in_len,
                        void *out, size_t len)
{
        size_t frame = ZSTD_findFrameCompressedSize(in, in_len), got;
        ZSTD_DCtx *decoder;

        if (ZSTD_isError(frame))
                return -EIO;
        decoder = take_decoder(image->decoders);
        if (!decoder)
                return -ENOMEM;
        /* In one call, so that no window is allocated, however large the frame wants it. */
        got = ZSTD_decompressDCtx(decoder, out, len, in, frame);
        put_decoder(image->decoders, decoder);
        return got == len ? 0 : -EIO;
}

/* ---- clusters ---- */

struct load {
        const struct qcow2_image *image;
        struct qcow2_range range;
};

static int load_cluster(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct load *load = ctx;
        /* The file may end with the compressed data, before the sector's end. */
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
                return zstd_cluster(load->image, in, (size_t)n, buf, len);
        return deflate_block(in, (size_t)n, WINDOW_BITS, buf, len);
}

int qcow2_read_compressed(const struct qcow2_image *image, uint64_t entry, uint64_t skip, void *buf,
                          size_t len)
{
        struct load load = {image, qcow2_compressed_range(image, entry)};
        size_t size = (size_t)1 << image->cluster_bits;
        /* What an entry of version 1 names is told apart by where it begins: it ends by itself. */
        uint64_t sectors =
            image->is_qcow ? 0 : (load.range.offset % SECTOR + load.range.len) / SECTOR - 1;
        uint64_t key = (uint64_t)image->number << QCOW2_KEY_IMAGE_BIT |
                       sectors << QCOW2_KEY_OFFSET_BITS | load.range.offset;
        struct block *block;
        int rc;

        if (load.range.offset >= image->file_size)
                return -EIO;
        if (image->is_qcow)
                load.range.len = size;
        /* A reader that has read all of it continues after it, and does not come back. */
        if (len == size)
                return load_cluster(&load, key, buf, len);
        rc = blockcache_get(image->clusters, key, size, load_cluster, &load, &block);
        if (rc < 0)
                return rc;
        memcpy(buf, (const uint8_t *)block_data(block) + skip, len);
        blockcache_put(image->clusters, block);
        return 0;
}
