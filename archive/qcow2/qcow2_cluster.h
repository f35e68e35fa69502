/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed clusters of qcow2. */
#ifndef VMAFS_QCOW2_CLUSTER_H
#define VMAFS_QCOW2_CLUSTER_H

#include "archive/qcow2/qcow2_image.h"

/* The decoders' memory, for all images of a chain. 0 or -ENOMEM. */
int qcow2_decoders_new(struct qcow2_decoders **out);
void qcow2_decoders_free(struct qcow2_decoders *d); /* NULL is allowed */

/*
 * Copy LEN bytes from SKIP into the compressed cluster that ENTRY of an L2 table says. 0, -EIO,
 * -ENOMEM, and as source_pread. Thread-safe.
 */
int qcow2_read_compressed(const struct qcow2_image *image, uint64_t entry, uint64_t skip, void *buf,
                          size_t len);

/* The bytes of the file that hold the compressed cluster of ENTRY, and perhaps a few more. */
struct qcow2_range qcow2_compressed_range(const struct qcow2_image *image, uint64_t entry);

#endif
