/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a VDI image; one whose signature was lost is given it back. */
#include <string.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { HEADER = 0x1c8, SIGNATURE = 0x40, MAP = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct image_part parts[] = {{data, size, 0},
                                           {"\x7f\x10\xda\xbe\x01\x00\x01\x00", 8, SIGNATURE}};

        check_parts(parts, size > SIGNATURE + 8 ? 2 : 1);
        return 0;
}

/* Now and then a number that means something, in the header's numbers or in the table. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        static const uint32_t numbers[] = {
            0,    1,       2,        4,          15,         16,         512,       1024,
            4096, 1 << 20, 1U << 31, 0x3ffffe00, 0xfffffffd, 0xfffffffe, 0xffffffff};
        uint32_t v = numbers[seed / 16 % (sizeof numbers / sizeof *numbers)];

        if (seed % 4 || size < MAP + 64)
                return LLVMFuzzerMutate(data, size, max_size);
        if (seed / 4 % 2)
                store_le32(data + 0x154 + seed / 4096 % 13 * 4, v);
        else
                store_le32(data + MAP + seed / 4096 % 16 * 4, v);
        return size;
}
