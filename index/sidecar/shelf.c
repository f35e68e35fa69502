/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "index/sidecar/catalog.h"

enum {
        LOCK_POLL_MS = 20,
        LOCK_WAIT_MS = 60000,
};

#define TEMPORARY ".vmafs-" /* followed by 16 digits: a new file's temporary name */

static const struct shelf_ops own_ops = {
    .open = shelf_take,
    .create = shelf_create,
    .commit = shelf_commit,
    .abandon = shelf_abandon,
    .lock = shelf_lock,
    .unlock = shelf_unlock,
    .quarantine = shelf_quarantine,
    .partial = shelf_partial,
    .drop_partial = shelf_drop_partial,
};

/* ---- folders ---- */

static int open_dir(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Open DIR, and create it and its parent if they are missing. */
static int make_dir(char *dir)
{
        char *slash = strrchr(dir, '/');

        if (slash && slash != dir) {
                *slash = '\0';
                if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
                        int rc = -errno;

                        *slash = '/';
                        return rc;
                }
                *slash = '/';
        }
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        return open_dir(dir);
}

/* Open it for reading. It may be anything, so do not block. */
static int open_file(int dir, const char *path)
{
        int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

        return fd < 0 ? -errno : fd;
}

/* The archive is NAME in FOLDER, and PATH to people. */
static int choose_cache(struct shelf *s, int folder, const char *name, const char *path)
{
        cleanup_free char *beside = NULL;

        if (asprintf(&beside, "%s.vmafs", name) < 0) {
                beside = NULL;
                return -ENOMEM;
        }
        if (asprintf(&s->beside_path, "%s.vmafs", path) < 0) {
                s->beside_path = NULL;
                return -ENOMEM;
        }
        s->beside = open_file(folder, beside);
        s->dir_path = catalog_dir();
        s->archive_path = realpath(path, NULL); /* NULL: the catalog does not learn it */
        s->dir = s->dir_path ? make_dir(s->dir_path) : -ENOENT;
        return 0;
}

static int choose_path(struct shelf *s, const char *choice)
{
        const char *slash = strrchr(choice, '/');

        s->name = strdup(slash ? slash + 1 : choice);
        if (!slash)
                s->dir_path = strdup(".");
        else
                s->dir_path = strndup(choice, slash == choice ? 1 : (size_t)(slash - choice));
        if (!s->name || !s->dir_path)
                return -ENOMEM;
        s->dir = open_dir(s->dir_path);
        return 0;
}

/*
 * May the index take this name? The user may have given the path of an archive, or /dev/null, so
 * only an index is replaced.
 */
