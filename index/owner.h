/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the disks of an index need from it; implemented in index.c. */
#ifndef VMAFS_OWNER_H
#define VMAFS_OWNER_H

#include <stdbool.h>
#include <stddef.h>

struct ahead;
struct archive;
struct index;

struct archive *index_archive(const struct index *index);

/* What its disks' readers will need. */
struct ahead *index_ahead(const struct index *index);

/* How much memory decoded data of all archives may take, bytes. */
size_t index_cache_bytes(const struct index *index);

/* Is the index sealed, so that no map changes any more? Thread-safe. */
bool index_sealed(const struct index *index);

/*
 * Are the archive's files unchanged since they were opened? 0 or as source_check. What is answered
 * without reading them, such as zeros, is right only then.
 */
int index_check(const struct index *index);

/* Do lost data read as zeros? */
bool index_recover_zero(const struct index *index);

/* Hold the lock while you query a map that may still change. */
bool index_lock_unless_sealed(struct index *index);
void index_unlock(struct index *index);

/*
 * A part of the stored index cannot be loaded; RC says why. With -EBADMSG, if its file is
 * unchanged, the index must not be used again: it is quarantined. Thread-safe.
 */
void index_stored_part_failed(struct index *index, int rc);

#endif
