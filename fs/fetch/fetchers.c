/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/fetchers.h"

#include <errno.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/neighbours.h"
#include "archive/source/remote/remote.h"
#include "archive/source/remote/remote_list.h"
#include "archive/source/remote/remote_part.h"

#ifdef VMAFS_CURL
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/source/remote/protocol.h"
#include "fs/fetch/fetcher.h"
#include "fs/fetch/fetcher_internal.h"
#include "fs/fetch/list_page.h"
#include "fs/fetch/lister.h"
#include "fs/fetch/part_server.h"
#include "fs/fetch/reply.h"
#include "fs/fetch/spool.h"
#include "fs/fetch/transfer.h"
#include "fs/fetch/url.h"
#include "fs/process/descriptors.h"

enum what { WHAT_LIST, WHAT_OPEN, WHAT_PARTS, WHAT_NARROW, WHAT_STOP };

struct starter {
        char *url, *endpoint, *cafile; /* as given, or NULL; copies: argv is overwritten */
        unsigned timeout;
        int spool_folder; /* -1: none */
        uint64_t spool_bytes;
        struct spool *spool; /* NULL: none */
        struct transfer_server server;
        struct s3_identity who;
        char *bucket;     /* its address, which ends in '/' */
        char *prefix;     /* what all keys begin with; ends in '/', or is "" */
        unsigned count;   /* of processes */
        int rc;           /* -errno: there is nothing to start them with … */
        struct error why; /* … and why */
};

/* ---- in the helper ---- */

/* "s3://bucket/" of "s3://bucket/prefix/"; PREFIX is where that begins. */
static char *bucket_of(const char *url, const char **prefix)
{
        const char *name = url + strlen("s3://"), *slash = strchrnul(name, '/');
        char *bucket = NULL;

        *prefix = *slash ? slash + 1 : slash;
        if (asprintf(&bucket, "%.*s/", (int)(slash - url), url) < 0)
                return NULL;
        return bucket;
}

static int find_bucket(struct starter *s, struct error *err)
{
        const char *prefix;
        cleanup_free char *bucket = bucket_of(s->url, &prefix);
        int rc = s3_identity_find(&s->who, err);

        if (rc < 0)
                return rc;
        s->prefix = strdup(prefix);
        if (!bucket || !s->prefix)
                return error_set(err, ENOMEM, "out of memory");
        s->bucket = s3_address(bucket, s->endpoint, s->who.region, err);
        return s->bucket ? 0 : -err->code;
}

/* Each object's fetcher has a copy. */
static void open_spool(struct starter *s)
{
        if (s->spool_folder < 0)
                return;
        s->spool = spool_new(s->spool_folder, s->spool_bytes);
        if (s->spool)
                spool_count(s->spool);
        else
                s->rc = error_set(&s->why, ENOMEM, "out of memory");
}

static void begin(void *ctx)
{
        struct starter *s = ctx;

        fetcher_confine();
        s->rc = curl_api_load(&s->server.api, &s->why);
        if (s->rc == 0)
                s->rc = find_bucket(s, &s->why);
        s3_forget_environment();
        if (s->rc == 0)
                open_spool(s);
        s->server.who = &s->who;
        s->server.cafile = s->cafile;
        s->server.timeout = s->timeout ? s->timeout : FETCHER_TIMEOUT;
}

static _Noreturn void list(struct starter *s, const char *path, int socket)
{
        struct remote_reply head = {0};
        char *prefix = NULL;

        if (s->rc == 0 && asprintf(&prefix, "%s%s%s", s->prefix, path, *path ? "/" : "") < 0)
                s->rc = error_set(&s->why, ENOMEM, "out of memory");
        if (s->rc == 0)
                lister_serve(&s->server, s->bucket, prefix, socket);
        reply_failure(socket, &head, s->rc, &s->why);
        _exit(0);
}

static _Noreturn void open_object(struct starter *s, const char *path, uint32_t flags, int socket)
{
        bool with_index = flags & FETCH_INDEX;
        cleanup_free char *key = NULL, *encoded = NULL;
        char *url = NULL;

        if (s->rc == 0 && asprintf(&key, "%s%s", s->prefix, path) < 0)
                key = NULL;
        encoded = key ? url_encode(key) : NULL;
        if (s->rc == 0 && (!encoded || asprintf(&url, "%s%s", s->bucket, encoded) < 0))
                s->rc = error_set(&s->why, ENOMEM, "out of memory");
        if (s->rc == 0)
                fetcher_serve(&s->server, url, with_index, flags & FETCH_BELOW, s->spool, socket);
        fetcher_refuse(socket, with_index, s->rc, &s->why);
        _exit(0);
}

