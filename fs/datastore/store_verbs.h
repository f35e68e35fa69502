/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info and verify of a datastore. */
#ifndef VMAFS_STORE_VERBS_H
#define VMAFS_STORE_VERBS_H

#include <stdbool.h>

struct datastore_words;
struct given;

/*
 * Each prints to stdout, as JSON if so wished, and returns the exit status; reports what is wrong.
 */

/*
 * A line for each snapshot. Reads nothing but manifests; of a group or a snapshot the indexes too,
 * which tell what each snapshot adds. With PARTITIONS also what is inside of the disks.
 */
int store_info(struct given *g, const struct datastore_words *words, bool partitions, bool json);

/* Check every snapshot, and name what is wrong. STATUS_FAILED where anything is. */
int store_verify(struct given *g, const struct datastore_words *words, bool json);

#endif
