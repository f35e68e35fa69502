/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder of archives in a bucket, as info takes one. */
#ifndef VMAFS_BUCKET_FOLDER_H
#define VMAFS_BUCKET_FOLDER_H

#include <stdbool.h>

struct fetchers;
struct folder;
struct remote_options;

/* Is PATH the address of a folder in a bucket? */
bool bucket_folder_is_one(const char *path);

/* Is NAME that of a folder that only a datastore of Proxmox Backup Server has? */
bool bucket_folder_is_datastores(const char *name);

/*
 * Find the archives in the folder PATH, as folder_find, with F, which is to be started, and which
 * fetches them. *OUT has no descriptor. A datastore is refused. Returns the exit status; reports what is wrong.
 */
int bucket_folder_find(const char *path, const struct remote_options *options, struct fetchers *f,
                       struct folder *out);

#endif
