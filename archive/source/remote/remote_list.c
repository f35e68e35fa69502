/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/remote/remote_list.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/source/remote/remote_internal.h"

struct listing {
        int (*each)(void *ctx, const struct remote_entry *e);
        void *ctx;
        size_t count;
        struct error *err;
};

/* Is NAME, which has LEN bytes before its NUL, one that may be in a folder? */
static bool is_name(const char *name, size_t len)
{
        return strlen(name) == len && !strchr(name, '/') && strcmp(name, ".") != 0 &&
               strcmp(name, "..") != 0;
}

static int refuse(struct listing *l)
{
        return error_set(l->err, EREMOTEIO, "the process that lists it does not make sense");
}

/* The name at *AT of M, which moves past it. */
static int take_name(struct listing *l, const struct remote_message *m, size_t *at)
{
        char name[REMOTE_NAME_MAX + 1];
        struct remote_name is;
        struct remote_entry e;

        if (m->head.len - *at < sizeof is)
                return refuse(l);
        memcpy(&is, m->bytes + *at, sizeof is);
        *at += sizeof is;
        if (is.len == 0 || is.len > REMOTE_NAME_MAX || is.len > m->head.len - *at || is.folder > 1)
                return refuse(l);
        memcpy(name, m->bytes + *at, is.len);
        name[is.len] = '\0';
        *at += is.len;
        if (!is_name(name, is.len) || is.size > INT64_MAX)
                return refuse(l);
        if (l->count++ == REMOTE_NAMES_MAX)
                return error_set(l->err, E2BIG, "has more than %d names in one folder",
                                 REMOTE_NAMES_MAX);
        e = (struct remote_entry){.name = name,
                                  .folder = is.folder,
                                  .size = is.size,
                                  .version = is.version,
                                  .mtime = is.mtime};
        return l->each(l->ctx, &e);
}

/* 1: that was the last one. */
static int take_message(struct listing *l, const struct remote_message *m, size_t n)
{
        size_t at = 0;
        int rc = 0;

        if (n < sizeof m->head || m->head.len != n - sizeof m->head)
                return refuse(l);
        switch (m->head.what) {
        case REMOTE_FAILED:
                return remote_take_text(m, l->err);
        case REMOTE_ALL_LISTED:
                return 1;
        case REMOTE_LISTED:
                while (rc == 0 && at < m->head.len)
                        rc = take_name(l, m, &at);
                return rc;
        default:
                return refuse(l);
        }
}

int remote_list(int take_fd, int (*each)(void *ctx, const struct remote_entry *e), void *ctx,
                struct error *err)
{
        cleanup_close int fd = take_fd;
        struct listing l = {.each = each, .ctx = ctx, .err = err};
        struct remote_message m;
        int rc = 0;

        while (rc == 0) {
                ssize_t n = read(fd, &m, sizeof m);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_set(err, EREMOTEIO, "the process that lists it has ended");
                rc = take_message(&l, &m, (size_t)n);
        }
        return rc == 1 ? 0 : rc;
}
