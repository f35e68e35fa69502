/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A datastore, and the files that its key and password are in: all of it is opened, and the two
 * files are read, before a process gives up its rights; none of it is parsed before.
 */
#ifndef VMAFS_STORED_H
#define VMAFS_STORED_H

#include <stdbool.h>
#include <stddef.h>

struct datastore;
struct error;
struct shared;
struct store;

struct stored {
        int folder; /* -1: none */
        char *key;  /* NULL: there is none */
        size_t key_len;
        char *password;      /* NULL: there is none */
        size_t password_len; /* of the memory that has to be wiped */
};

#define STORED_NONE ((struct stored){.folder = -1})

/* Is PATH a folder? */
bool stored_is_folder(const char *path);

/* Is it one that can be opened, and is no datastore? */
bool stored_is_other_folder(const char *path);

/*
 * A place in a datastore: "vm/100/2026-02-01T00:00:00Z" below the folder "/mnt/usb/store". Both
 * are the caller's to free.
 */
struct stored_place {
        char *root;
        char *below; /* "" for the datastore itself */
};

/*
 * Which datastore is PATH in, and where? The end of PATH need not be on disk, since a mounted tree
 * has other names than the datastore. False where it is in none, or out of memory: *OUT is empty.
 */
bool stored_locate(const char *path, struct stored_place *out);
void stored_place_fini(struct stored_place *place);

/* Is PATH a datastore, or a place in one? */
bool stored_has(const char *path);

/*
 * Has BELOW, the path of something in a folder, the form of a place in the datastore which that folder
 * would be? Sets *OUT, freed by the caller, to what it is in stored_place, without the folder that
 * only a bucket has. False: it has not, or out of memory.
 */
bool stored_place_below(const char *below, char **out);

/*
 * PATH is no datastore: a KEYFILE or PASSFILE, options after DASHES, may have been meant for
 * something else. Returns the exit status; reports it.
 */
int stored_refuse_key(const char *path, const char *dashes, const char *keyfile,
                      const char *passfile);

/*
 * Open the folder PATH, and read KEYFILE and PASSFILE, each of which may be NULL. Where the key has
 * a password and there is no PASSFILE, it is asked for on the terminal, if there is one. 0; what open and
 * read say; -EMEDIUMTYPE where the folder is no datastore; with the reason in ERR. stored_close
 * closes *S in any case.
 */
int stored_find(const char *path, const char *keyfile, const char *passfile, struct stored *s,
                struct error *err);

/* The same of a datastore that is in a bucket: only the two files are read. */
int stored_find_key(const char *keyfile, const char *passfile, struct stored *s, struct error *err);

/* As datastore_open. The secrets in S are wiped. */
int stored_open(struct stored *s, struct shared *shared, struct datastore **out, struct error *err);

/* As datastore_open_far, with the key that stored_find_key has read. */
int stored_open_far(struct stored *s, struct store *take_store, struct shared *shared,
                    struct datastore **out, struct error *err);
void stored_close(struct stored *s);

#endif
