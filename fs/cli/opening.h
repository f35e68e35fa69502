/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be said of how an archive is opened: `-o cache=SIZE` of a mount is
 * `--cache=SIZE` of the verbs, and so on.
 */
#ifndef VMAFS_OPENING_H
#define VMAFS_OPENING_H

#include <stdbool.h>

struct index_options;

enum opening_word { OPENING_CACHE = 256, OPENING_THREADS, OPENING_WINDOW, OPENING_BACKING };

/* For the table of getopt_long of a verb. */
#define OPENING_LONG_OPTIONS                                                                       \
        {"cache", required_argument, NULL, OPENING_CACHE},                                         \
            {"threads", required_argument, NULL, OPENING_THREADS},                                 \
            {"backing", required_argument, NULL, OPENING_BACKING},                                 \
        {                                                                                          \
                "window", required_argument, NULL, OPENING_WINDOW                                  \
        }

/*
 * WORD, given with DASHES ("-o " or "--") in front, is VALUE, or is not given where that is NULL.
 * Fills in *O. Returns the exit status; reports what is wrong.
 */
int opening_set(enum opening_word word, const char *dashes, const char *value,
                struct index_options *o);

/*
 * getopt_long has returned C, which is none of the verb's own options: take it, or report that
 * nobody knows it. Returns the exit status.
 */
int opening_option(int c, char **argv, struct index_options *o);

#endif
