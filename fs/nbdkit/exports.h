/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disks, partitions and logical volumes of a content, by the names that a mount shows:
 *
 *   disk-drive-scsi0.raw            each disk: listed
 *   disk-drive-scsi0.parts/1.raw    each partition, and
 *   lvm/guestvg/root.raw            each logical volume: listed on request, but always there
 */
#ifndef VMAFS_EXPORTS_H
#define VMAFS_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>

struct content;
struct disk;
struct pbs_item;
struct volume;

/* Lasts as long as the content. */
struct export
{
        const char *name;
        const char *device;    /* the archive's own name for it, or NULL */
        struct disk *disk;     /* of an archive, or … */
        struct volume *volume; /* … of a datastore */
};

/*
 * C was opened: which of its disks is the only one that is exported? Its path may say it, or WORD, a
 * name or a device; NULL: nothing does. 0, or -errno with the reason logged.
 */
int exports_choose(struct content *c, const char *word);

/* What a client gets that names nothing; NULL: there are several, which is logged. */
const char *exports_default(struct content *c);

/*
 * Those below wait for the index where they have to: growth_until. They log why they fail.
 *
 * Find NAME. 0 or -errno.
 */
int exports_find(struct content *c, const char *name, struct export *out);

/*
 * Call EACH for all that are listed, with PARTS also for partitions and volumes, until it returns
 * other than 0, which is returned.
 */
int exports_each(struct content *c, bool parts, int (*each)(void *ctx, const struct export *e),
                 void *ctx);

enum { DESCRIPTION_SIZE = 512 };

/* Describe E in one line: the guest, the device, the size. */
void exports_describe(struct content *c, const struct export *e, char out[DESCRIPTION_SIZE]);

#endif
