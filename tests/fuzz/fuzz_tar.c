/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a tar, and as the images that may be in one. */
#include "tests/fuzz/fuzz_tar.h"
#include "tests/fuzz/read_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_archive_as(data, size, VIEW_IMAGES);
        return 0;
}
