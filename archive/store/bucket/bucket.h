/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder in a bucket of an object store (store.h): objects whose names begin alike, with a folder
 * for each '/'. Another process lists and fetches them.
 */
#ifndef VMAFS_BUCKET_H
#define VMAFS_BUCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct error;
struct remote;
struct remote_entry;
struct remote_part;
struct store;

enum { BUCKET_SETTLE = 3000 }; /* milliseconds for which a list is good, at least */

/* How that process is reached; CTX outlives the store. Thread-safe. */
struct bucket_ops {
        void *ctx;
        /* List the folder PATH, as remote_list. */
        int (*list)(void *ctx, const char *path,
                    int (*each)(void *each_ctx, const struct remote_entry *e), void *each_ctx,
                    struct error *err);
        /* Open the object PATH, as remote_open, without an index. */
        int (*open)(void *ctx, const char *path, struct remote **out, struct error *err);
        /* A part of the object PATH, as remote_part_read. */
        ssize_t (*part)(void *ctx, const char *path, struct remote_part *part, void **out,
                        struct error *err);
};

/* OPS are copied. NULL: out of memory. */
struct store *bucket_new(const struct bucket_ops *ops);

#endif
