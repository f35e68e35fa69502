/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The expandable images of Parallels. Little-endian.
 *
 *   header, 64 bytes | table, 32 bits an entry | blocks, of so many sectors as the header says
 *
 * An entry of 0 is a hole. In the older kind entries count sectors, in the newer one blocks.
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
        HEADER = 64,
        MAGIC = 16,

        AT_VERSION = 16,
        AT_TRACK = 28, /* sectors of a block */
        AT_ENTRIES = 32,
        AT_SECTORS = 36,
        AT_IN_USE = 44,
        AT_DATA = 48, /* sectors; 0: after the table */
        AT_EXTENSION = 56,

        VERSION = 2,
        TRACK_MIN = 8,
        TRACK_MAX = 1 << 19, /* 256 MiB */
};

#define IN_USE UINT32_C(0x746f6e59)

static const char old_magic[] = "WithoutFreeSpace", new_magic[] = "WithouFreSpacExt";

/* What an entry counts, for parse: one of these is a layer's own. */
static const uint64_t in_sectors, in_blocks;

static bool parallels_probe(struct probe *p)
{
        return probe_has(p, 0, old_magic, MAGIC) || probe_has(p, 0, new_magic, MAGIC);
}

static int check(const uint8_t *h, uint64_t sectors, struct error *err)
{
        uint32_t version = load_le32(h + AT_VERSION), track = load_le32(h + AT_TRACK);
        uint32_t entries = load_le32(h + AT_ENTRIES);

        if (version != VERSION)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is version %u of a Parallels image; vmafs reads version 2",
                                    version);
        if (track < TRACK_MIN || track > TRACK_MAX)
                return error_set_at(err, ENOTSUP, AT_TRACK,
                                    "has blocks of %u sectors; vmafs reads 8 to 524288", track);
        if (sectors > (uint64_t)entries * track)
                return error_set_at(err, EIO, AT_SECTORS,
                                    "has a disk of %" PRIu64 " sectors and a table for %" PRIu64,
                                    sectors, (uint64_t)entries * track);
        return 0;
}

static int read_header(struct blocks_layer *l, struct error *err)
{
        uint8_t h[HEADER];
        uint64_t sectors, data, table_end;
        int rc = source_fetch(l->source, h, sizeof h, 0, "the header", err);

        if (rc < 0)
                return rc;
        l->own = (void *)(memcmp(h, new_magic, MAGIC) == 0 ? &in_blocks : &in_sectors);
        sectors = load_le64(h + AT_SECTORS);
        if (l->own == &in_sectors)
                sectors &= UINT32_MAX;
        rc = check(h, sectors, err);
        if (rc < 0)
                return rc;
        l->size = sectors * BLOCKS_SECTOR;
        l->block = (uint64_t)load_le32(h + AT_TRACK) * BLOCKS_SECTOR;
        l->table = HEADER;
        l->entry = 4;
        l->entries = load_le32(h + AT_ENTRIES);
        table_end = round_up(HEADER + l->entries * l->entry, BLOCKS_SECTOR);
        data = (uint64_t)load_le32(h + AT_DATA) * BLOCKS_SECTOR;
        if (data && data < table_end)
                return error_set_at(err, EIO, AT_DATA, "has data that begin in its table");
        l->first_byte = data ? data : table_end;
        if (l->own == &in_blocks && load_le64(h + AT_EXTENSION) < BLOCKS_FILE_MAX / BLOCKS_SECTOR)
                blocks_fix(l, load_le64(h + AT_EXTENSION) * BLOCKS_SECTOR,
                           load_le64(h + AT_EXTENSION) ? l->block : 0);
        if (load_le32(h + AT_IN_USE) == IN_USE)
                snprintf(l->note, sizeof l->note,
                         "it was not closed after writing, which does not hinder reading");
        return blocks_check_table(l, err);
}

static void parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        uint64_t unit = l->own == &in_blocks ? l->block : BLOCKS_SECTOR;

        (void)block;
        if (load_le32(p) == 0)
                return;
        out->state = BLOCKS_STORED;
        out->offset = load_le32(p) * unit;
}

static const struct blocks_kind kind = {
    .format = &parallels_format,
    .read_header = read_header,
    .parse = parse,
};

static int parallels_open(struct source *source, const struct archive_origin *origin,
                          const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return blocks_open(&kind, source, origin, sink, out, err);
}

const struct format parallels_format = {
    .name = "hdd", /* as the files are called: a stored index has room for 8 bytes */
    .is_image = true,
    .probe = parallels_probe,
    .open = parallels_open,
    .scan = blocks_scan,
    .skip_scan = blocks_skip_scan,
    .check = blocks_check,
    .close = blocks_close,
};
