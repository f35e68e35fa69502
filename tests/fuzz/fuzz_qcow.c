/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a qcow image of version 1; one whose magic number was lost is given it back. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { MAGIC = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct image_part parts[] = {{data, size, 0}, {"QFI\xfb\0\0\0\1", MAGIC, 0}};

        check_parts(parts, size > MAGIC ? 2 : 1);
        return 0;
}
