/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run a verb on several archives, one after the other. A process that reads an archive gives up the
 * right to open another one, so each archive gets its own process:
 *
 *   parent   fork ── copy what it prints ── wait ── fork ── …     never reads an archive
 *   child         open, confine, read, print
 */
#ifndef VMAFS_SEVERAL_H
#define VMAFS_SEVERAL_H

#include <stdbool.h>
#include <stddef.h>

/* Do the work of a verb for the archive at PATH and print it. Returns the exit status. */
typedef int several_work(void *ctx, const char *path);

/*
 * Do WORK for each of the COUNT archives at PATHS; for a single one, in this process. Blank lines
 * separate the outputs. With JSON, each archive that printed something is an element of an array. A
 * failure does not stop the rest. Returns the largest of their exit statuses.
 */
int several_run(char *const *paths, size_t count, bool json, several_work *work, void *ctx);

struct several_counts {
        size_t failed; /* did not return STATUS_OK */
        size_t silent; /* with JSON: have printed nothing, and are not in the array */
};

/*
 * The same, but each in its own process and with JSON in an array also if there is only one, or
 * none, and without blank lines, which are WORK's. *OUT says how it went.
 */
int several_run_list(char *const *paths, size_t count, bool json, several_work *work, void *ctx,
                     struct several_counts *out);

#endif
