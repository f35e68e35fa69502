/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QED, which QEMU had in between qcow2 and qcow2 version 3. The specification is
 * docs/interop/qed_spec.txt of QEMU.
 *
 *   header ──> L1 table ──> L2 table ──> cluster, or "zeros" (1), or nothing (0)
 *
 * Little-endian. All tables are of one size, some clusters. There are no snapshots, no compression
 * and no reference counts; all that is after the header is qcow2's own (qcow2_image.h).
 */
#include "archive/qcow2/qed_header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        HEADER = 64,

        AT_CLUSTER_SIZE = 4,
        AT_TABLE_SIZE = 8,
        AT_HEADER_SIZE = 12, /* clusters */
        AT_FEATURES = 16,
        AT_L1_OFFSET = 40,
        AT_SIZE = 48,
        AT_BACKING_OFFSET = 56,
        AT_BACKING_LEN = 60,

        CLUSTER_BITS_MIN = 12,
        CLUSTER_BITS_MAX = 26,
        TABLE_SIZE_MAX = 16, /* clusters */
        SECTOR = 512,
};

#define FEATURE_BACKING     (UINT64_C(1) << 0)
#define FEATURE_NEEDS_CHECK (UINT64_C(1) << 1)
#define FEATURE_RAW_BACKING (UINT64_C(1) << 2) /* the backing file is raw */
#define FEATURES_KNOWN      (FEATURE_BACKING | FEATURE_NEEDS_CHECK | FEATURE_RAW_BACKING)

bool qed_probe(struct probe *p)
{
        return probe_has(p, 0, "QED\0", 4);
}

static bool is_power_of_two(uint32_t n)
{
        return n && (n & (n - 1)) == 0;
}

static int parse_geometry(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint32_t cluster = load_le32(h + AT_CLUSTER_SIZE), table = load_le32(h + AT_TABLE_SIZE);

        if (!is_power_of_two(cluster) || cluster < UINT32_C(1) << CLUSTER_BITS_MIN ||
            cluster > UINT32_C(1) << CLUSTER_BITS_MAX)
                return error_set_at(err, EIO, AT_CLUSTER_SIZE,
                                    "has clusters of %" PRIu32 " bytes; powers of two from 4 KiB "
                                    "to 64 MiB are possible",
                                    cluster);
        if (!is_power_of_two(table) || table > TABLE_SIZE_MAX)
                return error_set_at(err, EIO, AT_TABLE_SIZE,
                                    "has tables of %" PRIu32 " clusters; 1, 2, 4, 8 and 16 are "
                                    "possible",
                                    table);
        image->cluster_bits = (unsigned)__builtin_ctz(cluster);
        image->table_len = (uint64_t)table << image->cluster_bits;
        image->header_len = (uint64_t)load_le32(h + AT_HEADER_SIZE) << image->cluster_bits;
        if (image->header_len == 0 || image->header_len > UINT32_MAX)
                return error_set_at(err, EIO, AT_HEADER_SIZE, "has a header of %" PRIu64 " bytes",
                                    image->header_len);
        return 0;
}

static int parse_size(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint64_t span = qcow2_l2_span(image), most;

        image->size = load_le64(h + AT_SIZE);
        if (image->size > QCOW2_DISK_MAX)
                return error_set_at(err, EFBIG, AT_SIZE,
                                    "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                    image->size);
        if (!checked_mul(image->table_len / 8, span, &most))
                most = UINT64_MAX;
        if (image->size % SECTOR || image->size > most)
                return error_set_at(err, EIO, AT_SIZE,
                                    "cannot have a disk of %" PRIu64 " bytes with such tables",
                                    image->size);
        image->l1_offset = load_le64(h + AT_L1_OFFSET);
        image->l1_entries = (uint32_t)((image->size + span - 1) / span);
        if (image->l1_offset < image->header_len)
                return error_set_at(err, EIO, AT_L1_OFFSET, "its L1 table lies in the header");
        return 0;
}

static int parse_features(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint64_t features = load_le64(h + AT_FEATURES);

        if (features & ~FEATURES_KNOWN)
                return error_set_at(err, ENOTSUP, AT_FEATURES,
                                    "uses a feature of QED that vmafs does not know: bit %d",
                                    __builtin_ctzll(features & ~FEATURES_KNOWN));
        image->dirty = features & FEATURE_NEEDS_CHECK;
        if (features & FEATURE_RAW_BACKING)
                memcpy(image->backing_format, "raw", 4);
        return 0;
}

static int read_backing(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint32_t offset = load_le32(h + AT_BACKING_OFFSET), len = load_le32(h + AT_BACKING_LEN);
        int rc;

        if (!(load_le64(h + AT_FEATURES) & FEATURE_BACKING))
                return 0;
        if (len == 0 || len > QCOW2_NAME_MAX || !range_within(offset, len, image->header_len))
                return error_set_at(err, EIO, AT_BACKING_OFFSET,
                                    "the name of its backing file is outside of the header");
        rc = source_fetch(image->source, image->backing, len, offset,
                          "the name of its backing file", err);
        if (rc == 0 && strlen(image->backing) != len)
                rc = error_set_at(err, EIO, offset, "the name of its backing file has a NUL");
        return rc;
}

int qed_read_header(struct qcow2_image *image, struct error *err)
{
        uint8_t h[HEADER];
        int rc = source_fetch(image->source, h, sizeof h, 0, "the header", err);

        if (rc == 0)
                rc = parse_geometry(image, h, err);
        if (rc == 0)
                rc = parse_features(image, h, err);
        if (rc == 0)
                rc = parse_size(image, h, err);
        return rc < 0 ? rc : read_backing(image, h, err);
}
