/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls that are left to a process that reads an archive: a seccomp filter
 * (seccomp(2)) that lists what is allowed.
 *
 * Nothing that is refused kills the process: a mount is worth more than the purity of a list.
 *   EPERM    what an attacker would want: programs, processes, sockets, tracing, mounts,
 *            namespaces, executable memory
 *   ENOSYS   whatever else is not listed. libc takes that for an old kernel and does without,
 *            also in a version that is not written yet
 * The kernel notes each of them in its audit log, with the number of the call.
 */
#ifndef VMAFS_CALLFILTER_H
#define VMAFS_CALLFILTER_H

#include <stdbool.h>

struct error;

/*
 * Set no_new_privs and filter the calls of all threads there are and will be, for good.
 * CONFINE_LATER: capabilities and paths are still to be given up. 0 or -errno, with ERR.
 */
int callfilter_apply(bool confine_later, struct error *err);

#endif
