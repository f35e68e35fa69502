/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The help text, and the errors for wrong usage. */
#ifndef VMAFS_USAGE_H
#define VMAFS_USAGE_H

/* Print how vmafs is used, to stdout. */
void usage(void);

/* Report WHAT and point to --help. Returns the exit status for wrong usage. */
int usage_error(const char *what);

/*
 * The same for the option for which getopt has just returned C. C is ':' if the value is missing;
 * getopt returns that only if its option string begins with ':'.
 */
int usage_option(int c, char **argv);

#endif
