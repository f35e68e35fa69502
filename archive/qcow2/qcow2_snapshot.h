/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The internal snapshots of a qcow2 image. */
#ifndef VMAFS_QCOW2_SNAPSHOT_H
#define VMAFS_QCOW2_SNAPSHOT_H

struct archive_sink;
struct error;
struct qcow2;

/*
 * Emit a folder for each snapshot, with its disk, which is called DISK_NAME. 0 or -errno, as the
 * sink; damage is left to the scan to tell.
 */
int qcow2_emit_snapshots(struct qcow2 *q, const char *disk_name, const struct archive_sink *sink,
                         struct error *err);

#endif
