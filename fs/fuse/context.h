/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of a session, for the operations and the functions that answer requests. */
#ifndef VMAFS_CONTEXT_H
#define VMAFS_CONTEXT_H

#include <stdbool.h>

#include "fs/fuse/view.h"

struct buffers;
struct open_archive;
struct park;
struct tree;

/* The session's userdata. */
struct ops_context {
        struct tree *tree;
        struct view view;
        struct park *park;
        struct buffers *buffers;
        struct ops_context
            *outer;    /* the session's, for what is in one archive of a folder; or NULL */
        uint64_t seed; /* likewise: of its inode numbers; or 0 */
        _Atomic unsigned
            stated; /* tree_ops.c: so many answers to readdir give attributes of files */
        _Atomic unsigned grant;   /* tree_ops.c: what stated was set to, the last time */
        bool direct_io;           /* bypass the page cache */
        bool others;              /* the mount is not only for the user who mounted it */
        bool tells_parallel;      /* device.c: the next answer is the one to FUSE_INIT */
        _Atomic unsigned waiting; /* wait.c: so many handlers wait */
        _Atomic unsigned opens;   /* how many times files are open now */
        void *owner;
        /* A read of N is about to be answered with an error; any thread. */
        void (*read_failed)(void *owner, const struct node *n);
        /* The same of a disk or file of the archive A, in a folder of them. NULL: nothing is done. */
        void (*archive_failed)(void *owner, struct open_archive *a);
};

#endif
