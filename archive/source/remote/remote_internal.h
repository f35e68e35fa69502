/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_REMOTE_INTERNAL_H
#define VMAFS_REMOTE_INTERNAL_H

#include <pthread.h>
#include <time.h>

#include "archive/error.h"
#include "archive/source/remote/range_ahead.h"
#include "archive/source/remote/range_cache.h"
#include "archive/source/remote/remote.h"

/* A message, as the fetcher sends it. */
struct remote_message {
        struct remote_reply head;
        unsigned char bytes[REMOTE_MESSAGE + sizeof(struct remote_opened)];
};

enum { REMOTE_PIECES = REMOTE_REQUEST_MAX / RANGE_PIECE };

/* A request on its way. */
struct remote_asked {
        bool used;
        uint32_t object;
        uint64_t offset;
        uint32_t len, got;                         /* bytes */
        struct range_piece *pieces[REMOTE_PIECES]; /* held */
};

struct remote_file {
        char *name; /* of one that was named; NULL: it is another, or could not be opened */
        bool opened;
        struct remote_opened is;
        struct error why;         /* it is not */
        struct range_ahead ahead; /* lock, and for the rest */
        struct error failure;
        time_t pause_until; /* monotonic seconds: until then nothing is asked for */
};

struct remote {
        int fd;
        pid_t pid; /* of the fetcher; it may be another process's child by now; 0: it is one */
        bool started;
        pthread_t thread; /* takes replies */
        struct remote_file first[REMOTE_OBJECTS];
        struct remote_file *files[REMOTE_OBJECTS_MAX]; /* they, and those that were named: lock */

        pthread_mutex_t lock; /* guards the rest */
        uint32_t count;       /* of files */
        pthread_cond_t changed;
        struct range_cache *cache;
        struct remote_asked asked[REMOTE_REQUESTS];
        size_t asked_count;
        bool gone;  /* the fetcher has ended */
        bool stale; /* the archive was replaced */
};

/* ---- remote_ask.c: the caller holds the lock ---- */

/*
 * Ask for what is missing of the pieces [FIRST, END) of OBJECT, in requests of at most STEP pieces.
 * AHEAD: nobody waits for them yet. 0; -EAGAIN: there is no room for all until something changes;
 * -ENOMEM.
 */
int remote_ask(struct remote *r, uint32_t object, uint64_t first, uint64_t end, uint64_t step,
               bool ahead);

/* 0, or -errno: nothing of OBJECT is to be asked for. */
int remote_refuses(const struct remote *r, uint32_t object);

/* ---- remote_take.c ---- */

/* The failure that M says, into ERR. -errno. */
int remote_take_text(const struct remote_message *m, struct error *err);

/*
 * Take the message M of N bytes, the first of them for an object that is being opened. False: it is
 * not what may come.
 */
bool remote_take_opened(struct remote *r, const struct remote_message *m, size_t n);

/* Take a reply to a request. False: it is not what may come. The caller holds the lock. */
bool remote_take(struct remote *r, const struct remote_message *m, size_t n);

/* The fetcher is gone: all that is on its way fails. The caller holds the lock. */
void remote_lose(struct remote *r);

/* The thread: takes replies as long as there is a fetcher. */
void *remote_receive(void *arg);

#endif
