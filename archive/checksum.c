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
