/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/remote/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/remote/remote_internal.h"
#include "archive/source/source.h"

enum {
        PIECES_MAX = REMOTE_CACHE / RANGE_PIECE,
        PIECES_SHARE = REMOTE_CACHE_SHARE / RANGE_PIECE,
        SPREAD = 4,       /* requests for one read, which the fetcher answers in parallel */
        SPREAD_MIN = 8,   /* pieces in each of them */
        AHEAD_SPREAD = 3, /* the same for what is asked for before … */
        AHEAD_STEP = 16,  /* … but not in requests of less pieces */
        WINDOW = 4 << 20, /* bytes of one read that are held at a time */
};

struct remote_view {
        struct source base;
        struct remote *remote;
        uint32_t object;
};

/* ---- reading ---- */

/* How many pieces a request for COUNT of them should have, so that they come in parallel. */
static uint64_t step_for(uint64_t count)
{
        uint64_t step = (count + SPREAD - 1) / SPREAD;

        return min_u64(max_u64(step, SPREAD_MIN), REMOTE_PIECES);
}

static void let_go(struct remote *r, struct range_piece **held, size_t n)
{
        for (size_t i = 0; i < n; i++)
                range_cache_let_go(r->cache, held[i]);
        pthread_cond_broadcast(&r->changed);
}

/*
 * Hold the pieces [FIRST, END), of which there is one, after asking for those that are missing. One who waits for room
 * holds nothing, so that two cannot wait for each other.
 */
static int hold_pieces(struct remote *r, uint32_t object, uint64_t first, uint64_t end,
                       struct range_piece **held)
{
        for (;;) {
                uint64_t n = 0;
                int rc = 0;

                do {
                        held[n] = range_cache_find(r->cache, object, first + n);
                        if (!held[n])
                                break;
                        range_cache_hold(r->cache, held[n]);
                        n++;
                } while (first + n < end);
                if (first + n >= end)
                        return 0;
                rc = remote_refuses(r, object);
                if (rc == 0)
                        rc = remote_ask(r, object, first + n, end, step_for(end - first), false);
                let_go(r, held, n);
                if (rc == 0)
                        continue;
                if (rc != -EAGAIN)
                        return rc;
                pthread_cond_wait(&r->changed, &r->lock);
        }
}

/* Wait until bytes up to END of P are there. */
static int await_piece(struct remote *r, const struct range_piece *p, size_t end)
{
        while (p->state == RANGE_WANTED && p->filled < end)
                pthread_cond_wait(&r->changed, &r->lock);
        return p->state == RANGE_FAILED && p->filled < end ? p->rc : 0;
}

/* Copy LEN bytes at OFFSET, of which HELD has the pieces. The lock is released for the copy. */
static int copy_pieces(struct remote *r, struct range_piece *const *held, char *buf, size_t len,
                       uint64_t offset)
{
        uint64_t first = offset / RANGE_PIECE;

        while (len > 0) {
                const struct range_piece *p = held[offset / RANGE_PIECE - first];
                size_t at = offset % RANGE_PIECE;
                size_t n = (size_t)min_u64(len, RANGE_PIECE - at);
                int rc = await_piece(r, p, at + n);

                if (rc < 0)
                        return rc;
                pthread_mutex_unlock(&r->lock);
                memcpy(buf, p->data + at, n);
                pthread_mutex_lock(&r->lock);
                buf += n;
                offset += n;
                len -= n;
        }
        return 0;
}

/* Read LEN bytes, at most WINDOW, of an object at OFFSET. */
static int read_window(struct remote *r, uint32_t object, char *buf, size_t len, uint64_t offset)
{
        struct range_piece *held[WINDOW / RANGE_PIECE + 1] = {0};
        uint64_t first = offset / RANGE_PIECE, end = (offset + len - 1) / RANGE_PIECE + 1;
        int rc = hold_pieces(r, object, first, end, held);

        if (rc < 0)
                return rc;
        rc = copy_pieces(r, held, buf, len, offset);
        let_go(r, held, end - first);
        return rc;
}

static uint64_t ahead_step(uint64_t count)
{
        return min_u64(max_u64(count / AHEAD_SPREAD + 1, AHEAD_STEP), REMOTE_PIECES);
}

static void ask_ahead(struct remote *r, uint32_t object, uint64_t first, uint64_t end)
{
        end = min_u64(end, r->files[object]->is.size);
        if (first < end && remote_refuses(r, object) == 0)
                remote_ask(r, object, first / RANGE_PIECE, (end - 1) / RANGE_PIECE + 1,
                           ahead_step((end - first) / RANGE_PIECE), true);
}

static ssize_t view_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct remote_view *v = (const struct remote_view *)s;
        struct remote *r = v->remote;
        uint64_t first, end;
        scoped_lock(&r->lock);
        int rc = r->stale ? -ESTALE : 0;

        range_ahead_note(&r->files[v->object]->ahead, offset, len, &first, &end);
        for (size_t done = 0; done < len && rc == 0;) {
                size_t n = (size_t)min_u64(len - done, WINDOW);

                /* What comes next is asked for before this is waited for. */
                if (len - done > n)
                        ask_ahead(r, v->object, offset + done + n,
                                  offset + min_u64(done + 2 * n, len));
                else
                        ask_ahead(r, v->object, first, end);
                rc = read_window(r, v->object, (char *)buf + done, n, offset + done);
                done += n;
        }
        return rc < 0 ? rc : (ssize_t)len;
}

