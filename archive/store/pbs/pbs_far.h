/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A datastore that is in a bucket of an object store, where the server has put it, or somebody has
 * copied it:
 *
 *   PREFIX/.chunks/bb9f/bb9f8d…        PREFIX/.chunks/bb9f/bb9f8d…
 *   PREFIX/.cnt/vm/100/2026-…/…        PREFIX/vm/100/2026-…/…
 *
 * Chunks and manifests are fetched as a whole, and files of snapshots in pieces, which the cache
 * keeps. Nothing of it is believed that is not checked on disk, too. -EREMOTEIO: it cannot be read
 * now. Thread-safe, but for open and close.
 */
#ifndef VMAFS_PBS_FAR_H
#define VMAFS_PBS_FAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define PBS_CHUNKS_FOLDER ".chunks"

/*
 * Where there is a folder of this name, the datastore is, or was, in a bucket of an object store, and
 * it has the namespaces and groups.
 */
#define PBS_BUCKET_FOLDER ".cnt"

struct dir_name;
struct error;
struct pbs_far;
struct shared;
struct source;
struct store;

/*
 * The datastore that TAKE_STORE is, which is closed with it, and on failure. SHARED, in whose cache
 * pieces are kept, outlives *OUT. Lists the root once. -EMEDIUMTYPE: it is none; what listing says;
 * -ENOMEM; with ERR.
 */
int pbs_far_open(struct store *take_store, struct shared *shared, struct pbs_far **out,
                 struct error *err);
void pbs_far_close(struct pbs_far *f); /* NULL is allowed */

/* The chunk at PATH below .chunks, as pbs_file_read. */
ssize_t pbs_far_chunk(struct pbs_far *f, const char *path, size_t max, void **out,
                      struct error *err);

/* The file NAME of the snapshot PATH, as pbs_file_read. */
ssize_t pbs_far_read(struct pbs_far *f, const char *path, const char *name, size_t max, void **out,
                     struct error *err);

/* The same file as a source, as pbs_files_open. */
int pbs_far_source(struct pbs_far *f, const char *path, const char *name, struct source **out,
                   struct error *err);

/* Is there such a file? 1 or 0; or -errno, with ERR. */
int pbs_far_has(struct pbs_far *f, const char *path, const char *name, struct error *err);

/* List the folder PATH below the root of namespaces, as dir_list, with ERR. */
int pbs_far_list(struct pbs_far *f, const char *path,
                 int (*each)(void *ctx, const struct dir_name *n), void *ctx, struct error *err);

/*
 * Nobody tells when a folder is changed: *OUT is another time than before once lists are too old, which
 * takes longer where they take long.
 */
void pbs_far_changed(struct pbs_far *f, struct timespec *out);

#endif
