/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a QED image; one whose magic number was lost is given it back. */
#include <string.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { HEADER = 64, CLUSTER = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_image(data, size, "QED");
        return 0;
}

/* Now and then a number that means something: in the header of 32 bits, in a table of 64. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        static const uint64_t numbers[] = {0,
                                           1,
                                           2,
                                           4,
                                           7,
                                           16,
                                           0x1000,
                                           0x10000,
                                           1 << 26,
                                           UINT32_MAX,
                                           UINT64_C(1) << 47,
                                           UINT64_MAX,
                                           UINT64_MAX - CLUSTER + 1};
        uint64_t v = numbers[seed / 16 % (sizeof numbers / sizeof *numbers)];
        size_t at = size >= 16 ? seed / 4096 % (size / 8 - 1) * 8 : 0;

        if (seed % 8 || size < HEADER)
                return LLVMFuzzerMutate(data, size, max_size);
        if (seed / 8 % 2) {
                store_le32(data + at / 2 % HEADER / 4 * 4, (uint32_t)v);
                return size;
        }
        store_le64(data + at, seed / 256 % 4 ? v : seed / 4096 % 16 * CLUSTER);
        return size;
}
