/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which disks and files of an archive a word on the command line means. */
#ifndef VMAFS_SELECTION_H
#define VMAFS_SELECTION_H

#include <stdbool.h>

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

#endif
