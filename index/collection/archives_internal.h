/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a folder of archives share; nobody else includes this.
 *
 *   archives.c       the folder: listing it, and what its nodes are
 *   archives_fill.c  an archive's folder
 *   archives_tree.c  of one that is a tree of files
 */
#ifndef VMAFS_ARCHIVES_INTERNAL_H
#define VMAFS_ARCHIVES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <time.h>

#include "archive/array.h"
#include "archive/checksum.h"
#include "index/collection/archives.h"
#include "index/collection/open_archives.h"
#include "index/collection/relist.h"
#include "index/index.h"
#include "index/tree/tree.h"

enum { BLOCKS_UNKNOWN = -1 };

/*
 * What a node is: its content. It belongs to the folder that it is in, until that is emptied, or the
 * node is removed from it and nobody uses it any more.
 */
struct place {
        int kind; /* CONTENT_PLACE, index.h */
        enum archives_kind what;
        LIST_ENTRY(place) next; /* lock */
        char *name;             /* the file's own, of those that are in the folder */
        uint64_t inode;

        /* A folder. */
        LIST_HEAD(places, place) below; /* lock */
        bool filled;                    /* lock */
        struct timespec seen; /* lock: the folder's ctime when it was listed; 0: too new */
        int64_t good_until;   /* lock: in milliseconds; the list, where SEEN is 0 */
        bool told; /* lock: the observer, that it cannot be listed, and it could not since */

        int64_t mtime; /* of a file on a server, which has SIZE bytes */

        /* An archive. */
        struct archive_slot slot;
        char *why;           /* lock: it cannot be opened; NULL: it can */
        bool is_tree;        /* lock: its members have no nodes */
        uint32_t tree;       /* lock: likewise, which of the trees it is; */
        uint64_t tree_holds; /* lock: and how many lookups of members there are */

        /* Something below one. */
        struct place *archive;
        const void *node; /* of a disk */
        size_t number;    /* of a disk or a file */
        char *within; /* the path of what is inside of a disk in the archive\'s own tree; or NULL */
        char *device;
        bool provisional;       /* the size is a guess before a scan */
        _Atomic int64_t blocks; /* as st_blocks, once final; or BLOCKS_UNKNOWN */
        _Atomic uint64_t size;  /* likewise; or of a file on a server */
};

struct archives {
        struct store *store;
        struct archives_hidden hidden;
        struct open_archives *set;
        struct tree *tree;
        struct place root;
        uint64_t seed; /* of inode numbers, so that nobody can make two alike */
        void (*unopened)(void *ctx, const struct node *n, const struct error *why);
        void *unopened_ctx;
        struct places disused;      /* lock: without a node, and not freed yet */
        ARRAY(struct node *) trees; /* lock: those that are trees of files; NULL: free */
        pthread_mutex_t lock;
        pthread_mutex_t listing; /* held while a folder on disk is listed again; or: */
        struct relist relist;    /* lists one on a server again */
};

static inline struct place *place_of(const struct node *n)
{
        return n->content;
}

/* The same node has the same number each time. */
static inline uint64_t number_of(const struct archives *a, uint64_t parent, const void *key,
                                 size_t len)
{
        uint64_t ino = XXH3_64bits_withSeed(key, len, a->seed ^ parent);

        return ino > TREE_ROOT_INO ? ino : ino + 2;
}

/* A new place below PARENT, which has it, with a copy of NAME, or NULL. NULL: out of memory. */
struct place *archives_add_place(struct archives *a, struct place *parent, enum archives_kind what,
                                 const char *name);

/* The archive of P, a disk, is open: take over its numbers if they are final by now. */
void archives_take_final(struct place *p, const struct index *index);

/* The archive FOLDER is open: is it a tree of files? 0 or -ENOMEM. */
int archives_note_tree(struct archives *a, struct node *folder, bool is_tree);

/* Under lock: its node is freed. */
void archives_drop_tree(struct archives *a, struct place *p);

/* Fill FOLDER, an archive's. As tree_ops.fill. */
/* Fill FOLDER, an archive's, or one of partitions in it. As tree_ops.fill. */
int archives_fill(struct archives *a, struct node *folder);
int archives_fill_parts(struct archives *a, struct node *folder);

#endif
