/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of archives, on disk or in a bucket, as info, index and verify take one: which archives
 * are in it and below it (dir.h says what counts as one). They are found before the first of them is
 * read, and each is opened through the folder, so that no link leads out of it.
 */
#ifndef VMAFS_FOLDER_H
#define VMAFS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/array.h"
#include "fs/cli/several.h"

struct fetchers;
struct given;
struct index_options;
struct opened;

struct folder {
        const char *path;          /* as given; the caller keeps it */
        int fd;                    /* on disk; -1: … */
        struct fetchers *fetchers; /* … in a bucket, from which they fetch */
        ARRAY(char *) archives;    /* their paths, which begin with PATH, sorted */
        size_t left_out;           /* folders that are too deep, or cannot be read */
};

#define FOLDER_NONE ((struct folder){.fd = -1})

void folder_close(struct folder *f);

/* The folder PATH in F is left out, which is reported, for WHY; NULL: it is a datastore. */
void folder_leave_out(struct folder *f, const char *path, const char *why);

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

/* A line for each archive of the folder G, or JSON. Returns the exit status. */
int folder_info(struct given *g, const struct index_options *options, bool json);

#endif
