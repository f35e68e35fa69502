/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests about the members of an archive that is a tree of files (index_is_tree). They need no
 * nodes: the kernel's id of a member says which it is, so that one that the kernel knows takes no
 * memory here, and is not looked for.
 *
 *   bit 63: 1 | 31 bits: which archive of a folder of them, else 0 | 32 bits: the member's number
 *
 * Names of one file have the id of the first. What is asked before the scan has found all members
 * is parked.
 */
#ifndef VMAFS_TREE_OPS_H
#define VMAFS_TREE_OPS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

struct node;
struct ops_context;

#define TREE_OPS_ID (UINT64_C(1) << 63)

/* Is INO the id of a member? */
static inline bool tree_ops_has(fuse_ino_t ino)
{
        return (ino & TREE_OPS_ID) != 0;
}

/*
 * If FOLDER, a node, is the root of such an archive, *INO is its id as a member; or else 0. It is
 * for lookups and listings alone: its attributes are the node's. 0, or -errno where it is an archive
 * that cannot be entered.
 */
int tree_ops_root(struct ops_context *c, struct node *folder, fuse_ino_t *ino);

/*
 * Is every list of this session one of members? Then the kernel always asks for attributes with the
 * names, and tree_ops.c decides which to give. Otherwise the kernel decides, except at a list's start.
 */
bool tree_ops_always_plus(const struct ops_context *c);

/* Answer these, now or later. */
void tree_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void tree_ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void tree_ops_getattr(fuse_req_t req, fuse_ino_t ino);
void tree_ops_readlink(fuse_req_t req, fuse_ino_t ino);
void tree_ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void tree_ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void tree_ops_opendir(fuse_req_t req, fuse_ino_t ino);
void tree_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus);
void tree_ops_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi);
void tree_ops_release(fuse_req_t req, const struct fuse_file_info *fi);
void tree_ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset);
void tree_ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence);

#endif
