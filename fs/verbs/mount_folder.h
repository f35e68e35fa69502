/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of archives that is to be mounted, on disk or in a bucket, or a datastore in a bucket, and
 * the processes that have access to it.
 */
#ifndef VMAFS_MOUNT_FOLDER_H
#define VMAFS_MOUNT_FOLDER_H

#include <stdbool.h>

#include "fs/fetch/fetchers.h"
#include "fs/process/folder_helper.h"

struct datastore;
struct error;
struct index_options;
struct shared;
struct site;
struct store;
struct stored;

struct mount_folder {
        bool is_one;
        /* It is a datastore in a bucket; of that, or of an archive there, only fetchers are used. */
        bool is_datastore;
        bool far;   /* it is in a bucket */
        int fd;     /* of one on disk, or -1 */
        char *path; /* absolute, or an address */
        const struct index_options *options;
        struct fetchers fetchers;
        struct folder_helper keeper;
};

#define MOUNT_FOLDER_NONE                                                                          \
        ((struct mount_folder){.fd = -1, .fetchers = FETCHERS_NONE, .keeper = FOLDER_HELPER_NONE})

/*
 * Is PATH a folder of archives, on disk and no datastore, or any folder in a bucket, or may it be the
 * latter?
 */
bool mount_folder_may_be_one(const char *path);

/*
 * Find that folder, whose archives will be opened according to OPTIONS, which stay the caller's.
 * One in a bucket is listed, to see what it is. If it is an archive after all, it is opened: *SITE is
 * set, and used as long as F. Returns the exit status; reports what is wrong. mount_folder_end in any
 * case.
 */
int mount_folder_find(struct mount_folder *f, const char *path, const struct index_options *options,
                      struct site **site);

/* Start what has access to the surroundings of its archives. *F must not move. 0 or -errno, with ERR. */
int mount_folder_start(struct mount_folder *f, struct error *err);

/* It as a store, which has its descriptor from now on; F outlives it. NULL: out of memory. */
struct store *mount_folder_store(struct mount_folder *f);

/* The datastore that it is, as stored_open_far; F outlives it. */
int mount_folder_datastore(struct mount_folder *f, struct stored *key, struct shared *shared,
                           struct datastore **out, struct error *err);

/* As open_archives_ops.site and leave, with F as CTX. */
int mount_folder_site(struct mount_folder *f, unsigned number, const char *path, struct site **out,
                      struct error *err);
void mount_folder_leave(struct mount_folder *f, unsigned number);

void mount_folder_end(struct mount_folder *f);

#endif
