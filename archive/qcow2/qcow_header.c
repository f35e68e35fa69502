/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow of version 1, QEMU's first format of its own.
 *
 *   header, name of the backing file, L1 table ──> L2 table ──> cluster, compressed bytes, or nothing
 *
 * Big-endian. An L2 table has a size of its own. There are no snapshots and no reference counts, and
 * compressed clusters lie byte after byte; all that is after the header is qcow2's own
 * (qcow2_image.h).
 */
#include "archive/qcow2/qcow_header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        HEADER = 48,

        AT_BACKING_OFFSET = 8,
        AT_BACKING_LEN = 16,
        AT_SIZE = 24,
        AT_CLUSTER_BITS = 32,
        AT_L2_BITS = 33,
        AT_CRYPT = 36,
        AT_L1_OFFSET = 40,

        CLUSTER_BITS_MIN = 9,
        CLUSTER_BITS_MAX = 16,
        L2_BITS_MIN = CLUSTER_BITS_MIN - 3,
        L2_BITS_MAX = CLUSTER_BITS_MAX - 3,
};

bool qcow_probe(struct probe *p)
{
        return probe_has(p, 0, "QFI\xfb\0\0\0\1", 8);
}

static int parse_geometry(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        unsigned l2_bits = h[AT_L2_BITS];

        image->version = 1;
        image->cluster_bits = h[AT_CLUSTER_BITS];
        if (image->cluster_bits < CLUSTER_BITS_MIN || image->cluster_bits > CLUSTER_BITS_MAX)
                return error_set_at(err, EIO, AT_CLUSTER_BITS,
                                    "has clusters of 2^%u bytes; 2^9 to 2^16 are possible",
                                    image->cluster_bits);
        if (l2_bits < L2_BITS_MIN || l2_bits > L2_BITS_MAX)
                return error_set_at(err, EIO, AT_L2_BITS,
                                    "has L2 tables of 2^%u entries; 2^6 to 2^13 are possible",
                                    l2_bits);
        image->table_len = UINT64_C(8) << l2_bits;
        if (load_be32(h + AT_CRYPT))
                return error_set_at(err, ENOTSUP, AT_CRYPT,
                                    "is encrypted; vmafs reads no encrypted images");
        return 0;
}

static int parse_size(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint64_t span = qcow2_l2_span(image);

        image->size = load_be64(h + AT_SIZE);
        if (image->size > QCOW2_DISK_MAX)
                return error_set_at(err, EFBIG, AT_SIZE,
                                    "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                    image->size);
        image->l1_entries = (uint32_t)((image->size + span - 1) / span);
        image->l1_offset = load_be64(h + AT_L1_OFFSET);
        image->header_len = HEADER;
        if (image->l1_offset < HEADER || image->l1_offset % 8)
                return error_set_at(err, EIO, AT_L1_OFFSET,
                                    "its L1 table cannot be where the header says it is");
        return 0;
}

static int read_backing(struct qcow2_image *image, const uint8_t *h, struct error *err)
{
        uint64_t offset = load_be64(h + AT_BACKING_OFFSET);
        uint32_t len = load_be32(h + AT_BACKING_LEN);
        int rc;

        if (!offset)
                return 0;
        if (len == 0 || len > QCOW2_NAME_MAX || offset < HEADER || offset > QCOW2_FILE_MAX)
                return error_set_at(err, EIO, AT_BACKING_OFFSET,
                                    "the name of its backing file is outside of the header");
        rc = source_fetch(image->source, image->backing, len, offset,
                          "the name of its backing file", err);
        if (rc == 0 && strlen(image->backing) != len)
                rc = error_set_at(err, EIO, offset, "the name of its backing file has a NUL");
        return rc;
}

int qcow_read_header(struct qcow2_image *image, struct error *err)
{
        uint8_t h[HEADER];
        int rc = source_fetch(image->source, h, sizeof h, 0, "the header", err);

        if (rc == 0)
                rc = parse_geometry(image, h, err);
        if (rc == 0)
                rc = parse_size(image, h, err);
        return rc < 0 ? rc : read_backing(image, h, err);
}
