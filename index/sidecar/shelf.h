/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folder in which an archive's index is stored, and the operations on it. It is opened before
 * the first byte of the archive is read. After that a process may give up access to it, and have
 * another process perform the operations (struct shelf_ops). They exchange only plain names, and
 * descriptors of the files that are read and written.
 *
 * The folder is that of the path that the user chose, or else the cache folder: /var/cache/vmafs
 * for root, $XDG_CACHE_HOME/vmafs or ~/.cache/vmafs for others. With the cache folder, an existing
 * ARCHIVE.vmafs is read first.
 */
#ifndef VMAFS_SHELF_H
#define VMAFS_SHELF_H

#include <stdbool.h>

struct error;
struct remote;
struct shelf;

/* Where an index may be, in the order in which it is looked for. */
enum location_where {
        LOCATION_BESIDE, /* ARCHIVE.vmafs */
        LOCATION_OWN,    /* in the folder, where it is also written */
        LOCATIONS,
};

#define SHELF_MAGIC "VMAFSIDX" /* the first 8 bytes of every index */

#define PARTIAL_MAGIC "VMAFSPRT" /* those of what an interrupted pass leaves (journal.h) */

/*
 * NAME is the file's name in the folder; it is ignored if the user chose a path. Each returns 0 or
 * -errno. Those that open something return its descriptor, which the caller owns.
 */
struct shelf_ops {
        int (*open)(struct shelf *s, enum location_where where, const char *name);
        int (*create)(struct shelf *s);
        int (*commit)(struct shelf *s, const char *name);
        void (*abandon)(struct shelf *s);
        int (*lock)(struct shelf *s);
        void (*unlock)(struct shelf *s);
        int (*quarantine)(struct shelf *s, enum location_where where);
        int (*partial)(struct shelf *s, const char *name, bool make);
        void (*drop_partial)(struct shelf *s, const char *name);
};

struct shelf {
        const struct shelf_ops *ops;
        void *helper;   /* of the operations' owner */
        int dir;        /* -errno: it could not be opened */
        char *dir_path; /* for messages … */
        char *name; /* … and the file's name that the user chose; NULL: derived from the archive */
        char *beside_path;  /* ARCHIVE.vmafs; NULL if the user chose a path … */
        int beside;         /* … open for reading, whatever kind of file it is; or -errno */
        char *archive_path; /* absolute, for the catalog; NULL: not wanted */
        struct remote
            *remote; /* the caller's: where ARCHIVE.vmafs is looked for; NULL: in a folder */

        int opened[LOCATIONS]; /* the file opened last; -1: none yet */
        int made;              /* the new file, or -1 */
        char temporary[64];
        bool named; /* the new file has the temporary name */
        int locked; /* a second descriptor of the folder, locked; -1: not locked */
};

/*
 * Open the shelf for the archive at PATH. CHOICE is the index's path, or NULL for the default. Does
 * not read the archive. Sets *OUT, which shelf_free frees. Fails with -ENOMEM, and with -EEXIST if
 * CHOICE exists and is not an index. That the folder cannot be created or opened is not an error
 * yet.
 */
int shelf_open(const char *path, const char *choice, struct shelf **out, struct error *err);
void shelf_free(struct shelf *s); /* NULL is allowed */

/* The same for the archive NAME in the open folder FOLDER, of which PATH is for messages. */
int shelf_open_at(int folder, const char *name, const char *path, const char *choice,
                  struct shelf **out, struct error *err);

/*
 * A shelf from which indexes are only read, without a note of that: the default one of the archive
 * NAME in the open folder FOLDER, with the open cache folder CACHE, or -errno. NULL: out of memory.
 */
struct shelf *shelf_to_read(int folder, const char *name, int cache);

/*
 * A shelf on which OPS do everything, with HELPER: the default one of the archive at PATH, with the
 * cache folder DIR_PATH. NULL: out of memory.
 */
struct shelf *shelf_elsewhere(const char *path, const char *dir_path, const struct shelf_ops *ops,
                              void *helper);

/* Close the descriptors in *S, which another process has. */
void shelf_close(struct shelf *s);

/* Get the descriptors that shelf_open has opened in *S, at most 2. Returns how many. */
int shelf_descriptors(const struct shelf *s, int out[2]);

/* ---- the operations, done by this process ---- */

/* Open the index for reading. -ENOENT or another -errno of open. */
int shelf_take(struct shelf *s, enum location_where where, const char *name);

/* Create a new file for writing, under a temporary name, until shelf_commit or shelf_abandon. */
int shelf_create(struct shelf *s);

/*
 * Sync the complete new file and make it the index. Only an index is ever replaced: -EEXIST if
 * something else has the name.
 */
int shelf_commit(struct shelf *s, const char *name);
void shelf_abandon(struct shelf *s);

/*
 * Keep other processes from replacing indexes in this folder. Waits up to a minute for a process
 * that does the same, then fails with -ETIMEDOUT.
 */
int shelf_lock(struct shelf *s);

/* The same without waiting: -EWOULDBLOCK if another one does that. */
int shelf_try_lock(struct shelf *s);

/* shelf_lock with another way to try. */
int shelf_lock_by(struct shelf *s, int (*try_lock)(struct shelf *s));
void shelf_unlock(struct shelf *s);

/*
 * Open what an interrupted pass has left, or MAKE it where there is nothing, for reading and
 * writing, and lock it. The descriptor; -EBUSY if another process has it; -EEXIST if something else
 * has the name; -ENOENT or another -errno of open.
 */
int shelf_partial(struct shelf *s, const char *name, bool make);

/* Remove it, if that is what has the name. */
void shelf_drop_partial(struct shelf *s, const char *name);

/* As location_quarantine. */
int shelf_quarantine(struct shelf *s, enum location_where where);

#endif
