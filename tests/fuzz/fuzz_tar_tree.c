/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a tar that is a tree of files. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum { BLOCK = 512, SUM = 148, SUM_LEN = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_archive_as(data, size, VIEW_TREE);
        return 0;
}

static void sign(uint8_t *block)
{
        char digits[SUM_LEN];
        unsigned sum = 0;

        memset(block + SUM, ' ', SUM_LEN);
        for (size_t i = 0; i < BLOCK; i++)
                sum += block[i];
        snprintf(digits, sizeof digits, "%06o", sum & 0777777);
        memcpy(block + SUM, digits, SUM_LEN - 1);
}

/* A header without its sum is none: give all that look like one the right one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        size = LLVMFuzzerMutate(data, size, max_size);
        for (size_t at = 0; at + BLOCK <= size && seed % 16; at += BLOCK)
                if (memcmp(data + at + 257, "ustar", 5) == 0)
                        sign(data + at);
        return size;
}
