/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vmafs tells its user: one line on stderr for each failure, and the exit status. */
#ifndef VMAFS_REPORT_H
#define VMAFS_REPORT_H

#include <stdint.h>
#include <stdio.h>

struct error;
struct restart_stats;

enum {
        STATUS_OK = 0,
        STATUS_FAILED = 1, /* the archive is damaged, or the work failed */
        STATUS_USAGE = 2,  /* wrong usage, or no such archive */
};

/* "vmafs: SUBJECT: the error's sentence". SUBJECT may be NULL. */
void report_error(const char *subject, const struct error *err);

/* "vmafs: the sentence". Control bytes in it come out as '?'. */
__attribute__((format(printf, 1, 2))) void report(const char *fmt, ...);

/* The exit status for an archive that could not be opened with -errno RC. */
int report_status(int rc);

/*
 * Flush and check stdout, since a full disk or a closed pipe must not look like success. Returns
 * STATUS, or STATUS_FAILED with a report.
 */
int report_finish_output(int status);

/* 1536 as "1.5 KiB" into OUT. Returns OUT. */
const char *report_size(uint64_t bytes, char out[32]);

/* Print how many restart points an index has, and how far they are apart, for info and index. */
void report_restart_points(const struct restart_stats *stats);

#endif
