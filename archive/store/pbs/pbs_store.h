/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Proxmox Backup Server datastore, from its folders to the content of one snapshot:
 *
 *   ROOT/[ns/NAME/…]{vm,ct,host}/ID/YYYY-MM-DDTHH:MM:SSZ/
 *        namespaces    types    group     snapshot
 *
 * Names that a server would not take for its own are passed over, links too, and nothing is
 * remembered: snapshots come and go while a server works on the datastore.
 */
#ifndef VMAFS_PBS_STORE_H
#define VMAFS_PBS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/store/pbs/pbs_far.h"
#include "archive/store/pbs/pbs_key.h"

struct error;
struct pbs_chunks;
struct pbs_far;
struct pbs_files;
struct pbs_store;
struct shared;
struct store;
struct timespec;

/* What a folder of the datastore is, which follows from where it is. */
enum pbs_level {
        PBS_NAMESPACE,  /* the root, too */
        PBS_NAMESPACES, /* "ns" */
        PBS_TYPE,       /* "vm", "ct", "host" */
        PBS_GROUP,
        PBS_SNAPSHOT,
};

/* A folder in another one. */
struct pbs_folder {
        const char *name;
        enum pbs_level level;
        int64_t time; /* seconds since 1970: of a snapshot the backup's, else when it was changed */
};

/* Is the open folder DIR a datastore? */
bool pbs_store_probe(int dir);

/*
 * The datastore whose folder TAKE_DIR is, which is closed with it, and on failure. KEY, which may
 * be NULL, and SHARED stay the caller's, and outlive *OUT. Sets *OUT, freed by pbs_store_close. What
 * open says of its chunks, -ENOMEM.
 */
int pbs_store_open(int take_dir, const struct pbs_key *key, struct shared *shared,
                   struct pbs_store **out, struct error *err);
/* The one in a bucket that TAKE_STORE is, which is closed with it, and on failure. As pbs_far_open. */
int pbs_store_open_far(struct store *take_store, const struct pbs_key *key, struct shared *shared,
                       struct pbs_store **out, struct error *err);
void pbs_store_close(struct pbs_store *s); /* NULL is allowed */

struct pbs_chunks *pbs_store_chunks(const struct pbs_store *s);
struct pbs_files *pbs_store_files(const struct pbs_store *s);
struct pbs_far *pbs_store_far(const struct pbs_store *s); /* NULL: it is on disk */
const struct pbs_key *pbs_store_key(const struct pbs_store *s);

/*
 * Open the folder PATH below the root, "" for itself, for reading: a descriptor that is the
 * caller's, or -errno. No component is a link. Not of one in a bucket.
 */
int pbs_store_folder(const struct pbs_store *s, const char *path);

/* Is there a folder PATH? 0; -ENOENT; or what open and listing say; with ERR. */
int pbs_store_look(const struct pbs_store *s, const char *path, struct error *err);

/* The file NAME of the snapshot PATH, as pbs_file_read. */
ssize_t pbs_store_read(const struct pbs_store *s, const char *path, const char *name, size_t max,
                       void **out, struct error *err);

/* When the folder PATH was changed last: another time than before, if it may have been. 0 or -errno. */
int pbs_store_changed(const struct pbs_store *s, const char *path, struct timespec *out);

/*
 * Call EACH for every folder below PATH, which is one of LEVEL and not PBS_SNAPSHOT, in no order,
 * until it returns other than 0, which is returned. What open and readdir say; a server says more in
 * ERR.
 */
int pbs_store_list(const struct pbs_store *s, const char *path, enum pbs_level level,
                   int (*each)(void *ctx, const struct pbs_folder *folder), void *ctx,
                   struct error *err);

/*
 * How many bytes of PATH name folders below the root, by their form: of
 * "vm/100/2026-02-01T00:00:00Z/root/etc" the first 27. *LEVEL is what the last of them is, and
 * PBS_NAMESPACE where there is none. Nothing is looked at on disk.
 */
size_t pbs_store_split(const char *path, enum pbs_level *level);

/*
 * The time in the name of a snapshot, in seconds since 1970. False: it is no such name, or a time
 * that is not.
 */
bool pbs_snapshot_time(const char *name, int64_t *out);

#endif
