/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/fetcher.h"

#include <errno.h>

#include "archive/error.h"
#include "archive/source/remote/remote.h"

#ifdef VMAFS_CURL
#include <cap-ng.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/neighbours.h"
#include "fs/fetch/fetcher_internal.h"
#include "fs/fetch/reply.h"
#include "fs/fetch/spool.h"
#include "fs/fetch/transfer.h"
#include "fs/fetch/url.h"
#include "fs/process/helper.h"

enum { CONNECTIONS = 4 };

struct job {
        bool opens; /* IS.object, and nothing else of IS counts */
        struct remote_request is;
        TAILQ_ENTRY(job) order;
};

TAILQ_HEAD(jobs, job);

struct fetcher;

/* A thread with a connection. */
struct line {
        struct fetcher *f;
        pthread_cond_t wake;
        bool idle; /* the fetcher's lock */
        struct transfer *transfer;

        /* the range */
        struct remote_reply head;
        uint64_t at; /* of BYTES in the object */
        char bytes[REMOTE_MESSAGE];
};

struct fetcher {
        char *url, *endpoint, *cafile; /* as given, or NULL; copies: argv is overwritten */
        unsigned timeout;
        bool with_index, below;
        int socket;
        struct transfer_server server;
        struct s3_identity who;
        struct transfer_object objects[REMOTE_OBJECTS_MAX];
        uint32_t count;   /* of objects; the main thread's */
        int spool_folder; /* -1: none */
        uint64_t spool_bytes;
        struct spool *spool; /* NULL: none */
        struct spool_object spooled[REMOTE_OBJECTS_MAX];
        struct line lines[CONNECTIONS];

        pthread_mutex_t lock; /* guards the rest, and which line is idle */
        struct jobs waited_for, ahead;
        size_t job_count;
};

/* ---- replies ---- */

/*
 * Store what is a piece of the object. Before it is sent: the reader may end once it has all, and this
 * process with it.
 */
static void keep(const struct line *l, const void *bytes, size_t len)
{
        const struct spool_object *o = &l->f->spooled[l->head.object];
        uint64_t number = l->at / SPOOL_PIECE;

        if (l->f->spool && l->at % SPOOL_PIECE == 0 && len == spool_piece_len(o, number))
                spool_put(l->f->spool, o, number, bytes);
}

static void flush(struct line *l)
{
        if (l->head.len > 0) {
                keep(l, l->bytes, l->head.len);
                reply_send(l->f->socket, &l->head, l->bytes, l->head.len, NULL, 0);
                l->at += l->head.len;
        }
        l->head.len = 0;
}

static void take_bytes(void *ctx, const char *bytes, size_t n)
{
        struct line *l = ctx;

        while (n > 0) {
                size_t some = (size_t)min_u64(n, sizeof l->bytes - l->head.len);

                memcpy(l->bytes + l->head.len, bytes, some);
                l->head.len += (uint32_t)some;
                if (l->head.len == sizeof l->bytes)
                        flush(l);
                bytes += some;
                n -= some;
        }
}

/* ---- a thread ---- */

uint64_t fetcher_version(const struct transfer_object *o)
{
        uint64_t hash = XXH3_64bits_withSeed(o->is.etag, strlen(o->is.etag), o->size);

        return XXH3_64bits_withSeed(o->is.modified, strlen(o->is.modified), hash);
}

static bool has_query(const char *url)
{
        return url[url_path_len(url)] != '\0';
}

static void open_object(struct line *l, uint32_t object)
{
        struct transfer_object *o = &l->f->objects[object];
        struct remote_reply head = {.what = REMOTE_OPENED, .object = object};
        struct remote_opened is;
        struct error err = {0};
        size_t len = 0;
        int rc;

        l->head = head;
        l->at = 0;
        rc = transfer_open(l->transfer, o, l->bytes, sizeof l->bytes, &len, &err);
        /* The query may be the archive's signature; without one, a server does not say what is missing. */
        if (rc == -EACCES && object == REMOTE_INDEX && has_query(l->f->objects[REMOTE_ARCHIVE].url))
                rc = error_set(&err, ENOENT, "is not on the server");
        if (rc < 0) {
                reply_failure(l->f->socket, &head, rc, &err);
                return;
        }
        is = (struct remote_opened){
            .size = o->size, .version = fetcher_version(o), .mtime = answer_time(o->is.modified)};
        /* Two clocks may differ by more than the minute that counts. */
        spool_object_init(&l->f->spooled[object], o->url, &o->is, o->size,
                          o->date ? o->date : time(NULL));
        keep(l, l->bytes, len);
        reply_send(l->f->socket, &head, &is, sizeof is, l->bytes, len);
}

