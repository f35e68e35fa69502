/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vhdx/vhdx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        HEADER = 4096,
        HEADER_1 = 64 << 10,
        HEADER_2 = 128 << 10,
        REGIONS = 64 << 10,
        REGIONS_1 = 192 << 10,
        REGIONS_2 = 256 << 10,
        REGION = 32, /* bytes of an entry, after 16 of the table's own */
        REGIONS_MAX = 2047,

        AT_SUM = 4, /* in a header, and in a table of regions */
        AT_SEQUENCE = 8,
        AT_DATA_GUID = 32,
        AT_LOG_GUID = 48,
        AT_LOG_VERSION = 64,
        AT_VERSION = 66,
        AT_LOG_LEN = 68,
        AT_LOG = 72,

        STATE = 7, /* mask of an entry */
        NOT_PRESENT = 0,
        UNDEFINED = 1,
        ZERO = 2,
        UNMAPPED = 3,
        OLD_UNMAPPED = 5, /* of a draft */
        PRESENT = 6,
        PARTLY = 7,
};

#define OFFSET_MASK (~(uint64_t)(VHDX_UNIT - 1))

static const uint8_t guid_table[VHDX_GUID] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                              0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
static const uint8_t guid_metadata[VHDX_GUID] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                                 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};

static bool vhdx_probe(struct probe *p)
{
        return probe_has(p, 0, "vhdxfile", 8);
}

bool vhdx_has_sum(uint8_t *p, size_t len, size_t at)
{
        uint32_t stored = load_le32(p + at);
        bool same;

        store_le32(p + at, 0);
        same = checksum_crc32c(p, len) == stored;
        store_le32(p + at, stored);
        return same;
}

void vhdx_format_guid(const uint8_t *g, char out[37])
{
        snprintf(out, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", load_le32(g),
                 load_le16(g + 4), load_le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14],
                 g[15]);
}

/* ---- headers ---- */

/* The LEN bytes at AT with MAGIC and a right sum. 1, 0: they are damaged, -errno. */
static int read_copy(const struct blocks_layer *l, uint8_t *p, size_t len, uint64_t at,
                     const char *magic, const char *what, struct error *err)
{
        int rc = source_fetch(l->source, p, len, at, what, err);

        if (rc < 0)
                return rc;
        return memcmp(p, magic, 4) == 0 && vhdx_has_sum(p, len, AT_SUM);
}

/* The header that counts, of the two. */
static int read_headers(struct blocks_layer *l, uint8_t out[HEADER], struct error *err)
{
        uint8_t other[HEADER];
        int first = read_copy(l, out, HEADER, HEADER_1, "head", "the first header", err), second;

        if (first < 0)
                return first;
        second = read_copy(l, other, HEADER, HEADER_2, "head", "the second header", err);
        if (second < 0)
                return second;
        if (!first && !second)
                return error_set_at(err, EIO, HEADER_1,
                                    "has no header whose checksum is right: both are damaged");
        if (!first || !second)
                blocks_fault(l, "one of the two headers is damaged", first ? HEADER_2 : HEADER_1);
        if (first && second && load_le64(out + AT_SEQUENCE) == load_le64(other + AT_SEQUENCE) &&
            memcmp(out + AT_SEQUENCE, other + AT_SEQUENCE, HEADER - AT_SEQUENCE) != 0)
                return error_set_at(err, EIO, HEADER_2,
                                    "has two headers that contradict each other");
        if (!first || (second && load_le64(other + AT_SEQUENCE) > load_le64(out + AT_SEQUENCE)))
                memcpy(out, other, HEADER);
        return 0;
}

static int take_header(struct blocks_layer *l, struct vhdx *v, struct error *err)
{
        uint8_t h[HEADER];
        int rc = read_headers(l, h, err);

        if (rc < 0)
                return rc;
        if (load_le16(h + AT_VERSION) != 1)
                return error_set_at(err, ENOTSUP, HEADER_1 + AT_VERSION,
                                    "is VHDX version %u; vmafs reads version 1",
                                    load_le16(h + AT_VERSION));
        memcpy(v->data_guid, h + AT_DATA_GUID, VHDX_GUID);
        memcpy(v->log_guid, h + AT_LOG_GUID, VHDX_GUID);
        v->log = (struct vhdx_region){load_le64(h + AT_LOG), load_le32(h + AT_LOG_LEN)};
        if (v->log.offset % VHDX_UNIT || v->log.len % VHDX_UNIT ||
            (v->log.len && v->log.offset < VHDX_UNIT) || v->log.offset > BLOCKS_FILE_MAX)
                return error_set_at(err, EIO, HEADER_1 + AT_LOG,
                                    "has a log of %" PRIu64 " bytes at byte %" PRIu64
                                    ", where none can be",
                                    v->log.len, v->log.offset);
        return 0;
}

