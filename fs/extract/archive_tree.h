/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extracting from an archive that is a tree of files (index_is_tree). */
#ifndef VMAFS_ARCHIVE_TREE_H
#define VMAFS_ARCHIVE_TREE_H

#include <stdbool.h>

struct extract_helper;
struct index;
struct tree_helper;

struct archive_tree {
        struct index *index; /* sealed */
        const char *archive; /* path, for messages */
        const char *dir;     /* where it is extracted to */
        bool force;          /* replace files that are there */
        struct extract_helper *maker;
        struct tree_helper *trees;
};

/*
 * Make each of the COUNT paths WANTED, with all that is below it, in the directory of the helpers,
 * under its own name; without any, the whole tree as a folder of the archive's name. Returns the
 * exit status; reports what is wrong.
 */
int archive_tree_extract(const struct archive_tree *t, char **wanted, int count);

/* Write the file PATH of INDEX, which is sealed, to standard output. The same. */
int archive_tree_print(struct index *index, const char *archive, const char *path);

#endif
