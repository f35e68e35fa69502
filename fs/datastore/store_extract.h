/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs extract of a snapshot in a datastore, or of what is in one. */
#ifndef VMAFS_STORE_EXTRACT_H
#define VMAFS_STORE_EXTRACT_H

#include <stdbool.h>

#include "fs/cli/given.h"
#include "fs/datastore/snapshots.h"

struct store_extract {
        struct given *given; /* the datastore, or a place in one */
        struct datastore_words words;
        const char *dir; /* to extract into */
        char **wanted;   /* paths below that; none: itself */
        int wanted_count;
        bool force;
        bool to_stdout; /* one file, and no directory */
};

/* Returns the exit status; reports what is wrong. */
int store_extract(const struct store_extract *x);

#endif
