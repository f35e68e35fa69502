/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a tree of members share; nobody else includes this.
 *
 *   members.c         building
 *   members_seal.c    sealing
 *   members_read.c    asking
 *   members_names.c   names as they are shown
 *   members_store.c   as bytes of an index
 *   members_stored.c  and back
 */
#ifndef VMAFS_MEMBERS_INTERNAL_H
#define VMAFS_MEMBERS_INTERNAL_H

#include "archive/array.h"
#include "archive/member.h"
#include "index/members/members.h"

/* What a few members have. On disk as it is. */
struct members_extra {
        uint64_t xattrs, xattrs_len; /* bytes in the blob */
        uint64_t runs, run_count;    /* in the runs */
};

enum { RECENT = 256 };

/* With the hash beside it, those that are passed on the way to a name need not be looked at. */
struct members_slot {
        uint32_t number; /* MEMBERS_NONE: free */
        uint32_t hash;
};

struct shown_names;

struct members {
        ARRAY(struct members_node) nodes;
        ARRAY(char) names;
        ARRAY(struct members_extra) extras;
        ARRAY(char) blob; /* attributes */
        ARRAY(struct member_run) runs;
        uint32_t *children;
        size_t child_count;
        uint8_t header[MEMBERS_HEADER]; /* of what is stored */
        struct stored_tree *stored;     /* what all of these are in; NULL: it was built here */
        uint64_t unshown, dropped;      /* as members_counts has them */
        struct shown_names *shown;      /* once it is sealed */

        /* While it is built. */
        uint64_t limit;
        struct members_slot *slots; /* by folder and name */
        size_t slot_count, used;
        uint64_t seed;
        uint32_t last_folder;    /* of the member before … */
        ARRAY(char) last_path;   /* … and the path of that folder, with its '/' */
        uint32_t recent[RECENT]; /* extras by the hash of their attributes, from 1 */
};

/* Where numbers are in a stored tree's header. */
enum {
        MEMBERS_VERSION = 2,
        MEMBERS_CHOSEN = 1,

        AT_ORDER = 0,
        AT_VERSION = 4,
        AT_FLAGS = 8,
        AT_NODES = 16,
        AT_EXTRAS = 24,
        AT_RUNS = 32,
        AT_CHILDREN = 40,
        AT_NAMES = 48,
        AT_BLOB = 56,
        AT_UNSHOWN = 64,
        AT_DROPPED = 72,
        AT_FILES = 80,
        AT_FOLDERS = 88,
        AT_LINKS = 96,
        AT_OTHERS = 104,
        AT_REPLACED = 112,
        AT_BYTES = 120,
};

#define MEMBERS_ORDER UINT32_C(0x01020304)

/*
 * As members_get and members_child, of a stored tree: what is asked for is read and checked first.
 * NULL where it cannot be read or contradicts itself; then members_source.failed is called.
 */
const struct members_node *stored_node(const struct members *m, uint32_t number);
const struct members_node *stored_child(const struct members *m, const struct members_node *folder,
                                        uint64_t position);

/* As members_tally: what the stored tree's header says. */
void stored_tally(const struct members *m, struct members_counts *out);

/* Read and check all of it. 0, -EBADMSG where it contradicts itself, or -errno of reading it. */
int stored_complete(const struct members *m);
void stored_tree_free(struct stored_tree *s); /* NULL is allowed */

/* Count the nodes, all of which are in memory. What no node tells stays in OUT as it is. */
void members_count_all(const struct members *m, struct members_counts *out);

/* What members_names.c keeps. NULL: out of memory. */
struct shown_names *shown_names_new(void);
void shown_names_free(struct shown_names *s); /* NULL is allowed */

#endif
