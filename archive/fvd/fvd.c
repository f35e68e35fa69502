/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FVD, a format that was proposed for QEMU in 2011. Little-endian, packed. No tool writes it any
 * more; what is here follows the driver that was published.
 *
 *   metadata: header, bitmap, table, journal | chunks, or the disk as it is
 *
 * The table has the place of each chunk, in chunks from where the data begin. An image on a base,
 * whose blocks a bitmap tells apart, or with a journal that is to be replayed, is refused: nothing is
 * left to check against how that is read.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        SECTOR = 512,

        /* Each field follows the one before without padding. */
        AT_MAGIC = 0,
        AT_VERSION = AT_MAGIC + 4,
        AT_ALL_DATA = AT_VERSION + 4,
        AT_SIZE = AT_ALL_DATA + 4,
        AT_METADATA = AT_SIZE + 8,
        AT_BASE = AT_METADATA + 8,
        NAME = 1024,
        FORMAT = 16,
        AT_BASE_FORMAT = AT_BASE + NAME,
        AT_BASE_SIZE = AT_BASE_FORMAT + FORMAT,
        AT_BITMAP = AT_BASE_SIZE + 8,
        AT_BITMAP_LEN = AT_BITMAP + 8,
        AT_BLOCK = AT_BITMAP_LEN + 8,
        AT_COPY_ON_READ = AT_BLOCK + 4,
        AT_OUTSTANDING = AT_COPY_ON_READ + 4,
        AT_DATA_FILE = AT_OUTSTANDING + 8,
        AT_DATA_FORMAT = AT_DATA_FILE + NAME,
        AT_PREFETCH_DELAY = AT_DATA_FORMAT + FORMAT,
        AT_PROFILE = AT_PREFETCH_DELAY + 4,
        AT_PROFILE_ENTRIES = AT_PROFILE + 8,
        AT_PREFETCHING = AT_PROFILE_ENTRIES + 8,
        AT_COMPACT = AT_PREFETCHING + 10 * 4,
        AT_TABLE = AT_COMPACT + 4,
        AT_CHUNK = AT_TABLE + 8,
        AT_GROW = AT_CHUNK + 8,
        AT_ADD_STORAGE = AT_GROW + 8,
        AT_JOURNAL = AT_ADD_STORAGE + 2048,
        AT_JOURNAL_LEN = AT_JOURNAL + 8,
        AT_CLEAN = AT_JOURNAL_LEN + 8,
        HEADER = AT_CLEAN + 4,

        VERSION = 1,
        CHUNK_MIN = 4096,
        CHUNK_MAX = 1 << 28,
};

#define MAGIC      UINT32_C(0x5143f5a9)
#define ENTRY_FREE UINT32_C(0xffffffff)
#define ENTRY_MASK UINT32_C(0x7fffffff) /* the highest bit says that the chunk is new */

static bool fvd_probe(struct probe *p)
{
        return p->len >= 8 && load_le32(p->head) == MAGIC && load_le32(p->head + AT_VERSION) < 256;
}

static int check_kind(const uint8_t *h, struct error *err)
{
        if (load_le32(h + AT_VERSION) != VERSION)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is FVD version %u; vmafs reads version 1",
                                    load_le32(h + AT_VERSION));
        if (h[AT_BASE] || load_le64(h + AT_BASE_SIZE))
                return error_set_at(err, ENOTSUP, AT_BASE,
                                    "has the base image %.200s; vmafs reads an FVD without one",
                                    (const char *)h + AT_BASE);
        if (load_le64(h + AT_BITMAP_LEN))
                return error_set_at(
                    err, ENOTSUP, AT_BITMAP_LEN,
                    "has the bitmap of a base image; vmafs reads an FVD without one");
        if (h[AT_DATA_FILE])
                return error_set_at(err, ENOTSUP, AT_DATA_FILE,
                                    "keeps its data in the file %.200s; vmafs does not read such "
                                    "images",
                                    (const char *)h + AT_DATA_FILE);
        if (!load_le32(h + AT_CLEAN) && load_le64(h + AT_JOURNAL_LEN))
                return error_set_at(err, ENOTSUP, AT_CLEAN,
                                    "was not closed after writing: its journal would have to be "
                                    "replayed, which vmafs does not do");
        return 0;
}

/* LEN bytes at OFFSET must lie in the metadata, after the header. */
static int check_place(const uint8_t *h, uint64_t offset, uint64_t len, const char *what,
                       struct error *err)
{
        if (offset < HEADER || !range_within(offset, len, load_le64(h + AT_METADATA)))
                return error_set(err, EIO, "its %s cannot be where the header says it is", what);
        return 0;
}

static int read_compact(struct blocks_layer *l, const uint8_t *h, struct error *err)
{
        uint64_t chunk = load_le64(h + AT_CHUNK);
        int rc;

        if (chunk < CHUNK_MIN || chunk > CHUNK_MAX || chunk % SECTOR)
                return error_set_at(err, EIO, AT_CHUNK,
                                    "has chunks of %" PRIu64 " bytes; 4 KiB to 256 MiB are "
                                    "possible",
                                    chunk);
        l->block = chunk;
        l->entry = 4;
        l->table = load_le64(h + AT_TABLE);
        rc = check_place(h, l->table, blocks_entry_count(l) * l->entry, "table", err);
        return rc < 0 ? rc : blocks_check_table(l, err);
}

static int read_header(struct blocks_layer *l, struct error *err)
{
        uint8_t h[HEADER];
        int rc = source_fetch(l->source, h, sizeof h, 0, "the header", err);

        if (rc < 0)
                return rc;
        h[AT_BASE_FORMAT - 1] = h[AT_DATA_FORMAT - 1] = '\0';
        rc = check_kind(h, err);
        if (rc < 0)
                return rc;
        l->size = load_le64(h + AT_SIZE);
        l->first_byte = load_le64(h + AT_METADATA);
        if (l->size > BLOCKS_DISK_MAX)
                return error_set_at(err, EFBIG, AT_SIZE,
                                    "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                    l->size);
        if (l->size % SECTOR || l->first_byte < HEADER || l->first_byte % SECTOR ||
            l->first_byte > BLOCKS_FILE_MAX)
                return error_set_at(err, EIO, AT_SIZE,
                                    "has a disk of %" PRIu64 " bytes, and its data at byte %" PRIu64
                                    ", which cannot be",
                                    l->size, l->first_byte);
        if (load_le32(h + AT_COMPACT))
                return read_compact(l, h, err);
        l->flat = true;
        return 0;
}

static void parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        uint32_t entry = load_le32(p);

        (void)block;
        if (entry == ENTRY_FREE)
                return;
        out->state = BLOCKS_STORED;
        out->offset = l->first_byte + (entry & ENTRY_MASK) * l->block;
}

static const struct blocks_kind kind = {
    .format = &fvd_format,
    .read_header = read_header,
    .parse = parse,
};

static int fvd_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return blocks_open(&kind, source, origin, sink, out, err);
}

const struct format fvd_format = {
    .name = "fvd",
    .is_image = true,
    .probe = fvd_probe,
    .open = fvd_open,
    .scan = blocks_scan,
    .skip_scan = blocks_skip_scan,
    .check = blocks_check,
    .close = blocks_close,
};