/* ---- regions ---- */

static int take_region(struct blocks_layer *l, struct vhdx *v, const uint8_t *p, uint64_t at,
                       struct error *err)
{
        struct vhdx_region r = {load_le64(p + 16), load_le32(p + 24)};
        struct vhdx_region *known = NULL;
        char guid[37];

        if (memcmp(p, guid_table, VHDX_GUID) == 0)
                known = &v->table;
        else if (memcmp(p, guid_metadata, VHDX_GUID) == 0)
                known = &v->metadata;
        if (!known && load_le32(p + 28) & 1) {
                vhdx_format_guid(p, guid);
                return error_set_at(err, ENOTSUP, at,
                                    "has a region that vmafs does not know, and is required: %s",
                                    guid);
        }
        if (r.offset % VHDX_UNIT || r.offset < VHDX_UNIT || r.offset > BLOCKS_FILE_MAX ||
            r.len % VHDX_UNIT || r.len == 0 || (known && known->len))
                return error_set_at(err, EIO, at,
                                    "has a region of %" PRIu64 " bytes at byte %" PRIu64
                                    ", which cannot be",
                                    r.len, r.offset);
        for (unsigned i = 0; i < l->fixed_count; i++)
                if (r.offset < l->fixed[i].end && r.offset + r.len > l->fixed[i].start)
                        return error_set_at(err, EIO, at, "has regions that overlap");
        if (l->fixed_count == BLOCKS_FIXED_MAX)
                return error_set_at(err, ENOTSUP, at, "has more regions than vmafs knows");
        blocks_fix(l, r.offset, r.len);
        if (known)
                *known = r;
        return 0;
}

static int read_regions(struct blocks_layer *l, struct vhdx *v, struct error *err)
{
        cleanup_free uint8_t *first = malloc(REGIONS), *second = malloc(REGIONS);
        const uint8_t *table;
        int ok[2];
        int rc = 0;

        if (!first || !second)
                return error_set(err, ENOMEM, "out of memory");
        ok[0] = read_copy(l, first, REGIONS, REGIONS_1, "regi", "the table of regions", err);
        if (ok[0] < 0)
                return ok[0];
        ok[1] = read_copy(l, second, REGIONS, REGIONS_2, "regi", "the table of regions", err);
        if (ok[1] < 0)
                return ok[1];
        if (!ok[0] && !ok[1])
                return error_set_at(err, EIO, REGIONS_1,
                                    "has no table of regions whose checksum is right");
        if (!ok[0] || !ok[1])
                blocks_fault(l, "one of the two tables of regions is damaged",
                             ok[0] ? REGIONS_2 : REGIONS_1);
        if (ok[0] && ok[1] && memcmp(first, second, REGIONS) != 0)
                return error_set_at(err, EIO, REGIONS_2,
                                    "has two tables of regions that contradict each other");
        table = ok[0] ? first : second;
        if (load_le32(table + 8) > REGIONS_MAX)
                return error_set_at(err, EIO, REGIONS_1 + 8, "has %u regions; 2047 are possible",
                                    load_le32(table + 8));
        for (uint32_t i = 0; i < load_le32(table + 8) && rc == 0; i++)
                rc = take_region(l, v, table + 16 + (size_t)i * REGION,
                                 REGIONS_1 + 16 + (uint64_t)i * REGION, err);
        if (rc == 0 && (!v->table.len || !v->metadata.len))
                rc = error_set_at(err, EIO, REGIONS_1, "lacks the region of its %s",
                                  v->table.len ? "metadata" : "table of blocks");
        return rc;
}

/* ---- all of it ---- */

