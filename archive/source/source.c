/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"

/* So many bytes of a file tell one archive from another: they hold its uuid, or its time. */
enum { HEAD = 4096 };

/* What has become of a file since it was opened. */
enum change {
        CHANGE_NONE,
        CHANGE_CUT,
        CHANGE_WRITTEN,
};

enum { GATHER_MAX = 64 }; /* pieces in one read */

enum { PAGE = 4096 }; /* of what a medium fails to give, the least */

struct file_source {
        struct source base;
        int fd;
        bool watched; /* it is a regular file: fstat tells when it changes */
        struct timespec mtime;
        uint64_t head; /* XXH3 of its first bytes */
        _Atomic int64_t ctime;
        _Atomic int change; /* enum change; stays once it is not CHANGE_NONE */
};

struct slice_source {
        struct source base;
        struct source *parent;
        uint64_t offset;
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

static uint64_t hash_head(int fd)
{
        unsigned char head[HEAD];
        ssize_t n = read_fully(fd, head, sizeof head, 0);

        return n > 0 ? XXH3_64bits(head, (size_t)n) : 0;
}

static int64_t nanoseconds(const struct timespec *t)
{
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/*
 * A new ctime alone is most often that of a rename, a new link or owner: the content stays. Or of
 * another content under an old mtime, as rsync --inplace leaves it; then the head differs.
 */
static enum change judge_ctime(struct file_source *f, int64_t ctime)
{
        if (hash_head(f->fd) != f->head)
                return CHANGE_WRITTEN;
        f->ctime = ctime;
        return CHANGE_NONE;
}

static enum change find_change(struct file_source *f)
{
        struct stat st;

        if (!f->watched || fstat(f->fd, &st) < 0)
                return CHANGE_NONE;
        if ((uint64_t)st.st_size < f->base.size)
                return CHANGE_CUT;
        if ((uint64_t)st.st_size > f->base.size ||
            nanoseconds(&st.st_mtim) != nanoseconds(&f->mtime))
                return CHANGE_WRITTEN;
        if (nanoseconds(&st.st_ctim) != f->ctime)
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
                return -ESTALE;
        default:
                return 0;
        }
}

/* The check comes behind the read: a writer moves the mtime before the bytes. */
static ssize_t file_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct file_source *f = (struct file_source *)s;
        ssize_t n = read_fully(f->fd, buf, len, offset);
        int rc = check_change(f);

        return rc < 0 ? rc : n;
}

/* Few, and most often in order already. */
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

/* How many of the COUNT PIECES, at least one, follow one another in the file. */
static size_t count_together(const struct source_piece *pieces, size_t count)
{
        size_t n = 1;

        while (n < count && n < GATHER_MAX &&
               pieces[n].offset == pieces[n - 1].offset + pieces[n - 1].len)
                n++;
        return n;
}

/* COUNT pieces that follow one another. */
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

static void file_close(struct source *s)
{
        struct file_source *f = (struct file_source *)s;

        close(f->fd);
        free(f);
}

static const struct source_ops file_ops = {
    .name = "file",
    .pread = file_pread,
    .gather = file_gather,
    .will_need = file_will_need,
    .close = file_close,
    .is_file = true,
};

static int describe_open_error(struct error *err)
{
        int code = errno;

        return error_set(err, code, "cannot be opened: %s", strerror(code));
}

/* A block device's st_size is 0: its end is where seeking ends. */
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
        f->watched = S_ISREG(st.st_mode);
        f->mtime = st.st_mtim;
        f->ctime = nanoseconds(&st.st_ctim);
        if (f->watched)
                f->head = hash_head(fd);
        f->fd = steal_fd(&fd);
        *out = &f->base;
        return 0;
}

int source_check(struct source *s, struct error *err)
{
        int rc = s->ops == &file_ops ? check_change((struct file_source *)s) : 0;

        if (rc < 0)
                error_fill(err, -rc, "was %s while it is in use: nothing more is read from it",
                           rc == -EIO ? "cut off" : "written to");
        return rc;
}

int64_t source_mtime(const struct source *s)
{
        return s->ops == &file_ops ? (int64_t)((const struct file_source *)s)->mtime.tv_sec : 0;
}

