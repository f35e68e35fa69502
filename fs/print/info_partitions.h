/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `vmafs info --partitions` says of a disk. Its index is sealed. */
#ifndef VMAFS_INFO_PARTITIONS_H
#define VMAFS_INFO_PARTITIONS_H

#include <jansson.h>
#include <stdbool.h>

struct groups;
struct parted;

/* A line on its table and one for each partition. */
void info_partitions_print(struct parted *p);

/* The volume groups, with a line for each logical volume. */
void info_groups_print(struct groups *g);

/* "volume-groups", of which there are none if G is NULL. */
json_t *info_groups_json(struct groups *g);

/* "partition-table" and "filesystem", as an object that the caller owns. */
json_t *info_partitions_json(struct parted *p);

#endif
