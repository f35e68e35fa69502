/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHD, the disk images of Virtual PC, Hyper-V before 2012, Azure and XenServer. Big-endian.
 *
 *   fixed     | the disk as it is                                       | footer |
 *   dynamic   | copy of the footer | header | table | block | block ... | footer |
 *
 *   block     | bitmap: a bit a sector, padded to 512 bytes | data, usually 2 MiB |
 *
 * Of a differencing image a sector whose bit is 0 is the parent's; in a dynamic one the bitmaps say
 * nothing that the data do not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        FOOTER = 512,
        OLD_FOOTER = 511, /* of early versions of Virtual PC */
        HEADER = 1024,
        UUID = 16,

        AT_DATA = 16, /* in the footer */
        AT_CREATOR = 28,
        AT_SIZE = 48,
        AT_CYLINDERS = 56,
        AT_HEADS = 58,
        AT_SECTORS = 59,
        AT_TYPE = 60,
        AT_SUM = 64,
        AT_UUID = 68,

        AT_TABLE = 16, /* in the header */
        AT_VERSION = 24,
        AT_ENTRIES = 28,
        AT_BLOCK = 32,
        AT_HEADER_SUM = 36,
        AT_PARENT_UUID = 40,
        AT_PARENT_NAME = 64,
        PARENT_NAME = 512,
        AT_LOCATORS = 576,
        LOCATORS = 8,
        LOCATOR = 24,
        LOCATOR_LEN = 8, /* in a locator */
        LOCATOR_OFFSET = 16,
        PATH_BYTES_MAX = 4096,

        TYPE_FIXED = 2,
        TYPE_DYNAMIC = 3,
        TYPE_DIFFERENCING = 4,

        VERSION = 0x00010000,
        BLOCK_MIN = 4096,
        BLOCK_MAX = 1 << 28,
};

#define ENTRY_FREE   UINT32_C(0xffffffff)
#define GEOMETRY_MAX (UINT64_C(65535) * 16 * 255) /* sectors: beyond that it says nothing */

#define LOCATOR_RELATIVE UINT32_C(0x57327275) /* "W2ru": a path of Windows, UTF-16 */
#define LOCATOR_ABSOLUTE UINT32_C(0x57326b75) /* "W2ku" */

/* What else is kept of an image. */
struct vhd {
        uint32_t type;
        uint8_t footer[FOOTER];
        uint8_t parent[UUID];
        bool footer_is_copy; /* it is the one at the beginning */
};

/* ---- footers ---- */

static bool vhd_probe(struct probe *p)
{
        const uint8_t *tail;

        if (probe_has(p, 0, "conectix", 8))
                return true;
        tail = probe_tail(p);
        return tail && (memcmp(tail, "conectix", 8) == 0 || memcmp(tail + 1, "conectix", 8) == 0);
}

/* The sum of LEN bytes, but for the four of the sum itself, which are at AT. */
static bool has_sum(const uint8_t *p, size_t len, size_t at)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < len; i++)
                if (i < at || i >= at + 4)
                        sum += p[i];
        return load_be32(p + at) == ~sum;
}

static bool is_footer(const uint8_t *p)
{
        return memcmp(p, "conectix", 8) == 0 && has_sum(p, FOOTER, AT_SUM);
}

/*
 * The footer at the file's end, which is known: *AT is where it begins. An old one has a byte less,
 * which would be a zero. 1, 0: there is none, -errno.
 */
static int read_tail(const struct blocks_layer *l, uint8_t footer[FOOTER], uint64_t *at)
{
        static const size_t lens[] = {FOOTER, OLD_FOOTER};

        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                int rc;

                if (l->file_size < lens[i])
                        return 0;
                *at = l->file_size - lens[i];
                memset(footer, 0, FOOTER);
                rc = source_pread_all(l->source, footer, lens[i], *at);
                if (rc < 0)
                        return rc == -EIO ? 0 : rc;
                if (is_footer(footer))
                        return 1;
        }
        return 0;
}

/* Is the end of L's file known before it is gone through? */
static bool knows_end(const struct blocks_layer *l)
{
        return source_is_file(l->source) && l->source->size != SOURCE_SIZE_UNKNOWN;
}

static int find_footer(struct blocks_layer *l, struct vhd *v, struct error *err)
{
        uint64_t at = 0;
        int rc = source_fetch(l->source, v->footer, FOOTER, 0, "the copy of the footer", err);

        if (rc < 0)
                return rc;
        v->footer_is_copy = is_footer(v->footer);
        if (v->footer_is_copy)
                return 0;
        rc = knows_end(l) ? read_tail(l, v->footer, &at) : 0;
        if (rc < 0)
                return error_set(err, -rc, "the footer cannot be read: %s", strerror(-rc));
        if (rc == 0)
                return error_set_at(err, EIO, 0,
                                    "has no footer whose checksum is right, neither at its "
                                    "beginning nor at its end");
        l->end_byte = at;
        return 0;
}