static bool may_replace(const struct shelf *s, const char *name)
{
        char start[8];
        struct stat st;
        cleanup_close int fd = -1;

        if (name[0] == '\0')
                return false;
        if (s->dir < 0 || fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return true;
        if (!S_ISREG(st.st_mode))
                return false;
        fd = open_file(s->dir, name);
        return fd >= 0 && pread(fd, start, sizeof start, 0) == sizeof start &&
               memcmp(start, SHELF_MAGIC, sizeof start) == 0;
}

static struct shelf *shelf_new(const struct shelf_ops *ops, void *helper)
{
        struct shelf *s = malloc(sizeof *s);

        if (s)
                *s = (struct shelf){.ops = ops,
                                    .helper = helper,
                                    .dir = -ENOENT,
                                    .beside = -ENOENT,
                                    .opened = {-1, -1},
                                    .made = -1,
                                    .locked = -1};
        return s;
}

int shelf_open_at(int folder, const char *name, const char *path, const char *choice,
                  struct shelf **out, struct error *err)
{
        struct shelf *s = shelf_new(&own_ops, NULL);
        int rc;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        rc = choice ? choose_path(s, choice) : choose_cache(s, folder, name, path);
        if (rc == 0 && choice && !may_replace(s, s->name))
                rc = error_set(err, EEXIST,
                               "cannot keep its index as %s: that file is there, and is no index",
                               choice);
        else if (rc < 0)
                error_fill(err, -rc, "out of memory");
        if (rc < 0) {
                shelf_free(s);
                return rc;
        }
        *out = s;
        return 0;
}

int shelf_open(const char *path, const char *choice, struct shelf **out, struct error *err)
{
        return shelf_open_at(AT_FDCWD, path, path, choice, out, err);
}

struct shelf *shelf_to_read(int folder, const char *name, int cache)
{
        struct shelf *s = shelf_new(&own_ops, NULL);

        if (!s)
                return NULL;
        s->dir_path = strdup(".");
        if (asprintf(&s->beside_path, "%s.vmafs", name) < 0)
                s->beside_path = NULL;
        if (!s->dir_path || !s->beside_path) {
                shelf_free(s);
                return NULL;
        }
        s->beside = open_file(folder, s->beside_path);
        s->dir = cache < 0 ? cache : fcntl(cache, F_DUPFD_CLOEXEC, 3);
        return s;
}

struct shelf *shelf_elsewhere(const char *path, const char *dir_path, const struct shelf_ops *ops,
                              void *helper)
{
        struct shelf *s = shelf_new(ops, helper);

        if (!s)
                return NULL;
        s->dir_path = strdup(dir_path);
        if (asprintf(&s->beside_path, "%s.vmafs", path) < 0)
                s->beside_path = NULL;
        if (s->dir_path && s->beside_path)
                return s;
        shelf_free(s);
        return NULL;
}

static void close_if_open(int fd)
{
        if (fd >= 0)
                close(fd);
}

void shelf_close(struct shelf *s)
{
        shelf_abandon(s);
        shelf_unlock(s);
        for (int i = 0; i < LOCATIONS; i++)
                close_if_open(steal_fd(&s->opened[i]));
        close_if_open(s->dir);
        close_if_open(s->beside);
        s->dir = s->beside = -EBADF;
}

void shelf_free(struct shelf *s)
{
        if (!s)
                return;
        shelf_close(s);
        free(s->beside_path);
        free(s->dir_path);
        free(s->archive_path);
        free(s->name);
        free(s);
}

int shelf_descriptors(const struct shelf *s, int out[2])
{
        int n = 0;

        if (s->dir >= 0)
                out[n++] = s->dir;
        if (s->beside >= 0)
                out[n++] = s->beside;
        return n;
}

/* The file's name: the one that the user chose, or NAME, which cannot be trusted. */
static const char *own_name(const struct shelf *s, const char *name)
{
        if (s->name)
                return s->name;
        return name[0] == '.' || strchr(name, '/') ? NULL : name;
}

/* In the cache folder, note which archive index NAME is for, and that it was used. */
static void note_use(const struct shelf *s, const char *name)
{
        if (!s->name && s->archive_path)
                catalog_note(s->dir, name, s->archive_path);
}

/* ---- reading ---- */

int shelf_take(struct shelf *s, enum location_where where, const char *name)
{
        const char *own = own_name(s, name);
        int fd = where == LOCATION_BESIDE ? s->beside : s->dir;

        if (fd < 0)
                return fd;
        if (where == LOCATION_OWN && !own)
                return -EINVAL;
        if (where == LOCATION_OWN)
                fd = open_file(s->dir, own);
        else if ((fd = fcntl(s->beside, F_DUPFD_CLOEXEC, 3)) < 0)
                fd = -errno;
        if (fd < 0)
                return fd;
        if (where == LOCATION_OWN)
                note_use(s, own);
        close_if_open(s->opened[where]);
        s->opened[where] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return fd;
}

int shelf_quarantine(struct shelf *s, enum location_where where)
{
        int fd = s->opened[where];
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -EBADF;
        if (fchmod(fd, (st.st_mode & 0777) | S_ISVTX) < 0 || fstat(fd, &st) < 0)
                return -errno;
        /* Some file systems ignore such a mode silently. */
        return st.st_mode & S_ISVTX ? 0 : -ENOTSUP;
}

/* ---- locking ---- */

/* Lock the folder itself: a lock file would have to stay for ever. */
int shelf_try_lock(struct shelf *s)
{
        cleanup_close int fd = -1;

        if (s->dir < 0)
                return s->dir;
        if (s->locked >= 0)
                return -EBUSY;
        /* Open it again: a duplicate would share its lock with this process's other threads. */
        fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        s->locked = steal_fd(&fd);
        return 0;
}

int shelf_lock_by(struct shelf *s, int (*try_lock)(struct shelf *s))
{
        const struct timespec poll = {.tv_nsec = LOCK_POLL_MS * 1000000L};
        int rc;

        for (int waited = 0; (rc = try_lock(s)) == -EWOULDBLOCK; waited += LOCK_POLL_MS) {
                if (waited >= LOCK_WAIT_MS)
                        return -ETIMEDOUT;
                nanosleep(&poll, NULL);
        }
        return rc;
}

int shelf_lock(struct shelf *s)
{
        return shelf_lock_by(s, shelf_try_lock);
}

void shelf_unlock(struct shelf *s)
{
        close_if_open(s->locked);
        s->locked = -1;
}

/* ---- writing ---- */

/* Can NAME have been made by choose_temporary? */
static bool is_temporary(const char *name)
{
        return strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0 &&
               strlen(name) == strlen(TEMPORARY) + 16 &&
               strspn(name + strlen(TEMPORARY), "0123456789abcdef") == 16;
}

/*
 * Remove NAME from folder DIR if its process is gone. A new file is locked while its process lives.
 */
static void sweep_one(int dir, const char *name)
{
        cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
                unlinkat(dir, name, 0);
}

/* Remove temporary files of processes that were killed while they renamed theirs. */
static void sweep(int dir)
{
        int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *e;

        if (!d && fd >= 0)
                close(fd);
        while (d && (e = readdir(d)))
                if (is_temporary(e->d_name))
                        sweep_one(dir, e->d_name);
        if (d)
                closedir(d);
}

/* A name that no other process uses, not even one with the same process id in another container. */
static int choose_temporary(struct shelf *s)
{
        uint64_t random;

        if (getrandom(&random, sizeof random, 0) != sizeof random)
                return -EIO;
        snprintf(s->temporary, sizeof s->temporary, TEMPORARY "%016" PRIx64, random);
        return 0;
}

/* Create it without a name if the file system can, so that a killed process leaves nothing. */
int shelf_create(struct shelf *s)
{
        int rc = choose_temporary(s);
        int fd;

        if (rc < 0 || s->dir < 0)
                return rc < 0 ? rc : s->dir;
        shelf_abandon(s);
        sweep(s->dir);
        fd = openat(s->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        s->named = fd < 0;
        if (fd < 0)
                fd = openat(s->dir, s->temporary,
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        flock(fd, LOCK_EX | LOCK_NB); /* harmless if the file system has no locks */
        s->made = fd;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
}

/* ---- what an interrupted pass leaves ---- */

/* Of the index NAME. False: it has no such name. */
static bool partial_name(const struct shelf *s, const char *name, char out[NAME_MAX + 1])
{
        const char *own = own_name(s, name);
        int len = own ? snprintf(out, NAME_MAX + 1, "%s" PARTIAL_SUFFIX, own) : -1;

        return len > 0 && len <= NAME_MAX;
}

/* May FD be written to? One that is empty was about to get its first bytes. */
static bool is_partial(int fd)
{
        char start[8];
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
                return false;
        return st.st_size == 0 || (pread(fd, start, sizeof start, 0) == sizeof start &&
                                   memcmp(start, PARTIAL_MAGIC, sizeof start) == 0);
}

int shelf_partial(struct shelf *s, const char *name, bool make)
{
        char path[NAME_MAX + 1];
        cleanup_close int fd = -1;

        if (s->dir < 0 || !partial_name(s, name, path))
                return s->dir < 0 ? s->dir : -EINVAL;
        fd = openat(s->dir, path,
                    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (make ? O_CREAT : 0), 0600);
        if (fd < 0)
                return -errno;
        if (!is_partial(fd))
                return -EEXIST;
        /* Where locks do not work, two processes would write the same bytes. */
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return -EBUSY;
        if (own_name(s, name))
                note_use(s, own_name(s, name));
        return steal_fd(&fd);
}

void shelf_drop_partial(struct shelf *s, const char *name)
{
        char path[NAME_MAX + 1];
        cleanup_close int fd = -1;

        if (s->dir < 0 || !partial_name(s, name, path))
                return;
        fd = openat(s->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && is_partial(fd))
                unlinkat(s->dir, path, 0);
}

/* ---- its end ---- */

static int give_name(struct shelf *s, const char *name)
{
        char self[32];

        if (fsync(s->made) < 0)
                return -errno;
        snprintf(self, sizeof self, "/proc/self/fd/%d", s->made);
        if (!s->named && linkat(AT_FDCWD, self, s->dir, s->temporary, AT_SYMLINK_FOLLOW) < 0)
                return -errno;
        s->named = true;
        if (!may_replace(s, name))
                return -EEXIST;
        return renameat(s->dir, s->temporary, s->dir, name) < 0 ? -errno : 0;
}

/* Most cache folders are never pruned by hand, so limit this one. */
static void bound(const struct shelf *s)
{
        const struct catalog_limits limits = {.size_max = CATALOG_SIZE_MAX};
        struct catalog c;

        if (s->name || catalog_read(s->dir, &c) < 0)
                return;
        /* Keep the first, the most recently used: it has just been made. */
        for (size_t i = 1; i < c.count; i++)
                if (catalog_drops(&c, i, &limits))
                        catalog_remove(s->dir, &c.items[i]);
        catalog_fini(&c);
}

int shelf_commit(struct shelf *s, const char *name)
{
        const char *own = own_name(s, name);
        int rc = s->made < 0 || !own ? -EINVAL : give_name(s, own);

        if (rc < 0) {
                shelf_abandon(s);
                return rc;
        }
        close(steal_fd(&s->made));
        /*
         * Sync the folder, so that the name is on disk. Ignore errors: losing it costs only a new
         * scan.
         */
        fsync(s->dir);
        note_use(s, own);
        bound(s);
        return 0;
}

void shelf_abandon(struct shelf *s)
{
        if (s->made < 0)
                return;
        close(steal_fd(&s->made));
        if (s->named)
                unlinkat(s->dir, s->temporary, 0);
}
