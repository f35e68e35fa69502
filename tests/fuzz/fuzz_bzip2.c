/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
#ifdef VMAFS_BZIP2
        return fuzz_codec(&bzip2_codec, data, size);
#else
        (void)data;
        (void)size;
        return 0;
#endif
}
