/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the plugin serves: an archive, or a snapshot of a datastore.
 *
 *   content_open      before nbdkit forks: the header is parsed; no threads yet
 *   content_open_far  after it has, for an archive on a server: reading from one needs a thread
 *   content_start     after it has: the index is built in the background
 *   …                 requests, which wait for what they need of it (growth.h)
 *   content_stop      no request is left: end the threads
 *   content_close
 */
#ifndef VMAFS_CONTENT_H
#define VMAFS_CONTENT_H

#include <pthread.h>
#include <stdbool.h>

#include "archive/error.h"
#include "fs/nbdkit/growth.h"
#include "fs/nbdkit/snapshot.h"

struct disk;
struct index;
struct settings;
struct shared;
struct site;

struct content {
        char *path;   /* of the archive, or of the snapshot … */
        char *inside; /* … and what came after it in the path that was given, or NULL */
        char *only;   /* the name of the one disk that is exported; NULL: all are */
        struct shared *shared;

        struct site *site;   /* of an archive, or NULL */
        struct index *index; /* likewise */
        struct growth growth;
        pthread_t scan;
        bool scanning;

        bool is_stored; /* a snapshot … */
        struct snapshot snapshot;

        pthread_mutex_t lock;
        char logged[512]; /* lock: why a read failed, as it was logged last */
};

/* Sets *OUT, which content_close frees. 0, or -errno with the reason logged. */
int content_open(const struct settings *s, struct content **out);
int content_start(struct content *c); /* as content_open */

/* Is it on a server, and not opened yet, but for the process that fetches it? */
bool content_is_far(const struct content *c);
int content_open_far(struct content *c, const struct settings *s); /* as content_open */

/* False: a thread is stuck in a read that does not return, and C must not be freed. */
bool content_stop(struct content *c);
void content_close(struct content *c); /* NULL is allowed */

#endif
