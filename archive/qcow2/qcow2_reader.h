/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The open archive, which the files of the qcow2 reader share. */
#ifndef VMAFS_QCOW2_READER_H
#define VMAFS_QCOW2_READER_H

#include <stdatomic.h>

#include "archive/array.h"
#include "archive/format.h"
#include "archive/qcow2/qcow2_image.h"
#include "archive/volume.h"

struct backing;

struct qcow2_disk {
        struct volume volume;
        const struct qcow2 *q;
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
        struct backing *foreign;          /* the last one, if it is of another format; or NULL */
        ARRAY(struct qcow2_disk *) disks; /* as they were emitted */
        uint32_t folder_count;
        const char *fault; /* what is wrong apart from the disks; NULL: nothing … */
        uint64_t fault_at; /* … and at which byte of the file */

        /*
         * Set with release when the scan has gone through all tables: before, nobody knows which of
         * them are to be believed. What follows, file sizes and verdicts do not change from then
         * on.
         */
        atomic_bool judged;
        bool holes_doubted; /* what no table maps may be lost, rather than zeros */
};

/* Show TEXT to the user, unless there is a more important note already. */
void qcow2_note(struct qcow2 *q, const char *text);

#endif
