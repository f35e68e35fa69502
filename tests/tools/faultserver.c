/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faultserver: an HTTP server for tests, which misbehaves as it is told, and one that speaks as
 * much of S3 as a reader needs.
 *
 * A thread for each connection. The files are small.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "tests/faultserver/listing.h"
#include "tests/faultserver/s3check.h"

static const char usage_text[] =
    "usage: faultserver DIR [--s3 KEY-ID SECRET REGION]\n"
    "Serves the files of DIR/files at http://127.0.0.1:PORT/MODE/FILE, and writes PORT to\n"
    "DIR/port when it is ready, and a line for each request to DIR/log: its path, range, status,\n"
    "how many bytes were sent, and whether it had an Authorization. With --s3, whoever has no\n"
    "right signature gets 403, and ListObjectsV2 lists the files, some names a page.\n"
    "MODE is what goes wrong; while DIR/fault exists, its first word is:\n"
    "  ok        nothing            whole     200 and all of it\n"
    "  short     half of the body   range     other bytes than were asked for\n"
    "  length    a wrong length     endless   a body without an end\n"
    "  hang      no answer          mute      neither ETag nor Last-Modified\n"
    "  slow      nothing, but after three seconds\n"
    "  encoded   compressed         drop      the connection is closed\n"
    "  unsized   of unknown size    total     of another size\n"
    "  to-file   sent on to file:   to-URL    sent on to URL/MODE/FILE, with - for each /\n"
    "  loop      sent on to itself  NNN       that status\n"
    "  late      drop, but for the first 4 MiB and the last one\n"
    "  past-NNN  that status for what is past the first byte of an index\n"
    "  lists-MODE, chunks-MODE, indexes-MODE  MODE for lists, for what is in a folder .chunks, or "
    "for\n"
    "            indexes\n"
    "  careless  a condition on the version is ignored\n"
    "  behind    no ETag, and a clock that is an hour behind\n"
    "  list-odd  names that no folder has; list-other, list-deep: that were not asked for\n"
    "  list-loop, list-empty  pages without an end; list-huge: one of 9 MiB\n"
    "  list-cut, list-type    a page that is not whole, and one with a document type\n"
    "  NNNxN     that status for the first N requests; dropxN, shortxN: the same\n";

enum { LATE = 4 << 20, LATE_END = 1 << 20, HOUR = 3600, SLOW = 3 /* seconds */ };

struct server {
        char *dir;
        const char *key_id, *secret, *region; /* of S3; NULL: none */
        FILE *log;
        atomic_uint faults; /* that were made */
};

struct request {
        const struct server *server;
        int fd;
        char head[8192]; /* as it came, without the body */
        char path[1024];
        char mode[256];
        char file[512];
        bool has_range, authorized;
        uint64_t start, end; /* END is the first byte after it */
};

/* ---- requests ---- */