/* Something to do; waits for it. */
static struct job *next_job(struct line *l)
{
        struct fetcher *f = l->f;
        scoped_lock(&f->lock);

        for (;;) {
                struct jobs *from = TAILQ_EMPTY(&f->waited_for) ? &f->ahead : &f->waited_for;
                struct job *job = TAILQ_FIRST(from);

                if (job) {
                        TAILQ_REMOVE(from, job, order);
                        f->job_count -= !job->opens;
                        return job;
                }
                l->idle = true;
                pthread_cond_wait(&l->wake, &f->lock);
                l->idle = false;
        }
}

/* Give the piece at L's place from the spool, if it ends at END or before. False: it is not there. */
static bool give_spooled(struct line *l, uint64_t end)
{
        const struct spool_object *o = &l->f->spooled[l->head.object];
        uint64_t number = l->at / SPOOL_PIECE;
        size_t len = l->f->spool && l->at % SPOOL_PIECE == 0 ? spool_piece_len(o, number) : 0;

        if (len == 0 || len > end - l->at || !spool_get(l->f->spool, o, number, l->bytes))
                return false;
        reply_send(l->f->socket, &l->head, l->bytes, len, NULL, 0);
        l->head.len = 0;
        l->at += len;
        return true;
}

/* Where the next piece from the spool begins after L's place, of which there is none; at most END. */
static uint64_t end_of_missing(const struct line *l, uint64_t end)
{
        uint64_t number = l->at / SPOOL_PIECE + 1;

        if (!l->f->spool)
                return end;
        while (number * SPOOL_PIECE < end &&
               !spool_has(l->f->spool, &l->f->spooled[l->head.object], number))
                number++;
        return min_u64(number * SPOOL_PIECE, end);
}

/* Give the bytes from L's place up to END. */
static int give_range(struct line *l, uint64_t end, struct error *err)
{
        int rc = 0;

        while (l->at < end && rc == 0) {
                if (give_spooled(l, end))
                        continue;
                rc = transfer_range(l->transfer, &l->f->objects[l->head.object], l->at,
                                    (size_t)(end_of_missing(l, end) - l->at), take_bytes, l, err);
                if (rc == 0)
                        flush(l);
        }
        return rc;
}

static void do_job(struct line *l, const struct remote_request *is)
{
        struct error err = {0};
        int rc;

        l->head =
            (struct remote_reply){.what = REMOTE_DATA, .object = is->object, .number = is->number};
        l->at = is->offset;
        rc = give_range(l, is->offset + is->len, &err);
        if (rc == 0)
                return;
        l->head.len = 0;
        reply_failure(l->f->socket, &l->head, rc, &err);
}

static void *run_line(void *arg)
{
        struct line *l = arg;
        size_t number = (size_t)(l - l->f->lines);

        if (number < (l->f->with_index ? 2 : 1))
                open_object(l, (uint32_t)number);
        for (;;) {
                cleanup_free struct job *job = next_job(l);

                if (job->opens)
                        open_object(l, job->is.object);
                else
                        do_job(l, &job->is);
        }
        return NULL;
}

/* ---- the main thread ---- */

static bool may_ask(const struct fetcher *f, const struct remote_request *q)
{
        return q->object < f->count && q->number < REMOTE_REQUESTS &&
               f->objects[q->object].opened && q->len > 0 && q->len <= REMOTE_REQUEST_MAX &&
               range_within(q->offset, q->len, f->objects[q->object].size);
}

/* Wake the first that is idle: its connection is the one that was used last. Under lock. */
static void wake_line(struct fetcher *f)
{
        for (size_t i = 0; i < CONNECTIONS; i++) {
                if (!f->lines[i].idle)
                        continue;
                f->lines[i].idle = false;
                pthread_cond_signal(&f->lines[i].wake);
                break;
        }
}

static bool queue_job(struct fetcher *f, const struct remote_request *q)
{
        struct job *job = malloc(sizeof *job);
        scoped_lock(&f->lock);

        if (!job || !may_ask(f, q) || f->job_count == REMOTE_REQUESTS) {
                free(job);
                return false;
        }
        *job = (struct job){.is = *q};
        TAILQ_INSERT_TAIL(q->ahead ? &f->ahead : &f->waited_for, job, order);
        f->job_count++;
        wake_line(f);
        return true;
}

/* May the archive name NAME? It is not for the reader to decide, which the archive may have taken over. */
static bool may_name(const struct fetcher *f, const char *name)
{
        return *name && neighbours_is_below(name) && (f->below || !strchr(name, '/'));
}

