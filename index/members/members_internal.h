/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a tree of members share; nobody else includes this.
 *
 *   members.c         building
 *   members_seal.c    sealing
 *   members_read.c    asking
 *   members_names.c   names as they are shown
 *   members_store.c   as bytes, and back
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
        void *loaded;                   /* what all of these are in, if it was stored; or NULL */
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

/* What members_names.c keeps. NULL: out of memory. */
struct shown_names *shown_names_new(void);
void shown_names_free(struct shown_names *s); /* NULL is allowed */

#endif
