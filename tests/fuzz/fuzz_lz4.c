/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#ifdef VMAFS_LZ4

#include <xxhash.h>

#include "tests/fuzz/fuzz_codec.h"

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        return fuzz_codec(&lz4_codec, data, size);
}

/* Nothing gets past a header whose checksum is wrong: make it right. */
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed)
{
        size_t len;

        size = LLVMFuzzerMutate(data, size, max_size);
        if (size < 24 || seed % 8 == 0)
                return size;
        memcpy(data, "\x04\x22\x4d\x18", 4);
        data[4] = (unsigned char)(0x40 | (data[4] & 0x3c));
        /* Block checksums, unless one time in eight, would end it at the first block. */
        if (seed % 8 != 1)
                data[4] &= (unsigned char)~0x10u;
        data[5] = (unsigned char)(0x40 | (data[5] & 0x30));
        len = (size_t)2 + (data[4] & 8 ? 8 : 0);
        data[4 + len] = (unsigned char)(XXH32(data + 4, len, 0) >> 8);
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
