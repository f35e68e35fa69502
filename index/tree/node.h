/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node of a tree. There may be millions, so what only a few of them have is kept elsewhere:
 *
 *   node ── parent ──> its folder's node ── folder ──> children, tree
 *     └──── extra ───> link target, extended attributes, a hard link's file
 */
#ifndef VMAFS_NODE_H
#define VMAFS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct folder;
struct node;

enum node_flag {
        NODE_RECORDED = 1, /* its permissions and owner are the recorded ones */
        NODE_MTIME = 2,    /* its time is the recorded one */
        NODE_LINK = 4,     /* it is a hard link */
        NODE_BROKEN = 8,   /* … to a file that is not there: it cannot be opened */
};

struct node_extra {
        struct node *original; /* of a hard link; NULL while it is broken */
        char *target;          /* of a symbolic link */
        char *xattrs;          /* NAME NUL, 4 bytes of length, VALUE, and so on */
        size_t xattrs_len;
};

struct node {
        uint64_t ino;
        struct node *parent; /* the root is its own */
        void *content;       /* what was passed when it was added */
        union {
                struct folder *folder;    /* of a folder: never NULL */
                struct node_extra *extra; /* of any other node: NULL if it has nothing */
        };
        union {
                uint64_t size;
                uint64_t rdev; /* of a device */
        };
        uint64_t position; /* in its folder's list; once removed, its index in tree.removed */
        uint64_t refs;     /* holds, including the kernel's, and children in use; the tree's lock */
        int64_t mtime;     /* seconds since 1970 … */
        uint32_t mtime_ns; /* … and nanoseconds */
        uint32_t mode;     /* as st_mode */
        uint32_t uid, gid;
        uint32_t links; /* names of a file; the tree's lock */
        uint32_t hash;  /* of its parent's address and its name */
        uint32_t twins; /* the number to try next for another node of this name; the tree's lock */
        uint16_t name_len;
        uint8_t flags; /* enum node_flag */
        bool removed;  /* taken out of its folder, freed with the last hold; the tree's lock */
        char name[];   /* safe to show, with its NUL */
};

static inline bool node_is_folder(const struct node *n)
{
        return S_ISDIR(n->mode);
}

#endif
