/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Percentage, rate and time left of a scan, on a terminal. Never when stderr is not one, and
 * not for what is over within a second.
 */
#ifndef VMAFS_PROGRESS_H
#define VMAFS_PROGRESS_H

struct index;
struct progress;

/* Start to show how far INDEX has been scanned. WHAT ("verifying") stays the caller's. */
struct progress *progress_start(struct index *index, const char *what);

/* Stop and wipe the line. NULL is allowed. */
void progress_stop(struct progress *p);

#endif
