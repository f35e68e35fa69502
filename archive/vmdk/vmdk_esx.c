/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The headers of ESX's own sparse files, which hold the deltas of snapshots. All numbers are
 * sectors.
 *
 *   COWD       | header: 4 | directory | tables of 4096 entries and grains, as they came ...
 *   SESparse   | header | volatile header | journal | directory | tables | two maps | grains
 *
 * A grain of COWD is usually a sector. One of SESparse is 4 KiB; where its parts lie says the
 * header, and which of its tables and grains are in use says the volatile one.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

/* ---- COWD ---- */

enum {
        COWD_AT_VERSION = 4,
        COWD_AT_CAPACITY = 12,
        COWD_AT_GRAIN = 16,
        COWD_AT_DIRECTORY = 20,
        COWD_AT_ENTRIES = 24,
        COWD_AT_FREE = 28, /* the first sector after what is in use */
        COWD_AT_ROOT = 32, /* cylinders, heads, sectors; or the parent's name */
        COWD_HEADER = 4 * VMDK_SECTOR,
        COWD_TABLE = 4096,
};

int vmdk_parse_cowd(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                    struct error *err)
{
        uint32_t version = load_le32(sector + COWD_AT_VERSION);
        uint64_t capacity = load_le32(sector + COWD_AT_CAPACITY);
        uint32_t grain = load_le32(sector + COWD_AT_GRAIN);
        uint32_t entries = load_le32(sector + COWD_AT_ENTRIES);
        uint64_t span = (uint64_t)grain * COWD_TABLE;

        if (version != 1)
                return error_set_at(err, ENOTSUP, COWD_AT_VERSION,
                                    "is COWD version %u; vmafs reads version 1", version);
        if (grain < 1 || grain > VMDK_GRAIN_MAX / VMDK_SECTOR)
                return error_set_at(err, ENOTSUP, COWD_AT_GRAIN,
                                    "has grains of %u sectors; vmafs reads 1 to %d", grain,
                                    VMDK_GRAIN_MAX / VMDK_SECTOR);
        if (capacity > entries * span)
                return error_set_at(err, EIO, COWD_AT_ENTRIES,
                                    "has a damaged COWD header: a directory of %u entries for a "
                                    "disk of %" PRIu64 " sectors",
                                    entries, capacity);
        *h = (struct vmdk_header){
            .capacity = capacity * VMDK_SECTOR,
            .grain = grain * VMDK_SECTOR,
            .table = COWD_TABLE,
            .entry = VMDK_ENTRY,
            .gd = (uint64_t)load_le32(sector + COWD_AT_DIRECTORY) * VMDK_SECTOR,
            .overhead = COWD_HEADER,
            .used = (uint64_t)load_le32(sector + COWD_AT_FREE) * VMDK_SECTOR,
            .fixed = {{VMDK_SECTOR, COWD_HEADER - VMDK_SECTOR}},
        };
        return 0;
}

bool vmdk_cowd_is_root(const unsigned char sector[VMDK_SECTOR])
{
        uint32_t cylinders = load_le32(sector + COWD_AT_ROOT);
        uint32_t heads = load_le32(sector + COWD_AT_ROOT + 4);
        uint32_t sectors = load_le32(sector + COWD_AT_ROOT + 8);

        return cylinders && heads && heads <= 255 && sectors && sectors <= 63;
}

/* ---- SESparse ---- */

enum {
        SE_AT_VERSION = 8,
        SE_AT_CAPACITY = 16,
        SE_AT_GRAIN = 24,
        SE_AT_TABLE = 32,
        SE_AT_FLAGS = 40, /* and four words that are reserved */
        SE_FLAGS = 5 * 8,
        SE_AT_VOLATILE = 80, /* here and at the next ones an offset and a length */
        SE_AT_JOURNAL_HEADER = 96,
        SE_AT_JOURNAL = 112,
        SE_AT_DIRECTORY = 128,
        SE_AT_TABLES = 144,
        SE_AT_FREE_MAP = 160,
        SE_AT_BACK_MAP = 176,
        SE_AT_GRAINS = 192,
        SE_AT_PADDING = 208,

        SE_GRAIN = 8,
        SE_TABLE = 64,

        VOLATILE_AT_REPLAY = 24,
};

#define SE_MAGIC       UINT64_C(0xcafebabe)
#define SE_VERSION     UINT64_C(0x200000001)
#define VOLATILE_MAGIC UINT64_C(0xcafecafe)
#define SE_SECTORS_MAX (UINT64_C(1) << 37) /* 64 TiB */

bool vmdk_is_sesparse(const void *head, size_t len)
{
        return len >= 8 && load_le64(head) == SE_MAGIC;
}

