/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restores disks and files of one archive without a mount, in one pass over it. Disks become sparse
 * files. A file is named NAME.partial until it is complete and sound.
 */
#ifndef VMAFS_EXTRACTION_H
#define VMAFS_EXTRACTION_H

#include <stdbool.h>

#include "fs/cli/opening.h"
#include "index/index.h"

/* What is to be restored. All of it stays the caller's. */
struct extraction {
        struct archive_at archive;
        const char *dir; /* path of the directory that the files are made in */
        char **wanted;   /* names (selection.h); none: everything is wanted */
        int wanted_count;
        bool force; /* replace what is there */
        struct index_options opening;
};

/* Returns the exit status; reports what is wrong, and what is lost. */
int extraction_run(const struct extraction *what);

#endif
