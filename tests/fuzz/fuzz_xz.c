/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#ifdef VMAFS_XZ

#include <lzma.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz_codec.h"

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        return fuzz_codec(&xz_codec, data, size);
}

/* Nothing gets past a header whose checksum is wrong: make those of the first two right. */
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed)
{
        size_t len;

        size = LLVMFuzzerMutate(data, size, max_size);
        if (size < 24 || seed % 16 == 0)
                return size;
        memcpy(data,
               "\xfd"
               "7zXZ\0\0",
               7);
        /* A block's check, unless one time in eight, would end it. */
        if (seed % 8 != 1)
                data[7] = 0;
        store_le32(data + 8, lzma_crc32(data + 6, 2, 0));
        len = ((size_t)data[12] + 1) * 4;
        if (12 + len <= size && len >= 8)
                store_le32(data + 12 + len - 4, lzma_crc32(data + 12, len - 4, 0));
        return size;
}

#else

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        (void)data;
        (void)size;
        return 0;
}

#endif
