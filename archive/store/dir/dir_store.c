/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/dir/dir_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/store/dir/dir.h"
#include "archive/store/store.h"

/* A change so soon after a listing may have the same time as what was listed. */
enum { SETTLED_SECONDS = 2, LISTED_MILLISECONDS = 200 };

struct dir_store {
        struct store base;
        int fd;
};

/* A file. */
struct dir_file {
        struct store_file base;
        int fd;
};

/* ---- files ---- */

static ssize_t file_pread(struct store_file *f, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = pread(((struct dir_file *)f)->fd, buf, len, (off_t)offset);

        return n < 0 ? -errno : n;
}

static int64_t file_size(struct store_file *f)
{
        off_t end = lseek(((struct dir_file *)f)->fd, 0, SEEK_END);

        return end < 0 ? -errno : end;
}

static void file_close(struct store_file *f)
{
        close(((struct dir_file *)f)->fd);
        free(f);
}

static const struct store_file_ops file_ops = {file_pread, file_size, file_close};

/* ---- folders ---- */

/* The root is not opened anew for each of thousands of names in it. */
static int enter(struct store *s, const char *path, struct store_folder *out)
{
        int root = ((struct dir_store *)s)->fd, fd = *path ? dir_open_below(root, path) : root;

        *out = (struct store_folder){.store = s, .fd = fd};
        return fd < 0 ? fd : 0;
}

static void leave(struct store_folder *f)
{
        if (f->fd >= 0 && f->fd != ((struct dir_store *)f->store)->fd)
                close(f->fd);
        f->fd = -1;
}

static int look(const struct store_folder *f, struct store_state *out)
{
        struct timespec now;
        struct stat st;

        if (fstat(f->fd, &st) < 0)
                return -errno;
        clock_gettime(CLOCK_REALTIME, &now);
        *out = (struct store_state){.changed = st.st_ctim, .dev = st.st_dev};
        if (now.tv_sec - st.st_ctim.tv_sec < SETTLED_SECONDS)
                out->changed = (struct timespec){0};
        return 0;
}

static int list(const struct store_folder *f, int (*each)(void *ctx, const struct dir_name *n),
                void *ctx, struct error *err)
{
        (void)err;
        return dir_list(f->fd, each, ctx);
}

static int stat_name(const struct store_folder *f, const char *name, struct stat *out)
{
        return fstatat(f->fd, name, out, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0 ? -errno
                                                                                          : 0;
}

static ssize_t read_link(const struct store_folder *f, const char *name, char *target, size_t size)
{
        ssize_t n = readlinkat(f->fd, name, target, size);

        return n < 0 ? -errno : n;
}

static int open_file(const struct store_folder *f, const char *name, uint64_t size,
                     struct store_file **out)
{
        cleanup_close int fd = dir_open_file(f->fd, name);
        struct dir_file *file;

        (void)size; /* it is shown as it is now */
        if (fd < 0)
                return fd;
        file = malloc(sizeof *file);
        if (!file)
                return -ENOMEM;
        *file = (struct dir_file){{&file_ops}, steal_fd(&fd)};
        *out = &file->base;
        return 0;
}

static void close_store(struct store *s)
{
        close(((struct dir_store *)s)->fd);
        free(s);
}

static const struct store_ops ops = {.settle = LISTED_MILLISECONDS,
                                     .enter = enter,
                                     .leave = leave,
                                     .look = look,
                                     .list = list,
                                     .stat = stat_name,
                                     .link = read_link,
                                     .open = open_file,
                                     .close = close_store};

struct store *dir_store_new(int take_dir)
{
        struct dir_store *s = malloc(sizeof *s);

        if (!s) {
                close(take_dir);
                return NULL;
        }
        *s = (struct dir_store){{&ops}, take_dir};
        return &s->base;
}