static _Noreturn void give_parts(struct starter *s, int socket)
{
        struct remote_reply head = {0};

        if (s->rc == 0)
                part_serve(&s->server, s->bucket, s->prefix, socket);
        reply_failure(socket, &head, s->rc, &s->why);
        _exit(0);
}

static _Noreturn void run_child(struct starter *s, const struct helper_request *in, pid_t parent,
                                int socket)
{
        const int keep[] = {socket, in->what == WHAT_OPEN ? s->spool_folder : -1};

        /* A list may take long, and nobody waits for it any more. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0);
        descriptors_close_others(keep, sizeof keep / sizeof *keep);
        if (in->what == WHAT_PARTS)
                give_parts(s, socket);
        if (in->what == WHAT_LIST)
                list(s, in->name, socket);
        open_object(s, in->name, in->number, socket);
}

static int start_one(struct starter *s, const struct helper_request *in, int *fd)
{
        pid_t parent = getpid(), pid;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                run_child(s, in, parent, fds[1]);
        close(fds[1]);
        if (pid < 0) {
                close(fds[0]);
                return -EAGAIN;
        }
        s->count++;
        *fd = fds[0];
        return 0;
}

/* From now on nothing is given that is not below the folder PATH. */
static int narrow(struct starter *s, const char *path)
{
        char *prefix;

        if (!*path || s->rc < 0)
                return 0;
        if (asprintf(&prefix, "%s%s/", s->prefix, path) < 0)
                return -ENOMEM;
        free(s->prefix);
        s->prefix = prefix;
        return 0;
}

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        struct starter *s = ctx;

        (void)out;
        while (s->count > 0 && waitpid(-1, NULL, WNOHANG) > 0)
                s->count--;
        if (in->what == WHAT_STOP)
                _exit(0); /* and so do they (run_child) */
        if (in->what > WHAT_NARROW || !neighbours_is_below(in->name) ||
            (in->what == WHAT_OPEN && !*in->name))
                return -EINVAL;
        if (s->rc == 0 && strlen(s->prefix) + strlen(in->name) > LIST_KEY_MAX)
                return -ENAMETOOLONG;
        if (in->what == WHAT_NARROW)
                return narrow(s, in->name);
        return s->count < FETCHERS_MAX ? start_one(s, in, fd) : -EMFILE;
}

static const struct helper_role role = {.name = "fetcher", .begin = begin, .handle = handle};

/* ---- in the process that reads ---- */

static int start(struct fetchers *f, struct starter *s, const struct remote_options *options,
                 struct error *err)
{
        int rc = -ENOMEM;

        if (s->url && !s->endpoint == !options->endpoint &&
            fetcher_find_cafile(options, &s->cafile))
                rc = helper_start(&f->helper, &role, s, &s->spool_folder, s->spool_folder >= 0);
        return rc < 0 ? error_set(err, -rc, "its fetcher cannot be started: %s", strerror(-rc)) : 0;
}

int fetchers_start(struct fetchers *f, const char *url, const struct remote_options *options,
                   struct error *err)
{
        struct starter s = {.url = strdup(url),
                            .endpoint = options->endpoint ? strdup(options->endpoint) : NULL,
                            .timeout = options->timeout,
                            .spool_folder = -1,
                            .spool_bytes = options->spool_bytes};
        int rc = fetcher_open_spool(options, &s.spool_folder, err);

        if (rc == 0)
                rc = start(f, &s, options, err);
        if (s.spool_folder >= 0)
                close(s.spool_folder);
        free(s.url);
        free(s.endpoint);
        free(s.cafile);
        s3_forget_environment();
        f->starter = getpid();
        return rc;
}

/* FD is NULL where no descriptor comes. */
static int ask(struct fetchers *f, enum what what, uint32_t number, const char *path, int *fd,
               struct error *err)
{
        struct helper_request in = {.what = what, .number = number};
        int rc = strlen(path) < sizeof in.name ? 0 : -ENAMETOOLONG;

        if (rc == 0) {
                memcpy(in.name, path, strlen(path));
                rc = helper_call(&f->helper, &in, NULL, fd);
        }
        if (rc == 0 && fd && *fd < 0)
                rc = -EPIPE;
        if (rc == -EPIPE)
                return error_set(err, EREMOTEIO, "the process that fetches it has ended");
        return rc < 0 ? error_set(err, -rc, "cannot be fetched: %s", strerror(-rc)) : 0;
}

