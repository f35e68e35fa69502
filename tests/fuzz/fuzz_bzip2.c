/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#ifdef VMAFS_BZIP2

#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        return fuzz_codec(&bzip2_codec, data, size);
}

#else

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        (void)data;
        (void)size;
        return 0;
}

#endif
