/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disks of an image of the qcow2 family. Each is a volume, which answers from the tables:
 *
 *   L1 and L2 tables, of each layer   kind            where
 *   uncompressed cluster              raw             in the file of the layer that has it
 *   compressed cluster                coded           likewise
 *   "zeros", or in no layer           zeros           where the cluster is reserved, if it is
 *   what cannot be                    lost
 *
 * Until the tables were gone through all answers are "unknown": of a table by itself nobody can
 * tell whether it is what was written there.
 */
#ifndef VMAFS_QCOW2_VOLUME_H
#define VMAFS_QCOW2_VOLUME_H

#include "archive/qcow2/qcow2_reader.h"

struct archive_sink;
struct error;

/*
 * Emit a disk like DISK, which is copied, as NAME in FOLDER. Whether its L1 table can be used is
 * looked at here, and found out in the copy: that is no error.
 */
int qcow2_add_disk(struct qcow2 *q, const struct qcow2_disk *disk, const char *name,
                   uint32_t folder, const struct archive_sink *sink, struct error *err);
void qcow2_free_disks(struct qcow2 *q);

/* As struct format's check: of the image and its backing files. */
int qcow2_check_files(const struct qcow2 *q);

#endif
