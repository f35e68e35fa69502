/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb on a datastore: opening it with no more rights than that needs, and going through it. */
#ifndef VMAFS_SNAPSHOTS_H
#define VMAFS_SNAPSHOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/stored.h"

struct error;
struct given;
struct pbs_key;
struct shared;

/* Where the key of an encrypted one is; each may be NULL. What else 0 means: see shared.h. */
struct datastore_words {
        const char *keyfile, *passfile;
        bool alone; /* they were given with one path or address */
        size_t cache_bytes;
        unsigned threads;
};

/* For the table of getopt_long of a verb. */
enum datastore_word { DATASTORE_KEYFILE = 300, DATASTORE_PASSFILE };
#define DATASTORE_LONG_OPTIONS                                                                     \
        {"keyfile", required_argument, NULL, DATASTORE_KEYFILE},                                   \
        {                                                                                          \
                "passfile", required_argument, NULL, DATASTORE_PASSFILE                            \
        }

/* getopt_long has returned C: take it if it is one of these. */
bool snapshots_option(int c, struct datastore_words *w);

#define SNAPSHOTS_NONE ((struct snapshots){.stored = STORED_NONE})

/*
 * A key is of no use unless one of the COUNT PATHS is a datastore, or a place in one, or may be, as an
 * address: then it may have been meant for something else. Returns the exit status; reports what is
 * wrong.
 */
int snapshots_check_words(struct datastore_words *w, char *const *paths, size_t count);

/* The same of G, which has been found since, if it is all that W was given with. */
int snapshots_check_given(const struct datastore_words *w, const struct given *g);

struct snapshots {
        struct stored_place place;
        enum pbs_level level; /* of the folder that the place begins with … */
        char *folder;         /* … "vm/100"; "" for the datastore itself */
        const char *rest;     /* what follows that: "" or what a snapshot has, "root/etc" */
        struct stored stored;
        struct shared *shared;
        struct pbs_key *key;
        struct pbs_store *store;
};

/*
 * Open the datastore that G, which outlives *S, is, or is a place in, and give up all rights but to read
 * it, and to use SOCKETS of helpers, or NULL. Returns the exit status; reports what is wrong.
 * snapshots_close closes *S in any case.
 */
int snapshots_open(struct given *g, const struct datastore_words *words, const int sockets[2],
                   struct snapshots *s);
void snapshots_close(struct snapshots *s);

/* The place must be a snapshot, or a folder of them. The exit status; reports what else it is. */
int snapshots_need_folder(const struct snapshots *s, const char *path);

/*
 * Call EACH for every snapshot in the place, groups and times in order, until it returns other than 0, which is
 * returned. -errno where a folder cannot be listed; ERR may be filled.
 */
int snapshots_each(const struct snapshots *s, int (*each)(void *ctx, const char *path), void *ctx,
                   struct error *err);

#endif
