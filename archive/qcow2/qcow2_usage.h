/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the use of each cluster of an image file: whether tables name it as often as its reference
 * count says, and whether all clusters that are counted are named.
 *
 *   header, tables, clusters ──> claims ──┬──> named twice, or not counted: bad
 *   reference counts, block by block ─────┴──> counted, and never named: a table has lost entries,
 *                                              or QEMU did not end well
 *
 * What is counted more often than it is named is called leaked. If it was named by an entry that is
 * lost, the disk reads as zeros where it should be. So a leaked cluster of zeros takes nothing from
 * an image without a backing file, whatever it was: data, a table that maps nothing, or nothing
 * yet. Of any other one that cannot be told.
 *
 * Each L2 table is read once, in the disk's order and some of them ahead, and each block of counts
 * once, in the file's. QED has no reference counts: all of its file is in use, each cluster once.
 */
#ifndef VMAFS_QCOW2_USAGE_H
#define VMAFS_QCOW2_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct qcow2_image;
struct qcow2_table;
struct qcow2_verdict;

struct qcow2_leaks {
        uint64_t count;
        uint64_t empty; /* those of them that hold nothing a disk could miss */
};

struct qcow2_findings {
        const char *fault;          /* what is wrong with the image as a whole; NULL: nothing … */
        uint64_t at;                /* … and at which byte of the file */
        struct qcow2_leaks unnamed; /* clusters that are counted and not named */
        struct qcow2_leaks surplus; /* clusters that are counted more than once, and named once */
        bool holes_doubted;         /* so many that what no table maps may be lost */
        bool unchecked;             /* checking all clusters would take too much memory */
};

/* All tables that an image has. */
struct qcow2_tables {
        const struct qcow2_table *list; /* of disks */
        size_t count;
        bool all; /* there are no others */
};

/* Receives the progress. */
struct qcow2_watcher {
        /* The fraction PART is done. 0, or -errno to end with that. */
        int (*progress)(void *ctx, double part);
        void *ctx;
};

/*
 * Go through all that IMAGE, whose file size is settled, has. Sets *OUT, freed by
 * qcow2_verdict_free, where lookups have to ask it, NULL where nothing is wrong. 0 or -errno: as
 * source_pread, and what WATCHER returns; what cannot be read is left to lookups. The work is
 * bounded by the file's size.
 */
int qcow2_judge(const struct qcow2_image *image, const struct qcow2_tables *tables,
                const struct qcow2_watcher *watcher, struct qcow2_verdict **out,
                struct qcow2_findings *findings);

#endif
