/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a VMDK image: what is before the grains, the grains, or a descriptor. */
#include <stdbool.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_archive(data, size);
        return 0;
}

/* Nothing is looked at after a wrong magic number. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        bool text = size > 0 && data[0] == '#';

        size = LLVMFuzzerMutate(data, size, max_size);
        if (size >= 4 && seed % 16 && !text)
                memcpy(data, "KDMV", 4);
        return size;
}
