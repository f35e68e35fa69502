/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a VHD image, whose sums are made right: of the footer, which is its own copy, and of
 * the header after it.
 */
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/vhd_writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { FOOTER_SUM = 64, HEADER_SUM = 36, HEADERS = VHD_FOOTER + VHD_HEADER };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t head[HEADERS];
        struct image_part parts[] = {
            {data, size, 0}, {head, sizeof head, 0}, {head, VHD_FOOTER, size}};

        if (size < HEADERS) {
                check_parts(parts, 1);
                return 0;
        }
        memcpy(head, data, sizeof head);
        /* A byte says what is left as it is. */
        if (data[86] != 1) {
                memcpy(head, "conectix", 8);
                memcpy(head + VHD_FOOTER, "cxsparse", 8);
                vhd_sum(head, VHD_FOOTER, FOOTER_SUM);
                vhd_sum(head + VHD_FOOTER, VHD_HEADER, HEADER_SUM);
        }
        check_parts(parts, data[87] == 1 ? 2 : 3);
        return 0;
}
