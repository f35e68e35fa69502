/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/source/remote/remote_internal.h"

static void end_asked(struct remote *r, struct remote_asked *a, int rc)
{
        for (size_t i = 0; i < REMOTE_PIECES && a->pieces[i]; i++) {
                struct range_piece *p = a->pieces[i];

                if (rc < 0 && p->state == RANGE_WANTED) {
                        p->state = RANGE_FAILED;
                        p->rc = rc;
                }
                range_cache_let_go(r->cache, p);
        }
        *a = (struct remote_asked){0};
        r->asked_count--;
        pthread_cond_broadcast(&r->changed);
}

void remote_lose(struct remote *r)
{
        r->gone = true;
        for (size_t i = 0; i < r->count; i++)
                error_fill(&r->files[i]->failure, EREMOTEIO,
                           "the process that fetches it has ended");
        for (size_t i = 0; i < REMOTE_REQUESTS; i++)
                if (r->asked[i].used)
                        end_asked(r, &r->asked[i], -EREMOTEIO);
        pthread_cond_broadcast(&r->changed);
}

/* ---- messages ---- */

/* Text that a server may have had a hand in. */
static void take_text(const struct remote_message *m, int code, struct error *err)
{
        char text[REMOTE_TEXT];
        size_t len = min_u64(m->head.len, sizeof text - 1);

        memcpy(text, m->bytes, len);
        text[len] = '\0';
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
                        *p = '?';
        error_fill(err, code, "%s", text);
}

/* What the fetcher may say of a failure. */
static int checked_code(int32_t rc)
{
        return rc < 0 && rc > -4096 ? (int)-rc : EREMOTEIO;
}

int remote_take_text(const struct remote_message *m, struct error *err)
{
        int code = checked_code(m->head.rc);

        take_text(m, code, err);
        return -code;
}

static bool is_whole(const struct remote_message *m, size_t n)
{
        return n >= sizeof m->head && m->head.len == n - sizeof m->head;
}

/* What came with it is the first piece. */
static bool take_first(struct remote *r, uint32_t object, const unsigned char *bytes, size_t len)
{
        struct range_piece *p;

        if (len != min_u64(r->files[object]->is.size, RANGE_PIECE))
                return len == 0;
        p = len ? range_cache_add(r->cache, object, 0) : NULL;
        if (!p)
                return true;
        memcpy(p->data, bytes, len);
        p->filled = len;
        p->state = RANGE_READY;
        range_cache_let_go(r->cache, p);
        return true;
}

bool remote_take_opened(struct remote *r, const struct remote_message *m, size_t n)
{
        struct remote_file *f;

        if (!is_whole(m, n) || m->head.object >= r->count)
                return false;
        f = r->files[m->head.object];
        if (m->head.what == REMOTE_FAILED) {
                take_text(m, checked_code(m->head.rc), &f->why);
                return true;
        }
        if (m->head.what != REMOTE_OPENED || f->opened || m->head.len < sizeof f->is)
                return false;
        memcpy(&f->is, m->bytes, sizeof f->is);
        f->opened = f->is.size <= INT64_MAX;
        return f->opened &&
               take_first(r, m->head.object, m->bytes + sizeof f->is, m->head.len - sizeof f->is);
}

static void take_failure(struct remote *r, struct remote_asked *a, const struct remote_message *m)
{
        struct remote_file *f = r->files[a->object];
        int code = checked_code(m->head.rc);
        struct timespec now;

        take_text(m, code, &f->failure);
        if (f->name)
                error_fill(&r->files[REMOTE_ARCHIVE]->failure, code, "%.100s: %s", f->name,
                           f->failure.text);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (code == ESTALE && a->object != REMOTE_INDEX)
                r->stale = true;
        else if (code == EREMOTEIO)
                f->pause_until = now.tv_sec + REMOTE_PAUSE;
        end_asked(r, a, -code);
}

static void take_bytes(struct remote *r, struct remote_asked *a, const unsigned char *bytes,
                       uint32_t len)
{
        while (len > 0) {
                struct range_piece *p = a->pieces[a->got / RANGE_PIECE];
                uint32_t at = a->got % RANGE_PIECE;
                uint32_t n = (uint32_t)min_u64(len, RANGE_PIECE - at);

                memcpy(p->data + at, bytes, n);
                a->got += n;
                p->filled = at + n;
                if (p->filled == RANGE_PIECE || a->got == a->len)
                        p->state = RANGE_READY;
                bytes += n;
                len -= n;
        }
        if (a->got == a->len) {
                r->files[a->object]->pause_until = 0;
                r->files[a->object]->failure = (struct error){0};
                if (r->files[a->object]->name)
                        r->files[REMOTE_ARCHIVE]->failure = (struct error){0};
                end_asked(r, a, 0);
        }
        pthread_cond_broadcast(&r->changed);
}

/* Is OBJECT one that was named, and of which nothing is known yet? */
static bool is_named(const struct remote *r, uint32_t object)
{
        return object >= REMOTE_OBJECTS && object < r->count && !r->files[object]->opened &&
               !r->files[object]->why.code;
}

bool remote_take(struct remote *r, const struct remote_message *m, size_t n)
{
        struct remote_asked *a;

        if (is_whole(m, n) && is_named(r, m->head.object)) {
                pthread_cond_broadcast(&r->changed);
                return remote_take_opened(r, m, n);
        }
        if (!is_whole(m, n) || m->head.number >= REMOTE_REQUESTS)
                return false;
        a = &r->asked[m->head.number];
        if (!a->used || a->object != m->head.object)
                return false;
        if (m->head.what == REMOTE_FAILED) {
                take_failure(r, a, m);
                return true;
        }
        if (m->head.what != REMOTE_DATA || m->head.len == 0 || m->head.len > a->len - a->got)
                return false;
        take_bytes(r, a, m->bytes, m->head.len);
        return true;
}

void *remote_receive(void *arg)
{
        struct remote *r = arg;
        struct remote_message m;
        bool fits = true;

        while (fits) {
                ssize_t n = read(r->fd, &m, sizeof m);

                if (n < 0 && errno == EINTR)
                        continue;
                pthread_mutex_lock(&r->lock);
                fits = n > 0 && remote_take(r, &m, (size_t)n);
                if (!fits)
                        remote_lose(r);
                pthread_mutex_unlock(&r->lock);
        }
        return NULL;
}
