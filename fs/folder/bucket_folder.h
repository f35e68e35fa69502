/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder in a bucket: what it is, and it as a store. */
#ifndef VMAFS_BUCKET_FOLDER_H
#define VMAFS_BUCKET_FOLDER_H

#include <stdbool.h>

struct error;
struct fetchers;
struct remote_entry;
struct store;

/* Is PATH the address of a folder in a bucket? */
bool bucket_folder_is_one(const char *path);

/*
 * May PATH be such an address without the '/' at its end? Not if it is called like an archive, which then
 * costs no request to find out.
 */
bool bucket_folder_may_be_one(const char *path);

/* Is E, in a list, a folder that only a datastore has? */
bool bucket_folder_is_datastores(const struct remote_entry *e);

/*
 * Look into the folder PATH below that of F: is it a datastore? 1 or 0; -ENOENT where there is nothing
 * in it, and as fetchers_list, with ERR.
 */
int bucket_folder_look(struct fetchers *f, const char *path, struct error *err);

/* The same of what may as well be an object: -ENOENT also where the server does not list it. */
int bucket_folder_try(struct fetchers *f, const char *path, struct error *err);

/* The folder of F, which outlives it, as a store. NULL: out of memory. */
struct store *bucket_folder_store(struct fetchers *f);

#endif
