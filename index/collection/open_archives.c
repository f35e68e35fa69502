/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/collection/open_archives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote.h"
#include "index/index.h"
#include "index/site.h"

enum { LOOK_SECONDS = 10 }; /* how often is looked for what has been idle for long */

TAILQ_HEAD(open_list, open_archive);

struct open_archives {
        struct open_archives_ops ops;
        struct index_options options;
        pthread_t janitor;

        pthread_mutex_t lock;
        pthread_cond_t settled; /* with lock: a slot is no longer busy */
        pthread_cond_t ending;  /* with lock: stopping was set */

        /* lock */
        struct open_list all, idle; /* the latter the longest first */
        size_t count, idle_count;
        bool *taken; /* numbers */
        bool started, stopping;
};

/* ---- identities ---- */

static int64_t nanoseconds(const struct timespec *t)
{
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

struct file_identity file_identity_of(const struct stat *st)
{
        return (struct file_identity){.dev = st->st_dev,
                                      .inode = st->st_ino,
                                      .size = (uint64_t)st->st_size,
                                      .mtime = nanoseconds(&st->st_mtim),
                                      .ctime = nanoseconds(&st->st_ctim)};
}

bool file_identity_equal(const struct file_identity *a, const struct file_identity *b)
{
        return a->dev == b->dev && a->inode == b->inode && a->size == b->size &&
               a->mtime == b->mtime && a->ctime == b->ctime;
}

/* ---- making and freeing ---- */

struct open_archives *open_archives_new(const struct open_archives_ops *ops,
                                        const struct index_options *options)
{
        struct open_archives *set = calloc(1, sizeof *set);
        pthread_condattr_t attr;

        if (!set)
                return NULL;
        set->taken = calloc(ops->numbers, sizeof *set->taken);
        if (!set->taken) {
                free(set);
                return NULL;
        }
        set->ops = *ops;
        set->options = *options;
        TAILQ_INIT(&set->all);
        TAILQ_INIT(&set->idle);
        pthread_mutex_init(&set->lock, NULL);
        pthread_cond_init(&set->settled, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&set->ending, &attr);
        pthread_condattr_destroy(&attr);
        return set;
}

/* Without lock. Nobody has A any more. */
static void close_archive(struct open_archive *a)
{
        struct open_archives *set = a->set;

        if (a->scan_started) {
                index_stop(a->index);
                pthread_join(a->scan, NULL);
        }
        if (a->attached)
                set->ops.closing(set->ops.ctx, a->attached);
        index_close(a->index);
        site_close(a->site);
        set->ops.leave(set->ops.ctx, a->number);
        free(a->path);
}

/* Under lock: A is out of the lists, and its slot is busy until settle. */
static void take_out(struct open_archive *a)
{
        struct open_archives *set = a->set;

        if (a->is_idle) {
                TAILQ_REMOVE(&set->idle, a, idle);
                set->idle_count--;
        }
        TAILQ_REMOVE(&set->all, a, all);
        set->count--;
        a->is_idle = false;
        a->is_closing = true;
        a->slot->busy = true;
}

/* Under lock, which it lets go of meanwhile: close A, which take_out has taken. */
static void finish_closing(struct open_archive *a)
{
        struct open_archives *set = a->set;

        pthread_mutex_unlock(&set->lock);
        close_archive(a);
        pthread_mutex_lock(&set->lock);
        set->taken[a->number] = false;
        a->slot->open = NULL;
        a->slot->busy = false;
        pthread_cond_broadcast(&set->settled);
        free(a);
}

void open_archives_close_all(struct open_archives *set)
{
        struct open_archive *a;

        open_archives_stop(set);
        if (set->started)
                pthread_join(set->janitor, NULL);
        set->started = false;
        pthread_mutex_lock(&set->lock);
        while ((a = TAILQ_FIRST(&set->all))) {
                take_out(a);
                finish_closing(a);
        }
        pthread_mutex_unlock(&set->lock);
}

void open_archives_free(struct open_archives *set)
{
        if (!set)
                return;
        open_archives_close_all(set);
        pthread_cond_destroy(&set->ending);
        pthread_cond_destroy(&set->settled);
        pthread_mutex_destroy(&set->lock);
        free(set->taken);
        free(set);
}

void open_archives_stop(struct open_archives *set)
{
        struct open_archive *a = NULL;
        scoped_lock(&set->lock);

        set->stopping = true;
        pthread_cond_broadcast(&set->ending);
        TAILQ_FOREACH(a, &set->all, all)
        {
                index_stop(a->index);
        }
}

/* ---- closing what nobody uses ---- */

static int64_t now_seconds(const struct open_archives *set)
{
        struct timespec now;

        if (set->ops.now)
                return set->ops.now(set->ops.ctx);
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/* Under lock: one to be closed, or NULL. One that is scanned is the last to go. */
static struct open_archive *victim_of(struct open_archives *set)
{
        struct open_archive *a = NULL;

        TAILQ_FOREACH(a, &set->idle, idle)
        {
                if (!a->scanning)
                        return a;
        }
        return TAILQ_FIRST(&set->idle);
}

/* Under lock, which it lets go of meanwhile: close until at most KEPT are idle. */
static void trim(struct open_archives *set, size_t kept)
{
        while (set->idle_count > kept) {
                struct open_archive *a = victim_of(set);

                take_out(a);
                finish_closing(a);
        }
}

/* Under lock: the first that has been idle for long, or NULL. */
static struct open_archive *long_idle(struct open_archives *set)
{
        int64_t now = now_seconds(set);
        struct open_archive *a = NULL;

        TAILQ_FOREACH(a, &set->idle, idle)
        {
                if (!a->scanning && now - a->idle_since >= OPEN_IDLE_SECONDS)
                        return a;
        }
        return NULL;
}

/* Under lock, which it lets go of meanwhile. */
static void close_long_idle(struct open_archives *set)
{
        struct open_archive *a;

        while (!set->stopping && (a = long_idle(set))) {
                take_out(a);
                finish_closing(a);
        }
}

void open_archives_close_idle(struct open_archives *set)
{
        scoped_lock(&set->lock);

        close_long_idle(set);
}

static void *run_janitor(void *arg)
{
        struct open_archives *set = arg;
        scoped_lock(&set->lock);

        while (!set->stopping) {
                struct timespec limit;

                clock_gettime(CLOCK_MONOTONIC, &limit);
                limit.tv_sec += LOOK_SECONDS;
                pthread_cond_timedwait(&set->ending, &set->lock, &limit);
                close_long_idle(set);
        }
        return NULL;
}

int open_archives_start(struct open_archives *set)
{
        int rc = pthread_create(&set->janitor, NULL, run_janitor, set);

        set->started = rc == 0;
        return -rc;
}

/* ---- opening ---- */

/* Under lock. */
static void use(struct open_archive *a)
{
        if (a->is_idle) {
                TAILQ_REMOVE(&a->set->idle, a, idle);
                a->set->idle_count--;
                a->is_idle = false;
        }
        a->users++;
}

/* Under lock. A number that nothing has, or -EMFILE. */
static int take_number(struct open_archives *set)
{
        for (unsigned i = 0; i < set->ops.numbers; i++)
                if (!set->taken[i]) {
                        set->taken[i] = true;
                        return (int)i;
                }
        return -EMFILE;
}

static int identify(const struct site *site, struct file_identity *out)
{
        struct stat st;

        *out = (struct file_identity){0};
        if (site->remote) {
                remote_identity(site->remote, &out->size, &out->inode);
                return 0;
        }
        if (fstat(site->archive, &st) < 0)
                return -errno;
        *out = file_identity_of(&st);
        return 0;
}

/* The site of A is open: open the rest, and see that it is the file that it was. */
static int open_index(struct open_archive *a, struct file_identity *identity, struct error *err)
{
        struct open_archives *set = a->set;
        int rc = identify(a->site, identity);

        if (rc < 0)
                return error_set(err, -rc, "cannot be examined: %s", strerror(-rc));
        if (a->slot->known && !file_identity_equal(identity, &a->slot->identity))
                return error_set(err, ESTALE, "was replaced or written to since it was entered");
        rc = index_open_site(a->site, &set->options, &a->index, err);
        if (rc < 0)
                return rc;
        a->attached = set->ops.opened(set->ops.ctx, a);
        return a->attached ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* Without lock: open A, of which NUMBER is taken. On failure nothing of it is left open. */
static int open_archive(struct open_archive *a, struct file_identity *identity, struct error *err)
{
        struct open_archives *set = a->set;
        int rc = set->ops.site(set->ops.ctx, a->number, a->path, &a->site, err);

        if (rc < 0)
                return rc;
        rc = open_index(a, identity, err);
        if (rc == 0)
                return 0;
        index_close(a->index);
        site_close(a->site);
        set->ops.leave(set->ops.ctx, a->number);
        return rc;
}

static struct open_archive *new_archive(struct open_archives *set, struct archive_slot *slot,
                                        const char *path)
{
        struct open_archive *a = calloc(1, sizeof *a);

        if (!a)
                return NULL;
        a->set = set;
        a->slot = slot;
        a->path = strdup(path);
        if (a->path)
                return a;
        free(a);
        return NULL;
}

/* Under lock, which it lets go of meanwhile: SLOT is busy, and closed. */
static int get_new(struct open_archives *set, struct archive_slot *slot, const char *path,
                   struct open_archive **out, struct error *err)
{
        struct open_archive *a = new_archive(set, slot, path);
        struct file_identity identity;
        int rc;

        if (!a)
                return error_set(err, ENOMEM, "out of memory");
        trim(set, OPEN_IDLE_MAX - 1);
        while ((rc = take_number(set)) < 0 && set->idle_count)
                trim(set, set->idle_count - 1);
        if (rc >= 0) {
                a->number = (unsigned)rc;
                pthread_mutex_unlock(&set->lock);
                rc = open_archive(a, &identity, err);
                pthread_mutex_lock(&set->lock);
                if (rc < 0)
                        set->taken[a->number] = false;
        } else {
                error_fill(err, EMFILE, "cannot be opened: too many archives are in use");
        }
        if (rc < 0) {
                free(a->path);
                free(a);
                return rc;
        }
        slot->open = a;
        slot->identity = identity;
        slot->known = true;
        TAILQ_INSERT_TAIL(&set->all, a, all);
        set->count++;
        if (set->stopping)
                index_stop(a->index);
        use(a);
        *out = a;
        return 0;
}

int open_archives_get(struct open_archives *set, struct archive_slot *slot, const char *path,
                      struct open_archive **out, struct error *err)
{
        scoped_lock(&set->lock);
        int rc;

        while (slot->busy) {
                /* Whoever closes it at the end may wait for the caller. */
                if (set->stopping && slot->open)
                        return error_set(err, ECANCELED, "is being unmounted");
                pthread_cond_wait(&set->settled, &set->lock);
        }
        if (slot->open) {
                use(*out = slot->open);
                return 0;
        }
        slot->busy = true;
        rc = get_new(set, slot, path, out, err);
        slot->busy = false;
        pthread_cond_broadcast(&set->settled);
        return rc;
}

struct open_archive *open_archives_peek(struct open_archives *set, struct archive_slot *slot)
{
        scoped_lock(&set->lock);

        if (slot->busy || !slot->open)
                return NULL;
        use(slot->open);
        return slot->open;
}

void open_archives_hold(struct open_archive *a)
{
        scoped_lock(&a->set->lock);

        a->users++;
}

void open_archives_put(struct open_archive *a)
{
        struct open_archives *set = a->set;
        scoped_lock(&set->lock);

        /* At the end, what waits is failed while the archive is closed. */
        if (--a->users > 0 || a->is_closing)
                return;
        a->idle_since = now_seconds(set);
        a->is_idle = true;
        TAILQ_INSERT_TAIL(&set->idle, a, idle);
        set->idle_count++;
        pthread_cond_broadcast(&set->settled);
}

void open_archives_drop(struct open_archives *set, struct archive_slot *slot)
{
        scoped_lock(&set->lock);

        /* Who has just answered the last request may not have put it back yet. */
        while (slot->busy || (slot->open && slot->open->users))
                pthread_cond_wait(&set->settled, &set->lock);
        if (!slot->open)
                return;
        take_out(slot->open);
        finish_closing(slot->open);
}

bool open_archives_is_open(struct open_archives *set, const struct archive_slot *slot)
{
        scoped_lock(&set->lock);

        return slot->busy || slot->open;
}

void open_archives_note(struct open_archives *set, struct archive_slot *slot,
                        struct file_identity identity)
{
        scoped_lock(&set->lock);

        slot->known = true;
        slot->identity = identity;
}

bool open_archives_differs(struct open_archives *set, const struct archive_slot *slot,
                           const struct file_identity *identity)
{
        scoped_lock(&set->lock);

        return slot->known && !file_identity_equal(&slot->identity, identity);
}

size_t open_archives_count(struct open_archives *set)
{
        scoped_lock(&set->lock);

        return set->count;
}

/* ---- scanning ---- */

static void *scan_archive(void *arg)
{
        struct open_archive *a = arg;
        struct open_archives *set = a->set;
        struct error err = {0};
        int rc = index_scan(a->index, NULL, &err);

        set->ops.scanned(set->ops.ctx, a, rc, &err);
        {
                scoped_lock(&set->lock);

                a->scanning = false;
        }
        return NULL;
}

int open_archives_scan(struct open_archive *a)
{
        scoped_lock(&a->set->lock);
        int rc;

        if (a->scan_started || index_sealed(a->index))
                return 0;
        if (a->set->stopping)
                return -ECANCELED;
        rc = pthread_create(&a->scan, NULL, scan_archive, a);
        if (rc != 0)
                return -rc;
        a->scan_started = a->scanning = true;
        return 0;
}
