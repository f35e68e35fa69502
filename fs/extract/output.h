/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Write one file of an archive to standard output, for `vmafs extract -O`. */
#ifndef VMAFS_OUTPUT_H
#define VMAFS_OUTPUT_H

struct archive_at;
struct index_options;

/*
 * Write the disk or file of the archive AT that WORD selects (selection.h). Holes of a disk
 * are written as zeros. The output ends at the first lost byte, with a report that names it.
 * Returns the exit status.
 */
int output_file(const struct archive_at *at, const char *word, const struct index_options *options);

#endif
