/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder with an archive in it, whose index is to have a place. */
#ifndef VMAFS_TESTS_PLACE_FIXTURE_H
#define VMAFS_TESTS_PLACE_FIXTURE_H

#include <stdbool.h>

#include "archive/error.h"
#include "index/sidecar/location.h"

struct source;

enum { NOBODY = 65534, FOLDER_ARCHIVE_SIZE = 200000 };

/* What stands for an index: the magic number, and a few bytes. */
#define FOLDER_INDEX PLACE_MAGIC " and so on"

struct folder {
        char dir[64];
        char archive[80];
        char index[80]; /* a path for an index, at which nothing is yet */
        struct source *file;
        struct place *p;
        struct error err;
};

void folder_make(struct folder *f);
void folder_remove(struct folder *f);

/* As place_new, in place of the one that F has. */
int folder_place(struct folder *f, const char *choice);
/* Make the index that FOLDER_INDEX stands for. 0 or -errno. */
int folder_keep(struct folder *f);

/* What FN does, in a process of its own, as a user that is not root. FN may end it. Its status. */
int folder_as_user(void (*fn)(struct folder *f), struct folder *f);
/* In such a process, where cmocka's assertions would go on with the other tests. */
void folder_require(bool ok, int line);

#endif
