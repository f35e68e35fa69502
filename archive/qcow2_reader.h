/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The open archive, which qcow2.c shares with qcow2_scan.c; nobody else includes this. */
#ifndef VMAFS_QCOW2_READER_H
#define VMAFS_QCOW2_READER_H

#include "archive/archive.h"
#include "archive/qcow2.h"

/* See the picture of addresses in qcow2.c. */
#define QCOW2_DISK_STEP UINT64_C(4096)

struct qcow2_disk {
        struct qcow2_table table;
};

struct qcow2 {
        struct archive base;
        struct qcow2_image image;
        struct qcow2_disk *disks; /* as they were emitted */
        size_t disk_count;
};

/* As qcow2_find, of disk number DISK; and the end of a row of them. */
int qcow2_look(const struct qcow2 *q, size_t disk, uint64_t pos, uint64_t len,
               enum qcow2_alike alike, struct qcow2_cursor *cursor, struct qcow2_piece *out);
void qcow2_end_look(const struct qcow2 *q, struct qcow2_cursor *cursor);

/* As archive_ops' scan. */
int qcow2_scan(struct archive *a, const struct archive_sink *sink, struct error *err);

#endif
