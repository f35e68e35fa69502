/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a datastore's tree share; nobody else includes this.
 *
 *   datastore.c        its folders, snapshots and pxar archives
 *   datastore_parts.c  the partitions of a snapshot's disks
 */
#ifndef VMAFS_DATASTORE_INTERNAL_H
#define VMAFS_DATASTORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "archive/checksum.h"
#include "archive/store/pbs/pbs_store.h"
#include "archive/store/pbs/pxar.h"
#include "index/collection/datastore.h"
#include "index/collection/relist.h"
#include "index/tree/tree.h"

struct entry;
struct index;
struct pbs_key;
struct pbs_snapshot;

enum { STORED_UNKNOWN = -1 };

#define PARTS_GROUPS SIZE_MAX

enum place_kind {
        PLACE_STORE, /* a folder of the datastore's own: LEVEL says which */
        PLACE_PXAR,  /* a folder of a pxar archive */
        PLACE_PARTS, /* a folder of partitions or logical volumes */
        PLACE_FILE,
};

/*
 * What a node is: its content. It belongs to the folder that it is in, until that is emptied, or the
 * node is removed from it and nobody uses it any more.
 */
struct place {
        int kind; /* CONTENT_PLACE, index.h */
        enum place_kind what;
        LIST_ENTRY(place) next; /* lock */
        char *why;              /* it cannot be read; NULL: it can */

        /* A folder. */
        LIST_HEAD(places, place) below; /* lock */
        enum pbs_level level;
        bool filled; /* lock */
        bool told;   /* lock: the observer, that it cannot be read, and it could not since */
        struct timespec seen;        /* lock: the folder's ctime when it was listed */
        struct pbs_snapshot *opened; /* lock: PLACE_STORE at PBS_SNAPSHOT … */
        struct index *inside;        /* lock: … and what is inside of its disks, once looked at */
        struct pxar *pxar;           /* PLACE_PXAR; the archive's root has made it */
        struct volume *meta, *payload; /* of that root, the snapshot's; NULL elsewhere */
        struct pxar_folder range;

        /* A file. */
        struct volume *volume;  /* NULL: there is none */
        bool owns_volume;       /* else it is the snapshot's */
        bool is_index;          /* the volume is one of pbs_volume.h */
        const char *device;     /* the snapshot's */
        _Atomic int64_t stored; /* bytes, or STORED_UNKNOWN */

        /* What is inside of a snapshot's disks: PLACE_PARTS, and its files. */
        struct place *snapshot;              /* NULL: it is none of it */
        size_t number;                       /* of the disk, or PARTS_GROUPS */
        _Atomic(const struct node *) within; /* in the tree of INSIDE; NULL: not looked at yet */
};

struct datastore {
        struct pbs_key *key;
        struct pbs_store *store;
        struct shared *shared;
        struct tree *tree;
        bool shows_parts;
        void (*unopened)(void *ctx, const struct node *n, const struct error *why);
        void *unopened_ctx;
        struct place root;
        pthread_mutex_t lock;
        pthread_mutex_t listing; /* held while a folder on disk is listed again; or: */
        struct relist relist;    /* lists one on a server again */
        uint64_t seed;           /* of inode numbers, so that nobody can make two alike */
};

static inline struct place *place_of(const struct node *n)
{
        return n->content;
}

/* The same node has the same number each time. */
static inline uint64_t datastore_number(const struct datastore *d, uint64_t parent,
                                        const char *name)
{
        uint64_t ino = XXH3_64bits_withSeed(name, strlen(name), d->seed ^ parent);

        return ino > TREE_ROOT_INO ? ino : ino + 2;
}

/* A new place below PARENT, which has it; NULL: out of memory. */
struct place *datastore_add_place(struct datastore *d, struct place *parent, enum place_kind what);

/* The node of E in FOLDER, with CONTENT; OUT may be NULL. 0 or -ENOMEM. */
int datastore_add_node(struct datastore *d, struct node *folder, const struct entry *e,
                       struct place *content, struct node **out);

/* FOLDER, a snapshot's, has all that is in the snapshot: add a folder for the partitions of each disk. */
int datastore_add_parts(struct datastore *d, struct node *folder);

/* Fill FOLDER, which is one of those. As tree_ops.fill. */
int datastore_fill_parts(struct datastore *d, struct node *folder);

/* As datastore_why, of P that is inside of a snapshot's disk. */
bool datastore_parts_why(const struct place *p, char *out, size_t size);

#endif
