/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process gives up before it reads the first byte of an archive, which may be hostile.
 *
 * It has no_new_privs and no capability. The system calls left to it (seccomp.h) cannot create,
 * rename, link or remove a file, or change its mode. It can read the paths it needs (landlock.h),
 * and what is open stays open. Everything else is done by processes that never read the archive:
 * index_helper.h, mounter.h and extract_helper.h in fs/. If the kernel lacks a part of this, the
 * sandbox does without it, since a backup that can be read is worth more. Under a sanitizer there
 * is only no_new_privs: its runtime has to trace, to read files and to start programs.
 */
#ifndef VMAFS_SANDBOX_H
#define VMAFS_SANDBOX_H

#include <stdbool.h>

#include "fs/process/seccomp.h"

struct error;

/* Does this build have a sandbox? */
bool sandbox_is_built(void);

/*
 * Enter the sandbox, before any thread is started. Returns 0, or -errno with ERR if a part failed
 * that the kernel should have; the other parts hold all the same.
 */
int sandbox_enter(const struct sandbox *s, struct error *err);

#endif
