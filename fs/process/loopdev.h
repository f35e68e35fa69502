/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_LOOPDEV_H
#define VMAFS_LOOPDEV_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Is a file below the directory MOUNTPOINT (absolute, without links) attached to a loop device? The
 * name of the first such device, "/dev/loop3", goes to NAME, which has SIZE bytes.
 */
bool loopdev_uses(const char *mountpoint, char *name, size_t size);

#endif