int source_open_file(const char *path, struct source **out, struct error *err)
{
        /* O_NONBLOCK: the open of a FIFO or a tape must not hang before it can be refused. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
                return describe_open_error(err);
        return source_open_fd(fd, out, err);
}

static ssize_t slice_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct slice_source *slice = (const struct slice_source *)s;

        return source_pread(slice->parent, buf, len, slice->offset + offset);
}

static void slice_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        const struct slice_source *slice = (const struct slice_source *)s;

        source_will_need(slice->parent, slice->offset + offset, len);
}

static void slice_close(struct source *s)
{
        free(s);
}

static const struct source_ops slice_ops = {
    .name = "file",
    .pread = slice_pread,
    .will_need = slice_will_need,
    .close = slice_close,
};

int source_open_slice(struct source *parent, uint64_t offset, uint64_t len, struct source **out)
{
        struct slice_source *slice;
        uint64_t end;

        if (!checked_add(offset, len, &end))
                return -EOVERFLOW;
        slice = calloc(1, sizeof *slice);
        if (!slice)
                return -ENOMEM;
        slice->base.ops = &slice_ops;
        slice->base.size = len;
        slice->parent = parent;
        slice->offset = offset;
        *out = &slice->base;
        return 0;
}

void source_close(struct source *s)
{
        if (s)
                s->ops->close(s);
}

ssize_t source_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        uint64_t size = s->size;

        if (offset >= size)
                return 0;
        len = (size_t)min_u64(len, size - offset);
        len = (size_t)min_u64(len, SSIZE_MAX);
        return s->ops->pread(s, buf, len, offset);
}

int source_pread_all(struct source *s, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = source_pread(s, buf, len, offset);

        if (n < 0)
                return (int)n;
        return (size_t)n == len ? 0 : -EIO;
}

int source_gather(struct source *s, struct source_piece *pieces, size_t count)
{
        int rc = 0;

        for (size_t i = 0; i < count; i++)
                if (!range_within(pieces[i].offset, pieces[i].len, s->size))
                        return -EIO;
        if (s->ops->gather)
                return s->ops->gather(s, pieces, count);
        for (size_t i = 0; i < count && rc == 0; i++)
                rc = source_pread_all(s, pieces[i].buf, pieces[i].len, pieces[i].offset);
        return rc;
}

void source_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        if (s->ops->will_need && range_within(offset, len, s->size))
                s->ops->will_need(s, offset, len);
}

bool source_is_file(const struct source *s)
{
        return s->ops->is_file;
}

bool source_lends(const struct source *s)
{
        return s->ops->borrow != NULL;
}

int source_borrow(struct source *s, uint64_t offset, bool wait, struct source_loan *loan)
{
        return offset < s->size ? s->ops->borrow(s, offset, wait, loan) : 0;
}

void source_give_back(struct source *s, const struct source_loan *loan)
{
        s->ops->give_back(s, loan);
}

int source_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        if (s->ops->reach)
                return s->ops->reach(s, offset, end, err);
        *end = min_u64(offset, s->size);
        return 0;
}

int source_fetch(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                 struct error *err)
{
        uint64_t want, end = 0;
        ssize_t n;
        int rc;

        if (!checked_add(offset, len, &want))
                return error_set(err, EIO, "%s lies behind the end of the file", what);
        rc = source_reach(s, want, &end, err);
        if (rc < 0)
                return rc;
        n = source_pread(s, buf, len, offset);
        if (n < 0)
                return error_set_at(err, (int)-n, offset, "%s cannot be read: %s", what,
                                    strerror((int)-n));
        if (end < offset)
                return error_set_at(err, EIO, offset, "%s lies behind the end of the file", what);
        if ((size_t)n < len)
                return error_set_at(err, EIO, offset + (uint64_t)n,
                                    "ends inside %s: it was cut off", what);
        return 0;
}

int source_resume(struct source *s, struct source_gap *gap, struct error *err)
{
        *gap = (struct source_gap){0};
        return s->ops->resume ? s->ops->resume(s, gap, err) : 0;
}

ssize_t source_pread_partly(struct source *s, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = source_pread(s, buf, len, offset);
        size_t done = 0;

        if (n != -EIO)
                return n;
        while (done < len) {
                size_t piece = (size_t)min_u64(len - done, PAGE - (offset + done) % PAGE);

                n = source_pread(s, (char *)buf + done, piece, offset + done);
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return done ? (ssize_t)done : n;
}

uint64_t source_next_window(uint64_t at, ssize_t n, size_t need)
{
        if (n >= (ssize_t)need)
                return at + (uint64_t)n - (need - 1);
        return round_up(at + (n > 0 ? (uint64_t)n : 1), PAGE);
}
