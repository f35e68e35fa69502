/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One path for an archive and what is in it, as the mount of a folder has it: "dump/a.vma/x.conf" is
 * x.conf in the archive dump/a.vma.
 */
#ifndef VMAFS_ARCHIVE_PATH_H
#define VMAFS_ARCHIVE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/array.h"

/* Where a path leads. */
struct archive_path {
        char *archive; /* "dump/a.vma" */
        char *inside;  /* "x.conf"; "": the archive itself */
};

/*
 * Is PATH a folder, or does it lead into an archive? Then its parts have to be found, while any
 * other path can only be an archive.
 */
bool archive_path_has_parts(const char *path);

/*
 * Split PATH, or WORD below it if that is not NULL. Links are followed, as in any path that is
 * given. Returns the exit status; reports what is wrong. archive_path_fini frees *OUT in any case.
 */
int archive_path_find(const char *path, const char *word, struct archive_path *out);
void archive_path_fini(struct archive_path *p);

/* Report that PATH is a folder, and not an archive. */
void archive_path_refuse_folder(const char *path);

/* What is wanted of one archive. */
struct archive_part {
        char *archive;
        ARRAY(char *) insides; /* none: all that is in it */
        bool whole;            /* so all of it is wanted */
};

struct archive_parts {
        ARRAY(struct archive_part) list;
};

/*
 * Have FIND split the COUNT WORDS, or NULL if there are none, as archive_path_find does, and gather them
 * by archive. Returns the exit status; reports what is wrong. archive_parts_fini frees *OUT in any
 * case.
 */
int archive_parts_find(int (*find)(void *ctx, const char *word, struct archive_path *out),
                       void *ctx, char *const *words, size_t count, struct archive_parts *out);
void archive_parts_fini(struct archive_parts *parts);

#endif
