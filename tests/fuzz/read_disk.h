/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold of a disk whose index is sealed, whatever the archive says. */
#ifndef VMAFS_FUZZ_READ_DISK_H
#define VMAFS_FUZZ_READ_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"

struct disk;
struct index;

/* Disks and files have names that are safe, each its own. */
void check_names(struct index *index);

/*
 * Reading gives the same bytes twice or an error, zeros where the map says zeros and nothing where
 * it says lost; data and holes are where the map has them. SEED chooses where to look.
 */
void check_disk(struct disk *d, uint64_t seed);

/* A number of what check_disk would read: the same for disks that hold the same. */
uint64_t disk_digest(struct disk *d);

/* SIZE bytes as an archive: open, scan, and check_names and check_disk of all that it holds. */
void check_archive(const uint8_t *data, size_t size);

/* The same, of a tar in the view VIEW. */
void check_archive_as(const uint8_t *data, size_t size, enum archive_view view);

/* All that the tree of INDEX shows, which is sealed and has members, can be asked for. */
void check_tree(struct index *index);

#endif
