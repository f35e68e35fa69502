/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the hash tree of every disk during a scan, in whatever order the archive has:
 *
 *   scan ─> recorder_extents ─read─> batch of 16 leaves ─> worker: SHA-256 ─> hashtree_put
 *                                       ^                     │
 *                                       └──── free again ─────┘
 *
 * Batches are few. Where none is free, the scan's thread hashes the one it has: so it never waits,
 * and needs no worker. What did not come as a whole leaf in one go is read once more at the end.
 */
#ifndef VMAFS_RECORDER_H
#define VMAFS_RECORDER_H

#include <stddef.h>
#include <stdint.h>

struct disk;
struct extent;
struct hashtree;
struct index;
struct record;
struct recorder;

/* Read all of PART, which is stored, into BUF. 0 or -errno. */
typedef int (*recorder_read_fn)(void *ctx, struct disk *disk, const struct extent *part, void *buf);

/* For a scan of INDEX that is to come, with THREADS that hash; 0: one a processor. */
int recorder_new(struct index *index, unsigned threads, recorder_read_fn read, void *ctx,
                 struct recorder **out);
void recorder_free(struct recorder *r); /* NULL is allowed */

/* What the scan has found, as an index_tap is told. 0, -ENOMEM, -ENOTSUP. */
int recorder_extents(struct recorder *r, struct disk *disk, const struct extent *extents, size_t n);

/*
 * The index is sealed: complete every tree, but for pieces of which something is lost or cannot be
 * read. 0, -ENOMEM, -ENOTSUP.
 */
int recorder_finish(struct recorder *r);

/* The tree of disk number DISK. It belongs to R. */
struct hashtree *recorder_tree(const struct recorder *r, size_t disk);

/* What is to be kept. -ENODATA where a tree is not complete; -ENOMEM, -ENOTSUP. */
int recorder_record(const struct recorder *r, uint64_t time, struct record **out);

#endif
