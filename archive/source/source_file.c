/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plain file, which must not change while it is open. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/source/watch.h"

/* What has become of a file since it was opened. */
enum change {
        CHANGE_NONE,
        CHANGE_CUT,
        CHANGE_WRITTEN,
        CHANGE_POSSIBLE, /* its ctime has changed, for an unknown reason */
};

enum { GATHER_MAX = 64 }; /* pieces in one read */

struct file_source {
        struct source base;
        int fd;
        bool regular; /* fstat shows when it changes */
        uint32_t owner;
        struct timespec mtime;
        _Atomic bool verified;
        _Atomic int64_t ctime;
        _Atomic bool touched; /* the ctime has changed once */
        _Atomic int change;   /* enum change; stays once it is not CHANGE_NONE */
};

static ssize_t read_fully(int fd, void *buf, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

static int64_t nanoseconds(const struct timespec *t)
{
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/*
 * If only the ctime is new, the owner, mode, name or links have changed and not the contents; or
 * the contents have changed, and the mtime was restored. fstat cannot show which, or whether it was
 * both.
 */
static enum change judge_ctime(struct file_source *f, int64_t ctime)
{
        if (f->base.watch && watch_saw_write(f->base.watch))
                return CHANGE_WRITTEN;
        if (!f->base.watch && !f->verified)
                return CHANGE_POSSIBLE;
        f->ctime = ctime;
        f->touched = true;
        return CHANGE_NONE;
}

/*
 * Once touched, ask the file's watch each time: a write through a mapping is reported when the file
 * is closed, which does not change the ctime.
 */
static enum change find_change(struct file_source *f)
{
        struct stat st;

        if (!f->regular || fstat(f->fd, &st) < 0)
                return CHANGE_NONE;
        if ((uint64_t)st.st_size < f->base.size)
                return CHANGE_CUT;
        if ((uint64_t)st.st_size > f->base.size ||
            nanoseconds(&st.st_mtim) != nanoseconds(&f->mtime))
                return CHANGE_WRITTEN;
        if (nanoseconds(&st.st_ctim) != f->ctime || f->touched)
                return judge_ctime(f, nanoseconds(&st.st_ctim));
        return CHANGE_NONE;
}

/* 0, or as source_check. */
static int check_change(struct file_source *f)
{
        int change = f->change;

        if (change == CHANGE_NONE) {
                change = (int)find_change(f);
                if (change != CHANGE_NONE)
                        f->change = change;
        }
        switch (change) {
        case CHANGE_CUT:
                return -EIO;
        case CHANGE_WRITTEN:
        case CHANGE_POSSIBLE:
                return -ESTALE;
        default:
                return 0;
        }
}

/* Check after the read, since a write changes the mtime before the bytes. */
static ssize_t file_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct file_source *f = (struct file_source *)s;
        ssize_t n = read_fully(f->fd, buf, len, offset);
        int rc = check_change(f);

        return rc < 0 ? rc : n;
}

/* There are few pieces, mostly in order already. */
static void sort_pieces(struct source_piece *pieces, size_t count)
{
        for (size_t i = 1; i < count; i++) {
                struct source_piece piece = pieces[i];
                size_t at = i;

                for (; at > 0 && pieces[at - 1].offset > piece.offset; at--)
                        pieces[at] = pieces[at - 1];
                pieces[at] = piece;
        }
}

/* How many of the COUNT PIECES, at least one, are contiguous in the file. */
static size_t count_together(const struct source_piece *pieces, size_t count)
{
        size_t n = 1;

        while (n < count && n < GATHER_MAX &&
               pieces[n].offset == pieces[n - 1].offset + pieces[n - 1].len)
                n++;
        return n;
}

/* Read COUNT contiguous pieces. */
static int read_together(int fd, const struct source_piece *pieces, size_t count)
{
        struct iovec parts[GATHER_MAX];
        size_t all = 0;

        for (size_t i = 0; i < count; i++) {
                parts[i] = (struct iovec){.iov_base = pieces[i].buf, .iov_len = pieces[i].len};
                all += pieces[i].len;
        }
        if (preadv(fd, parts, (int)count, (off_t)pieces[0].offset) == (ssize_t)all)
                return 0;
        for (size_t i = 0; i < count; i++) {
                ssize_t n = read_fully(fd, pieces[i].buf, pieces[i].len, pieces[i].offset);

                if (n < 0)
                        return (int)n;
                if ((size_t)n < pieces[i].len)
                        return -EIO;
        }
        return 0;
}

static int file_gather(struct source *s, struct source_piece *pieces, size_t count)
{
        struct file_source *f = (struct file_source *)s;
        int rc = 0, changed;

        sort_pieces(pieces, count);
        for (size_t i = 0, n; i < count && rc == 0; i += n) {
                n = count_together(&pieces[i], count - i);
                rc = read_together(f->fd, &pieces[i], n);
        }
        changed = check_change(f);
        return changed < 0 ? changed : rc;
}

static void file_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        const struct file_source *f = (const struct file_source *)s;

        posix_fadvise(f->fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

static uint64_t file_next_data(struct source *s, uint64_t offset)
{
        const struct file_source *f = (const struct file_source *)s;
        off_t at = lseek(f->fd, (off_t)offset, SEEK_DATA);

        if (at < 0)
                return errno == ENXIO ? s->size : offset;
        return min_u64((uint64_t)at, s->size);
}

static uint64_t file_next_hole(struct source *s, uint64_t offset)
{
        const struct file_source *f = (const struct file_source *)s;
        off_t at = lseek(f->fd, (off_t)offset, SEEK_HOLE);

        return at < 0 ? s->size : min_u64((uint64_t)at, s->size);
}

static int file_check(struct source *s, struct error *err)
{
        struct file_source *f = (struct file_source *)s;
        int rc = check_change(f);

        switch ((enum change)f->change) {
        case CHANGE_NONE:
                break;
        case CHANGE_CUT:
                error_fill(err, EIO,
                           "was cut off while it is in use: nothing more is read from it");
                break;
        case CHANGE_WRITTEN:
                error_fill(err, ESTALE,
                           "was written to while it is in use: nothing more is read from it");
                break;
        case CHANGE_POSSIBLE:
                error_fill(err, ESTALE,
                           "may have been written to while it is in use, since its ctime has "
                           "changed and its file system cannot tell why: nothing more is read "
                           "from it");
                break;
        }
        return rc;
}

static void file_close(struct source *s)
{
        struct file_source *f = (struct file_source *)s;

        watch_put(s->watch);
        close(f->fd);
        free(f);
}

/* A working watch for F, WITH if there is one, or NULL. */
static struct watch *find_watch(const struct file_source *f, struct watch *with)
{
        struct watch *w;

        if (with)
                w = watch_get(with);
        else if (watch_new(&w) < 0)
                return NULL;
        if (watch_add(w, f->fd) == 0)
                return w;
        watch_put(w);
        return NULL;
}

static void file_watch(struct source *s, struct watch *with)
{
        struct file_source *f = (struct file_source *)s;
        struct stat st;

        if (!f->regular || s->watch)
                return;
        s->watch = find_watch(f, with);
        /* A change before it was watched does not count, since nothing was read yet. */
        if (s->watch && fstat(f->fd, &st) == 0) {
                f->mtime = st.st_mtim;
                f->ctime = nanoseconds(&st.st_ctim);
        }
}

static void file_set_verified(struct source *s)
{
        ((struct file_source *)s)->verified = true;
}

static bool file_stamp(struct source *s, struct source_stamp *out)
{
        struct file_source *f = (struct file_source *)s;
        struct stat st;

        /* The check sees whatever was written before the fstat. */
        if (!f->regular || fstat(f->fd, &st) < 0 || check_change(f) < 0)
                return false;
        *out = (struct source_stamp){
            .inode = st.st_ino,
            .mtime = nanoseconds(&st.st_mtim),
            .ctime = nanoseconds(&st.st_ctim),
        };
        return true;
}

static uint32_t file_owner(const struct source *s)
{
        return ((const struct file_source *)s)->owner;
}

static int64_t file_mtime(const struct source *s)
{
        return ((const struct file_source *)s)->mtime.tv_sec;
}

static const struct source_ops file_ops = {
    .name = "file",
    .pread = file_pread,
    .gather = file_gather,
    .will_need = file_will_need,
    .next_data = file_next_data,
    .next_hole = file_next_hole,
    .check = file_check,
    .mtime = file_mtime,
    .owner = file_owner,
    .stamp = file_stamp,
    .watch = file_watch,
    .set_verified = file_set_verified,
    .close = file_close,
    .is_file = true,
};

static int describe_open_error(struct error *err)
{
        int code = errno;

        return error_set(err, code, "cannot be opened: %s", strerror(code));
}

/* A block device's st_size is 0, so seek to find its end. */
static int file_size(int fd, const struct stat *st, uint64_t *size)
{
        off_t end = st->st_size;

        if (S_ISBLK(st->st_mode))
                end = lseek(fd, 0, SEEK_END);
        if (end < 0)
                return -errno;
        *size = (uint64_t)end;
        return 0;
}

int source_open_fd(int take_fd, struct source **out, struct error *err)
{
        cleanup_close int fd = take_fd;
        struct file_source *f;
        struct stat st;
        uint64_t size = 0;
        int rc;

        if (fstat(fd, &st) < 0)
                return error_set(err, errno, "cannot be examined: %s", strerror(errno));
        if (S_ISDIR(st.st_mode))
                return error_set(err, EISDIR, "is a directory, not an archive");
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return error_set(err, EINVAL,
                                 "is neither a regular file nor a block device, and cannot be read "
                                 "at random; save it to a file first");
        rc = file_size(fd, &st, &size);
        if (rc < 0)
                return error_set(err, -rc, "its size cannot be found: %s", strerror(-rc));
        f = calloc(1, sizeof *f);
        if (!f)
                return error_set(err, ENOMEM, "out of memory");
        f->base.ops = &file_ops;
        f->base.size = size;
        f->regular = S_ISREG(st.st_mode);
        f->owner = st.st_uid;
        f->mtime = st.st_mtim;
        f->ctime = nanoseconds(&st.st_ctim);
        f->fd = steal_fd(&fd);
        *out = &f->base;
        return 0;
}

int source_open_path(const char *path, struct error *err)
{
        /* O_NONBLOCK: opening a FIFO or a tape must not hang before it can be refused. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        return fd < 0 ? describe_open_error(err) : fd;
}

int source_open_file(const char *path, struct source **out, struct error *err)
{
        int fd = source_open_path(path, err);

        return fd < 0 ? fd : source_open_fd(fd, out, err);
}
