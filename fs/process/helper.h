/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A helper keeps the rights that its worker, the process that reads the archive, gives up. It is
 * forked before the first byte of the archive is read, never reads the archive, and on request does
 * the few things that its role defines.
 *
 *   worker   start ── confine ── call ───────────> … ─── ends, or is killed
 *   helper     └─ wait for a request … do it, reply <┘      └─ socket's end: the role's last act
 *
 * A request is a small structure of a fixed size. An attacker may control the worker by then, so a
 * role trusts nothing in a request.
 */
#ifndef VMAFS_HELPER_H
#define VMAFS_HELPER_H

#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct helper_request {
        uint32_t what; /* numbered by the role */
        uint32_t number;
        char name[PATH_MAX]; /* ends in a NUL */
};

struct helper_reply {
        int32_t rc; /* 0 or -errno */
        uint32_t number;
};

struct helper_role {
        const char *name; /* shown by ps(1), followed by the worker's process id */

        void (*begin)(void *ctx); /* called first */

        /*
         * Instead of the two below: talk over SOCKET, in messages of the role's own, until it ends.
         * May be NULL.
         */
        void (*serve)(void *ctx, int socket);

        /*
         * Do what IN asks for. *FD is -1; a role may set it to a descriptor, which is sent and then
         * closed. Returns 0 or -errno.
         */
        int (*handle)(void *ctx, const struct helper_request *in, struct helper_reply *out,
                      int *fd);

        /* Called when the worker has ended. May be NULL. */
        void (*end)(void *ctx);
};

struct helper {
        pthread_mutex_t lock; /* held during a call */
        int fd;               /* of the socket; -1: there is none */
        pid_t pid;
};

#define HELPER_NONE                                                                                \
        (struct helper)                                                                            \
        {                                                                                          \
                .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1                                        \
        }

/*
 * Start a process that plays ROLE with CTX. Call it before any thread is started. The process has
 * descriptors 0 to 2 and the N in KEEP, blocks all signals, and ends when *H is ended or this
 * process is gone. Returns 0 or -errno.
 */
int helper_start(struct helper *h, const struct helper_role *role, void *ctx, const int *keep,
                 size_t n);

/*
 * Send IN and wait for the reply. Sets *FD to the descriptor that came with it, which the caller
 * owns, or to -1; FD is NULL if none is wanted. NUMBER may be NULL. Returns what the role returned,
 * or -EPIPE if the helper is gone. Thread-safe.
 */
int helper_call(struct helper *h, const struct helper_request *in, uint32_t *number, int *fd);

/* Send IN without waiting for the reply. Thread-safe. */
void helper_tell(struct helper *h, const struct helper_request *in);

/* End the helper and wait until it has ended. */
void helper_end(struct helper *h);

/* For a role: close the standard descriptors, which belong to our caller. */
void helper_detach(void);

#endif
