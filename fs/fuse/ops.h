/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The FUSE operations: thin, from requests to the tree and the disks. */
#ifndef VMAFS_OPS_H
#define VMAFS_OPS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

struct buffers;
struct park;
struct view;

/* What the operations work on: the session's userdata. */
struct ops_context {
        struct view *view;
        struct park *park;
        struct buffers *buffers;
        bool direct_io; /* bypass the page cache */
        void *owner;
        void (*read_failed)(void *owner); /* a read was answered with an error; any thread */
};

extern const struct fuse_lowlevel_ops vmafs_ops;

#endif
