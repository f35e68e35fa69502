/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a qcow2 image; one whose magic number was lost is given it back. */
#include <string.h>

#include "archive/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { HEADER = 104 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_image(data, size, "QFI\xfb");
        return 0;
}

/* Now and then one of the numbers that a header, a table or an entry is made of. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        static const uint64_t numbers[] = {0,
                                           1,
                                           2,
                                           3,
                                           0x1000,
                                           0x10000,
                                           0x20000,
                                           1 << 9,
                                           UINT64_C(1) << 62,
                                           UINT64_C(1) << 63,
                                           UINT64_C(1) << 47,
                                           UINT64_MAX,
                                           0xffffffff00000001};
        uint64_t v = numbers[seed / 8 % (sizeof numbers / sizeof *numbers)];
        size_t at = size >= 16 ? seed / 1024 % (size / 8 - 1) * 8 : 0;

        if (seed % 8 || size < HEADER)
                return LLVMFuzzerMutate(data, size, max_size);
        if (seed / 128 % 2)
                at %= HEADER;
        v = htobe64(v | (seed / 256 % 4 ? 0 : seed / 1024 % 16 << 9));
        memcpy(data + at, &v, sizeof v);
        return size;
}
