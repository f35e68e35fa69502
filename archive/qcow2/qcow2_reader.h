/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The open archive, which qcow2_*.c share; nobody else includes this. */
#ifndef VMAFS_QCOW2_READER_H
#define VMAFS_QCOW2_READER_H

#include "archive/format.h"
#include "archive/qcow2/qcow2_image.h"

/* See the picture of addresses in qcow2.c. */
#define QCOW2_DISK_STEP UINT64_C(4096)

struct qcow2_disk {
        struct qcow2_table table;
        bool is_state;    /* the state of a machine */
        bool broken;      /* its L1 table cannot be used … */
        uint64_t said_at; /* … which this byte of the file names */
};

/* A backing file. */
struct qcow2_layer {
        struct qcow2_image image; /* of a raw one, the source and its size */
        struct qcow2_table table;
        bool is_raw;
};

struct qcow2 {
        struct archive base;
        struct qcow2_image image;
        struct qcow2_layer *layers; /* by depth, from 1 on; NULL without a backing file */
        unsigned layer_count;
        struct qcow2_disk *disks; /* as they were emitted */
        size_t disk_count;
        uint32_t folder_count;
        const char *fault; /* what is wrong besides the disks, NULL: nothing … */
        uint64_t fault_at; /* … and at which byte of the file */
};

/*
 * Emit DISK as NAME in FOLDER. Whether its L1 table can be used is looked at here, and found out in
 * DISK's copy: that is no error.
 */
int qcow2_add_disk(struct qcow2 *q, const struct qcow2_disk *disk, const char *name,
                   uint32_t folder, const struct archive_sink *sink, struct error *err);

/* A person should know TEXT, unless there is something more important already. */
void qcow2_note(struct qcow2 *q, const char *text);

/* Emit each persistent bitmap as a file. */
int qcow2_emit_bitmaps(struct qcow2 *q, const struct archive_sink *sink, struct error *err);

/* Emit a folder for each snapshot, with its disk, which is called DISK_NAME. */
int qcow2_emit_snapshots(struct qcow2 *q, const char *disk_name, const struct archive_sink *sink,
                         struct error *err);

/*
 * Open the backing files, as far as ORIGIN allows. -EPERM where it does not, -ELOOP for too many of
 * them, and as opening an image.
 */
int qcow2_open_chain(struct qcow2 *q, const struct archive_origin *origin, struct error *err);
void qcow2_close_chain(struct qcow2 *q);

/* Is all of the L1 table of T in the file? 0, or -EIO with the reason in ERR. */
int qcow2_check_l1(const struct qcow2_image *image, const struct qcow2_table *t, struct error *err);

/*
 * As qcow2_find, of disk number DISK and with its backing files: what is left as QCOW2_UNALLOCATED
 * is zeros. LOOK is ended after the last one of a row.
 */
int qcow2_look(const struct qcow2 *q, size_t disk, uint64_t pos, uint64_t len,
               enum qcow2_alike alike, struct qcow2_look *look, struct qcow2_piece *out);
void qcow2_end_look(const struct qcow2 *q, struct qcow2_look *look);

/*
 * As archive_ops' functions, of all formats of this family. OPS is the image's own.
 */
int qcow2_open_as(const struct archive_ops *ops, struct source *source,
                  const struct archive_origin *origin, const struct archive_sink *sink,
                  struct archive **out, struct error *err);
int qcow2_read(struct archive *a, const struct extent *extent, uint64_t skip, void *buf,
               size_t len);
int qcow2_detail(struct archive *a, uint32_t disk, uint64_t start, uint64_t len,
                 struct archive_detail *out);
void qcow2_close(struct archive *a);
int qcow2_scan(struct archive *a, const struct archive_sink *sink, struct error *err);

#endif
