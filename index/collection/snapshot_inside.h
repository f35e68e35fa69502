/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is inside of the disks of a snapshot: their partitions, and the volume groups on them. */
#ifndef VMAFS_SNAPSHOT_INSIDE_H
#define VMAFS_SNAPSHOT_INSIDE_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct index;
struct node;
struct pbs_snapshot;
struct shared;

/*
 * The disks of S that can be opened as an index, which SHARED and S outlive. Sets *OUT, closed by
 * index_close. Nothing is read. 0 or -ENOMEM.
 */
int snapshot_inside(const struct pbs_snapshot *s, struct shared *shared, struct index **out);

/*
 * Why a read of what N of that INSIDE is has failed, a disk or a partition, or why N, a folder of
 * them, is not all there, into OUT of SIZE bytes. False: there is nothing to say.
 */
bool snapshot_inside_why(const struct index *inside, const struct node *n, char *out, size_t size);

#endif
