/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of archives, as info, index and verify take one: which archives are in it and below it
 * (dir.h says what counts as one). They are found before the first of them is read, and each is
 * opened through the folder, so that no link leads out of it.
 */
#ifndef VMAFS_FOLDER_H
#define VMAFS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/array.h"
#include "fs/cli/several.h"

struct index_options;
struct opened;

struct folder {
        const char *path; /* as given; the caller keeps it */
        int fd;
        ARRAY(char *) archives; /* their paths, which begin with PATH, sorted */
        size_t left_out;        /* folders that are too deep, or cannot be read */
};

#define FOLDER_NONE ((struct folder){.fd = -1})

/* Is PATH a folder, and no datastore? */
bool folder_is_one(const char *path);

/*
 * Find the archives in PATH. Returns the exit status; reports what is wrong. folder_close closes *F
 * in any case.
 */
int folder_find(const char *path, struct folder *f);
void folder_close(struct folder *f);

/* What a path in F->archives is called in the folder. */
const char *folder_name(const struct folder *f, const char *archive);

/* A descriptor of the folder that ARCHIVE, one of F->archives, is in, or -errno. */
int folder_of(const struct folder *f, const char *archive);

/* As opening_open, for ARCHIVE, one of F->archives. This process can open no other one after it. */
int folder_open(struct folder *f, const char *archive, const struct index_options *options,
                struct opened *o);

/*
 * Run WORK for each archive, as several_run_list. CTX is WORK's, and so are blank lines. Prints how
 * many there are and, by WORD, how many of them failed; with JSON an object with all of it. Returns
 * the exit status.
 */
int folder_run(const struct folder *f, bool json, const char *word, several_work *work, void *ctx);

/* A line for each archive of a folder, on disk or in a bucket, or JSON. Returns the exit status. */
int folder_info(const char *path, const struct index_options *options, bool json);

#endif
