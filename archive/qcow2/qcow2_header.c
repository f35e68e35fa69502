/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of a qcow2 image, and its extensions.
 *
 *   +--------+------------------------+-------------------+ . . .
 *   | header | extensions: type, len, | name of the       |
 *   | 72, or | data padded to 8 bytes | backing file      |
 *   | more   |                        |                   |
 *   +--------+------------------------+-------------------+ . . .
 *   |<------------------ the first cluster ------------------->|
 */
#include "archive/qcow2/qcow2_header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/qcow2/qcow_header.h"
#include "archive/source/source.h"

enum {
        HEADER_V2 = 72,
        HEADER_V3 = 104,

        AT_VERSION = 4,
        AT_BACKING_OFFSET = 8,
        AT_BACKING_LEN = 16,
        AT_CLUSTER_BITS = 20,
        AT_SIZE = 24,
        AT_CRYPT = 32,
        AT_L1_ENTRIES = 36,
        AT_L1_OFFSET = 40,
        AT_REFTABLE = 48,
        AT_REFTABLE_CLUSTERS = 56,
        AT_SNAPSHOT_COUNT = 60,
        AT_SNAPSHOTS_OFFSET = 64,
        AT_INCOMPATIBLE = 72,
        AT_AUTOCLEAR = 88,
        AT_REFCOUNT_ORDER = 96,
        AT_HEADER_LEN = 100,
        AT_COMPRESSION = 104,

        REFCOUNT_ORDER_V2 = 4,
        REFCOUNT_ORDER_MAX = 6,

        FEATURE_LEN = 48, /* of the table of the features' names */
        FEATURE_NAME = 46,
};

#define EXTENSION_END            UINT32_C(0)
#define EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXTENSION_FEATURES       UINT32_C(0x6803f857)
#define EXTENSION_BITMAPS        UINT32_C(0x23852875)

#define AUTOCLEAR_BITMAPS UINT64_C(1)

/* Incompatible features. */
#define FEATURE_DIRTY       (UINT64_C(1) << 0)
#define FEATURE_CORRUPT     (UINT64_C(1) << 1)
#define FEATURE_EXTERNAL    (UINT64_C(1) << 2)
#define FEATURE_COMPRESSION (UINT64_C(1) << 3)
#define FEATURE_EXTENDED_L2 (UINT64_C(1) << 4)
#define FEATURES_KNOWN                                                                             \
        (FEATURE_DIRTY | FEATURE_CORRUPT | FEATURE_EXTERNAL | FEATURE_COMPRESSION |                \
         FEATURE_EXTENDED_L2)

bool qcow2_probe(struct probe *p)
{
        return probe_has(p, 0, "QFI\xfb", 4) && !qcow_probe(p);
}

/* The first cluster in memory while it is parsed. */
struct header {
        uint8_t *bytes;
        size_t len;        /* as much as the file has of it */
        size_t header_len; /* where the extensions begin … */
        size_t end;        /* … and end */
};

static int read_first_cluster(struct qcow2_image *image, struct header *h, struct error *err)
{
        uint8_t fixed[HEADER_V2];
        uint32_t bits;
        ssize_t n;
        int rc = source_fetch(image->source, fixed, sizeof fixed, 0, "the header", err);

        if (rc < 0)
                return rc;
        image->version = load_be32(fixed + AT_VERSION);
        if (image->version != 2 && image->version != 3)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is qcow version %u; vmafs reads versions 1 to 3",
                                    image->version);
        bits = load_be32(fixed + AT_CLUSTER_BITS);
        if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
                return error_set_at(err, EIO, AT_CLUSTER_BITS,
                                    "has clusters of 2^%u bytes; 2^%d to 2^%d are possible", bits,
                                    QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
        image->cluster_bits = bits;
        image->table_len = UINT64_C(1) << bits;
        h->bytes = malloc((size_t)1 << bits);
        if (!h->bytes)
                return error_set(err, ENOMEM, "out of memory");
        n = source_fetch_some(image->source, h->bytes, (size_t)1 << bits, 0, "the header", err);
        if (n < 0)
                return (int)n;
        if (n < HEADER_V2)
                return error_set(err, EIO, "the header cannot be read");
        h->len = h->end = (size_t)n;
        return 0;
}

