/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder with all that is below it, on disk or on a server, as collections see it: it lists names,
 * and opens what they are. Paths lead from its root, "" for itself, by names without '/'.
 *
 *   dir_store (dir/dir_store.h)   a folder on disk       no link is followed
 *   bucket    (bucket/bucket.h)   a prefix in a bucket   what a list says of an object is all that is
 *                                                        known before it is opened
 *
 * Thread-safe, but for close.
 */
#ifndef VMAFS_STORE_H
#define VMAFS_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct dir_name;
struct error;
struct remote_part;
struct store;
struct store_ops;

struct store {
        const struct store_ops *ops;
};

/* A folder of it that is open. */
struct store_folder {
        struct store *store;
        int fd;     /* on disk; else -1 */
        char *path; /* on a server; else NULL */
};

/* When a folder was changed last; all 0: nobody knows. DEV is of which file system it is. */
struct store_state {
        struct timespec changed;
        uint64_t dev;
};

/* A file that is open for reading. */
struct store_file {
        const struct store_file_ops *ops;
};

struct store_file_ops {
        /* As pread(2), but for -errno. */
        ssize_t (*pread)(struct store_file *f, void *buf, size_t len, uint64_t offset);
        /* Bytes, or -errno. */
        int64_t (*size)(struct store_file *f);
        void (*close)(struct store_file *f);
};

struct store_ops {
        unsigned settle; /* milliseconds for which a list is good, where nobody knows of changes */

        int (*enter)(struct store *s, const char *path, struct store_folder *out);
        void (*leave)(struct store_folder *f);
        int (*look)(const struct store_folder *f, struct store_state *out);

        /* As dir_list. ERR may be filled on failure. */
        int (*list)(const struct store_folder *f, int (*each)(void *ctx, const struct dir_name *n),
                    void *ctx, struct error *err);

        /* NULL: a list has said all that can be known. As fstatat, without following a link. */
        int (*stat)(const struct store_folder *f, const char *name, struct stat *out);
        ssize_t (*link)(const struct store_folder *f, const char *name, char *target, size_t size);

        /* The regular file NAME, of SIZE bytes as far as is known. Sets *OUT. 0; -ESTALE: it has
         * another size by now; or another -errno. */
        int (*open)(const struct store_folder *f, const char *name, uint64_t size,
                    struct store_file **out);
        /*
         * PART of the object PATH, as remote_part_read: for many small ones that are read as a whole.
         * NULL: opening costs nothing.
         */
        ssize_t (*part)(struct store *s, const char *path, struct remote_part *part, void **out,
                        struct error *err);
        void (*close)(struct store *s);
};

#endif
