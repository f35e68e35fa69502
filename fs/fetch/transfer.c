/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_CURL
#include "fs/fetch/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/sigv4.h"
#include "fs/fetch/url.h"

enum {
        ATTEMPTS = 6,         /* for one range, without a byte in between */
        REDIRECTS = 5,        /* for one range */
        PAUSE_MS = 200,       /* before the second attempt; doubles with each further one */
        BODY_MAX = 2048,      /* of an error */
        SPEED_MIN = 1024,     /* bytes a second, below which a connection is given up */
        OPENING_ATTEMPTS = 3, /* of a connection that never was */
};

/* What came of one attempt. */
enum outcome { DONE, AGAIN, LED, FAILED };

/* Where the object's first bytes go. */
struct first {
        char *bytes;
        size_t room, len;
};

struct transfer {
        struct transfer_server *server;
        CURL *handle;
        char reason[CURL_ERROR_SIZE];

        /* the range */
        struct transfer_object *o;
        uint64_t at, end; /* what is still missing of it */
        transfer_take *take;
        void *ctx;
        struct first first; /* the context of an opening */
        bool whole;         /* all of it is wanted, and not a range */

        /* the attempt */
        char *url;
        struct answer answer;
        bool checked;
        char body[BODY_MAX + 1]; /* of an error */
        size_t body_len;
        struct error fault;
};

struct transfer *transfer_new(struct transfer_server *server)
{
        struct transfer *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->server = server;
        t->handle = server->api.easy_init();
        if (t->handle)
                return t;
        free(t);
        return NULL;
}

/* ---- the answer, while it comes ---- */

static long status_of(const struct transfer *t)
{
        long status = 0;

        t->server->api.easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
        return status;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
        struct transfer *t = arg;

        answer_take(&t->answer, line, size * n);
        return size * n;
}

/* The first answer says how long the object is, and which version. */
static int check_first(struct transfer *t)
{
        struct transfer_object *o = t->o;
        const struct answer *a = &t->answer;
        const char *fault;

        if (a->has_range && a->size != ANSWER_UNKNOWN)
                t->end = min_u64(t->end, a->size);
        fault = answer_fault(a, 0, t->end, a->size);
        if (!fault && a->size == ANSWER_UNKNOWN)
                fault = "does not say how long the object is";
        if (fault)
                return error_set(&t->fault, EREMOTEIO, "the server %s; download the file first",
                                 fault);
        if (!a->is.etag[0] && !a->is.modified[0])
                return error_set(&t->fault, ENOTSUP,
                                 "the server gives neither an ETag nor a Last-Modified time of it, "
                                 "so nobody would notice if it were replaced; download the file "
                                 "first");
        o->size = a->size;
        o->is = a->is;
        o->date = a->date;
        return 0;
}

static int stale(struct transfer *t)
{
        return error_set(&t->fault, ESTALE, "was replaced on the server");
}

static int check_range(struct transfer *t)
{
        const char *fault = answer_fault(&t->answer, t->at, t->end, t->o->size);

        if (answer_is_other(&t->answer, &t->o->is) ||
            (t->answer.has_range && t->answer.size != ANSWER_UNKNOWN &&
             t->answer.size != t->o->size))
                return stale(t);
        return fault ? error_set(&t->fault, EREMOTEIO, "the server %s", fault) : 0;
}

static size_t keep_error(struct transfer *t, const char *bytes, size_t n)
{
        size_t room = BODY_MAX - t->body_len, some = n < room ? n : room;

        memcpy(t->body + t->body_len, bytes, some);
        t->body_len += some;
        return some;
}

/* Of an answer without a range. */
static size_t take_all(struct transfer *t, const char *bytes, size_t n)
{
        if (t->answer.encoded)
                error_fill(&t->fault, EREMOTEIO,
                           "the server sends it compressed, although that "
                           "was not asked for");
        else if (n > t->first.room - t->first.len)
                error_fill(&t->fault, EREMOTEIO, "the server sends more than %zu bytes of it",
                           t->first.room);
        else
                t->take(t->ctx, bytes, n);
        return t->fault.code ? 0 : n;
}

