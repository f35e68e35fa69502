/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Percentage, rate and time left of a scan, shown if stderr is a terminal and the scan takes over a
 * second.
 */
#ifndef VMAFS_PROGRESS_H
#define VMAFS_PROGRESS_H

struct index;
struct progress;

/* Start to show how far INDEX has been scanned. The caller keeps WHAT ("verifying") alive. */
struct progress *progress_start(struct index *index, const char *what);

/* The same of anything else: SHOW prints a line without its end, ELAPSED seconds after the start. */
struct progress *progress_start_with(void (*show)(void *ctx, double elapsed), void *ctx);

/* Stop and wipe the line. NULL is allowed. */
void progress_stop(struct progress *p);

#endif
