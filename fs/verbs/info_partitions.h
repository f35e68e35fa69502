/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `vmafs info --partitions` says of a disk. Its index is sealed. */
#ifndef VMAFS_INFO_PARTITIONS_H
#define VMAFS_INFO_PARTITIONS_H

#include <jansson.h>
#include <stdbool.h>

struct parted;

/* A line on its table and one for each partition. */
void info_partitions_print(struct parted *p);

/* "partition-table" and "filesystem", as an object that the caller owns. */
json_t *info_partitions_json(struct parted *p);

#endif
