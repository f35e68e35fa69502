/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The FUSE operations: a thin layer between requests and the tree and disks. */
#ifndef VMAFS_OPS_H
#define VMAFS_OPS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

struct node;

/* Their userdata is a struct ops_context (context.h). */
extern const struct fuse_lowlevel_ops vmafs_ops;

/*
 * The kernel's id of a node: its address, which is valid until the kernel has forgotten it. The
 * inode number that people see is the node's own, and never changes.
 */
fuse_ino_t ops_nodeid(const struct node *n);

#endif
