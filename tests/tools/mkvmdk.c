/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkvmdk RAW VMDK: a streamOptimized image of RAW, whose size is a multiple of 512 bytes, as VMware
 * writes them, with the directory at the end; its grains stand in reverse order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/vmdk_writer.h"

int main(int argc, char **argv)
{
        static uint8_t grain[VMDK_GRAIN], zeros[VMDK_GRAIN];
        struct bytes raw = argc == 3 ? fixture_file(argv[1]) : (struct bytes){0};
        struct vmdk_image v;
        FILE *out;

        if (!raw.data || raw.len % 512) {
                fprintf(stderr, "usage: mkvmdk RAW VMDK\n");
                return 2;
        }
        v = vmdk_start(true, raw.len);
        for (size_t i = v.count; i-- > 0;) {
                size_t at = i * VMDK_GRAIN, len = raw.len - at;

                len = len < VMDK_GRAIN ? len : VMDK_GRAIN;
                memset(grain, 0, sizeof grain);
                memcpy(grain, raw.data + at, len);
                if (memcmp(grain, zeros, sizeof grain) != 0)
                        vmdk_grain(&v, i, grain);
        }
        vmdk_finish(&v);
        out = fopen(argv[2], "w");
        if (!out || fwrite(v.file.data, 1, v.file.len, out) != v.file.len || fclose(out) != 0) {
                perror(argv[2]);
                return 1;
        }
        vmdk_free(&v);
        free(raw.data);
        return 0;
}