static void view_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        const struct remote_view *v = (const struct remote_view *)s;
        scoped_lock(&v->remote->lock);

        len = min_u64(len, RANGE_AHEAD_MAX);
        range_ahead_announce(&v->remote->files[v->object]->ahead, offset, len);
        ask_ahead(v->remote, v->object, offset, offset + len);
}

static int view_gather(struct source *s, struct source_piece *pieces, size_t count)
{
        int rc = 0;

        for (size_t i = 0; i < count; i++)
                view_will_need(s, pieces[i].offset, pieces[i].len);
        for (size_t i = 0; i < count && rc == 0; i++)
                rc = source_pread_all(s, pieces[i].buf, pieces[i].len, pieces[i].offset);
        return rc;
}

/* ---- what it is ---- */

static int view_check(struct source *s, struct error *err)
{
        const struct remote_view *v = (const struct remote_view *)s;
        scoped_lock(&v->remote->lock);

        if (!v->remote->stale)
                return 0;
        return error_set(err, ESTALE,
                         "was replaced on the server while it is in use: nothing more is read "
                         "from it");
}

void remote_identity(const struct remote *r, uint64_t *size, uint64_t *version)
{
        *size = r->files[REMOTE_ARCHIVE]->is.size;
        *version = r->files[REMOTE_ARCHIVE]->is.version;
}

static bool failure_of(struct remote *r, uint32_t object, struct error *err)
{
        const struct error *failure = &r->files[object]->failure;
        scoped_lock(&r->lock);

        if (failure->code && err)
                *err = *failure;
        return failure->code != 0;
}

bool remote_failure(struct remote *r, struct error *err)
{
        return failure_of(r, REMOTE_ARCHIVE, err);
}

static int view_damage(struct source *s, struct error *err)
{
        const struct remote_view *v = (const struct remote_view *)s;

        return failure_of(v->remote, v->object, err) ? -EREMOTEIO : 0;
}

static const struct remote_opened *opened(const struct source *s)
{
        const struct remote_view *v = (const struct remote_view *)s;

        return &v->remote->files[v->object]->is;
}

static int64_t view_mtime(const struct source *s)
{
        return opened(s)->mtime;
}

static bool view_stamp(struct source *s, struct source_stamp *out)
{
        *out = (struct source_stamp){.inode = opened(s)->version};
        return view_check(s, NULL) == 0;
}

static void view_close(struct source *s)
{
        free(s);
}

static const struct source_ops view_ops = {
    .name = "file",
    .pread = view_pread,
    .gather = view_gather,
    .will_need = view_will_need,
    .check = view_check,
    .damage = view_damage,
    .mtime = view_mtime,
    .stamp = view_stamp,
    .close = view_close,
    .is_file = true,
    .is_far = true,
};

/* ---- opening and closing ---- */

static int why_not(const struct remote_file *f, struct error *err)
{
        if (f->opened)
                return 0;
        if (!f->why.code)
                return -ENOENT;
        if (err)
                *err = f->why;
        return -f->why.code;
}

int remote_source(struct remote *r, enum remote_object object, struct source **out,
                  struct error *err)
{
        int rc = why_not(r->files[object], err);
        struct remote_view *v;

        if (rc < 0)
                return rc;
        if (!r->started)
                rc = pthread_create(&r->thread, NULL, remote_receive, r);
        if (rc > 0)
                return error_set(err, rc, "a thread cannot be started: %s", strerror(rc));
        r->started = true;
        v = calloc(1, sizeof *v);
        if (!v)
                return error_set(err, ENOMEM, "out of memory");
        *v = (struct remote_view){.base = {.ops = &view_ops, .size = r->files[object]->is.size},
                                  .remote = r,
                                  .object = object};
        *out = &v->base;
        return 0;
}

static int await_opened(struct remote *r, unsigned count, struct error *err)
{
        struct remote_message m;

        for (unsigned i = 0; i < count;) {
                ssize_t n = read(r->fd, &m, sizeof m);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0 || !remote_take_opened(r, &m, (size_t)n))
                        return error_set(err, EREMOTEIO, "the process that fetches it has ended");
                i++;
        }
        return why_not(r->files[REMOTE_ARCHIVE], err);
}

int remote_open(int take_fd, pid_t pid, bool with_index, struct remote **out, struct error *err)
{
        struct remote *r = calloc(1, sizeof *r);
        int rc;

        if (!r) {
                close(take_fd);
                return error_set(err, ENOMEM, "out of memory");
        }
        r->fd = take_fd;
        r->pid = pid;
        for (r->count = 0; r->count < REMOTE_OBJECTS; r->count++)
                r->files[r->count] = &r->first[r->count];
        pthread_mutex_init(&r->lock, NULL);
        pthread_cond_init(&r->changed, NULL);
        rc = range_cache_new(pid > 0 ? PIECES_MAX : PIECES_SHARE, &r->cache);
        if (rc < 0)
                error_fill(err, ENOMEM, "out of memory");
        else
                rc = await_opened(r, with_index ? 2 : 1, err);
        if (rc < 0) {
                remote_close(r);
                return rc;
        }
        *out = r;
        return 0;
}

void remote_close(struct remote *r)
{
        if (!r)
                return;
        /* An empty message ends the fetcher, and with it the thread's read. */
        send(r->fd, "", 0, MSG_NOSIGNAL);
        if (r->started)
                pthread_join(r->thread, NULL);
        close(r->fd);
        while (r->pid > 0 && waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        range_cache_free(r->cache);
        for (uint32_t i = REMOTE_OBJECTS; i < r->count; i++) {
                free(r->files[i]->name);
                free(r->files[i]);
        }
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
}
