/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The persistent bitmaps of a qcow2 image. */
#ifndef VMAFS_QCOW2_BITMAP_H
#define VMAFS_QCOW2_BITMAP_H

#include "archive/qcow2/qcow2_image.h"

struct archive_sink;
struct error;
struct qcow2;

/* Emit each bitmap as a file. 0 or -errno, as the sink; the scan reports damage. */
int qcow2_emit_bitmaps(struct qcow2 *q, const struct archive_sink *sink, struct error *err);

/*
 * Call EACH for every range of the file that stores bitmaps. 0; -EIO: these cannot be found; what
 * EACH returned; or as source_pread.
 */
int qcow2_each_bitmap_range(const struct qcow2_image *image,
                            int (*each)(void *ctx, uint64_t offset, uint64_t len), void *ctx);

#endif
