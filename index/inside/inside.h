/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of an index's tree for what is inside of its disks. They are there from the start,
 * and are filled when they are entered.
 */
#ifndef VMAFS_INSIDE_H
#define VMAFS_INSIDE_H

#include <stdbool.h>

struct index;
struct node;
struct part;

#define INSIDE_GROUPS_NAME "lvm"

/* "disk-a.parts", where the partitions of "disk-a.raw" are. A new string; NULL: out of memory. */
char *inside_folder_name(const char *disk);

/* Add them to the tree of INDEX, which is complete otherwise. 0 or -ENOMEM. */
int inside_begin(struct index *index);

/* What index->parted has. */
void inside_free(struct index *index);

/* tree_ops.fill; CTX is the index. -EAGAIN where what it takes is not known yet. */
int inside_fill(void *ctx, struct node *folder);

/* Is the folder N of INDEX's tree filled by that? */
bool inside_has(const struct index *index, const struct node *n);

/* The part called NAME, "disk-a.parts/1.raw", where it was looked at already; or NULL. Reads nothing. */
struct part *inside_find(const struct index *index, const char *name);

/*
 * May PATH, which is NAME of such a part or of a folder, be looked up and its file system be told
 * without -EAGAIN? Reads no archive.
 */
bool inside_is_ready(const struct index *index, const char *path);

/* May it give anything but -EAGAIN for FOLDER of INDEX's tree? Reads no archive. */
bool inside_ready(const struct index *index, const struct node *folder);

#endif
