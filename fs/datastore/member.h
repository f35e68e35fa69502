/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a path in a datastore means:
 *
 *   vm/100/2026-02-01T00:00:00Z / disk-drive-scsi0.raw
 *   ct/101/2026-02-01T00:00:00Z / root / etc/passwd
 *   └──────── snapshot ───────┘   item   inside
 *   vm/100/2026-02-01T00:00:00Z / disk-drive-scsi0.parts/1.raw
 *                                 └──────── part ────────┘
 */
#ifndef VMAFS_MEMBER_H
#define VMAFS_MEMBER_H

#include <stdint.h>

#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pxar.h"

struct disk;
struct error;
struct index;
struct snapshots;

struct member {
        struct pbs_snapshot *snapshot;
        const struct pbs_item *item; /* NULL: it is all of the snapshot */
        char *inside;                /* of an item that is a tree: "" for all of it */
        struct index *within;        /* what is inside of its disks, if PATH leads there: … */
        struct disk *part;           /* … a partition or a logical volume; ITEM is NULL then */
};

/*
 * Find PATH in S, which outlives *OUT. An item has the name that a mount shows, its file's name in the snapshot, with
 * its last ending or without; a disk also its device's. 0; -ENOENT where there is no such, and what
 * pbs_snapshot_open says; with the reason in ERR. member_fini frees *OUT in any case.
 */
int member_find(const struct snapshots *s, const char *path, struct member *out, struct error *err);
void member_fini(struct member *m);

/*
 * Find PATH, not "", in the tree whose root is ROOT, and call EACH for it, once. 0 or what EACH
 * returned; -ENOENT; otherwise as pxar_list.
 */
int member_look_up(struct pxar *pxar, const struct pxar_folder *root, const char *path,
                   int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx,
                   struct error *err);

#endif