static bool all_zeros(const unsigned char *p, size_t len)
{
        return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/*
 * The sectors that the numbers at P name, in bytes, as far as a file can have them: that of the
 * grains may be as long as the disk.
 */
static struct vmdk_fixed area(const unsigned char *p)
{
        uint64_t sector = load_le64(p), count = load_le64(p + 8);

        if (sector > VMDK_FILE_MAX / VMDK_SECTOR)
                return (struct vmdk_fixed){VMDK_FILE_MAX, 0};
        return (struct vmdk_fixed){sector * VMDK_SECTOR,
                                   min_u64(count, VMDK_FILE_MAX / VMDK_SECTOR) * VMDK_SECTOR};
}

static int check_kind(const unsigned char *s, struct error *err)
{
        if (load_le64(s + SE_AT_VERSION) != SE_VERSION)
                return error_set_at(
                    err, ENOTSUP, SE_AT_VERSION,
                    "is SESparse version %" PRIu64 ".%" PRIu64 "; vmafs reads version 2.1",
                    load_le64(s + SE_AT_VERSION) >> 32, load_le64(s + SE_AT_VERSION) & UINT32_MAX);
        if (load_le64(s + SE_AT_GRAIN) != SE_GRAIN || load_le64(s + SE_AT_TABLE) != SE_TABLE)
                return error_set_at(err, ENOTSUP, SE_AT_GRAIN,
                                    "has grains of %" PRIu64 " and tables of %" PRIu64
                                    " sectors; vmafs reads 8 and 64",
                                    load_le64(s + SE_AT_GRAIN), load_le64(s + SE_AT_TABLE));
        if (!all_zeros(s + SE_AT_FLAGS, SE_FLAGS) ||
            !all_zeros(s + SE_AT_PADDING, VMDK_SECTOR - SE_AT_PADDING))
                return error_set_at(err, ENOTSUP, SE_AT_FLAGS,
                                    "has an SESparse header with fields that vmafs does not know");
        return 0;
}

static int check_areas(const unsigned char *s, struct error *err)
{
        uint64_t capacity = load_le64(s + SE_AT_CAPACITY);
        uint64_t span = (uint64_t)SE_GRAIN * (SE_TABLE * VMDK_SECTOR / VMDK_ENTRY_MAX);
        uint64_t tables = capacity / span + (capacity % span != 0);
        struct vmdk_fixed directory = area(s + SE_AT_DIRECTORY);

        if (capacity > SE_SECTORS_MAX)
                return error_set_at(
                    err, EFBIG, SE_AT_CAPACITY,
                    "claims a disk of %" PRIu64 " sectors; SESparse has at most 64 TiB", capacity);
        if (directory.len / VMDK_ENTRY_MAX < tables)
                return error_set_at(err, EIO, SE_AT_DIRECTORY,
                                    "has a damaged SESparse header: its directory is too short for "
                                    "its disk, or past the end of any file");
        if (area(s + SE_AT_TABLES).at == 0 || area(s + SE_AT_GRAINS).at == 0)
                return error_set_at(err, EIO, SE_AT_TABLES,
                                    "has a damaged SESparse header: tables or grains lie on it");
        return 0;
}

/* A journal that was not replayed has the newest entries of the tables. */
static int check_volatile(struct source *source, const struct vmdk_fixed *where, struct error *err)
{
        unsigned char s[VMDK_SECTOR];
        int rc = source_fetch(source, s, sizeof s, where->at, "the volatile SESparse header", err);

        if (rc < 0)
                return rc;
        if (load_le64(s) != VOLATILE_MAGIC)
                return error_set_at(err, EIO, where->at,
                                    "has no volatile SESparse header where its header says");
        if (load_le64(s + VOLATILE_AT_REPLAY) != 0)
                return error_set_at(err, ENOTSUP, where->at + VOLATILE_AT_REPLAY,
                                    "was not closed: its journal would have to be replayed, which "
                                    "vmafs does not do");
        return 0;
}

int vmdk_read_sesparse(struct source *source, const unsigned char s[VMDK_SECTOR],
                       struct vmdk_header *h, struct error *err)
{
        int rc = check_kind(s, err);

        if (rc == 0)
                rc = check_areas(s, err);
        if (rc < 0)
                return rc;
        if (source->size != SOURCE_SIZE_UNKNOWN && source->size > VMDK_FILE_MAX)
                return error_set(err, EFBIG, "is an SESparse file of over 4 TiB");
        *h = (struct vmdk_header){
            .capacity = load_le64(s + SE_AT_CAPACITY) * VMDK_SECTOR,
            .grain = SE_GRAIN * VMDK_SECTOR,
            .table = SE_TABLE * VMDK_SECTOR / VMDK_ENTRY_MAX,
            .entry = VMDK_ENTRY_MAX,
            .sesparse = true,
            .gd = area(s + SE_AT_DIRECTORY).at,
            .tables = area(s + SE_AT_TABLES).at,
            .grains = area(s + SE_AT_GRAINS).at,
            .fixed = {area(s + SE_AT_VOLATILE), area(s + SE_AT_JOURNAL_HEADER),
                      area(s + SE_AT_JOURNAL), area(s + SE_AT_FREE_MAP), area(s + SE_AT_BACK_MAP)},
        };
        return check_volatile(source, &h->fixed[0], err);
}