/* ---- the size of the disk ---- */

/*
 * Virtual PC, and QEMU where it makes images for it, mean what the geometry says; all others mean
 * the size. A geometry at its limit says nothing.
 */
static uint64_t disk_size(const uint8_t *footer)
{
        static const char *const by_geometry[] = {"vpc ", "vs  ", "qemu"};
        uint64_t sectors =
            (uint64_t)load_be16(footer + AT_CYLINDERS) * footer[AT_HEADS] * footer[AT_SECTORS];

        for (size_t i = 0; i < sizeof by_geometry / sizeof *by_geometry; i++)
                if (memcmp(footer + AT_CREATOR, by_geometry[i], 4) == 0 && sectors < GEOMETRY_MAX)
                        return sectors * BLOCKS_SECTOR;
        return load_be64(footer + AT_SIZE) / BLOCKS_SECTOR * BLOCKS_SECTOR;
}

/* ---- fixed images ---- */

static int read_fixed(struct blocks_layer *l, const struct vhd *v, struct error *err)
{
        uint64_t size = load_be64(v->footer + AT_SIZE), end = l->end_byte;

        if (v->footer_is_copy)
                return error_set_at(err, EIO, AT_TYPE,
                                    "has a footer at its beginning, and is of a type that has it "
                                    "at its end alone");
        if (size != end)
                return error_set_at(err, EIO, end + AT_SIZE,
                                    "has %" PRIu64 " bytes before its footer, which says %" PRIu64
                                    ": something was %s",
                                    end, size, size < end ? "inserted" : "cut out");
        if (l->size > size)
                return error_set_at(err, EIO, end + AT_SIZE,
                                    "has a geometry that is larger than its disk");
        l->flat = true;
        return 0;
}

/* ---- the parent ---- */

/* The path that the locator at P has, if it is one of Windows. 0, -ENOMEM; others are left alone. */
static int take_locator(struct blocks_layer *l, const uint8_t *p, uint32_t code)
{
        cleanup_free uint8_t *path = NULL;
        uint32_t len = load_be32(p + LOCATOR_LEN);
        uint64_t at = load_be64(p + LOCATOR_OFFSET);

        if (load_be32(p) == 0 || len == 0 || len > PATH_BYTES_MAX)
                return 0;
        blocks_fix(l, at, len);
        if (load_be32(p) != code)
                return 0;
        path = malloc(len);
        if (!path)
                return -ENOMEM;
        if (source_fetch(l->source, path, len, at, "the name of its parent", NULL) < 0)
                return 0;
        return blocks_name_parent(l, blocks_windows_path(path, len, false));
}

static int read_parent(struct blocks_layer *l, struct vhd *v, const uint8_t *header)
{
        static const uint32_t codes[] = {LOCATOR_RELATIVE, LOCATOR_ABSOLUTE};
        int rc = 0;

        memcpy(v->parent, header + AT_PARENT_UUID, UUID);
        l->has_parent = true;
        for (size_t k = 0; k < sizeof codes / sizeof *codes; k++)
                for (size_t i = 0; i < LOCATORS && rc == 0; i++)
                        rc = take_locator(l, header + AT_LOCATORS + i * LOCATOR, codes[k]);
        if (rc == 0)
                rc = blocks_name_parent(
                    l, blocks_windows_path(header + AT_PARENT_NAME, PARENT_NAME, true));
        return rc;
}

static int check_parent(const struct blocks_layer *l, const struct blocks_layer *parent,
                        struct error *err)
{
        const struct vhd *v = l->own, *p = parent->own;

        if (memcmp(v->parent, p->footer + AT_UUID, UUID) != 0)
                return error_set(err, EIO,
                                 "is not the image on which this one was made: it has "
                                 "another UUID");
        return 0;
}

/* ---- dynamic and differencing images ---- */

static int check_header(const uint8_t *h, uint64_t at, uint64_t size, struct error *err)
{
        uint32_t block = load_be32(h + AT_BLOCK), version = load_be32(h + AT_VERSION);

        if (memcmp(h, "cxsparse", 8) != 0 || !has_sum(h, HEADER, AT_HEADER_SUM))
                return error_set_at(err, EIO, at, "has a damaged header: its checksum is wrong");
        if (version != VERSION)
                return error_set_at(err, ENOTSUP, at + AT_VERSION,
                                    "is VHD version %u.%u; vmafs reads version 1.0", version >> 16,
                                    version & 0xffff);
        if (block < BLOCK_MIN || block > BLOCK_MAX || (block & (block - 1)))
                return error_set_at(err, EIO, at + AT_BLOCK,
                                    "has blocks of %u bytes; powers of 2 from 4 KiB to 256 MiB are "
                                    "possible",
                                    block);
        if (size > (uint64_t)load_be32(h + AT_ENTRIES) * block)
                return error_set_at(err, EIO, at + AT_ENTRIES,
                                    "has a disk of %" PRIu64 " bytes and a table for %" PRIu64,
                                    size, (uint64_t)load_be32(h + AT_ENTRIES) * block);
        return 0;
}

