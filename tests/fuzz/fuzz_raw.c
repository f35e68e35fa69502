/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a disk as it is, plain or compressed; what makes a disk of it is put back.
 *
 *   input   | which mark | how compressed, and where that is cut off | the disk's beginning …
 */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_image.h"

enum { HEAD = 2, CUT = 16, MOST = 68 * 1024 };

/* What file systems, partition tables and boot sectors are known by. */
static const struct mark {
        const void *bytes;
        size_t len, at;
} marks[] = {
    {"\0\0\1\0\x83\0\0\0\1\0\0\0\1\0\0\0", 16, 446}, /* with the mark of a boot sector */
    {"\xeb\x3c\x90", 3, 0},                          /* the same */
    {"EFI PART", 8, 512},
    {"EFI PART", 8, 4096},
    {"XFSB", 4, 0},
    {"NTFS    ", 8, 3},
    {"FAT16", 5, 54},
    {"LABELONE", 8, 512},
    {"\x53\xef", 2, 1080},
    {"_BHRfS_M", 8, 65600},
    {"NXSB", 4, 32},
    {NULL, 0, 0},
};

static void check_compressed(const uint8_t *disk, size_t len, unsigned cut)
{
        size_t room = ZSTD_compressBound(len), n;
        uint8_t *packed = malloc(room);

        fuzz_require(packed != NULL);
        n = ZSTD_compress(packed, room, disk, len, 1);
        fuzz_require(!ZSTD_isError(n));
        n -= n * cut / CUT / 2;
        check_parts(&(struct image_part){packed, n, 0}, 1);
        free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct mark *m;
        uint8_t *disk;
        size_t len;

        if (size <= HEAD || size - HEAD > MOST)
                return 0;
        m = &marks[data[0] % (sizeof marks / sizeof *marks)];
        len = size - HEAD < m->at + m->len ? m->at + m->len : size - HEAD;
        len = len < 512 ? 512 : len;
        disk = calloc(1, len);
        fuzz_require(disk != NULL);
        memcpy(disk, data + HEAD, size - HEAD);
        if (m->len)
                memcpy(disk + m->at, m->bytes, m->len);
        if (m <= &marks[1])
                memcpy(disk + 510, "\x55\xaa", 2);
        if (data[1] & 1)
                check_compressed(disk, len, data[1] / 2 % CUT);
        else
                check_parts(&(struct image_part){disk, len, 0}, 1);
        free(disk);
        return 0;
}
