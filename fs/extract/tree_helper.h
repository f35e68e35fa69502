/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A helper that makes a tree of files below extract's directory, with owners, modes, times, links,
 * devices and attributes. It is in one folder at a time:
 *
 *   enter a ─ file ─ own ─ attribute … ─ close ─ enter b ─ symlink … ─ leave ─ leave ─ finish a
 *   DIR/a.partial                                                              DIR/a
 *
 * Names are single components. Everything is made anew: nothing that is there already is replaced,
 * and no link is followed, so that nothing is made outside of the directory. As root, owners,
 * devices and security attributes are as they are told; otherwise what is not allowed is left out,
 * and tree_helper_left_out says so.
 *
 * All functions return 0, -errno of what was done, or -EPIPE where the helper is gone.
 */
#ifndef VMAFS_TREE_HELPER_H
#define VMAFS_TREE_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/process/helper.h"

enum { TREE_DEPTH_MAX = 16384 }; /* folders in folders: the kernel climbs them for each new node */

enum tree_left_out {
        TREE_OWNERS = 1,
        TREE_DEVICES = 2,
        TREE_ATTRIBUTES = 4,
};

struct tree_helper {
        struct helper helper;
        unsigned left_out; /* of enum tree_left_out: what was not allowed so far */
};

#define TREE_HELPER_NONE ((struct tree_helper){.helper = HELPER_NONE})

/* What a node gets once it is there. */
struct tree_attributes {
        mode_t mode; /* with the kind */
        uid_t uid;
        gid_t gid;
        dev_t rdev;
        int64_t mtime; /* seconds since 1970 … */
        uint32_t nanoseconds;
};

/* For the open directory DIRFD. With FORCE, finish replaces a file, but no folder. */
int tree_helper_start(struct tree_helper *t, int dirfd, bool force);
void tree_helper_end(struct tree_helper *t);

/*
 * Make the folder NAME and go into it; give it its attributes and go back. -ELOOP where that would
 * be more than TREE_DEPTH_MAX.
 */
int tree_helper_enter(struct tree_helper *t, const char *name);
int tree_helper_leave(struct tree_helper *t, const struct tree_attributes *a);

/* Make a file, of which *FD, the caller's, is open for writing; give it its attributes. */
int tree_helper_file(struct tree_helper *t, const char *name, int *fd);
int tree_helper_close(struct tree_helper *t, const struct tree_attributes *a);

/* The owner and an extended attribute of the file that is open, or else of the folder. In order. */
int tree_helper_own(struct tree_helper *t, const struct tree_attributes *a);
int tree_helper_xattr(struct tree_helper *t, const char *name, const void *value, size_t len);

/* Anything else: a link to TARGET, a device, pipe or socket; another name of the tree's PATH. */
int tree_helper_symlink(struct tree_helper *t, const char *name, const char *target,
                        const struct tree_attributes *a);
int tree_helper_node(struct tree_helper *t, const char *name, const struct tree_attributes *a);
int tree_helper_link(struct tree_helper *t, const char *name, const char *path);

/* Rename PARTIAL, which is not open any more, to NAME. -EEXIST where that is there already. */
int tree_helper_finish(struct tree_helper *t, const char *partial, const char *name);

/* Leave the folders that are open as they are. */
int tree_helper_abandon(struct tree_helper *t);

#endif
