/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scan of the qcow2 family. */
#ifndef VMAFS_QCOW2_SCAN_H
#define VMAFS_QCOW2_SCAN_H

struct archive;
struct archive_sink;
struct error;

/* As struct format's functions. */
int qcow2_scan(struct archive *a, const struct archive_sink *sink, struct error *err);
void qcow2_skip_scan(struct archive *a);

#endif
