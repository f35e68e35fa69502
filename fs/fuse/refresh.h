/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Having the kernel forget what was provisional of an archive's disks. */
#ifndef VMAFS_REFRESH_H
#define VMAFS_REFRESH_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

struct index;

/*
 * Have it ask again for the attributes of the disks and partitions of INDEX, and drop what it has
 * cached of them from byte FROM on; -1: nothing.
 */
void refresh_disks(struct fuse_session *session, const struct index *index, off_t from);

#endif