/* False: the reader makes no sense. */
static bool queue_named(struct fetcher *f, const struct remote_named *q)
{
        struct remote_reply head = {.object = q->object};
        struct error err = {0};
        struct job *job;

        if (q->object != f->count || f->count == REMOTE_OBJECTS_MAX ||
            strnlen(q->name, sizeof q->name) == sizeof q->name)
                return false;
        f->count++;
        if (!may_name(f, q->name)) {
                error_fill(&err, EACCES, "an archive may not name it");
                reply_failure(f->socket, &head, -EACCES, &err);
                return true;
        }
        f->objects[q->object].url = url_beside(f->objects[REMOTE_ARCHIVE].url, q->name);
        job = malloc(sizeof *job);
        if (!job || !f->objects[q->object].url) {
                free(job);
                return false;
        }
        *job = (struct job){.opens = true, .is.object = q->object};
        {
                scoped_lock(&f->lock);

                TAILQ_INSERT_TAIL(&f->waited_for, job, order);
                wake_line(f);
        }
        return true;
}

union asked {
        struct remote_request range;
        struct remote_named named;
};

/* What the reader has asked for in N bytes. False: it makes no sense. */
static bool queue_asked(struct fetcher *f, const union asked *q, ssize_t n)
{
        if (n == sizeof q->range)
                return queue_job(f, &q->range);
        return n == sizeof q->named && queue_named(f, &q->named);
}

void fetcher_confine(void)
{
        const struct rlimit none = {0};

        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        setrlimit(RLIMIT_CORE, &none);
        capng_clear(CAPNG_SELECT_BOTH);
        if (capng_apply(CAPNG_SELECT_BOTH) != 0)
                capng_apply(CAPNG_SELECT_CAPS);
        helper_detach();
}

static void begin(void *ctx)
{
        (void)ctx;
        fetcher_confine();
}

/* The addresses of the objects: URL, and what lies beside it. */
static int set_addresses(struct fetcher *f, const char *url, struct error *err)
{
        char *archive = strdup(url), *index = NULL;

        if (!archive || asprintf(&index, "%.*s.vmafs", (int)url_path_len(url), url) < 0) {
                free(archive);
                return error_set(err, ENOMEM, "out of memory");
        }
        f->objects[REMOTE_ARCHIVE].url = archive;
        f->objects[REMOTE_INDEX].url = index;
        return 0;
}

static int find_addresses(struct fetcher *f, struct error *err)
{
        cleanup_free char *url = NULL;
        int rc = 0;

        if (url_host(f->url)) {
                url = strdup(f->url);
        } else {
                rc = s3_identity_find(&f->who, err);
                if (rc < 0)
                        return rc;
                f->server.who = &f->who;
                url = s3_address(f->url, f->endpoint, f->who.region, err);
                if (!url)
                        return -EINVAL;
        }
        s3_forget_environment();
        return url ? set_addresses(f, url, err) : error_set(err, ENOMEM, "out of memory");
}

static int prepare_lines(struct fetcher *f, struct error *err)
{
        pthread_mutex_init(&f->lock, NULL);
        TAILQ_INIT(&f->waited_for);
        TAILQ_INIT(&f->ahead);
        f->count = REMOTE_OBJECTS;
        for (size_t i = 0; i < REMOTE_OBJECTS_MAX; i++)
                pthread_mutex_init(&f->objects[i].lock, NULL);
        for (size_t i = 0; i < CONNECTIONS; i++) {
                f->lines[i].f = f;
                f->lines[i].transfer = transfer_new(&f->server);
                if (!f->lines[i].transfer)
                        return error_set(err, ENOMEM, "out of memory");
                pthread_cond_init(&f->lines[i].wake, NULL);
        }
        return 0;
}

static int prepare(struct fetcher *f, struct error *err)
{
        int rc = curl_api_load(&f->server.api, err);

        if (rc == 0)
                rc = find_addresses(f, err);
        if (rc == 0 && f->spool_folder >= 0) {
                f->spool = spool_new(steal_fd(&f->spool_folder), f->spool_bytes);
                if (!f->spool)
                        return error_set(err, ENOMEM, "out of memory");
        }
        f->server.cafile = f->cafile;
        f->server.timeout = f->timeout ? f->timeout : FETCHER_TIMEOUT;
        return rc;
}

static int start_lines(struct fetcher *f, struct error *err)
{
        for (size_t i = 0; i < CONNECTIONS; i++) {
                pthread_t thread;
                int rc = pthread_create(&thread, NULL, run_line, &f->lines[i]);

                if (rc > 0)
                        return error_set(err, rc, "a thread cannot be started: %s", strerror(rc));
        }
        return 0;
}

