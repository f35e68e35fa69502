/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One range of an object from a server, as often as it takes. What may pass is tried again, with
 * pauses that grow: a connection that breaks, and the answers 408, 429, 500, 502, 503 and 504. All
 * else is an error at once. What has been received is not asked for again.
 */
#ifndef VMAFS_TRANSFER_H
#define VMAFS_TRANSFER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fetch/answer.h"
#include "fs/fetch/curl_api.h"
#include "fs/fetch/s3.h"

struct error;

/* What all transfers of an archive have in common. */
struct transfer_server {
        struct curl_api api;
        const char *cafile;      /* NULL: the system's */
        unsigned timeout;        /* seconds without a byte, after which a range has failed */
        struct s3_identity *who; /* of S3, or NULL: http */
        atomic_bool down;        /* the last one failed: the next is tried once */
};

struct transfer_object {
        const char *url;
        uint64_t size;
        struct validator is;
        int64_t date; /* when it was that: seconds since 1970, by the server's clock; 0: unknown */
        bool opened;

        pthread_mutex_t lock;
        char *moved; /* lock: where the server has sent us, or NULL */
};

struct transfer;

/* A connection, for one thread. NULL: out of memory. */
struct transfer *transfer_new(struct transfer_server *server);

/* Takes N bytes in order. */
typedef void transfer_take(void *ctx, const char *bytes, size_t n);

/*
 * Find out size and version of O with its first bytes, at most ROOM, which go to BYTES; *LEN says
 * how many. 0; -ENOENT, -EACCES; -ENOTSUP: the server has no ranges; or another -errno; with ERR.
 */
int transfer_open(struct transfer *t, struct transfer_object *o, char *bytes, size_t room,
                  size_t *len, struct error *err);

/*
 * All that the server answers to a request for O, of which nothing is known, without a range: at most
 * ROOM bytes to BYTES, and how many to *LEN. As transfer_open; O stays unopened.
 */
int transfer_whole(struct transfer *t, struct transfer_object *o, char *bytes, size_t room,
                   size_t *len, struct error *err);

/*
 * Give the LEN bytes of O at OFFSET to TAKE with CTX. 0; -ESTALE: the object has been replaced;
 * -EREMOTEIO; with ERR.
 */
int transfer_range(struct transfer *t, struct transfer_object *o, uint64_t offset, size_t len,
                   transfer_take *take, void *ctx, struct error *err);

#endif
