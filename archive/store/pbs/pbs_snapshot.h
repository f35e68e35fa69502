/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One snapshot of a datastore: what its manifest names, as files and trees.
 *
 *   drive-scsi0.img.fidx     disk    disk-drive-scsi0.raw
 *   qemu-server.conf.blob    file    qemu-server.conf
 *   root.pxar.didx           tree    root
 *   root.mpxar.didx and      tree    root, of version 2
 *   root.ppxar.didx
 *   catalog.pcat1.didx       file    catalog.pcat1
 *   client.log.blob          file    client.log, which no manifest names
 */
#ifndef VMAFS_PBS_SNAPSHOT_H
#define VMAFS_PBS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/store/pbs/pbs_manifest.h"

struct error;
struct pbs_snapshot;
struct pbs_store;
struct pxar;
struct volume;

enum pbs_item_kind { PBS_ITEM_DISK, PBS_ITEM_FILE, PBS_ITEM_TREE };

/* One file or tree. Its name and content last as long as the snapshot is open. */
struct pbs_item {
        enum pbs_item_kind kind;
        const char *name;       /* as it is shown */
        const char *device;     /* of a disk: "drive-scsi0"; NULL */
        bool is_index;          /* content is one of pbs_volume.h */
        struct volume *content; /* NULL where it cannot be opened: WHY says … */
        struct volume *payload; /* … of a tree of version 2 also */
        const char *why;
        int error; /* the reason's errno; 0: there is none */

        /* What the manifest says of content and payload; NULL where it says nothing. */
        const struct pbs_manifest_file *file, *payload_file;
};

/*
 * Open the snapshot PATH of S, which outlives it. Sets *OUT, closed by pbs_snapshot_close. -ENOENT
 * where there is no manifest: the backup is not finished, or was broken off; -EIO where it is
 * damaged; what open says; -ENOMEM; with the reason in ERR. An archive that cannot be opened is no
 * failure.
 */
int pbs_snapshot_open(struct pbs_store *s, const char *path, struct pbs_snapshot **out,
                      struct error *err);
void pbs_snapshot_close(struct pbs_snapshot *snapshot); /* NULL is allowed */

const struct pbs_manifest *pbs_snapshot_manifest(const struct pbs_snapshot *snapshot);

size_t pbs_snapshot_count(const struct pbs_snapshot *snapshot);
const struct pbs_item *pbs_snapshot_item(const struct pbs_snapshot *snapshot, size_t i);

#endif
