/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount(8)'s helper for the type vmafs: `mount -t vmafs A D` runs mount.vmafs, a link to vmafs, as
 * described in mount(8) under "External helpers":
 *
 *   mount.vmafs SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
 *
 * Some of these letters mean something else to vmafs, so this translates them.
 */
#ifndef VMAFS_MOUNT_HELPER_H
#define VMAFS_MOUNT_HELPER_H

#include <stdbool.h>

/* Was this program called as mount.vmafs? NAME is its argv[0]; NULL is allowed. */
bool mount_helper_is_called(const char *name);

/* Mount, and return the exit status. */
int mount_helper_run(int argc, char **argv);

#endif
