/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/store/pbs/pbs_far.h"
#include "archive/store/pbs/pbs_file.h"

struct identity {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec mtime;
};

struct file {
        struct source base;
        struct pbs_files *files;
        char *path, *name;
        struct identity was;     /* when it was opened first */
        int fd;                  /* files->lock; -1: it is closed */
        unsigned uses;           /* files->lock: reads that go on */
        TAILQ_ENTRY(file) order; /* files->lock: while it is open */
};

struct pbs_files {
        struct pbs_far *far; /* it is in a bucket, and nothing else of this is used; or NULL */
        int root;
        size_t max;
        pthread_mutex_t lock;
        TAILQ_HEAD(open_files, file) open; /* lock: that was read longest ago first */
        size_t count;                      /* lock: of them */
};

int pbs_files_new(int root, size_t max, struct pbs_files **out)
{
        struct pbs_files *f = calloc(1, sizeof *f);

        if (!f)
                return -ENOMEM;
        f->root = root;
        f->max = max;
        pthread_mutex_init(&f->lock, NULL);
        TAILQ_INIT(&f->open);
        *out = f;
        return 0;
}

int pbs_files_new_far(struct pbs_far *far, struct pbs_files **out)
{
        int rc = pbs_files_new(-1, 0, out);

        if (rc == 0)
                (*out)->far = far;
        return rc;
}

void pbs_files_free(struct pbs_files *f)
{
        if (f)
                pthread_mutex_destroy(&f->lock);
        free(f);
}

size_t pbs_files_count(struct pbs_files *f)
{
        scoped_lock(&f->lock);

        return f->count;
}

int pbs_files_folder(int root, const char *path)
{
        static const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
        cleanup_close int dir = openat(root, ".", flags);

        while (dir >= 0 && *path) {
                size_t len = strcspn(path, "/");
                cleanup_free char *name = strndup(path, len);
                int below = name ? openat(dir, name, flags) : -1;

                if (below < 0)
                        return name ? -errno : -ENOMEM;
                close(dir);
                dir = below;
                path += len + (path[len] == '/');
        }
        return dir < 0 ? -errno : steal_fd(&dir);
}

/* ---- open and closed ---- */

/* Under lock: close what has been idle longest, until one more may be open. */
static void make_room(struct pbs_files *f)
{
        struct file *next, *idle = TAILQ_FIRST(&f->open);

        for (; idle && f->count >= f->max; idle = next) {
                next = TAILQ_NEXT(idle, order);
                if (idle->uses > 0)
                        continue;
                TAILQ_REMOVE(&f->open, idle, order);
                close(steal_fd(&idle->fd));
                f->count--;
        }
}

static struct identity identity_of(const struct stat *st)
{
        return (struct identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

static bool is_same(const struct stat *st, const struct identity *was)
{
        return st->st_dev == was->device && st->st_ino == was->inode && st->st_size == was->size &&
               st->st_mtim.tv_sec == was->mtime.tv_sec && st->st_mtim.tv_nsec == was->mtime.tv_nsec;
}

/* A new descriptor of F's file, or -errno. */
static int open_again(const struct file *f)
{
        cleanup_close int dir = pbs_files_folder(f->files->root, f->path);

        return dir < 0 ? dir : pbs_file_open(dir, f->name);
}

/* Under lock: F is open as FD. */
static void take_fd(struct file *f, int fd)
{
        make_room(f->files);
        f->fd = fd;
        TAILQ_INSERT_TAIL(&f->files->open, f, order);
        f->files->count++;
}

/* A descriptor that stays open until end_use, or -errno. */
static int begin_use(struct file *f)
{
        scoped_lock(&f->files->lock);

        if (f->fd < 0) {
                int fd = open_again(f);

                if (fd < 0)
                        return fd;
                take_fd(f, fd);
        } else {
                TAILQ_REMOVE(&f->files->open, f, order);
                TAILQ_INSERT_TAIL(&f->files->open, f, order);
        }
        f->uses++;
        return f->fd;
}

static void end_use(struct file *f)
{
        scoped_lock(&f->files->lock);

        f->uses--;
}

/* ---- the source ---- */

static ssize_t file_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct file *f = (struct file *)s;
        int fd = begin_use(f);
        struct stat now;
        ssize_t n;

        if (fd < 0)
                return fd == -ENOENT ? -ESTALE : fd;
        do
                n = pread(fd, buf, len, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                n = -errno;
        else if (fstat(fd, &now) < 0 || !is_same(&now, &f->was))
                n = -ESTALE;
        end_use(f);
        return n;
}

static void file_close(struct source *s)
{
        struct file *f = (struct file *)s;

        {
                scoped_lock(&f->files->lock);

                if (f->fd >= 0) {
                        TAILQ_REMOVE(&f->files->open, f, order);
                        f->files->count--;
                        close(f->fd);
                }
        }
        free(f->path);
        free(f->name);
        free(f);
}

static const struct source_ops ops = {.name = "none", .pread = file_pread, .close = file_close};

static int look(struct file *f, int fd, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set(err, errno, "%s: %s", f->name, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return error_set(err, EIO, "%s: is not a regular file", f->name);
        f->was = identity_of(&st);
        f->base.size = (uint64_t)st.st_size;
        return 0;
}

static int open_on_disk(struct pbs_files *files, const char *path, const char *name,
                        struct source **out, struct error *err)
{
        struct file *f = calloc(1, sizeof *f);
        cleanup_close int fd = -1;
        int rc = 0;

        if (!f)
                return error_set(err, ENOMEM, "out of memory");
        *f = (struct file){.files = files, .path = strdup(path), .name = strdup(name), .fd = -1};
        f->base.ops = &ops;
        if (!f->path || !f->name)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0) {
                fd = open_again(f);
                rc = fd < 0 ? error_set(err, -fd, "%s: %s", name, strerror(-fd)) : look(f, fd, err);
        }
        if (rc < 0) {
                file_close(&f->base);
                return rc;
        }
        {
                scoped_lock(&files->lock);

                take_fd(f, steal_fd(&fd));
        }
        *out = &f->base;
        return 0;
}

int pbs_files_open(struct pbs_files *files, const char *path, const char *name, struct source **out,
                   struct error *err)
{
        return files->far ? pbs_far_source(files->far, path, name, out, err)
                          : open_on_disk(files, path, name, out, err);
}
