/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process gives up before it works through an archive, which may be hostile.
 *
 *   mount   after the mount is there and before any thread is started: sandbox_mount
 *   verbs   as the first thing: sandbox_verb; with the archive's header read: sandbox_verb_opened
 *
 * It keeps no_new_privs, no capability, a list of system calls (seccomp.h), and the paths it
 * needs (landlock.h). What it has open stays open. What the kernel does not offer is done without:
 * a backup that can be read is worth more. Under a sanitizer there is only no_new_privs, since its
 * runtime wants to look around, trace and start programs.
 */
#ifndef VMAFS_SANDBOX_H
#define VMAFS_SANDBOX_H

#include <stdbool.h>

struct error;
struct index;

/* Does this build have a sandbox? */
bool sandbox_is_built(void);

/*
 * Of a mount's process. CLONE_FD: its threads open the FUSE device. 0 or -errno, with ERR, where
 * part of it could not be had and the kernel should have it; the rest holds all the same.
 */
int sandbox_mount(const struct index *index, bool clone_fd, struct error *err);

/* No programs, no network, and so on, from here on. */
void sandbox_verb(void);

/*
 * And no paths but the folder of INDEX's sidecar and the open directory FOLDER, in which files may
 * be made; -1: none. Call it before any thread is started.
 */
void sandbox_verb_opened(const struct index *index, int folder);

#endif
