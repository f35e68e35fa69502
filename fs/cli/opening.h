/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options on how an archive is opened, which mount and the other verbs share: `-o cache=SIZE`
 * for a mount is `--cache=SIZE` for a verb, and so on.
 */
#ifndef VMAFS_OPENING_H
#define VMAFS_OPENING_H

#include <stdbool.h>

#include "fs/process/index_helper.h"

struct fetchers;
struct index;
struct index_options;
struct remote_options;
struct shared;
struct site;

enum opening_word {
        OPENING_CACHE = 256,
        OPENING_THREADS,
        OPENING_WINDOW,
        OPENING_BACKING,
        OPENING_ENDPOINT,
        OPENING_CAFILE,
        OPENING_TIMEOUT,
        OPENING_SPOOL,
        OPENING_VIEW,
};

/* For a verb's getopt_long table. */
#define OPENING_LONG_OPTIONS                                                                       \
        {"cache", required_argument, NULL, OPENING_CACHE},                                         \
            {"threads", required_argument, NULL, OPENING_THREADS},                                 \
            {"backing", required_argument, NULL, OPENING_BACKING},                                 \
            {"endpoint", required_argument, NULL, OPENING_ENDPOINT},                               \
            {"cafile", required_argument, NULL, OPENING_CAFILE},                                   \
            {"timeout", required_argument, NULL, OPENING_TIMEOUT},                                 \
            {"spool", required_argument, NULL, OPENING_SPOOL},                                     \
            {"view", required_argument, NULL, OPENING_VIEW},                                       \
        {                                                                                          \
                "window", required_argument, NULL, OPENING_WINDOW                                  \
        }

/*
 * Set WORD, which was given after DASHES ("-o " or "--"), to VALUE in *O. If VALUE is NULL, it was
 * not given. Returns the exit status; reports what is wrong.
 */
int opening_set(enum opening_word word, const char *dashes, const char *value,
                struct index_options *o);

/* "DIR,SIZE", which has to outlive *OUT. False: it is not that. */
bool opening_parse_spool(const char *value, struct remote_options *out);

/*
 * Handle C, which getopt_long returned and which is not one of the verb's own options, or report
 * that it is unknown. Returns the exit status.
 */
int opening_option(int c, char **argv, struct index_options *o);

/* Where an archive is. */
struct archive_at {
        const char *path;          /* or address; for messages, too */
        struct fetchers *fetchers; /* NULL; or they fetch it, as … */
        const char *object;        /* … this below their folder */
};

/* An archive that a verb works through. */
struct opened {
        struct site *site;
        struct index_helper keeper;
        struct shared *shared;
        struct index *index;
};

#define OPENED_NONE ((struct opened){.keeper = INDEX_HELPER_NONE})

/*
 * Open the surroundings of the archive AT, start the process that keeps access to them, enter the
 * sandbox, and only then read the archive. Returns the exit status; reports what is wrong. Call
 * opening_close on *O in any case. Its fetchers are used for nothing else any more.
 */
int opening_open(const struct archive_at *at, const struct index_options *options,
                 struct opened *o);

/* The same with the sockets of other helpers; -1: none. */
int opening_open_with(const struct archive_at *at, const struct index_options *options,
                      const int sockets[2], struct opened *o);

/*
 * The same for the archive NAME in the folder TAKE_DIR, which is closed. PATH is for messages. No
 * link is followed.
 */
int opening_open_at(int take_dir, const char *name, const char *path,
                    const struct index_options *options, struct opened *o);
void opening_close(struct opened *o);

/*
 * Index the archive at PATH, with progress on a terminal; nothing is done where its index is known.
 * Returns the exit status; reports what is wrong.
 */
int opening_scan(struct index *index, const char *path);

#endif
