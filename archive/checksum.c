/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/checksum.h"

#ifdef VMAFS_ISAL

#include <isa-l.h>

uint32_t checksum_adler32(const void *data, size_t len)
{
        return isal_adler32(1, data, len);
}

uint32_t checksum_crc32(const void *data, size_t len)
{
        return crc32_gzip_refl(0, data, len);
}

#else

#include <zlib.h>

uint32_t checksum_adler32(const void *data, size_t len)
{
        return (uint32_t)adler32_z(1, data, len);
}

uint32_t checksum_crc32(const void *data, size_t len)
{
        return (uint32_t)crc32_z(0, data, len);
}

#endif

/* Only headers and logs have it, so half a byte at a time is fast enough. */
uint32_t checksum_crc32c(const void *data, size_t len)
{
        static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                           0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                           0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                           0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
        const uint8_t *p = data;
        uint32_t crc = UINT32_MAX;

        for (size_t i = 0; i < len; i++) {
                crc ^= p[i];
                crc = crc >> 4 ^ table[crc & 15];
                crc = crc >> 4 ^ table[crc & 15];
        }
        return ~crc;
}
