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

/* Add them to the tree of INDEX, which is complete otherwise. 0 or -ENOMEM. */
int inside_begin(struct index *index);

/* What index->parted has. */
void inside_free(struct index *index);

/* tree_ops.fill; CTX is the index. -EAGAIN where what it takes is not known yet. */
int inside_fill(void *ctx, struct node *folder);

/* May it give anything but -EAGAIN for FOLDER of INDEX's tree? Reads no archive. */
bool inside_ready(const struct index *index, const struct node *folder);

#endif
