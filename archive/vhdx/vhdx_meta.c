/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vhdx/vhdx.h"

enum {
        TABLE = 64 << 10,
        ENTRY = 32, /* after as many bytes of the table's own */
        ENTRIES_MAX = 2047,
        REQUIRED = 4, /* in an entry's flags */
        USER = 1,

        HAS_PARENT = 2, /* in the parameters' flags */
        BLOCK_MAX = 256 << 20,

        LOCATOR_MAX = 64 << 10,
        LOCATOR_HEAD = 20,
        PAIR = 12,
        PAIRS_MAX = 64,
};

enum item { PARAMETERS, DISK_SIZE, DISK_ID, LOGICAL_SECTOR, PHYSICAL_SECTOR, LOCATOR, ITEMS };

static const uint8_t guids[ITEMS][VHDX_GUID] = {
    [PARAMETERS] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa,
                    0x44, 0xe7, 0x6b},
    [DISK_SIZE] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8,
                   0x3b, 0xf4, 0xb8},
    [DISK_ID] = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00,
                 0xc7, 0x46},
    [LOGICAL_SECTOR] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33,
                        0xa8, 0xfa, 0xab, 0x5f},
    [PHYSICAL_SECTOR] = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88,
                         0x52, 0x51, 0xc5, 0x56},
    [LOCATOR] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34,
                 0xab, 0x0c},
};

static const struct {
        const char *name;
        uint32_t len; /* 0: any */
        bool needed;
} items[ITEMS] = {
    [PARAMETERS] = {"file parameters", 8, true},
    [DISK_SIZE] = {"size of the disk", 8, true},
    [DISK_ID] = {"disk's GUID", 16, false},
    [LOGICAL_SECTOR] = {"size of a sector", 4, true},
    [PHYSICAL_SECTOR] = {"size of a physical sector", 4, false},
    [LOCATOR] = {"parent's name", 0, false},
};

/* Where the items lie in the file; a len of 0: there is none. */
struct found {
        struct vhdx_region at[ITEMS];
};

/* ---- the table of items ---- */

static int take_entry(const struct vhdx *v, const uint8_t *p, uint64_t where, struct found *f,
                      struct error *err)
{
        uint32_t offset = load_le32(p + 16), len = load_le32(p + 20), flags = load_le32(p + 24);
        enum item i = PARAMETERS;
        char guid[37];

        while (i < ITEMS && ((flags & USER) || memcmp(p, guids[i], VHDX_GUID) != 0))
                i++;
        if (i == ITEMS && flags & REQUIRED) {
                vhdx_format_guid(p, guid);
                return error_set_at(err, ENOTSUP, where,
                                    "has metadata that vmafs does not know, and are required: %s",
                                    guid);
        }
        if (i == ITEMS)
                return 0;
        if (offset < TABLE || !range_within(offset, len, v->metadata.len) || len == 0 ||
            (items[i].len && len != items[i].len) || f->at[i].len)
                return error_set_at(err, EIO, where, "the %s cannot be where the metadata say",
                                    items[i].name);
        f->at[i] = (struct vhdx_region){v->metadata.offset + offset, len};
        return 0;
}

static int find_items(const struct blocks_layer *l, const struct vhdx *v, struct found *f,
                      struct error *err)
{
        cleanup_free uint8_t *table = malloc(TABLE);
        unsigned count;
        int rc;

        if (!table)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_fetch(vhdx_source(l, v), table, TABLE, v->metadata.offset, "the metadata", err);
        if (rc < 0)
                return rc;
        count = load_le16(table + 10);
        if (memcmp(table, "metadata", 8) != 0 || count > ENTRIES_MAX)
                return error_set_at(err, EIO, v->metadata.offset, "has damaged metadata");
        for (unsigned i = 0; i < count && rc == 0; i++)
                rc = take_entry(v, table + ENTRY + (size_t)i * ENTRY,
                                v->metadata.offset + ENTRY + (uint64_t)i * ENTRY, f, err);
        for (enum item i = PARAMETERS; i < ITEMS && rc == 0; i++)
                if (items[i].needed && !f->at[i].len)
                        rc = error_set_at(err, EIO, v->metadata.offset, "lacks the %s",
                                          items[i].name);
        return rc;
}

static int fetch(const struct blocks_layer *l, const struct vhdx *v, const struct found *f,
                 enum item i, void *out, struct error *err)
{
        return source_fetch(vhdx_source(l, v), out, (size_t)f->at[i].len, f->at[i].offset,
                            items[i].name, err);
}

/* ---- the parent ---- */

/* Is the key of LEN bytes at P, in UTF-16, NAME? */
static bool is_key(const uint8_t *p, size_t len, const char *name)
{
        if (len != 2 * strlen(name))
                return false;
        for (size_t i = 0; i < len / 2; i++)
                if (load_le16(p + 2 * i) != (uint8_t)name[i])
                        return false;
        return true;
}

