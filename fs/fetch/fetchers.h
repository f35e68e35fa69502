/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fetchers of a folder in an S3 bucket: a helper that has the network and the credentials, and
 * starts on request a process that lists a folder, or is the fetcher of one archive (fetcher.h), or
 * of parts of many objects, one after another. What they say goes by sockets of their own.
 *
 *   reader    fetchers_start ── confine ── list ─────────> names … ── open ──────────> … close
 *   helper      └─ find credentials ─────── fork ─┐                    fork ─┐
 *   a fetcher                                     └─ pages ── ends           └─ ranges … ── ends
 *
 * It gives nothing that is not below the folder.
 */
#ifndef VMAFS_FETCHERS_H
#define VMAFS_FETCHERS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/process/helper.h"

struct error;
struct remote;
struct remote_entry;
struct remote_options;
struct remote_part;

enum {
        FETCHERS_MAX = 256,  /* at a time, of all kinds */
        FETCHERS_LINES = 16, /* of parts */
};

struct fetchers {
        struct helper helper;
        pid_t starter; /* the process that has started it */

        pthread_mutex_t lock; /* guards the rest: the processes that fetch parts */
        pthread_cond_t freed;
        int idle[FETCHERS_LINES]; /* their sockets; the last one was used last */
        unsigned idle_count, lines;
};

#define FETCHERS_NONE                                                                              \
        ((struct fetchers){.helper = HELPER_NONE,                                                  \
                           .lock = PTHREAD_MUTEX_INITIALIZER,                                      \
                           .freed = PTHREAD_COND_INITIALIZER})

/*
 * Start the helper for the folder URL, url_is_prefix, and overwrite what secrets this process's
 * environment has. Call it before any thread is started. 0 or -errno, with ERR; -ENOTSUP: this build
 * has none.
 */
int fetchers_start(struct fetchers *f, const char *url, const struct remote_options *options,
                   struct error *err);

/* From now on that folder is the one at PATH below it, "" for itself. 0 or -errno, with ERR. */
int fetchers_narrow(struct fetchers *f, const char *path, struct error *err);

/* List the folder PATH below it, "" for itself, as remote_list. Thread-safe. */
int fetchers_list(struct fetchers *f, const char *path,
                  int (*each)(void *ctx, const struct remote_entry *e), void *ctx,
                  struct error *err);

/* With an object: */
enum {
        FETCH_INDEX = 1, /* the index beside it */
        FETCH_BELOW = 2, /* it may name what is below its folder, as remote_options.below */
};

/* Open the object PATH below it, with FLAGS, as remote_open. -EMFILE: too many are open. Thread-safe. */
int fetchers_open(struct fetchers *f, const char *path, uint32_t flags, struct remote **out,
                  struct error *err);

/*
 * PART of the object PATH below it, as remote_part_read. Waits while FETCHERS_LINES others are being
 * fetched. Thread-safe.
 */
ssize_t fetchers_part(struct fetchers *f, const char *path, struct remote_part *part, void **out,
                      struct error *err);

/*
 * End all that fetches: whoever waits for it, or asks for more, gets -EREMOTEIO. Thread-safe. Nothing
 * happens if none was started.
 */
void fetchers_stop(struct fetchers *f);

/*
 * This process reads an archive from now on, and asks for no other object. The helper goes on for the
 * process that has started it, if that is another one.
 */
void fetchers_leave(struct fetchers *f);

void fetchers_end(struct fetchers *f);

#endif