/* What the log writes to must be tables, or what a block cannot have. */
static int settle_table(struct blocks_layer *l, const struct vhdx *v, struct error *err)
{
        uint64_t blocks;

        if (l->size > BLOCKS_DISK_MAX)
                return error_set(err, EFBIG,
                                 "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                 l->size);
        l->table = v->table.offset;
        l->entry = 8;
        l->group = ((uint64_t)l->bit << 23) / l->block;
        l->group_bytes = VHDX_UNIT;
        l->first_byte = VHDX_UNIT;
        blocks = blocks_count(l);
        if (l->has_parent)
                l->entries = (blocks + l->group - 1) / l->group * (l->group + 1);
        else
                l->entries = blocks + (blocks ? (blocks - 1) / l->group : 0);
        if (l->entries * l->entry > v->table.len)
                return error_set_at(err, EIO, REGIONS_1,
                                    "has a disk of %" PRIu64 " bytes, and a table that is too "
                                    "small for it",
                                    l->size);
        return blocks_check_table(l, err);
}

static int read_header(struct blocks_layer *l, struct error *err)
{
        struct vhdx *v = calloc(1, sizeof *v);
        int rc;

        if (!v)
                return error_set(err, ENOMEM, "out of memory");
        l->own = v;
        blocks_fix(l, 0, VHDX_UNIT);
        rc = take_header(l, v, err);
        if (rc < 0)
                return rc;
        blocks_fix(l, v->log.offset, v->log.len);
        rc = read_regions(l, v, err);
        if (rc == 0)
                rc = vhdx_open_log(l, v, err);
        if (rc < 0)
                return rc;
        l->patched = v->patched;
        if (v->patched)
                snprintf(l->note, sizeof l->note,
                         "it was not closed after writing; its log is replayed in memory");
        rc = vhdx_read_metadata(l, v, err);
        return rc < 0 ? rc : settle_table(l, v, err);
}

static bool is_stray(const struct vhdx *v, uint64_t start, uint64_t end)
{
        for (unsigned i = 0; i < v->stray_count; i++)
                if (start < v->strays[i].end && end > v->strays[i].start)
                        return true;
        return false;
}

static void parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        uint64_t entry = load_le64(p);

        (void)block;
        out->offset = entry & OFFSET_MASK;
        switch (entry & STATE) {
        case NOT_PRESENT:
                out->offset = 0;
                return;
        case UNDEFINED:
        case ZERO:
        case UNMAPPED:
        case OLD_UNMAPPED:
                out->state = BLOCKS_ZERO;
                return;
        case PARTLY:
                out->state = l->has_parent ? BLOCKS_PARTLY : BLOCKS_BAD;
                break;
        case PRESENT:
                out->state = BLOCKS_STORED;
                break;
        default:
                out->state = BLOCKS_BAD;
                break;
        }
        out->why = "an entry of the table has a state that there is not";
        if (out->state != BLOCKS_BAD && is_stray(l->own, out->offset, out->offset + l->block)) {
                out->state = BLOCKS_BAD;
                out->why = "the log, which was not replayed, writes into a block";
        }
        if (out->state == BLOCKS_PARTLY && out->offset == 0) {
                out->state = BLOCKS_BAD;
                out->why = "a block lies on the header or the table";
        }
}

static uint64_t bitmaps(const struct blocks_layer *l, const uint8_t *p)
{
        uint64_t entry = load_le64(p);

        (void)l;
        return (entry & STATE) == PRESENT ? entry & OFFSET_MASK : 0;
}

static int check_parent(const struct blocks_layer *l, const struct blocks_layer *parent,
                        struct error *err)
{
        const struct vhdx *v = l->own, *p = parent->own;

        if (memcmp(v->parent_guid, p->data_guid, VHDX_GUID) != 0)
                return error_set(err, EIO,
                                 "is not as it was when this one was made: it has "
                                 "another GUID for its data");
        return 0;
}

static void fini(struct blocks_layer *l)
{
        struct vhdx *v = l->own;

        if (v)
                source_close(v->patched);
        free(v);
}

static const struct blocks_kind kind = {
    .format = &vhdx_format,
    .read_header = read_header,
    .parse = parse,
    .bitmaps = bitmaps,
    .check_parent = check_parent,
    .fini = fini,
    .low_bit_first = true,
};

static int vhdx_open(struct source *source, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return blocks_open(&kind, source, origin, sink, out, err);
}

const struct format vhdx_format = {
    .name = "vhdx",
    .is_image = true,
    .probe = vhdx_probe,
    .open = vhdx_open,
    .scan = blocks_scan,
    .skip_scan = blocks_skip_scan,
    .check = blocks_check,
    .close = blocks_close,
};
