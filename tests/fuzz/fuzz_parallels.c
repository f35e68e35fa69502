/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as an image of Parallels; one whose magic number was lost is given it back. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { MAGIC = 16, VERSION = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint8_t version[] = {VERSION, 0, 0, 0};
        const struct image_part parts[] = {
            {data, size, 0},
            {size && data[0] & 1 ? "WithouFreSpacExt" : "WithoutFreeSpace", MAGIC, 0},
            {version, sizeof version, MAGIC}};

        check_parts(parts, size > MAGIC + sizeof version ? 3 : 1);
        return 0;
}
