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
        int fd;   /* the child's end of the pipe; -1: no parent waits */
        int null; /* /dev/null: opened early, since a sandboxed process cannot open it */
};

/*
 * Fork, and leave the current directory. Returns 0 in the child; the parent never returns unless
 * the fork failed (-errno). Call it before any thread is started.
 */
int daemon_start(struct daemon *d);

/*
 * The mount is ready, but its parent waits on for the index: from now on that may be killed, and the
 * mount stays. The main thread calls it.
 */
void daemon_outlive(const struct daemon *d);

/* Have the parent show that the index has got to PERCENT, 0 to 100, where stderr is a terminal. */
void daemon_tell(const struct daemon *d, unsigned percent);

/*
 * Send STATUS to the parent and, if it is 0, detach from the terminal. Does nothing if no parent
 * waits.
 */
void daemon_finish(struct daemon *d, int status);

#endif
