/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

enum {
        AT_VERSION = 4,
        AT_FLAGS = 8,
        AT_CAPACITY = 12,
        AT_GRAIN = 20,
        AT_DESCRIPTOR = 28,
        AT_DESCRIPTOR_LEN = 36,
        AT_TABLE = 44,
        AT_RGD = 48,
        AT_GD = 56,
        AT_OVERHEAD = 64,
        AT_NEWLINES = 73,
        AT_COMPRESSION = 77,

        FLAG_NEWLINES = 1 << 0,
        FLAG_REDUNDANT = 1 << 1,
        FLAG_ZEROED = 1 << 2,
        FLAG_COMPRESSED = 1 << 16,
        FLAG_MARKERS = 1 << 17,

        COMPRESSION_NONE = 0,
        COMPRESSION_DEFLATE = 1,

        TABLE_MAX = 512,
        TABLES_MAX = 1 << 25, /* 1 PiB of the usual ones */
};

static int check_kind(const unsigned char *sector, uint32_t flags, struct error *err)
{
        uint32_t version = load_le32(sector + AT_VERSION);
        uint16_t compression = load_le16(sector + AT_COMPRESSION);

        if (version < 1 || version > 3)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is VMDK version %u; vmafs reads versions 1 to 3", version);
        if ((flags & FLAG_NEWLINES) && memcmp(sector + AT_NEWLINES, "\n \r\n", 4) != 0)
                return error_set_at(err, EIO, AT_NEWLINES,
                                    "was damaged by a transfer as text: its line ends are changed");
        if (compression != COMPRESSION_NONE && compression != COMPRESSION_DEFLATE)
                return error_set_at(err, ENOTSUP, AT_COMPRESSION,
                                    "is compressed by method %u; vmafs reads deflate", compression);
        if (!(flags & FLAG_COMPRESSED) != (compression == COMPRESSION_NONE))
                return error_set_at(err, EIO, AT_COMPRESSION,
                                    "has a damaged VMDK header: it contradicts itself on whether "
                                    "grains are compressed");
        return 0;
}

static int check_sizes(const unsigned char *sector, struct error *err)
{
        uint64_t capacity = load_le64(sector + AT_CAPACITY);
        uint64_t grain = load_le64(sector + AT_GRAIN);
        uint32_t table = load_le32(sector + AT_TABLE);
        uint64_t tables;

        if (capacity > VMDK_SIZE_MAX / VMDK_SECTOR)
                return error_set_at(err, EFBIG, AT_CAPACITY,
                                    "claims a disk of %" PRIu64 " sectors; vmafs reads up to 1 PiB",
                                    capacity);
        if (grain < VMDK_GRAIN_MIN / VMDK_SECTOR || grain > VMDK_GRAIN_MAX / VMDK_SECTOR ||
            (grain & (grain - 1)))
                return error_set_at(err, ENOTSUP, AT_GRAIN,
                                    "has grains of %" PRIu64
                                    " sectors; vmafs reads powers of 2 from 8 to 2048",
                                    grain);
        if (table < 1 || table > TABLE_MAX)
                return error_set_at(err, ENOTSUP, AT_TABLE,
                                    "has grain tables of %u entries; vmafs reads up to %d", table,
                                    TABLE_MAX);
        tables = capacity / (table * grain) + (capacity % (table * grain) != 0);
        if (tables > TABLES_MAX)
                return error_set_at(err, EFBIG, AT_CAPACITY,
                                    "has %" PRIu64 " grain tables; vmafs reads up to %d", tables,
                                    TABLES_MAX);
        return 0;
}

/* SECTORS in bytes; what is too large for that is past the end of any file. */
static uint64_t to_bytes(uint64_t sectors)
{
        uint64_t bytes = VMDK_AT_END;

        checked_mul(sectors, VMDK_SECTOR, &bytes);
        return bytes;
}

int vmdk_parse_header(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                      struct error *err)
{
        uint32_t flags = load_le32(sector + AT_FLAGS);
        int rc;

        if (memcmp(sector, "KDMV", 4) != 0)
                return error_set_at(err, EIO, 0, "has no VMDK header");
        rc = check_kind(sector, flags, err);
        if (rc == 0)
                rc = check_sizes(sector, err);
        if (rc < 0)
                return rc;
        *h = (struct vmdk_header){
            .capacity = load_le64(sector + AT_CAPACITY) * VMDK_SECTOR,
            .grain = (uint32_t)load_le64(sector + AT_GRAIN) * VMDK_SECTOR,
            .table = load_le32(sector + AT_TABLE),
            .entry = VMDK_ENTRY,
            .gd = to_bytes(load_le64(sector + AT_GD)),
            .rgd = flags & FLAG_REDUNDANT ? to_bytes(load_le64(sector + AT_RGD)) : 0,
            .overhead = to_bytes(load_le64(sector + AT_OVERHEAD)),
            .descriptor = to_bytes(load_le64(sector + AT_DESCRIPTOR)),
            .descriptor_len = to_bytes(load_le64(sector + AT_DESCRIPTOR_LEN)),
            .compressed = flags & FLAG_COMPRESSED,
            .markers = flags & FLAG_MARKERS,
            .zeroed = flags & FLAG_ZEROED,
        };
        if (h->compressed && !h->markers)
                return error_set_at(err, ENOTSUP, AT_FLAGS,
                                    "has compressed grains without markers, which vmafs does not "
                                    "read");
        return 0;
}

int vmdk_read_header(struct source *source, struct vmdk_header *h, struct error *err)
{
        unsigned char sector[VMDK_SECTOR];
        int rc = source_fetch(source, sector, sizeof sector, 0, "the VMDK header", err);

        if (rc < 0)
                return rc;
        if (memcmp(sector, "COWD", 4) == 0)
                return vmdk_parse_cowd(sector, h, err);
        if (vmdk_is_sesparse(sector, sizeof sector))
                return vmdk_read_sesparse(source, sector, h, err);
        return vmdk_parse_header(sector, h, err);
}