/* The processes that fetch parts, and have nothing to do, end. */
static void end_idle(struct fetchers *f)
{
        scoped_lock(&f->lock);

        f->lines -= f->idle_count;
        while (f->idle_count > 0)
                close(f->idle[--f->idle_count]);
}

int fetchers_narrow(struct fetchers *f, const char *path, struct error *err)
{
        end_idle(f);
        return ask(f, WHAT_NARROW, 0, path, NULL, err);
}

int fetchers_list(struct fetchers *f, const char *path,
                  int (*each)(void *ctx, const struct remote_entry *e), void *ctx,
                  struct error *err)
{
        int fd, rc = ask(f, WHAT_LIST, 0, path, &fd, err);

        return rc < 0 ? rc : remote_list(fd, each, ctx, err);
}

int fetchers_open(struct fetchers *f, const char *path, uint32_t flags, struct remote **out,
                  struct error *err)
{
        int fd, rc = ask(f, WHAT_OPEN, flags, path, &fd, err);

        return rc < 0 ? rc : remote_open(fd, 0, flags & FETCH_INDEX, out, err);
}

/* ---- parts ---- */

/* A line that nobody else uses: its socket, or -1 where a new one is to be started. */
static int take_line(struct fetchers *f)
{
        scoped_lock(&f->lock);

        while (f->idle_count == 0 && f->lines == FETCHERS_LINES)
                pthread_cond_wait(&f->freed, &f->lock);
        if (f->idle_count > 0)
                return f->idle[--f->idle_count];
        f->lines++;
        return -1;
}

/* FD is idle; -1: it has ended. */
static void free_line(struct fetchers *f, int fd)
{
        scoped_lock(&f->lock);

        if (fd >= 0)
                f->idle[f->idle_count++] = fd;
        else
                f->lines--;
        pthread_cond_signal(&f->freed);
}

ssize_t fetchers_part(struct fetchers *f, const char *path, struct remote_part *part, void **out,
                      struct error *err)
{
        bool was_idle;
        ssize_t n;
        int fd;

        /* A process that has ended while it was idle has nothing to do with what is asked for. */
        do {
                fd = take_line(f);
                was_idle = fd >= 0;
                n = was_idle ? 0 : ask(f, WHAT_PARTS, 0, "", &fd, err);
                if (n == 0)
                        n = remote_part_read(&fd, path, part, out, err);
                free_line(f, fd);
        } while (n == -EREMOTEIO && was_idle && fd < 0);
        return n;
}

void fetchers_stop(struct fetchers *f)
{
        const struct helper_request in = {.what = WHAT_STOP};

        if (f->helper.fd >= 0)
                helper_tell(&f->helper, &in);
}

void fetchers_leave(struct fetchers *f)
{
        end_idle(f);
        if (f->helper.fd >= 0 && f->starter != getpid())
                close(steal_fd(&f->helper.fd));
}

void fetchers_end(struct fetchers *f)
{
        fetchers_leave(f);
        helper_end(&f->helper);
}

#else

int fetchers_start(struct fetchers *f, const char *url, const struct remote_options *options,
                   struct error *err)
{
        (void)f;
        (void)url;
        (void)options;
        return error_set(err, ENOTSUP, "is on a server, and this vmafs was built without libcurl");
}

int fetchers_narrow(struct fetchers *f, const char *path, struct error *err)
{
        (void)f;
        (void)path;
        return error_set(err, ENOTSUP, "this vmafs was built without libcurl");
}

int fetchers_list(struct fetchers *f, const char *path,
                  int (*each)(void *ctx, const struct remote_entry *e), void *ctx,
                  struct error *err)
{
        (void)f;
        (void)path;
        (void)each;
        (void)ctx;
        return error_set(err, ENOTSUP, "this vmafs was built without libcurl");
}

int fetchers_open(struct fetchers *f, const char *path, uint32_t flags, struct remote **out,
                  struct error *err)
{
        (void)f;
        (void)path;
        (void)flags;
        (void)out;
        return error_set(err, ENOTSUP, "this vmafs was built without libcurl");
}

ssize_t fetchers_part(struct fetchers *f, const char *path, struct remote_part *part, void **out,
                      struct error *err)
{
        (void)f;
        (void)path;
        (void)part;
        (void)out;
        return error_set(err, ENOTSUP, "this vmafs was built without libcurl");
}

void fetchers_stop(struct fetchers *f)
{
        (void)f;
}

void fetchers_leave(struct fetchers *f)
{
        (void)f;
}

void fetchers_end(struct fetchers *f)
{
        (void)f;
}
#endif
