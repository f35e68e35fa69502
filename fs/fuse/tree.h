/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mounted tree: names and inode numbers, attributes, extended attributes. It knows the index
 * and nothing of FUSE. Inode 1 is the root; the others follow folder by folder, in the order of
 * their names.
 */
#ifndef VMAFS_TREE_H
#define VMAFS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct disk;
struct index;
struct index_file;
struct tree;

#define TREE_ROOT UINT64_C(1)

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

struct tree_owner {
        unsigned uid;
        unsigned gid;
        unsigned umask; /* bits withheld from 0444 and 0555 */
};

/* The tree of INDEX, which outlives it. Freed by tree_free. NULL: out of memory. */
struct tree *tree_new(struct index *index, const struct tree_owner *owner);
void tree_free(struct tree *t);

/* NULL where there is none. Nodes live as long as the tree. */
const struct node *tree_node(const struct tree *t, uint64_t ino);
const struct node *tree_lookup(const struct tree *t, uint64_t parent, const char *name);

/* The folder that N is in; the root is in itself. */
const struct node *tree_parent(const struct tree *t, const struct node *n);

/* The entry NUMBER of FOLDER, from 0, or NULL behind the last. */
const struct node *tree_entry(const struct tree *t, const struct node *folder, size_t number);

/* Attributes of N now. False where its size is not known yet: its index is not sealed. */
bool tree_stat(const struct tree *t, const struct node *n, struct stat *st);

/* May these attributes be kept for ever? */
bool tree_stat_final(const struct tree *t, const struct node *n);

void tree_statfs(const struct tree *t, struct statvfs *st);

/*
 * The value of the attribute NAME of N into OUT of SIZE bytes. Returns its length, also where
 * that is more than SIZE (then OUT is not meant), or -ENODATA.
 */
ssize_t tree_getxattr(const struct tree *t, const struct node *n, const char *name, char *out,
                      size_t size);

/* The names, each with its NUL. As tree_getxattr. */
ssize_t tree_listxattr(const struct node *n, char *out, size_t size);

#endif
