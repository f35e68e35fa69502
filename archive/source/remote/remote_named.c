/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects that an archive names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "archive/cleanup.h"
#include "archive/source/remote/remote_internal.h"

/* The number of the one called NAME; 0: there is none. Under lock, as all below. */
static uint32_t find_named(const struct remote *r, const char *name)
{
        for (uint32_t i = REMOTE_OBJECTS; i < r->count; i++)
                if (r->files[i]->name && strcmp(r->files[i]->name, name) == 0)
                        return i;
        return 0;
}

static int ask_named(struct remote *r, const char *name, uint32_t *object, struct error *err)
{
        struct remote_named q = {.object = r->count};
        size_t len = strlen(name);
        struct remote_file *f;
        ssize_t n;

        if (len >= sizeof q.name)
                return error_set(err, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
        if (r->count == REMOTE_OBJECTS_MAX)
                return error_set(err, EMFILE, "the archive names more than %d files",
                                 REMOTE_OBJECTS_MAX - REMOTE_OBJECTS);
        memcpy(q.name, name, len);
        f = calloc(1, sizeof *f);
        if (f)
                f->name = strdup(name);
        if (!f || !f->name) {
                free(f);
                return error_set(err, ENOMEM, "out of memory");
        }
        r->files[r->count] = f;
        *object = r->count++;
        do
                n = send(r->fd, &q, sizeof q, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n != sizeof q)
                remote_lose(r);
        return 0;
}

static int await_named(struct remote *r, uint32_t object, struct error *err)
{
        struct remote_file *f = r->files[object];

        while (!f->opened && !f->why.code && !r->gone)
                pthread_cond_wait(&r->changed, &r->lock);
        if (f->opened)
                return 0;
        /* Another time it is asked for anew. */
        free(f->name);
        f->name = NULL;
        if (f->why.code)
                return error_set(err, f->why.code, "%s", f->why.text);
        return error_set(err, EREMOTEIO, "the process that fetches it has ended");
}

int remote_named(struct remote *r, const char *name, struct source **out, struct error *err)
{
        uint32_t object;
        int rc = 0;

        {
                scoped_lock(&r->lock);

                object = find_named(r, name);
                if (!object)
                        rc = ask_named(r, name, &object, err);
                if (rc == 0)
                        rc = await_named(r, object, err);
        }
        return rc < 0 ? rc : remote_source(r, (enum remote_object)object, out, err);
}
