/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the fuzz targets of tars change their input: a header without its sum is none. */
#ifndef VMAFS_TESTS_FUZZ_TAR_H
#define VMAFS_TESTS_FUZZ_TAR_H

#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { BLOCK = 512, SUM = 148, SUM_LEN = 8 };

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

/* Give all that look like headers the right sum. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        size = LLVMFuzzerMutate(data, size, max_size);
        for (size_t at = 0; at + BLOCK <= size && seed % 16; at += BLOCK)
                if (memcmp(data + at + 257, "ustar", 5) == 0)
                        sign(data + at);
        return size;
}

#endif
