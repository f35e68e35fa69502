/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tar as a tree of files: the backup of a container, or any other. Its scan emits the members.
 *
 * Whether a tar is one, or holds images and is shown flat, its beginning tells: of the first
 * TAR_TREE_MEMBERS headers that lie within the first TAR_TREE_BYTES bytes, the first that decides.
 *
 *   etc/vzdump/pct.conf                                     a tree: a container of Proxmox VE
 *   a symbolic or hard link, a device, a pipe               a tree
 *   a file that is named as an image, a disk or an OVF      images
 *   none of them: a folder other than "./"                  a tree
 *   nor that                                                images
 */
#ifndef VMAFS_TAR_TREE_H
#define VMAFS_TAR_TREE_H

#include <stdbool.h>

struct archive;
struct archive_origin;
struct error;
struct source;

enum {
        TAR_TREE_MEMBERS = 1000,
        TAR_TREE_BYTES = 16 << 20,
};

/* Does SOURCE, a tar, look like a tree? 0 or as tar_next. */
int tar_tree_suits(struct source *source, bool *tree, struct error *err);

/* As struct format's open. What it emits comes with its scan. */
int tar_tree_open(struct source *source, const struct archive_origin *origin, struct archive **out,
                  struct error *err);

#endif
