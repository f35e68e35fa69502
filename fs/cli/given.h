/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a verb was given, by a path or an address: an archive, a folder of archives, or a datastore or
 * a place in one. Of an address in a bucket only the server knows; the processes that fetch from it
 * are started to see, and what they give is narrowed to what was found:
 *
 *   s3://b/dump/                            a folder
 *   s3://b/dump/a.vma/qemu-server.conf      an archive, and what is in it
 *   s3://b/store/vm/100/2026-…Z/root/etc    a place in the datastore s3://b/store/
 *   └─── root ──┘└─────── below ───────┘
 */
#ifndef VMAFS_GIVEN_H
#define VMAFS_GIVEN_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/cli/archive_path.h"
#include "fs/cli/opening.h"
#include "fs/fetch/fetchers.h"

struct index_options;

enum given_kind { GIVEN_ARCHIVE, GIVEN_FOLDER, GIVEN_DATASTORE };

struct given {
        const char *path; /* as given; the caller keeps it */
        enum given_kind kind;

        bool far; /* it is fetched by these; all else of it is NULL */
        struct fetchers fetchers;
        char *root;   /* the address of their folder, which ends in '/' */
        char *below;  /* the rest of the address: of an archive its name; see stored_place */
        char *inside; /* of an archive, what is in it: "" for itself */
};

#define GIVEN_NONE ((struct given){.fetchers = FETCHERS_NONE})

/*
 * Find out what PATH, which is opened according to OPTIONS, is. Nothing of an archive is read. Returns
 * the exit status; reports what is wrong. given_end in any case; *G must not move.
 */
int given_find(const char *path, const struct index_options *options, struct given *g);
void given_end(struct given *g);

/* Can it be seen of PATH, an address, that it may be more than one archive? */
bool given_may_be_more(const char *path);

/* The archive that G is, in one word; what is in an archive is refused. As given_find. */
int given_archive(struct given *g, struct archive_at *out);

/* Does G have parts, as archive_path_has_parts? */
bool given_has_parts(const struct given *g);

/* As archive_path_find and archive_parts_find, for G. */
int given_split(struct given *g, const char *word, struct archive_path *out);
int given_parts(struct given *g, char *const *words, size_t count, struct archive_parts *out);

/* How ARCHIVE, which given_split has found, is opened. */
struct archive_at given_at(struct given *g, const char *archive);

#endif
