/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mounted tree: names and inode numbers, attributes, extended attributes. It knows the index
 * and nothing of FUSE. Inode 1 is the root; the others follow folder by folder, in the order of
 * their names.
 */
#ifndef VMAFS_VIEW_H
#define VMAFS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct disk;
struct index;
struct index_file;
struct view;

#define VIEW_ROOT UINT64_C(1)

enum node_kind { NODE_ROOT, NODE_FOLDER, NODE_DISK, NODE_FILE };

struct node {
        uint64_t ino;
        enum node_kind kind;
        const char *name;
        uint32_t parent;               /* number of the folder it is in */
        uint32_t number;               /* NODE_ROOT, NODE_FOLDER: of the folder */
        struct disk *disk;             /* NODE_DISK */
        const struct index_file *file; /* NODE_FILE */
};

static inline bool node_is_folder(const struct node *n)
{
        return n->kind == NODE_ROOT || n->kind == NODE_FOLDER;
}

struct view_owner {
        unsigned uid;
        unsigned gid;
        unsigned umask; /* bits withheld from 0444 and 0555 */
};

/* The tree of INDEX, which outlives it. Freed by view_free. NULL: out of memory. */
struct view *view_new(struct index *index, const struct view_owner *owner);
void view_free(struct view *t);

/* NULL where there is none. Nodes live as long as the tree. */
const struct node *view_node(const struct view *t, uint64_t ino);
const struct node *view_lookup(const struct view *t, uint64_t parent, const char *name);

/* The folder that N is in; the root is in itself. */
const struct node *view_parent(const struct view *t, const struct node *n);

/* The entry NUMBER of FOLDER, from 0, or NULL behind the last. */
const struct node *view_entry(const struct view *t, const struct node *folder, size_t number);

/* Attributes of N now. False where its size is not known yet: its index is not sealed. */
bool view_stat(const struct view *t, const struct node *n, struct stat *st);

/* May these attributes be kept for ever? */
bool view_stat_final(const struct view *t, const struct node *n);

void view_statfs(const struct view *t, struct statvfs *st);

/*
 * The value of the attribute NAME of N into OUT of SIZE bytes. Returns its length, also where
 * that is more than SIZE (then OUT is not meant), or -ENODATA.
 */
ssize_t view_getxattr(const struct view *t, const struct node *n, const char *name, char *out,
                      size_t size);

/* The names, each with its NUL. As view_getxattr. */
ssize_t view_listxattr(const struct node *n, char *out, size_t size);

#endif
