/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical volume as a volume: each part of it is one of a physical volume. */
#ifndef VMAFS_LVM_VOLUME_H
#define VMAFS_LVM_VOLUME_H

#include "archive/volume.h"

struct lvm_group;
struct lvm_logical;

struct lvm_volume {
        struct volume base;
        const struct lvm_group *group;
        const struct lvm_logical *logical;
};

/* L of G is laid out and has no problem. G, and the physical volumes, outlive V. */
void lvm_volume_init(struct lvm_volume *v, const struct lvm_group *g, const struct lvm_logical *l);

#endif
