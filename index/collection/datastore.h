/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Proxmox Backup Server datastore as a tree that is made where it is entered, and goes where
 * nobody is any more:
 *
 *   vm/100/2026-02-01T00:00:00Z/disk-drive-scsi0.raw       folders: listed again when they change
 *   └──┴── └─────── snapshot ──┘                            a snapshot: opened when it is entered
 *                                root/etc/passwd            a pxar archive: one folder at a time
 *                                disk-drive-scsi0.parts/    looked at when it is entered; closed with
 *                                                           the snapshot
 *
 * What cannot be opened is an empty folder, or a file that reads as an I/O error, of which
 * datastore_why says why. Thread-safe, but for open and close.
 */
#ifndef VMAFS_DATASTORE_H
#define VMAFS_DATASTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct datastore;
struct error;
struct index;
struct node;
struct shared;
struct store;
struct tree;
struct volume;

/* The text of a key file and of its password, which stay the caller's; NULL: there is none. */
struct datastore_key {
        const char *text;
        size_t len;
        const char *password;
};

/*
 * The datastore in the folder TAKE_DIR, which is closed with it, and on failure. SHARED outlives
 * it. Sets *OUT. As pbs_key_parse and pbs_store_open.
 */
int datastore_open(int take_dir, const struct datastore_key *key, struct shared *shared,
                   struct datastore **out, struct error *err);

/* The one in a bucket that TAKE_STORE is, the same. As pbs_key_parse and pbs_store_open_far. */
int datastore_open_far(struct store *take_store, const struct datastore_key *key,
                       struct shared *shared, struct datastore **out, struct error *err);

/* Nobody uses the tree any more. NULL is allowed. */
void datastore_close(struct datastore *d);

/*
 * Before the tree is entered: UNOPENED will be told, by any thread, of a folder of the datastore that a
 * server does not give; of one that it still does not give, once.
 */
void datastore_observe(struct datastore *d,
                       void (*unopened)(void *ctx, const struct node *n, const struct error *why),
                       void *ctx);

/* Before the tree is entered: it shows the partitions and logical volumes of disks, too. */
void datastore_show_parts(struct datastore *d);

struct tree *datastore_tree(const struct datastore *d);

/*
 * Before something is looked up or listed in FOLDER: take in what has come to it or gone, if it is
 * one that a server changes. 0, or -errno where it cannot be listed.
 */
int datastore_refresh(struct datastore *d, struct node *folder);

/* Can what is in N, a folder, change? */
bool datastore_changes(const struct node *n);

/* The content of the file N; NULL: it has none, or cannot be read. Valid while N is held. */
struct volume *datastore_content(const struct node *n);

/*
 * Bytes of N that are stored, or lost, counted by 4 KiB: all but holes. The first time this reads the
 * tables of N, from a server if they are there. -errno: they cannot be read now.
 */
int64_t datastore_stored(struct node *n);

/* Are they known, so that nothing is read? */
bool datastore_is_counted(const struct node *n);

/*
 * What is inside of a disk, and N is or is in: the node of it in the tree of *INDEX, valid while N is
 * held. NULL: N is nothing of that, or was not looked at yet.
 */
const struct node *datastore_within(const struct node *n, struct index **index);

/* Of a disk, the server's name for it, "drive-scsi0"; NULL: it is none. */
const char *datastore_device(const struct node *n);

/*
 * Why N cannot be read, or a read of it has failed, into OUT of SIZE bytes. False: there is nothing
 * to say.
 */
bool datastore_why(const struct node *n, char *out, size_t size);

#endif