void fetcher_refuse(int socket, bool with_index, int rc, const struct error *why)
{
        struct remote_reply head = {.object = REMOTE_ARCHIVE};

        reply_failure(socket, &head, rc, why);
        /* One reply for each object that was asked for. */
        head.object = REMOTE_INDEX;
        if (with_index)
                reply_failure(socket, &head, rc, why);
}

/* Threads may still be using F when the reader has ended: the process ends with them. */
static _Noreturn void serve_prepared(struct fetcher *f, int rc, struct error *err)
{
        union asked q;
        ssize_t n;

        if (rc == 0)
                rc = prepare_lines(f, err);
        if (rc == 0)
                rc = start_lines(f, err);
        if (rc < 0)
                fetcher_refuse(f->socket, f->with_index, rc, err);
        do
                n = recv(f->socket, &q, sizeof q, 0);
        while ((n < 0 && errno == EINTR) || (n > 0 && rc == 0 && queue_asked(f, &q, n)));
        _exit(0);
}

static void serve(void *ctx, int socket)
{
        struct fetcher *f = ctx;
        struct error err = {0};

        f->socket = socket;
        serve_prepared(f, prepare(f, &err), &err);
}

_Noreturn void fetcher_serve(const struct transfer_server *server, const char *url, bool with_index,
                             bool below, struct spool *spool, int socket)
{
        struct fetcher *f = calloc(1, sizeof *f);
        struct error err = {0};

        if (!f)
                _exit(1);
        f->socket = socket;
        f->spool_folder = -1;
        f->spool = spool;
        f->with_index = with_index;
        f->below = below;
        f->server = (struct transfer_server){.api = server->api,
                                             .cafile = server->cafile,
                                             .timeout = server->timeout,
                                             .who = server->who};
        serve_prepared(f, set_addresses(f, url, &err), &err);
}

static const struct helper_role role = {.name = "fetcher", .begin = begin, .serve = serve};

/* ---- in the process that reads ---- */

/* An index lies beside what has a name of its own. */
static bool has_name(const char *url)
{
        return !url_host(url) || url_has_name(url);
}

static void fetcher_free(struct fetcher *f)
{
        if (!f)
                return;
        if (f->spool_folder >= 0)
                close(f->spool_folder);
        free(f->url);
        free(f->endpoint);
        free(f->cafile);
        free(f);
}

/* An absolute path, since the fetcher is in another folder. */
bool fetcher_find_cafile(const struct remote_options *options, char **out)
{
        const char *path = options->cafile;

        if (!path)
                path = getenv("CURL_CA_BUNDLE");
        if (!path || !*path)
                path = getenv("SSL_CERT_FILE");
        *out = NULL;
        if (!path || !*path)
                return true;
        *out = realpath(path, NULL);
        if (!*out)
                *out = strdup(path);
        return *out;
}

static struct fetcher *fetcher_new(const char *url, const struct remote_options *options)
{
        struct fetcher *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->url = strdup(url);
        f->endpoint = options->endpoint ? strdup(options->endpoint) : NULL;
        f->timeout = options->timeout;
        f->below = options->below;
        f->spool_folder = -1;
        if (f->url && !f->endpoint == !options->endpoint &&
            fetcher_find_cafile(options, &f->cafile))
                return f;
        fetcher_free(f);
        return NULL;
}

int fetcher_open_spool(const struct remote_options *options, int *folder, struct error *err)
{
        int fd;

        *folder = -1;
        if (!options->spool)
                return 0;
        fd = spool_open_folder(options->spool, options->spool_len, err);
        if (fd < 0)
                return fd;
        *folder = fd;
        return 0;
}

int fetcher_start(const char *url, const struct remote_options *options, bool with_index,
                  struct remote **out, struct error *err)
{
        struct fetcher *f = fetcher_new(url, options);
        struct helper h = HELPER_NONE;
        int rc;

        if (!f)
                return error_set(err, ENOMEM, "out of memory");
        f->spool_bytes = options->spool_bytes;
        rc = fetcher_open_spool(options, &f->spool_folder, err);
        if (rc < 0) {
                fetcher_free(f);
                return rc;
        }
        f->with_index = with_index && has_name(url);
        with_index = f->with_index;
        rc = helper_start(&h, &role, f, &f->spool_folder, f->spool_folder >= 0);
        fetcher_free(f);
        s3_forget_environment();
        if (rc < 0)
                return error_set(err, -rc, "its fetcher cannot be started: %s", strerror(-rc));
        return remote_open(steal_fd(&h.fd), h.pid, with_index, out, err);
}

#else

int fetcher_start(const char *url, const struct remote_options *options, bool with_index,
                  struct remote **out, struct error *err)
{
        (void)url;
        (void)options;
        (void)with_index;
        (void)out;
        return error_set(err, ENOTSUP, "is on a server, and this vmafs was built without libcurl");
}
#endif
