/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        return fuzz_codec(&gzip_codec, data, size);
}
