/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program's verbs. Each takes its own words (argv[0] is the verb) and returns the exit status.
 */
#ifndef VMAFS_VERBS_H
#define VMAFS_VERBS_H

int verb_mount(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_map(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_index(int argc, char **argv);
int verb_extract(int argc, char **argv);

/* Print how vmafs is used, to stdout. */
void usage(void);

/* Report WHAT and where to read on. Returns the exit status of wrong usage. */
int usage_error(const char *what);

/* The same for the option that getopt has just not understood. */
int usage_option(char **argv);

#endif
