/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The volume groups of LVM2 on the disks in the root of an index's tree, and on their partitions:
 *
 *   lvm/                   a folder that is filled when it is entered
 *   lvm/guestvg/           one for each volume group
 *   lvm/guestvg/root.raw   a logical volume, as a struct part
 *
 * A group may span several disks of the archive. Thread-safe, and -EAGAIN as in parts.h.
 */
#ifndef VMAFS_GROUPS_H
#define VMAFS_GROUPS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "archive/inside/lvm_volume.h"
#include "index/inside/parts.h"

struct index;
struct index_folder;
struct lvm_group;
struct node;

enum { GROUPS_MAX = 64 };

struct logical {
        struct part part; /* first */
        struct lvm_volume volume;
};

struct group {
        struct lvm_group *lvm;
        struct index_folder *folder;
        struct logical *volumes; /* those that can be read */
        size_t count;
};

struct groups {
        struct index *index;
        const struct index_folder *folder; /* lvm/ */
        pthread_mutex_t lock;
        bool loaded;                   /* lock; what follows does not change any more then */
        struct group list[GROUPS_MAX]; /* lock until loaded */
        size_t count;
        _Atomic(struct disk *) wanted_disk; /* of which this was not known, or NULL */
        _Atomic uint64_t wanted;
};

/* FOLDER is lvm/. 0 or -ENOMEM. */
int groups_new(struct index *index, const struct index_folder *folder, struct groups **out);
void groups_free(struct groups *g); /* NULL is allowed */

/* Look for the groups, if that was not done yet. 0, -EAGAIN, -ESTALE, -ENOMEM. */
int groups_load(struct groups *g);

/* May groups_load give anything but -EAGAIN? Reads no archive. */
bool groups_ready(struct groups *g);

/* How many groups there are by now. */
size_t groups_count(struct groups *g);

/*
 * Which logical volumes of the group whose folder N is are not shown, and why, into OUT. False: N is
 * none, or all are.
 */
bool groups_why(const struct index *index, const struct node *n, char *out, size_t size);

#endif
