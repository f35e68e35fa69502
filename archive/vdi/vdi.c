/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI, the disk images of VirtualBox. Little-endian.
 *
 *   header, 512 bytes | block map, 32 bits an entry | blocks of 1 MiB, side by side
 *
 * The header counts the blocks that are there. A snapshot names its parent by a UUID alone, which
 * only the machine's registry leads to a file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        HEADER = 0x1c8,

        AT_SIGNATURE = 0x40,
        AT_VERSION = 0x44,
        AT_TYPE = 0x4c,
        AT_MAP = 0x154,
        AT_DATA = 0x158,
        AT_SECTOR = 0x168,
        AT_SIZE = 0x170,
        AT_BLOCK = 0x178,
        AT_EXTRA = 0x17c,
        AT_BLOCKS = 0x180,
        AT_ALLOCATED = 0x184,
        AT_UUID = 0x188,
        AT_LINK = 0x1a8,
        AT_PARENT = 0x1b8,
        UUID = 16,

        VERSION = 0x00010001,
        TYPE_DYNAMIC = 1,
        TYPE_FIXED = 2,
        TYPE_DIFFERENCING = 4,

        BLOCK_MIN = 4096,
        BLOCK_MAX = 1 << 28,
};

#define ENTRY_FREE  UINT32_C(0xffffffff)
#define ENTRY_ZEROS UINT32_C(0xfffffffe)

static bool vdi_probe(struct probe *p)
{
        return probe_has(p, AT_SIGNATURE, "\x7f\x10\xda\xbe", 4);
}

static void format_uuid(const uint8_t *u, char out[37])
{
        snprintf(out, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", load_le32(u),
                 load_le16(u + 4), load_le16(u + 6), u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                 u[15]);
}

static int check_kind(const uint8_t *h, struct error *err)
{
        static const uint8_t none[UUID];
        uint32_t version = load_le32(h + AT_VERSION), type = load_le32(h + AT_TYPE);
        char parent[37];

        if (version != VERSION)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is VDI version %u.%u; vmafs reads version 1.1", version >> 16,
                                    version & 0xffff);
        if (type == TYPE_DIFFERENCING || memcmp(h + AT_LINK, none, UUID) != 0 ||
            memcmp(h + AT_PARENT, none, UUID) != 0) {
                format_uuid(h + AT_LINK, parent);
                return error_set_at(err, ENOTSUP, AT_TYPE,
                                    "is a snapshot of the VDI with the UUID %s, whose file it does "
                                    "not name; VBoxManage clonemedium makes one image of both",
                                    parent);
        }
        if (type != TYPE_DYNAMIC && type != TYPE_FIXED)
                return error_set_at(err, ENOTSUP, AT_TYPE, "is a VDI of the unknown type %u", type);
        if (load_le32(h + AT_SECTOR) != BLOCKS_SECTOR)
                return error_set_at(err, ENOTSUP, AT_SECTOR,
                                    "has sectors of %u bytes; vmafs reads a VDI with 512",
                                    load_le32(h + AT_SECTOR));
        return 0;
}

static int check_sizes(const uint8_t *h, struct error *err)
{
        uint32_t block = load_le32(h + AT_BLOCK), extra = load_le32(h + AT_EXTRA);
        uint64_t blocks = load_le32(h + AT_BLOCKS), size = load_le64(h + AT_SIZE);
        uint64_t map = load_le32(h + AT_MAP), data = load_le32(h + AT_DATA);

        if (block < BLOCK_MIN || block > BLOCK_MAX || (block & (block - 1)))
                return error_set_at(err, EIO, AT_BLOCK,
                                    "has blocks of %u bytes; powers of 2 from 4 KiB to 256 MiB are "
                                    "possible",
                                    block);
        if (extra % BLOCKS_SECTOR || extra > block)
                return error_set_at(err, EIO, AT_EXTRA, "has %u more bytes for each block", extra);
        if (size > blocks * block || (size + block - 1) / block + 1 < blocks)
                return error_set_at(err, EIO, AT_SIZE,
                                    "has a disk of %" PRIu64 " bytes and %" PRIu64
                                    " blocks of %u: one of them is damaged",
                                    size, blocks, block);
        if (load_le32(h + AT_ALLOCATED) > blocks)
                return error_set_at(err, EIO, AT_ALLOCATED,
                                    "has more blocks in use (%u) than there are",
                                    load_le32(h + AT_ALLOCATED));
        if (map < HEADER || map % BLOCKS_SECTOR || data % BLOCKS_SECTOR || map > data ||
            blocks * 4 > data - map)
                return error_set_at(err, EIO, AT_MAP,
                                    "has its block map at byte %" PRIu64
                                    " and its data at byte %" PRIu64 ", which cannot be",
                                    map, data);
        return 0;
}

static int read_header(struct blocks_layer *l, struct error *err)
{
        uint8_t h[HEADER];
        int rc = source_fetch(l->source, h, sizeof h, 0, "the header", err);

        if (rc == 0)
                rc = check_kind(h, err);
        if (rc == 0)
                rc = check_sizes(h, err);
        if (rc < 0)
                return rc;
        l->size = load_le64(h + AT_SIZE);
        l->block = load_le32(h + AT_BLOCK);
        l->before = load_le32(h + AT_EXTRA);
        l->table = load_le32(h + AT_MAP);
        l->entry = 4;
        l->complete = load_le32(h + AT_TYPE) == TYPE_FIXED;
        l->first_byte = load_le32(h + AT_DATA);
        l->dense_end = l->first_byte + load_le32(h + AT_ALLOCATED) * (l->block + l->before);
        format_uuid(h + AT_UUID, l->uuid);
        return blocks_check_table(l, err);
}

static void parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        uint32_t entry = load_le32(p);

        (void)block;
        if (entry == ENTRY_FREE)
                return;
        out->state = entry == ENTRY_ZEROS ? BLOCKS_ZERO : BLOCKS_STORED;
        if (out->state == BLOCKS_STORED)
                out->offset = l->first_byte + entry * (l->block + l->before) + l->before;
}

static const struct blocks_kind kind = {
    .format = &vdi_format,
    .read_header = read_header,
    .parse = parse,
    .names_holes = true,
};

static int vdi_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return blocks_open(&kind, source, origin, sink, out, err);
}

const struct format vdi_format = {
    .name = "vdi",
    .is_image = true,
    .probe = vdi_probe,
    .open = vdi_open,
    .scan = blocks_scan,
    .skip_scan = blocks_skip_scan,
    .check = blocks_check,
    .close = blocks_close,
};
