/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Computes the hash tree of every disk during a scan, in the archive's order:
 *
 *   scan ─> recorder_extent ──read─> batch of 16 leaves ─> worker: SHA-256 ─> hashtree_put
 *                                       ^                     │
 *                                       └──── free again ─────┘
 *
 * There are few batches. If none is free, the scan's thread hashes its own, so that it never waits
 * and needs no worker. A leaf that did not come in one go is read again at the end.
 */
#ifndef VMAFS_RECORDER_H
#define VMAFS_RECORDER_H

#include <stddef.h>
#include <stdint.h>

struct disk;
struct hashtree;
struct index;
struct record;
struct recorder;
struct volume_extent;

/* Read all of PART, a stored extent that begins at POS, into BUF. 0 or -errno. */
typedef int (*recorder_read_fn)(void *ctx, struct disk *disk, uint64_t pos,
                                const struct volume_extent *part, void *buf);

/*
 * Prepare for a scan of INDEX, which must outlive the recorder. The threads that INDEX shares do
 * the hashing.
 */
int recorder_new(struct index *index, recorder_read_fn read, void *ctx, struct recorder **out);
void recorder_free(struct recorder *r); /* NULL is allowed */

/* An index_observer's function: takes what the scan has found. 0, -ENOMEM, -ENOTSUP. */
int recorder_extent(struct recorder *r, struct disk *disk, uint64_t pos,
                    const struct volume_extent *e);

/*
 * The index is sealed: complete every tree, except for pieces with parts that are lost or
 * unreadable. 0, -ENOMEM, -ENOTSUP.
 */
int recorder_finish(struct recorder *r);

/* The tree of disk number DISK. It belongs to R. */
struct hashtree *recorder_tree(const struct recorder *r, size_t disk);

/* Make the record to store. -ENODATA if a tree is incomplete; -ENOMEM, -ENOTSUP. */
int recorder_record(const struct recorder *r, uint64_t time, struct record **out);

#endif