static int read_table(struct blocks_layer *l, struct vhd *v, struct error *err)
{
        uint64_t at = load_be64(v->footer + AT_DATA);
        uint8_t h[HEADER];
        int rc = at > BLOCKS_FILE_MAX
                     ? error_set_at(err, EIO, AT_DATA, "its header is past the end of the file")
                     : source_fetch(l->source, h, sizeof h, at, "the header", err);

        if (rc == 0)
                rc = check_header(h, at, l->size, err);
        if (rc < 0)
                return rc;
        l->block = load_be32(h + AT_BLOCK);
        l->bit = BLOCKS_SECTOR;
        l->before = round_up(l->block / BLOCKS_SECTOR / 8, BLOCKS_SECTOR);
        l->table = load_be64(h + AT_TABLE);
        l->entry = 4;
        l->entries = load_be32(h + AT_ENTRIES);
        if (v->footer_is_copy)
                blocks_fix(l, 0, FOOTER);
        else
                blocks_fault(l, "the copy of the footer at the beginning is damaged", 0);
        blocks_fix(l, at, HEADER);
        blocks_fix(l, l->table, round_up(l->entries * l->entry, BLOCKS_SECTOR));
        rc = v->type == TYPE_DIFFERENCING ? read_parent(l, v, h) : 0;
        return rc < 0 ? error_set(err, -rc, "out of memory") : blocks_check_table(l, err);
}

static void format_uuid(const uint8_t *u, char out[37])
{
        snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                 u[13], u[14], u[15]);
}

static int read_header(struct blocks_layer *l, struct error *err)
{
        struct vhd *v = calloc(1, sizeof *v);
        int rc;

        if (!v)
                return error_set(err, ENOMEM, "out of memory");
        l->own = v;
        rc = find_footer(l, v, err);
        if (rc < 0)
                return rc;
        v->type = load_be32(v->footer + AT_TYPE);
        l->size = disk_size(v->footer);
        format_uuid(v->footer + AT_UUID, l->uuid);
        if (l->size > BLOCKS_DISK_MAX)
                return error_set_at(err, EFBIG, AT_SIZE,
                                    "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                    l->size);
        if (v->type == TYPE_FIXED)
                return read_fixed(l, v, err);
        if (v->type == TYPE_DYNAMIC || v->type == TYPE_DIFFERENCING)
                return read_table(l, v, err);
        return error_set_at(err, ENOTSUP, AT_TYPE, "is a VHD of the unknown type %u", v->type);
}

static void parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        uint32_t entry = load_be32(p);

        (void)block;
        if (entry == ENTRY_FREE)
                return;
        out->bitmap = (uint64_t)entry * BLOCKS_SECTOR;
        out->offset = out->bitmap + l->before;
        out->state = l->has_parent ? BLOCKS_PARTLY : BLOCKS_STORED;
}

/* The two footers must say the same. */
static int look_at_end(struct blocks_layer *l)
{
        const struct vhd *v = l->own;
        uint8_t footer[FOOTER];
        uint64_t at;
        int rc = read_tail(l, footer, &at);

        if (rc < 0)
                return rc;
        if (rc == 0) {
                blocks_fault(l,
                             "the footer at the end is missing: the file was cut off, or "
                             "something follows it",
                             l->file_size);
                return 0;
        }
        l->end_byte = at;
        if (memcmp(footer + AT_DATA, v->footer + AT_DATA, 8) != 0 ||
            memcmp(footer + AT_SIZE, v->footer + AT_SIZE, AT_SUM - AT_SIZE) != 0 ||
            memcmp(footer + AT_UUID, v->footer + AT_UUID, UUID) != 0)
                l->all_bad = "the footer contradicts its copy at the beginning";
        return 0;
}

static void fini(struct blocks_layer *l)
{
        free(l->own);
}

static const struct blocks_kind kind = {
    .format = &vhd_format,
    .read_header = read_header,
    .parse = parse,
    .look_at_end = look_at_end,
    .check_parent = check_parent,
    .fini = fini,
    .names_holes = true,
};

static int vhd_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return blocks_open(&kind, source, origin, sink, out, err);
}

const struct format vhd_format = {
    .name = "vhd",
    .is_image = true,
    .probe = vhd_probe,
    .open = vhd_open,
    .scan = blocks_scan,
    .skip_scan = blocks_skip_scan,
    .check = blocks_check,
    .close = blocks_close,
};
