/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_CURL
#include "fs/fetch/part_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/neighbours.h"
#include "archive/source/remote/protocol.h"
#include "fs/fetch/fetcher_internal.h"
#include "fs/fetch/list_page.h"
#include "fs/fetch/reply.h"
#include "fs/fetch/transfer.h"
#include "fs/fetch/url.h"

enum { ROOM = 8 << 20 }; /* what is fetched in one request: most chunks of a datastore */

struct part_server {
        const char *bucket, *prefix;
        int socket;
        struct transfer *transfer;
        char *room;
};

static void send_data(void *ctx, const char *bytes, size_t n)
{
        const struct part_server *s = ctx;

        while (n > 0) {
                struct remote_reply head = {.what = REMOTE_DATA,
                                            .len = (uint32_t)min_u64(n, REMOTE_MESSAGE)};

                reply_send(s->socket, &head, bytes, head.len, NULL, 0);
                bytes += head.len;
                n -= head.len;
        }
}

static char *address_of(const struct part_server *s, const char *path)
{
        cleanup_free char *key = NULL, *encoded = NULL;
        char *url = NULL;

        if (asprintf(&key, "%s%s", s->prefix, path) < 0)
                key = NULL;
        encoded = key ? url_encode(key) : NULL;
        return encoded && asprintf(&url, "%s%s", s->bucket, encoded) >= 0 ? url : NULL;
}

/* The first request for an object says what it is; the second one is for that version alone. */
static int give(struct part_server *s, struct transfer_object *o,
                const struct remote_part_request *q, struct error *err)
{
        size_t room = q->offset == 0 ? (size_t)min_u64(q->len, ROOM) : 1, have;
        struct remote_reply head = {.what = REMOTE_OPENED};
        struct remote_opened is = {0};
        uint64_t want = 0;
        int rc = transfer_open(s->transfer, o, s->room, room, &have, err);

        if (rc < 0)
                return rc;
        is.size = o->size;
        is.version = fetcher_version(o);
        head.len = sizeof is;
        reply_send(s->socket, &head, &is, sizeof is, NULL, 0);
        if (o->size <= q->max && q->offset < o->size)
                want = min_u64(q->len, o->size - q->offset);
        have = q->offset == 0 ? (size_t)min_u64(have, want) : 0;
        send_data(s, s->room, have);
        if (have == want)
                return 0;
        return transfer_range(s->transfer, o, q->offset + have, (size_t)(want - have), send_data, s,
                              err);
}

static void answer(struct part_server *s, const struct remote_part_request *q)
{
        cleanup_free char *url = NULL;
        struct transfer_object o = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct remote_reply head = {0};
        struct error err = {0};
        int rc;

        if (strnlen(q->path, sizeof q->path) == sizeof q->path || !*q->path ||
            !neighbours_is_below(q->path) || q->len == 0)
                rc = error_set(&err, EINVAL, "%s", strerror(EINVAL));
        else if (strlen(s->prefix) + strlen(q->path) > LIST_KEY_MAX)
                rc = error_set(&err, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
        else
                rc = (url = address_of(s, q->path)) ? 0 : error_set(&err, ENOMEM, "out of memory");
        o.url = url;
        if (rc == 0)
                rc = give(s, &o, q, &err);
        if (rc < 0)
                reply_failure(s->socket, &head, rc, &err);
        free(o.moved);
}

_Noreturn void part_serve(struct transfer_server *server, const char *bucket, const char *prefix,
                          int socket)
{
        struct part_server s = {.bucket = bucket, .prefix = prefix, .socket = socket};
        struct remote_part_request q;
        ssize_t n;

        s.transfer = transfer_new(server);
        s.room = malloc(ROOM);
        if (!s.transfer || !s.room)
                _exit(1);
        for (;;) {
                n = recv(socket, &q, sizeof q, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != sizeof q)
                        _exit(0);
                answer(&s, &q);
        }
}
#endif