/* Less than N is returned to end it: what comes after the range is not wanted. */
static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
        struct transfer *t = arg;
        size_t n = size * count;
        long status = status_of(t);

        if (status == 200 && t->whole)
                return take_all(t, bytes, n);
        if (status != 206 || t->whole)
                return status >= 300 ? keep_error(t, bytes, n) : 0;
        if (!t->checked && (t->o->opened ? check_range(t) : check_first(t)) < 0)
                return 0;
        t->checked = true;
        n = (size_t)min_u64(n, t->end - t->at);
        if (n > 0)
                t->take(t->ctx, bytes, n);
        t->at += n;
        return n;
}

/* ---- the request ---- */

struct headers {
        const struct curl_api *api;
        struct curl_slist *list;
        bool failed;
};

__attribute__((format(printf, 2, 3))) static void add_header(struct headers *h, const char *fmt,
                                                             ...)
{
        char line[1024 + SIGV4_AUTHORIZATION];
        struct curl_slist *list;
        va_list ap;
        int len;

        va_start(ap, fmt);
        len = vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        list = len < (int)sizeof line ? h->api->slist_append(h->list, line) : NULL;
        explicit_bzero(line, sizeof line);
        h->failed |= !list;
        if (list)
                h->list = list;
}

/* HOST[:PORT] of URL as libcurl sends it: without the port that the scheme has anyway. */
static char *host_header(const char *url)
{
        const char *host = url_host(url);
        const char *port = strncasecmp(url, "https", 5) == 0 ? ":443" : ":80";
        size_t len = strcspn(host, "/?#"), tail = strlen(port);

        if (len > tail && strncmp(host + len - tail, port, tail) == 0)
                len -= tail;
        return strndup(host, len);
}

static void sign(struct transfer *t, const char *range, struct headers *h)
{
        const struct s3_identity *who = t->server->who;
        cleanup_free char *host = host_header(t->url);
        const char *at = url_host(t->url) + strcspn(url_host(t->url), "/?");
        const char *query = strchr(at, '?');
        cleanup_free char *path = query ? strndup(at, (size_t)(query - at)) : strdup(at);
        char date[SIGV4_DATE], authorization[SIGV4_AUTHORIZATION];
        struct sigv4_header signed_headers[5] = {{"host", host}};
        struct sigv4_request r = {.key_id = who->key_id,
                                  .secret = who->secret,
                                  .region = who->region,
                                  .service = "s3",
                                  .path = path,
                                  .query = query ? query + 1 : "",
                                  .headers = signed_headers,
                                  .header_count = 1,
                                  .date = date};

        if (range)
                signed_headers[r.header_count++] = (struct sigv4_header){"range", range};
        signed_headers[r.header_count++] =
            (struct sigv4_header){"x-amz-content-sha256", SIGV4_EMPTY};
        signed_headers[r.header_count++] = (struct sigv4_header){"x-amz-date", date};
        if (who->token)
                signed_headers[r.header_count++] =
                    (struct sigv4_header){"x-amz-security-token", who->token};
        sigv4_date(time(NULL), date);
        if (!host || !path || sigv4_sign(&r, authorization) < 0) {
                h->failed = true;
                return;
        }
        add_header(h, "Host: %s", host);
        add_header(h, "x-amz-content-sha256: " SIGV4_EMPTY);
        add_header(h, "x-amz-date: %s", date);
        if (who->token)
                add_header(h, "x-amz-security-token: %s", who->token);
        add_header(h, "Authorization: %s", authorization);
}

static bool add_headers(struct transfer *t, struct headers *h)
{
        const struct validator *is = &t->o->is;
        char range[64];

        snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, t->at, t->end - 1);
        if (!t->whole)
                add_header(h, "Range: %s", range);
        if (t->o->opened && is->etag[0])
                add_header(h, "If-Match: %s", is->etag);
        else if (t->o->opened)
                add_header(h, "If-Unmodified-Since: %s", is->modified);
        if (t->server->who && t->server->who->key_id)
                sign(t, t->whole ? NULL : range, h);
        return !h->failed;
}

