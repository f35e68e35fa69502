/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <zlib.h>

#include "archive/bytes.h"
#include "archive/workers.h"
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

#define LOOK_AFTER ((size_t)1 << 20) /* nobody looks ahead of less */

static void same(const struct record *a, const struct record *b)
{
        if (a->rc != b->rc || a->err.offset != b->err.offset ||
            strcmp(a->err.text, b->err.text) != 0 || a->output.len != b->output.len ||
            memcmp(a->output.data, b->output.data, a->output.len) != 0 || a->count != b->count)
                abort();
        for (size_t i = 0; i < a->count; i++) {
                const struct restart_point *p = &a->points[i].point, *q = &b->points[i].point;

                if (p->in_bit != q->in_bit || p->out != q->out || p->aux != q->aux)
                        abort();
        }
}

/* A pass that is helped finds what one does that is not. */
static void fuzz_helped(const unsigned char *data, size_t size)
{
        static struct workers *workers;
        struct source *in = memory_source(data, size);
        struct record alone, helped;

        if (!workers) {
                struct worker_pool *pool;

                if (worker_pool_new(2, &pool) < 0 || workers_new(pool, &workers) < 0)
                        abort();
                worker_pool_release(pool);
        }
        record_pass(&alone, &lzop_codec, in, FUZZ_SPACING, (size_t)256 << 10, FUZZ_OUTPUT);
        if (alone.output.len >= LOOK_AFTER) {
                record_pass_helped(&helped, &lzop_codec, in, workers, FUZZ_SPACING,
                                   (size_t)256 << 10, FUZZ_OUTPUT);
                same(&alone, &helped);
                record_free(&helped);
        }
        record_free(&alone);
        source_close(in);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        fuzz_helped(data, size);
        return fuzz_codec(&lzop_codec, data, size);
}

/* Nothing gets past a header whose checksum is wrong: make it right, without block checksums. */
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed)
{
        size_t len = 9 + 12 + 12;
        uint32_t sum;

        size = LLVMFuzzerMutate(data, size, max_size);
        if (size < 64 || seed % 16 == 0)
                return size;
        memcpy(data, "\x89LZO\0\r\n\x1a\n\x10\x40\x20\xa0\x09\x40\x01", 16);
        /* Block checksums, unless one time in eight, would end it at the first block. */
        if (seed % 8 != 1)
                data[20] &= (unsigned char)~3u, data[19] &= (unsigned char)~3u;
        if (data[19] & 8)
                len += 4;
        len += 1 + (size_t)data[len];
        if (len + 4 > size)
                return size;
        sum = (uint32_t)(data[19] & 0x10 ? crc32_z(0, data + 9, len - 9)
                                         : adler32_z(1, data + 9, len - 9));
        sum = htobe32(sum);
        memcpy(data + len, &sum, sizeof sum);
        return size;
}
