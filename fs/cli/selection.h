/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which disks and files of an archive a word on the command line means. */
#ifndef VMAFS_SELECTION_H
#define VMAFS_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

struct disk;
struct index;
struct index_file;

/*
 * WORD is a disk's name ("disk-drive-scsi0.raw"); its device ("drive-scsi0"), unless something is
 * named like that; or a glob(7) pattern for its name, in which a wildcard does not match a slash.
 */
bool selection_has_disk(const char *word, const struct disk *d);

/* The same for a file, which has no device. */
bool selection_has_file(const char *word, const struct index_file *f);

/* Does a disk or a file have exactly this name? */
bool selection_is_name(const char *name, const struct index *index);

/* Does WORD mean anything in INDEX? */
bool selection_has_any(const char *word, const struct index *index);

/*
 * The disk that WORD means, or NULL. A name takes precedence over a device. Patterns are not
 * expanded.
 */
struct disk *selection_find_disk(const char *word, const struct index *index);

/*
 * May WORD mean a partition, "disk-a.parts/1.raw", or a logical volume, "lvm/guestvg/root.raw"?
 * Which there are is known once the index is sealed, if options.partitions was set.
 */
bool selection_is_inside(const char *word);

/* A walk over all of them in an index, which is sealed; begin with INDEX alone. */
struct selection_walk {
        const struct index *index;
        size_t disk, group, part;
};

/* The next one that one of the COUNT words means; NULL: there is none. */
struct disk *selection_next_part(struct selection_walk *at, char *const *words, int count);

#endif