#define SET(option, value) t->server->api.easy_setopt(t->handle, option, value)

/* Whom to trust, how long to wait, and where not to go. */
static void set_limits(struct transfer *t)
{
        long patience = t->server->timeout / 3 > 0 ? (long)t->server->timeout / 3 : 1;

#if LIBCURL_VERSION_NUM >= 0x075500
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
        SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_CONNECTTIMEOUT, patience);
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)SPEED_MIN);
        SET(CURLOPT_LOW_SPEED_TIME, patience);
        SET(CURLOPT_NOSIGNAL, 1L);
        /* What is taken as a whole is small. */
        if (t->whole)
                SET(CURLOPT_TIMEOUT, (long)t->server->timeout);
        if (t->server->cafile)
                SET(CURLOPT_CAINFO, t->server->cafile);
}

static void set_up(struct transfer *t, const struct headers *h)
{
        bool same_host = true;

        t->server->api.easy_reset(t->handle);
        set_limits(t);
        if (t->url != t->o->url)
                url_may_lead(t->o->url, t->url, &same_host);
        /* What ~/.netrc has for everybody else is not for whom a server sends us to. */
        if (!t->server->who && same_host)
                SET(CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
        SET(CURLOPT_URL, t->url);
        SET(CURLOPT_PATH_AS_IS, 1L);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        SET(CURLOPT_USERAGENT, "vmafs/" VMAFS_VERSION);
        SET(CURLOPT_BUFFERSIZE, 262144L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_HTTPHEADER, h->list);
        SET(CURLOPT_ERRORBUFFER, t->reason);
        SET(CURLOPT_HEADERFUNCTION, take_header);
        SET(CURLOPT_HEADERDATA, t);
        SET(CURLOPT_WRITEFUNCTION, take_body);
        SET(CURLOPT_WRITEDATA, t);
}

/* ---- what came of it ---- */

/* What S3 says in an error, "<Code>AccessDenied</Code>", with a blank before it, or "". */
static const char *error_code(struct transfer *t)
{
        char *code, *end;

        t->body[t->body_len] = '\0';
        code = strstr(t->body, "<Code>");
        end = code ? strstr(code, "</Code>") : NULL;
        if (!end || end - code > 64)
                return "";
        *end = '\0';
        code += strlen("<Code>") - 1;
        *code = ' ';
        return code;
}

static bool may_pass(long status)
{
        return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
               status == 504;
}

static bool is_redirect(long status)
{
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/*
 * An empty object has no range. S3 refuses any of it with 416, and does not say there how long it is;
 * but no other object lacks its first byte, with which the range of an opening begins.
 */
static bool is_empty(const struct transfer *t, long status)
{
        bool no_range = t->answer.size == 0 || (t->server->who && t->answer.size == ANSWER_UNKNOWN);

        return !t->o->opened &&
               ((status == 416 && no_range) || (status == 200 && t->answer.length == 0));
}

static enum outcome fail(struct transfer *t, int code, const char *what, long status)
{
        error_fill(&t->fault, code, "%s (%ld%s)", what, status, error_code(t));
        return FAILED;
}

static enum outcome judge_opening(struct transfer *t, long status)
{
        if (status == 404 || status == 410)
                return fail(t, ENOENT, "is not on the server", status);
        if (status == 401 || status == 403)
                return fail(t, EACCES, "the server refuses to give it", status);
        if (status == 200)
                return fail(t, ENOTSUP,
                            "the server does not serve parts of it; download the file first",
                            status);
        return fail(t, EREMOTEIO, "the server does not give it", status);
}

static enum outcome judge_status(struct transfer *t, long status)
{
        struct transfer_object *o = t->o;

        if (t->answer.bucket_region[0] && (status == 301 || status == 307 || status == 400)) {
                error_fill(&t->fault, EREMOTEIO,
                           "its bucket is in the region %s: set AWS_REGION to that",
                           t->answer.bucket_region);
                return FAILED;
        }
        if (!o->opened)
                return judge_opening(t, status);
        if (status == 412 || (status == 200 && answer_is_other(&t->answer, &o->is))) {
                stale(t);
                return FAILED;
        }
        if (status == 404 || status == 410)
                return fail(t, EREMOTEIO, "was removed from the server", status);
        return fail(t, EREMOTEIO, "the server does not give a part of it", status);
}

/* The server sends us somewhere else. */
static enum outcome follow(struct transfer *t)
{
        const char *to = NULL;
        cleanup_free char *where = NULL;
        bool same_host;

        t->server->api.easy_getinfo(t->handle, CURLINFO_REDIRECT_URL, &to);
        if (to && url_may_lead(t->url, to, &same_host))
                where = strdup(to);
        if (!where) {
                cleanup_free char *shown = to ? url_shown(to) : NULL;

                error_fill(&t->fault, EREMOTEIO,
                           "the server sends us on to %.200s, where nobody should go",
                           shown ? shown : "nowhere");
                return FAILED;
        }
        pthread_mutex_lock(&t->o->lock);
        free(t->o->moved);
        t->o->moved = steal_ptr(&where);
        pthread_mutex_unlock(&t->o->lock);
        return LED;
}

/* The place that we were sent to is often for a few minutes only. */
static bool forget_moved(struct transfer *t, long status)
{
        bool moved = t->url != t->o->url;

        if (!moved || !(status == 401 || status == 403 || status == 404 || status == 410))
                return false;
        pthread_mutex_lock(&t->o->lock);
        free(steal_ptr(&t->o->moved));
        pthread_mutex_unlock(&t->o->lock);
        return true;
}

static bool is_final(CURLcode code)
{
        return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
               code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
               code == CURLE_OUT_OF_MEMORY || code == CURLE_SSL_CERTPROBLEM ||
               code == CURLE_SSL_ISSUER_ERROR || code == CURLE_NOT_BUILT_IN;
}

static enum outcome judge_connection(struct transfer *t, CURLcode code)
{
        error_fill(&t->fault, EREMOTEIO, "%s: %.250s",
                   is_final(code) ? "the server cannot be trusted or reached"
                                  : "the connection to the server fails",
                   t->reason[0] ? t->reason : t->server->api.easy_strerror(code));
        return is_final(code) ? FAILED : AGAIN;
}

static enum outcome judge(struct transfer *t, CURLcode code)
{
        long status = status_of(t);

        if (t->fault.code)
                return FAILED;
        if ((t->checked && t->at == t->end) || (t->whole && status == 200 && code == CURLE_OK))
                return DONE;
        if (!t->whole && is_empty(t, status)) {
                t->o->is = t->answer.is;
                t->end = 0;
                return DONE;
        }
        if (status == 0 || ((status == 206 || t->whole) && status < 300 && code != CURLE_OK))
                return judge_connection(t, code);
        if (status == 206) {
                error_fill(&t->fault, EREMOTEIO, "the server sends fewer bytes than it says");
                return AGAIN;
        }
        if (may_pass(status)) {
                fail(t, EREMOTEIO, "the server cannot give it now", status);
                return AGAIN;
        }
        if (forget_moved(t, status))
                return LED;
        return is_redirect(status) && !t->server->who ? follow(t) : judge_status(t, status);
}

/* ---- attempts ---- */

static char *current_url(struct transfer_object *o)
{
        scoped_lock(&o->lock);

        return o->moved ? strdup(o->moved) : NULL;
}

static enum outcome attempt(struct transfer *t)
{
        struct headers h = {.api = &t->server->api};
        cleanup_free char *moved = current_url(t->o);
        enum outcome outcome;

        t->url = moved ? moved : (char *)t->o->url;
        t->checked = false;
        t->body_len = 0;
        t->fault = (struct error){0};
        t->reason[0] = '\0';
        answer_init(&t->answer);
        if (!add_headers(t, &h)) {
                error_fill(&t->fault, EREMOTEIO, "its request cannot be made");
                outcome = FAILED;
        } else {
                set_up(t, &h);
                outcome = judge(t, t->server->api.easy_perform(t->handle));
        }
        t->server->api.slist_free_all(h.list);
        return outcome;
}

static time_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

static void pause_before(unsigned attempt, unsigned least)
{
        long ms = (long)PAUSE_MS << attempt;
        struct timespec t;

        if (ms < (long)least * 1000)
                ms = (long)least * 1000;
        t = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        nanosleep(&t, NULL);
}

/* May there be one more after ATTEMPT, the first being 0, which began with no byte after SINCE? */
static bool goes_on(const struct transfer *t, unsigned attempt, time_t since)
{
        bool never_was = !t->o->opened && t->answer.length == ANSWER_UNKNOWN;

        if (t->server->down && t->o->opened)
                return false;
        return attempt + 1 < (never_was ? OPENING_ATTEMPTS : ATTEMPTS) &&
               now() - since < (time_t)t->server->timeout;
}

static void take_first(void *ctx, const char *bytes, size_t n)
{
        struct first *f = ctx;

        memcpy(f->bytes + f->len, bytes, n);
        f->len += n;
}

/* Before each attempt to open it: what came of an earlier one may be of another version. */
static void begin_opening(struct transfer *t)
{
        t->first.len = 0;
        t->at = 0;
        t->end = t->first.room;
}

/* Until it is there, or has failed for good. */
static int run(struct transfer *t)
{
        unsigned attempts = 0, redirects = 0;
        time_t since = now();

        for (;;) {
                uint64_t before = t->at;
                enum outcome outcome;

                if (!t->o->opened)
                        begin_opening(t);
                outcome = attempt(t);
                if (outcome == DONE)
                        return 0;
                if (outcome == LED && redirects++ == REDIRECTS)
                        return error_set(&t->fault, EREMOTEIO,
                                         "the server sends us on more than %d times", REDIRECTS);
                if (outcome == LED)
                        continue;
                if (t->o->opened && t->at > before) {
                        attempts = 0;
                        since = now();
                }
                if (outcome == FAILED || !goes_on(t, attempts, since))
                        return -t->fault.code;
                pause_before(attempts++, t->answer.retry_after);
        }
}

static int conclude(struct transfer *t, int rc, struct error *err)
{
        t->server->down = rc == -EREMOTEIO;
        if (rc < 0 && err)
                *err = t->fault;
        t->o = NULL;
        return rc;
}

/* Get the first bytes of O, at most ROOM, into BYTES. */
static int get_first(struct transfer *t, struct transfer_object *o, char *bytes, size_t room,
                     size_t *len)
{
        int rc;

        t->o = o;
        t->first = (struct first){.bytes = bytes, .room = room};
        t->take = take_first;
        t->ctx = &t->first;
        rc = run(t);
        *len = t->first.len;
        return rc;
}

int transfer_open(struct transfer *t, struct transfer_object *o, char *bytes, size_t room,
                  size_t *len, struct error *err)
{
        int rc = get_first(t, o, bytes, room, len);

        o->opened = rc == 0;
        return conclude(t, rc, err);
}

int transfer_whole(struct transfer *t, struct transfer_object *o, char *bytes, size_t room,
                   size_t *len, struct error *err)
{
        int rc;

        t->whole = true;
        rc = get_first(t, o, bytes, room, len);
        t->whole = false;
        return conclude(t, rc, err);
}

int transfer_range(struct transfer *t, struct transfer_object *o, uint64_t offset, size_t len,
                   transfer_take *take, void *ctx, struct error *err)
{
        t->o = o;
        t->at = offset;
        t->end = offset + len;
        t->take = take;
        t->ctx = ctx;
        return conclude(t, run(t), err);
}
#endif