static int parse_fixed(struct qcow2_image *image, struct header *h, struct error *err)
{
        uint32_t crypt = load_be32(h->bytes + AT_CRYPT);

        if (crypt)
                return error_set_at(err, ENOTSUP, AT_CRYPT,
                                    "is encrypted (%s); vmafs reads no encrypted images",
                                    crypt == 1 ? "AES" : "LUKS");
        image->size = load_be64(h->bytes + AT_SIZE);
        if (image->size > QCOW2_DISK_MAX)
                return error_set_at(err, EFBIG, AT_SIZE,
                                    "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                    image->size);
        image->l1_entries = load_be32(h->bytes + AT_L1_ENTRIES);
        image->l1_offset = load_be64(h->bytes + AT_L1_OFFSET);
        image->reftable_offset = load_be64(h->bytes + AT_REFTABLE);
        image->reftable_clusters = load_be32(h->bytes + AT_REFTABLE_CLUSTERS);
        image->refcount_order = REFCOUNT_ORDER_V2;
        image->snapshot_count = load_be32(h->bytes + AT_SNAPSHOT_COUNT);
        image->snapshots_offset = load_be64(h->bytes + AT_SNAPSHOTS_OFFSET);
        h->header_len = HEADER_V2;
        if (image->version == 2)
                return 0;
        if (h->len < HEADER_V3)
                return error_set(err, EIO, "the header lies past the end of the file");
        image->refcount_order = load_be32(h->bytes + AT_REFCOUNT_ORDER);
        if (image->refcount_order > REFCOUNT_ORDER_MAX)
                return error_set_at(err, EIO, AT_REFCOUNT_ORDER,
                                    "has reference counts of 2^%u bits; 2^%d are possible",
                                    image->refcount_order, REFCOUNT_ORDER_MAX);
        h->header_len = load_be32(h->bytes + AT_HEADER_LEN);
        if (h->header_len < HEADER_V3 || h->header_len > h->len)
                return error_set_at(err, EIO, AT_HEADER_LEN, "has a header of %zu bytes",
                                    h->header_len);
        return 0;
}

/* Find the backing file's name; the extensions end where it starts. */
static int parse_backing(struct qcow2_image *image, struct header *h, struct error *err)
{
        uint64_t offset = load_be64(h->bytes + AT_BACKING_OFFSET);
        uint32_t len = load_be32(h->bytes + AT_BACKING_LEN);

        if (!offset)
                return 0;
        if (len > QCOW2_NAME_MAX || !range_within(offset, len, h->len) || offset < h->header_len)
                return error_set_at(err, EIO, AT_BACKING_OFFSET,
                                    "the name of its backing file is outside of the header");
        h->end = (size_t)offset;
        memcpy(image->backing, h->bytes + offset, len);
        if (strlen(image->backing) != len)
                return error_set_at(err, EIO, offset, "the name of its backing file has a NUL");
        return 0;
}

/* Calls back for the data of each extension. */
typedef void (*extension_fn)(void *ctx, uint32_t type, const uint8_t *data, size_t len);

static int each_extension(const struct header *h, extension_fn fn, void *ctx, struct error *err)
{
        size_t at = h->header_len;

        while (h->end - at >= 8) {
                uint32_t type = load_be32(h->bytes + at), len = load_be32(h->bytes + at + 4);

                if (type == EXTENSION_END)
                        return 0;
                at += 8;
                if (len > h->end - at)
                        return error_set_at(err, EIO, at - 4,
                                            "an extension of the header is longer than that");
                fn(ctx, type, h->bytes + at, len);
                at += (size_t)min_u64(round_up(len, 8), h->end - at);
        }
        return 0;
}

static void take_extension(void *ctx, uint32_t type, const uint8_t *data, size_t len)
{
        struct qcow2_image *image = ctx;

        if (type != EXTENSION_BACKING_FORMAT && type != EXTENSION_BITMAPS &&
            type != EXTENSION_FEATURES)
                image->more_extensions = true;
        if (type == EXTENSION_BACKING_FORMAT)
                snprintf(image->backing_format, sizeof image->backing_format, "%.*s", (int)len,
                         (const char *)data);
        if (type == EXTENSION_BITMAPS && len >= 24) {
                image->bitmap_count = load_be32(data);
                image->bitmaps.len = load_be64(data + 8);
                image->bitmaps.offset = load_be64(data + 16);
        }
}

/* The name that the image itself has for an incompatible feature. */
struct feature_name {
        unsigned bit;
        char name[FEATURE_NAME + 1];
};

static void find_feature(void *ctx, uint32_t type, const uint8_t *data, size_t len)
{
        struct feature_name *f = ctx;

        for (size_t at = 0; type == EXTENSION_FEATURES && at + FEATURE_LEN <= len;
             at += FEATURE_LEN)
                if (data[at] == 0 && data[at + 1] == f->bit)
                        memcpy(f->name, data + at + 2, FEATURE_NAME);
}

static int refuse_feature(const struct header *h, uint64_t unknown, struct error *err)
{
        struct feature_name f = {.bit = (unsigned)__builtin_ctzll(unknown)};

        each_extension(h, find_feature, &f, NULL);
        return error_set_at(err, ENOTSUP, AT_INCOMPATIBLE,
                            "uses an incompatible feature that vmafs does not know: bit %u%s%s%s",
                            f.bit, f.name[0] ? " (" : "", f.name, f.name[0] ? ")" : "");
}

static int parse_features(struct qcow2_image *image, const struct header *h, struct error *err)
{
        uint64_t features = image->version >= 3 ? load_be64(h->bytes + AT_INCOMPATIBLE) : 0;
        unsigned compression = h->header_len > AT_COMPRESSION ? h->bytes[AT_COMPRESSION] : 0;

        if (features & FEATURE_EXTERNAL)
                return error_set_at(err, ENOTSUP, AT_INCOMPATIBLE,
                                    "keeps its data in an external data file; vmafs does not read "
                                    "such images");
        if (features & ~FEATURES_KNOWN)
                return refuse_feature(h, features & ~FEATURES_KNOWN, err);
        if (compression > QCOW2_ZSTD || (compression && !(features & FEATURE_COMPRESSION)))
                return error_set_at(err, ENOTSUP, AT_COMPRESSION,
                                    "is compressed in a way that vmafs does not know: type %u",
                                    compression);
        image->compression = (enum qcow2_compression)compression;
        image->extended_l2 = features & FEATURE_EXTENDED_L2;
        image->dirty = features & FEATURE_DIRTY;
        image->bitmaps_valid =
            image->version >= 3 && load_be64(h->bytes + AT_AUTOCLEAR) & AUTOCLEAR_BITMAPS;
        image->corrupt = features & FEATURE_CORRUPT;
        if (image->extended_l2 && image->cluster_bits < 14)
                return error_set_at(err, EIO, AT_CLUSTER_BITS,
                                    "has subclusters in clusters of less than 16 KiB");
        return 0;
}

static void header_fini(struct header *h)
{
        free(h->bytes);
}

int qcow2_read_header(struct qcow2_image *image, struct error *err)
{
        __attribute__((cleanup(header_fini))) struct header h = {0};
        int rc = read_first_cluster(image, &h, err);

        if (rc == 0)
                rc = parse_fixed(image, &h, err);
        if (rc == 0)
                rc = parse_features(image, &h, err);
        if (rc == 0)
                rc = parse_backing(image, &h, err);
        if (rc == 0)
                rc = each_extension(&h, take_extension, image, err);
        return rc;
}
