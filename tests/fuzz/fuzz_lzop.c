/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <zlib.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
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