/* "{01234567-89ab-cdef-0123-456789abcdef}" in UTF-16 as a GUID of this file. */
static bool parse_guid(const uint8_t *p, size_t len, uint8_t out[VHDX_GUID])
{
        static const uint8_t order[VHDX_GUID] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                 8, 9, 10, 11, 12, 13, 14, 15};
        unsigned n = 0, digits[2 * VHDX_GUID];

        for (size_t i = 0; i + 2 <= len; i += 2) {
                unsigned c = load_le16(p + i) | 0x20;
                bool is_digit = c >= '0' && c <= '9';

                if (!is_digit && (c < 'a' || c > 'f'))
                        continue;
                if (n == 2 * VHDX_GUID)
                        return false;
                digits[n++] = is_digit ? c - '0' : c - 'a' + 10;
        }
        for (size_t i = 0; n == 2 * VHDX_GUID && i < VHDX_GUID; i++)
                out[order[i]] = (uint8_t)(digits[2 * i] << 4 | digits[2 * i + 1]);
        return n == 2 * VHDX_GUID;
}

/* The value of the key NAME among those of the LEN bytes at P; NULL: there is none. */
static const uint8_t *find_value(const uint8_t *p, size_t len, const char *name, size_t *value_len)
{
        unsigned count = load_le16(p + 18);

        for (unsigned i = 0; i < count && i < PAIRS_MAX; i++) {
                const uint8_t *pair = p + LOCATOR_HEAD + (size_t)i * PAIR;
                uint32_t key, value;

                if ((size_t)(pair - p) + PAIR > len)
                        return NULL;
                key = load_le32(pair);
                value = load_le32(pair + 4);
                *value_len = load_le16(pair + 10);
                if (range_within(key, load_le16(pair + 8), len) &&
                    range_within(value, *value_len, len) &&
                    is_key(p + key, load_le16(pair + 8), name))
                        return p + value;
        }
        return NULL;
}

static int take_locator(struct blocks_layer *l, struct vhdx *v, const uint8_t *p, size_t len,
                        uint64_t at, struct error *err)
{
        static const char *const names[] = {"relative_path", "absolute_win32_path", "volume_path"};
        size_t n;
        const uint8_t *value = find_value(p, len, "parent_linkage", &n);

        if (!value || !parse_guid(value, n, v->parent_guid))
                return error_set_at(err, EIO, at, "does not say which image its parent is");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                value = find_value(p, len, names[i], &n);
                if (value && blocks_name_parent(l, blocks_windows_path(value, n, false)) < 0)
                        return error_set(err, ENOMEM, "out of memory");
        }
        return 0;
}

static int read_locator(struct blocks_layer *l, struct vhdx *v, const struct found *f,
                        struct error *err)
{
        const struct vhdx_region *at = &f->at[LOCATOR];
        cleanup_free uint8_t *p = NULL;
        int rc;

        if (at->len < LOCATOR_HEAD || at->len > LOCATOR_MAX)
                return error_set_at(err, EIO, v->metadata.offset,
                                    "has a parent, and does not say its name");
        p = malloc((size_t)at->len);
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        rc = fetch(l, v, f, LOCATOR, p, err);
        l->has_parent = true;
        return rc < 0 ? rc : take_locator(l, v, p, (size_t)at->len, at->offset, err);
}

/* ---- all of it ---- */

int vhdx_read_metadata(struct blocks_layer *l, struct vhdx *v, struct error *err)
{
        struct found f = {0};
        uint8_t parameters[8], size[8], sector[4], guid[VHDX_GUID];
        int rc = find_items(l, v, &f, err);

        if (rc == 0)
                rc = fetch(l, v, &f, PARAMETERS, parameters, err);
        if (rc == 0)
                rc = fetch(l, v, &f, DISK_SIZE, size, err);
        if (rc == 0)
                rc = fetch(l, v, &f, LOGICAL_SECTOR, sector, err);
        if (rc == 0 && f.at[DISK_ID].len)
                rc = fetch(l, v, &f, DISK_ID, guid, err);
        if (rc < 0)
                return rc;
        if (f.at[DISK_ID].len)
                vhdx_format_guid(guid, l->uuid);
        l->size = load_le64(size);
        l->block = load_le32(parameters);
        l->bit = load_le32(sector);
        if (l->block < VHDX_UNIT || l->block > BLOCK_MAX || (l->block & (l->block - 1)))
                return error_set_at(err, EIO, f.at[PARAMETERS].offset,
                                    "has blocks of %" PRIu64 " bytes; powers of 2 from 1 to 256 "
                                    "MiB are possible",
                                    l->block);
        if ((l->bit != 512 && l->bit != 4096) || l->size % l->bit)
                return error_set_at(err, EIO, f.at[LOGICAL_SECTOR].offset,
                                    "has sectors of %" PRIu64 " bytes and a disk of %" PRIu64,
                                    l->bit, l->size);
        return load_le32(parameters + 4) & HAS_PARENT ? read_locator(l, v, &f, err) : 0;
}
