/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls that a process may use while it reads an archive: a seccomp filter (seccomp(2)),
 * which is a list of what is allowed.
 *
 * A refused call never kills the process, because a mount is worth more than a strict list.
 *   EPERM    what an attacker would want: programs, processes, sockets, tracing, mounts,
 *            namespaces, executable memory; files that are made, named, linked, removed, or get
 *            another mode, owner or attribute
 *   ENOSYS   whatever else is not listed. libc takes that for an old kernel and does without,
 *            also in a version that is not written yet
 * The kernel notes each of them in its audit log, with the number of the call.
 */
#ifndef VMAFS_PROCESS_SECCOMP_H
#define VMAFS_PROCESS_SECCOMP_H

#include <stdbool.h>

struct error;

/* What the process still needs. */
struct sandbox {
        int sockets[3];      /* of helpers (helper.h), -1: none */
        bool has_folder;     /* it opens files below this one … */
        int folder;          /* … which is open itself */
        bool archives;       /* … and is one of archives, no datastore */
        const char *indexes; /* the folder of indexes that are only read; NULL: none */
        bool serves;         /* a mount: it looks for loop devices */
        bool clone_fd;       /* … and its threads open the FUSE device */
};

/*
 * Set no_new_privs and filter, for good, the calls of all present and future threads. What S needs
 * stays allowed. Returns 0, or -errno with ERR.
 */
int seccomp_apply(const struct sandbox *s, struct error *err);

#endif
