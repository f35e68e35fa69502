/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what of a VHDX has no checksum, and as its log, whose checksums are made right.
 *
 *   64: the table's beginning | 256: the metadata's table | 256: the metadata | the log
 */
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/vhdx_writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { TABLE = 64, ITEMS = 256, ITEM_BYTES = 64 << 10, HEAD = TABLE + 2 * ITEMS };

/* The sums of entries that lie in the LEN bytes of a log at P, from each of its sectors on. */
static void make_sums(uint8_t *p, size_t len)
{
        for (size_t at = 0; at + VHDX_LOG_SECTOR <= len; at += VHDX_LOG_SECTOR) {
                uint32_t n = load_le32(p + at + 8);

                if (memcmp(p + at, "loge", 4) == 0 && n >= 64 && n <= len - at)
                        vhdx_sum(p + at, n);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t disk[2 * VHDX_MIB], log[64 << 10];
        static struct bytes image;
        struct image_part parts[5];
        size_t log_len;

        if (!image.data) {
                memset(disk, 7, sizeof disk);
                image = vhdx_write((struct bytes){disk, sizeof disk}, &(struct vhdx_wish){0});
                vhdx_use_log(image);
        }
        if (size < HEAD)
                return 0;
        log_len = (size_t)min_u64(size - HEAD, sizeof log);
        memcpy(log, data + HEAD, log_len);
        make_sums(log, log_len);
        parts[0] = (struct image_part){image.data, image.len, 0};
        parts[1] = (struct image_part){data, TABLE, VHDX_TABLE};
        parts[2] = (struct image_part){data + TABLE, ITEMS, VHDX_METADATA};
        parts[3] = (struct image_part){data + TABLE + ITEMS, ITEMS, VHDX_METADATA + ITEM_BYTES};
        parts[4] = (struct image_part){log, log_len, VHDX_LOG};
        check_parts(parts, 5);
        return 0;
}
