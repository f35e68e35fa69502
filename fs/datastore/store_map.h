/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs map of a disk in a datastore, or of what has changed in it since another snapshot. */
#ifndef VMAFS_STORE_MAP_H
#define VMAFS_STORE_MAP_H

#include <stdbool.h>

struct datastore_words;
struct given;

struct store_map {
        struct given *given; /* the datastore, or a place in one … */
        const char *disk;    /* … and the disk below it */
        const char
            *since; /* a snapshot, "2026-01-31T00:00:00Z" or its path; NULL: all is printed */
        bool json;
};

/*
 * Print the map to stdout, from indexes alone. Returns the exit status; reports what is wrong.
 * STATUS_FAILED also where a part of the disk is known to be lost.
 */
int store_map(const struct store_map *m, const struct datastore_words *words);

#endif
