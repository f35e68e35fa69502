/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `vmafs mount`. */
#ifndef VMAFS_OPTIONS_H
#define VMAFS_OPTIONS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "fs/fuse/view.h"
#include "index/index.h"

struct mount_options {
        char *archive;    /* as given */
        char *mountpoint; /* as given */
        int foreground;
        int debug;
        int single; /* one thread */
        int direct_io;
        int clone_fd; /* a descriptor of the FUSE device for each thread */
        int nonempty;
        int wait; /* until the index is complete */
        int partitions;
        int allow_other;
        bool rw, suid, dev; /* given; suid and dev also as nosuid and nodev */
        char *recover, *index, *cache, *threads, *window, *backing; /* as given, or NULL */
        char *endpoint, *cafile, *timeout, *spool, *view;
        struct index_options opening; /* what they mean */
        char *sandbox;                /* as given, or NULL */
        bool sandboxed;               /* what it means */
        char *keyfile, *passfile;     /* of a datastore, as given, or NULL */
        char *uid, *gid, *umask;      /* as given, or NULL */
        struct view_owner owner;      /* what they mean */
};

/*
 * Parse ARGV into *O, and put the options for libfuse into *ARGS. Returns the exit status; reports
 * what is wrong. Call options_fini on both in any case.
 */
int options_parse(int argc, char **argv, struct mount_options *o, struct fuse_args *args);

void options_fini(struct mount_options *o, struct fuse_args *args);

#endif
