/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_CURL
#include "fs/fetch/lister.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/protocol.h"
#include "fs/fetch/list_page.h"
#include "fs/fetch/reply.h"
#include "fs/fetch/transfer.h"
#include "fs/fetch/url.h"

enum {
        PAGE_MAX = 8 << 20, /* bytes; it has 1000 keys */
        EMPTY_MAX = 100,    /* pages without a name, one after another */
        LIST_SECONDS = 600, /* for all of them */
};

struct lister {
        struct transfer_server *server;
        const char *bucket, *prefix;
        int socket;
        struct transfer *transfer;
        char *text; /* of a page */

        struct remote_reply head; /* and what it says of names */
        char bytes[REMOTE_MESSAGE];
        size_t used;
        size_t count, on_page; /* names */
};

static void flush(struct lister *l)
{
        l->head = (struct remote_reply){.what = REMOTE_LISTED};
        if (l->used > 0)
                reply_send(l->socket, &l->head, l->bytes, l->used, NULL, 0);
        l->used = 0;
}

/* NAME is all of a key after the prefix, without the '/' that ends a prefix. */
static bool is_shown(const char *name, size_t len)
{
        return len > 0 && !memchr(name, '\0', len) && strcmp(name, ".") != 0 &&
               strcmp(name, "..") != 0;
}

static void say_name(struct lister *l, const struct list_key *key, const char *name, size_t len)
{
        struct remote_name is = {.size = key->size,
                                 .version = key->version,
                                 .mtime = key->mtime,
                                 .len = (uint32_t)len,
                                 .folder = key->is_prefix};

        if (sizeof is + len > sizeof l->bytes - l->used)
                flush(l);
        memcpy(l->bytes + l->used, &is, sizeof is);
        memcpy(l->bytes + l->used + sizeof is, name, len);
        l->used += sizeof is + len;
        l->count++;
}

static int take_key(void *ctx, const struct list_key *key)
{
        struct lister *l = ctx;
        size_t prefix = strlen(l->prefix), len;
        char name[LIST_KEY_MAX + 1];

        if (key->len < prefix || memcmp(key->key, l->prefix, prefix) != 0)
                return -EPROTO;
        len = key->len - prefix;
        memcpy(name, key->key + prefix, len);
        name[len] = '\0';
        if (key->is_prefix && (len == 0 || name[--len] != '/'))
                return -EPROTO;
        name[len] = '\0';
        if (memchr(name, '/', len))
                return -EPROTO;
        l->on_page++;
        if (!is_shown(name, len))
                return 0;
        if (l->count == REMOTE_NAMES_MAX)
                return -E2BIG;
        say_name(l, key, name, len);
        return 0;
}

/* The address of the page after the one that has given TOKEN; "": the first one. */
static char *page_url(const struct lister *l, const char *token)
{
        cleanup_free char *prefix = url_encode_value(l->prefix);
        cleanup_free char *from = url_encode_value(token);
        char *url = NULL;

        /* In the order of their names, as they are signed. */
        if (!prefix || !from ||
            asprintf(&url, "%s?%s%s%sdelimiter=%%2F&encoding-type=url&list-type=2&prefix=%s",
                     l->bucket, *from ? "continuation-token=" : "", from, *from ? "&" : "",
                     prefix) < 0)
                return NULL;
        return url;
}

static int fetch_page(struct lister *l, const char *token, size_t *len, struct error *err)
{
        cleanup_free char *url = page_url(l, token);
        struct transfer_object page = {.url = url, .lock = PTHREAD_MUTEX_INITIALIZER};

        if (!url)
                return error_set(err, ENOMEM, "out of memory");
        return transfer_whole(l->transfer, &page, l->text, PAGE_MAX, len, err);
}

static int list_page(struct lister *l, struct list_page *page, struct error *err)
{
        cleanup_free char *before = strdup(page->token);
        size_t len;
        int rc =
            before ? fetch_page(l, before, &len, err) : error_set(err, ENOMEM, "out of memory");

        if (rc < 0)
                return rc;
        l->on_page = 0;
        rc = list_page_parse(l->text, len, page, take_key, l, err);
        if (rc == -EPROTO)
                return error_set(err, EREMOTEIO, "the server lists what was not asked for");
        if (rc == -E2BIG)
                return error_set(err, E2BIG, "has more than %d names in one folder",
                                 REMOTE_NAMES_MAX);
        if (rc == 0 && page->goes_on && strcmp(page->token, before) == 0)
                return error_set(err, EREMOTEIO, "the server's list of it never ends");
        return rc;
}

static time_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

static int list_all(struct lister *l, struct error *err)
{
        struct list_page page = {.goes_on = true};
        unsigned empty = 0;
        time_t since = now();

        while (page.goes_on) {
                int rc = list_page(l, &page, err);

                if (rc < 0)
                        return rc;
                empty = l->on_page ? 0 : empty + 1;
                if (page.goes_on && (empty == EMPTY_MAX || now() - since > LIST_SECONDS))
                        return error_set(err, EREMOTEIO, "the server's list of it never ends");
        }
        return 0;
}

_Noreturn void lister_serve(struct transfer_server *server, const char *bucket, const char *prefix,
                            int socket)
{
        struct lister *l = calloc(1, sizeof *l);
        struct error err = {0};
        int rc;

        if (!l)
                _exit(1);
        *l =
            (struct lister){.server = server, .bucket = bucket, .prefix = prefix, .socket = socket};
        l->transfer = transfer_new(server);
        l->text = malloc(PAGE_MAX);
        rc = l->transfer && l->text ? list_all(l, &err) : error_set(&err, ENOMEM, "out of memory");
        flush(l);
        if (rc < 0)
                reply_failure(socket, &l->head, rc, &err);
        l->head = (struct remote_reply){.what = REMOTE_ALL_LISTED};
        if (rc == 0)
                reply_send(socket, &l->head, NULL, 0, NULL, 0);
        _exit(0);
}
#endif