/* The value of the header NAME of R, to OUT. False: it has none. */
static bool header(const struct request *r, const char *name, char *out, size_t size)
{
        size_t len = strlen(name);

        for (const char *p = strstr(r->head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
                const char *value = p + 2 + len;

                if (strncasecmp(p + 2, name, len) != 0 || *value != ':')
                        continue;
                value += 1 + strspn(value + 1, " ");
                snprintf(out, size, "%.*s", (int)strcspn(value, "\r"), value);
                return true;
        }
        return false;
}

static bool receive(struct request *r)
{
        size_t len = 0;

        for (;;) {
                ssize_t n = read(r->fd, r->head + len, sizeof r->head - 1 - len);

                if (n <= 0)
                        return false;
                len += (size_t)n;
                r->head[len] = '\0';
                if (strstr(r->head, "\r\n\r\n"))
                        return true;
        }
}

/* %XX is a byte. */
static void decode(char *text)
{
        char *out = text, digits[3] = "";

        for (const char *p = text; *p; p++) {
                if (*p == '%' && p[1] && p[2]) {
                        memcpy(digits, p + 1, 2);
                        *out++ = (char)strtoul(digits, NULL, 16);
                        p += 2;
                } else {
                        *out++ = *p;
                }
        }
        *out = '\0';
}

/* "bytes=START-LAST" */
static bool parse_range(struct request *r, const char *range)
{
        char *end;

        if (strncmp(range, "bytes=", 6) != 0)
                return false;
        r->start = strtoull(range + 6, &end, 10);
        if (*end != '-')
                return false;
        r->end = strtoull(end + 1, &end, 10);
        return *end == '\0';
}

static bool parse(struct request *r)
{
        char range[128];

        if (sscanf(r->head, "GET %1023s HTTP/1.1", r->path) != 1)
                return false;
        r->mode[0] = r->file[0] = '\0';
        sscanf(r->path, "/%255[^/]/%511s", r->mode, r->file);
        r->has_range = header(r, "Range", range, sizeof range) && parse_range(r, range);
        decode(r->file);
        r->end++;
        r->authorized = header(r, "Authorization", range, sizeof range);
        return true;
}

/* What DIR/fault says comes before what the path says. */
static void find_mode(struct request *r)
{
        cleanup_free char *path = NULL;
        FILE *f;
        char word[sizeof r->mode];

        if (asprintf(&path, "%s/fault", r->server->dir) < 0)
                abort();
        f = fopen(path, "re");
        if (f && fscanf(f, "%255s", word) == 1)
                memcpy(r->mode, word, sizeof word);
        if (f)
                fclose(f);
}

/* ---- answers ---- */

static bool send_all(const struct request *r, const char *bytes, uint64_t len)
{
        while (len > 0) {
                ssize_t n = send(r->fd, bytes, len, MSG_NOSIGNAL);

                if (n <= 0)
                        return false;
                bytes += n;
                len -= (uint64_t)n;
        }
        return true;
}

__attribute__((format(printf, 2, 3))) static bool send_head(const struct request *r,
                                                            const char *fmt, ...)
{
        char text[4096];
        va_list ap;
        int len;

        va_start(ap, fmt);
        len = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        return send_all(r, text, (uint64_t)len);
}

static void log_answer(const struct request *r, int status, uint64_t bytes)
{
        fprintf(r->server->log, "%s %" PRIu64 "-%" PRIu64 " %d %" PRIu64 " %s\n", r->path, r->start,
                r->end, status, bytes, r->authorized ? "auth" : "-");
        fflush(r->server->log);
}

static bool answer_status(const struct request *r, int status, const char *code)
{
        char body[256];

        snprintf(body, sizeof body, "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>", code);
        log_answer(r, status, 0);
        return send_head(r, "HTTP/1.1 %d No\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body),
                         body);
}

static bool answer_moved(const struct request *r, const char *where)
{
        log_answer(r, 302, 0);
        return send_head(r, "HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n",
                         where);
}

/* "to-http:--host:1234" is to http://host:1234. */
static bool answer_sent_on(const struct request *r)
{
        char to[sizeof r->mode], where[1024];

        if (strcmp(r->mode, "to-file") == 0)
                return answer_moved(r, "file:///etc/passwd");
        snprintf(to, sizeof to, "%s", r->mode + 3);
        for (char *p = to; *p; p++)
                if (*p == '-')
                        *p = '/';
        snprintf(where, sizeof where, "%s/%s", to, r->file);
        return answer_moved(r, where);
}

static bool answer_nothing(const struct request *r)
{
        log_answer(r, 0, 0);
        return false;
}

struct file {
        char *bytes;
        uint64_t size;
        time_t mtime;
        char etag[64], modified[64];
};

static void write_date(time_t t, char out[64])
{
        struct tm tm;

        gmtime_r(&t, &tm);
        strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static bool load(const struct request *r, struct file *out)
{
        cleanup_free char *path = NULL;
        cleanup_close int fd = -1;
        struct stat st;

        if (strstr(r->file, "..") || asprintf(&path, "%s/files/%s", r->server->dir, r->file) < 0)
                return false;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        out->size = (uint64_t)st.st_size;
        out->bytes = malloc(out->size + 1);
        if (!out->bytes || pread(fd, out->bytes, out->size, 0) != st.st_size)
                return false;
        snprintf(out->etag, sizeof out->etag, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)st.st_ino,
                 (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_mtim.tv_sec * 1000000000);
        out->mtime = st.st_mtim.tv_sec;
        write_date(out->mtime, out->modified);
        return true;
}

static bool is(const struct request *r, const char *mode)
{
        return strcmp(r->mode, mode) == 0;
}

static bool answer_whole(const struct request *r, const struct file *f)
{
        log_answer(r, 200, f->size);
        return send_head(r, "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\nETag: %s\r\n\r\n",
                         f->size, f->etag) &&
               send_all(r, f->bytes, f->size);
}

static bool answer_endless(const struct request *r)
{
        static const char noise[65536];
        uint64_t sent = 0;

        while (send_all(r, noise, sizeof noise))
                sent += sizeof noise;
        log_answer(r, 206, sent);
        return false;
}

/* By the server's clock, which is an hour behind, F is changed now. */
static bool send_clock(const struct request *r, const struct file *f)
{
        char now[64];

        write_date(f->mtime - HOUR, now);
        return send_head(r, "Date: %s\r\nLast-Modified: %s\r\n", now, now);
}

static bool answer_range(const struct request *r, const struct file *f)
{
        uint64_t end = r->end < f->size ? r->end : f->size, len = end - r->start;
        uint64_t says = is(r, "length") ? len - 1 : len, shift = is(r, "range") ? 512 : 0;
        uint64_t gives = is(r, "short") ? len / 2 : len;
        char size[32];

        snprintf(size, sizeof size, "%" PRIu64, f->size + (is(r, "total") ? 7 : 0));
        if (!send_head(
                r, "HTTP/1.1 206 Partial\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%s\r\n",
                r->start + shift, end - 1 + shift, is(r, "unsized") ? "*" : size))
                return false;
        if (is(r, "behind") && !send_clock(r, f))
                return false;
        if (!is(r, "mute") && !is(r, "behind") &&
            !send_head(r, "ETag: %s\r\nLast-Modified: %s\r\n", f->etag, f->modified))
                return false;
        if (is(r, "encoded") && !send_head(r, "Content-Encoding: gzip\r\n"))
                return false;
        if (is(r, "endless"))
                return send_head(r, "Connection: close\r\n\r\n") &&
                       send_all(r, f->bytes + r->start, len) && answer_endless(r);
        log_answer(r, 206, gives);
        return send_head(r, "Content-Length: %" PRIu64 "\r\n\r\n", says) &&
               send_all(r, f->bytes + r->start, gives) && gives == len && says == len;
}

/* A list of what is in the bucket, which is the mode: "?list-type=2&…". */
static bool answer_list(const struct request *r)
{
        cleanup_free char *folder = NULL, *page = NULL;
        const char *query = strchr(r->path, '?');

        if (asprintf(&folder, "%s/files", r->server->dir) < 0)
                abort();
        page = query ? listing_page(folder, query + 1, r->mode) : NULL;
        if (!page)
                return answer_status(r, 400, "InvalidArgument");
        log_answer(r, 200, strlen(page));
        return send_head(r, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(page)) &&
               send_all(r, page, strlen(page));
}

static bool answer_file(const struct request *r)
{
        struct file f = {0};
        char match[128];
        bool goes_on;

        if (!load(r, &f))
                goes_on = answer_status(r, 404, "NoSuchKey");
        else if (header(r, "If-Match", match, sizeof match) && strcmp(match, f.etag) != 0 &&
                 !is(r, "whole") && !is(r, "careless"))
                goes_on = answer_status(r, 412, "PreconditionFailed");
        else if (is(r, "late") && r->start >= LATE && r->end + LATE_END <= f.size)
                goes_on = answer_nothing(r);
        else if (is(r, "whole") || !r->has_range)
                goes_on = answer_whole(r, &f);
        else if (r->start >= f.size)
                goes_on = answer_status(r, 416, "InvalidRange");
        else
                goes_on = answer_range(r, &f);
        free(f.bytes);
        return goes_on;
}

static bool is_index(const struct request *r)
{
        const char *end = strrchr(r->file, '.');

        return end && strcmp(end, ".vmafs") == 0;
}

/* "chunks-503" is 503 for what is in .chunks, and nothing for the rest. */
static void narrow_down(struct request *r)
{
        const char *lists = "lists-", *chunks = "chunks-", *indexes = "indexes-", *mode = NULL;

        if (strncmp(r->mode, lists, strlen(lists)) == 0)
                mode = r->file[0] == '?' ? r->mode + strlen(lists) : "ok";
        else if (strncmp(r->mode, chunks, strlen(chunks)) == 0)
                mode = strstr(r->file, ".chunks/") ? r->mode + strlen(chunks) : "ok";
        else if (strncmp(r->mode, indexes, strlen(indexes)) == 0)
                mode = is_index(r) ? r->mode + strlen(indexes) : "ok";
        if (mode)
                memmove(r->mode, mode, strlen(mode) + 1);
}

/* "503x2" is 503 for the first two requests; then nothing is wrong any more. */
static void count_down(struct server *s, struct request *r)
{
        char *times = strchr(r->mode, 'x');

        if (!times || strncmp(r->mode, "to-", 3) == 0)
                return;
        *times = '\0';
        if (atomic_fetch_add(&s->faults, 1) >= strtoul(times + 1, NULL, 10))
                strcpy(r->mode, "ok");
}

static bool may_have(const struct request *r)
{
        const struct server *s = r->server;

        return !s->key_id || s3check(r->head, s->key_id, s->secret, s->region);
}

/* False: the connection is closed. */
static bool answer(struct server *s, struct request *r)
{
        find_mode(r);
        narrow_down(r);
        count_down(s, r);
        if (is(r, "drop"))
                return answer_nothing(r);
        if (is(r, "hang")) {
                log_answer(r, 0, 0);
                /* Until the other side gives up. */
                while (read(r->fd, r->head, sizeof r->head) > 0)
                        ;
                return false;
        }
        if (is(r, "slow")) {
                sleep(SLOW);
                strcpy(r->mode, "ok");
        }
        if (is(r, "loop"))
                return answer_moved(r, r->path);
        if (strncmp(r->mode, "to-", 3) == 0)
                return answer_sent_on(r);
        if (strncmp(r->mode, "past-", 5) == 0) {
                bool fails = is_index(r) && r->start > 0;

                snprintf(r->mode, sizeof r->mode, "%.3s", fails ? r->mode + 5 : "ok");
        }
        if (strlen(r->mode) == 3 && strspn(r->mode, "0123456789") == 3)
                return answer_status(r, (int)strtol(r->mode, NULL, 10), "Told");
        if (!may_have(r))
                return answer_status(r, 403, "SignatureDoesNotMatch");
        return r->server->key_id && r->file[0] == '?' ? answer_list(r) : answer_file(r);
}

struct connection {
        struct server *server;
        int fd;
};

static void *serve(void *arg)
{
        cleanup_free struct connection *c = arg;
        cleanup_close int fd = c->fd;
        struct request r = {.server = c->server, .fd = fd};

        while (receive(&r) && parse(&r) && answer(c->server, &r))
                ;
        return NULL;
}

/* ---- the server ---- */

static FILE *open_in(const char *dir, const char *name)
{
        cleanup_free char *path = NULL;

        if (asprintf(&path, "%s/%s", dir, name) < 0)
                abort();
        return fopen(path, "we");
}

/* A new file under another name first, so that nobody reads half of it. */
static bool tell_port(const char *dir, unsigned port)
{
        cleanup_free char *from = NULL, *to = NULL;
        FILE *f = open_in(dir, "port.new");

        if (!f || asprintf(&from, "%s/port.new", dir) < 0 || asprintf(&to, "%s/port", dir) < 0)
                return false;
        fprintf(f, "%u\n", port);
        return fclose(f) == 0 && rename(from, to) == 0;
}

static int listen_anywhere(unsigned *port)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 64) < 0 ||
            getsockname(fd, (struct sockaddr *)&at, &len) < 0)
                return -1;
        *port = ntohs(at.sin_port);
        return fd;
}

static void accept_one(struct server *s, int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
        struct connection *c = fd < 0 ? NULL : malloc(sizeof *c);
        pthread_t thread;

        if (!c)
                return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *c = (struct connection){s, fd};
        if (pthread_create(&thread, NULL, serve, c) == 0)
                pthread_detach(thread);
}

int main(int argc, char **argv)
{
        struct server s = {0};
        unsigned port;
        int listener;

        if (argc != 2 && (argc != 6 || strcmp(argv[2], "--s3") != 0)) {
                fputs(usage_text, stderr);
                return 2;
        }
        if (argc == 6) {
                s.key_id = argv[3];
                s.secret = argv[4];
                s.region = argv[5];
        }
        s.dir = argv[1];
        s.log = open_in(s.dir, "log");
        listener = listen_anywhere(&port);
        if (!s.log || listener < 0 || !tell_port(s.dir, port)) {
                fprintf(stderr, "faultserver: %s: %s\n", s.dir, strerror(errno));
                return 1;
        }
        for (;;)
                accept_one(&s, listener);
}
