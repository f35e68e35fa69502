/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Becoming a daemon whose parent tells the truth: it exits when the mount is ready or has failed,
 * with the status that the child found. Until then the child keeps stderr and reports errors
 * there itself.
 *
 *   parent   fork ──────────── wait for a byte ──────────────> exit(status)
 *   child         setsid, mount, … daemon_finish(status) ──────^   stderr → /dev/null
 */
#ifndef VMAFS_DAEMON_H
#define VMAFS_DAEMON_H

struct daemon {
        int fd;   /* the pipe's end in the child, -1 where there is no parent waiting */
        int null; /* /dev/null: a sandboxed process cannot open it any more */
};

/*
 * Fork, and leave the current directory. Returns 0 in the child; the parent never returns unless
 * the fork failed (-errno). Call it before any thread is started.
 */
int daemon_start(struct daemon *d);

/*
 * Tell the parent the exit status and, where that is 0, let go of the terminal. Does nothing
 * without a parent.
 */
void daemon_finish(struct daemon *d, int status);

#endif
