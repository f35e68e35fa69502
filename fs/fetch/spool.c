/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/answer.h"

#define MAGIC "VMAFSSPL"

enum {
        /* Of the head. The rest of it is zeros. */
        AT_VERSION = 8,
        AT_KEY = 16,
        AT_NUMBER = AT_KEY + SPOOL_KEY,
        AT_SUMS = 64,
        VERSION = 1,
        SUM = 16,

        KEY_DIGITS = 2 * SPOOL_KEY,
        NUMBER_DIGITS = 16,
        NAME = KEY_DIGITS + 1 + NUMBER_DIGITS + 1, /* with its NUL */

        SETTLED = 60,      /* seconds after which a time alone tells two versions apart */
        LOCK_TRIES = 50,   /* for the folder … */
        LOCK_PAUSE_MS = 2, /* … with a pause after each … */
        LOCK_REST = 1      /* … and in vain: seconds until it is tried again */
};

#define COUNT_NAME ".count"

struct spool {
        int folder;
        size_t max;                /* files */
        _Atomic bool counted;      /* by this process, once; written with the folder locked */
        _Atomic time_t rest_until; /* monotonic seconds: until then the folder is not locked */
};

/* ---- the folder ---- */

/* As location.c judges an index. */
static bool is_trusted(const struct stat *st)
{
        return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int check_folder(int fd, const char *path, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set(err, errno, "its spool %.200s: %s", path, strerror(errno));
        if (!is_trusted(&st))
                return error_set(err, EPERM,
                                 "its spool %.200s must belong to root or to the user who runs "
                                 "vmafs, and nobody else may write to it (chmod go-w)",
                                 path);
        if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno != EWOULDBLOCK)
                return error_set(err, errno, "its spool %.200s cannot be locked: %s", path,
                                 strerror(errno));
        flock(fd, LOCK_UN);
        return 0;
}

int spool_open_folder(const char *path, size_t len, struct error *err)
{
        cleanup_free char *dir = strndup(path, len);
        cleanup_close int fd = -1;
        int rc;

        if (!dir)
                return error_set(err, ENOMEM, "out of memory");
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return error_set(err, errno, "its spool %.200s cannot be created: %s", dir,
                                 strerror(errno));
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_set(err, errno, "its spool %.200s cannot be opened: %s", dir,
                                 strerror(errno));
        rc = check_folder(fd, dir, err);
        return rc < 0 ? rc : steal_fd(&fd);
}

struct spool *spool_new(int take_folder, uint64_t max)
{
        struct spool *s = malloc(sizeof *s);

        if (s)
                *s = (struct spool){.folder = take_folder, .max = (size_t)(max / SPOOL_FILE)};
        else
                close(take_folder);
        return s;
}

void spool_free(struct spool *s)
{
        if (!s)
                return;
        close(s->folder);
        free(s);
}

/* ---- objects ---- */

static bool digest_key(EVP_MD_CTX *ctx, const char *url, const struct validator *is, uint64_t size,
                       uint8_t out[SPOOL_KEY])
{
        uint8_t number[8];

        store_le64(number, size);
        /* Each text with its NUL, so that none runs into the next. */
        return EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
               EVP_DigestUpdate(ctx, MAGIC, sizeof MAGIC) == 1 &&
               EVP_DigestUpdate(ctx, url, strlen(url) + 1) == 1 &&
               EVP_DigestUpdate(ctx, is->etag, strlen(is->etag) + 1) == 1 &&
               EVP_DigestUpdate(ctx, is->modified, strlen(is->modified) + 1) == 1 &&
               EVP_DigestUpdate(ctx, number, sizeof number) == 1 &&
               EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

void spool_object_init(struct spool_object *o, const char *url, const struct validator *is,
                       uint64_t size, int64_t now)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        int64_t modified = answer_time(is->modified);
        bool settled = is->etag[0] || (modified && modified + SETTLED <= now);

        *o = (struct spool_object){.size = size};
        o->usable = ctx && settled && digest_key(ctx, url, is, size, o->key);
        EVP_MD_CTX_free(ctx);
}

size_t spool_piece_len(const struct spool_object *o, uint64_t number)
{
        if (!o->usable || number > o->size / SPOOL_PIECE)
                return 0;
        return (size_t)min_u64(o->size - number * SPOOL_PIECE, SPOOL_PIECE);
}

/* Never zero, which is that of a piece that is not there. */
static void sum_piece(const struct spool_object *o, uint64_t number, const void *bytes, size_t len,
                      uint8_t out[SUM])
{
        XXH128_hash_t h = XXH3_128bits_withSeed(bytes, len, load_le64(o->key) + number);

        store_le64(out, h.low64);
        store_le64(out + 8, h.high64 | 1);
}

/* ---- a file ---- */

static void name_file(const struct spool_object *o, uint64_t number, char out[NAME])
{
        for (size_t i = 0; i < SPOOL_KEY; i++)
                snprintf(out + 2 * i, 3, "%02x", o->key[i]);
        snprintf(out + KEY_DIGITS, NAME - KEY_DIGITS, "-%016" PRIx64, number / SPOOL_PIECES);
}

/* Can it be the name of such a file? */
static bool is_name(const char *name)
{
        static const char digits[] = "0123456789abcdef";

        return strspn(name, digits) == KEY_DIGITS && name[KEY_DIGITS] == '-' &&
               strspn(name + KEY_DIGITS + 1, digits) == NUMBER_DIGITS && !name[NAME - 1];
}

/* All of the head that is before the checksums. */
static void make_head(const struct spool_object *o, uint64_t number, uint8_t out[AT_SUMS])
{
        memset(out, 0, AT_SUMS);
        memcpy(out, MAGIC, AT_VERSION);
        store_le64(out + AT_VERSION, VERSION);
        memcpy(out + AT_KEY, o->key, SPOOL_KEY);
        store_le64(out + AT_NUMBER, number / SPOOL_PIECES);
}

static off_t sum_at(uint64_t number)
{
        return (off_t)(AT_SUMS + number % SPOOL_PIECES * SUM);
}

static off_t piece_at(uint64_t number)
{
        return (off_t)(SPOOL_HEAD + number % SPOOL_PIECES * SPOOL_PIECE);
}

/* Is it a file of O that has piece NUMBER, and that nobody else can have written? */
static bool is_right(const struct spool_object *o, uint64_t number, int fd)
{
        uint8_t head[AT_SUMS], wanted[AT_SUMS];
        struct stat st;

        make_head(o, number, wanted);
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_trusted(&st) &&
               pread(fd, head, sizeof head, 0) == sizeof head &&
               memcmp(head, wanted, sizeof head) == 0;
}

/* What is open of the file that has the piece; -1: there is none, or it is wrong. */
static int open_file(const struct spool *s, const struct spool_object *o, uint64_t number, int mode)
{
        char name[NAME];
        cleanup_close int fd = -1;

        if (spool_piece_len(o, number) == 0)
                return -1;
        name_file(o, number, name);
        fd = openat(s->folder, name, mode | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        return fd >= 0 && is_right(o, number, fd) ? steal_fd(&fd) : -1;
}

/* ---- reading ---- */

static bool read_sum(int fd, uint64_t number, uint8_t out[SUM])
{
        static const uint8_t none[SUM];

        return pread(fd, out, SUM, sum_at(number)) == SUM && memcmp(out, none, SUM) != 0;
}

bool spool_has(struct spool *s, const struct spool_object *o, uint64_t number)
{
        cleanup_close int fd = open_file(s, o, number, O_RDONLY);
        uint8_t sum[SUM];

        return fd >= 0 && read_sum(fd, number, sum);
}

bool spool_get(struct spool *s, const struct spool_object *o, uint64_t number, void *buf)
{
        cleanup_close int fd = open_file(s, o, number, O_RDONLY);
        size_t len = spool_piece_len(o, number);
        uint8_t kept[SUM], sum[SUM];

        if (fd < 0 || !read_sum(fd, number, kept) ||
            pread(fd, buf, len, piece_at(number)) != (ssize_t)len)
                return false;
        sum_piece(o, number, buf, len, sum);
        if (memcmp(sum, kept, SUM) != 0)
                return false;
        /* It is the one that was used last. */
        futimens(fd, NULL);
        return true;
}

/* ---- which go ---- */

struct old_file {
        char name[NAME];
        struct timespec used;
};

typedef ARRAY(struct old_file) old_files;

static int compare_use(const void *a, const void *b)
{
        const struct timespec *x = &((const struct old_file *)a)->used;
        const struct timespec *y = &((const struct old_file *)b)->used;

        if (x->tv_sec != y->tv_sec)
                return x->tv_sec < y->tv_sec ? -1 : 1;
        return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* The names of the files in the folder that DIR lists. False: out of memory. */
static bool list_files(DIR *dir, old_files *list)
{
        const struct dirent *e;

        while ((e = readdir(dir))) {
                struct old_file f = {.used = {0}};

                if (!is_name(e->d_name))
                        continue;
                memcpy(f.name, e->d_name, NAME);
                if (array_add(list, f) < 0)
                        return false;
        }
        return true;
}

/* Remove those that were used longest ago, until at most KEEP are left. */
static bool shrink(const struct spool *s, old_files *list, size_t keep)
{
        for (size_t i = 0; i < list->count; i++) {
                struct stat st = {0};

                fstatat(s->folder, list->items[i].name, &st, AT_SYMLINK_NOFOLLOW);
                list->items[i].used = st.st_mtim;
        }
        if (list->count > 1)
                qsort(list->items, list->count, sizeof *list->items, compare_use);
        for (size_t i = 0; i + keep < list->count; i++)
                if (unlinkat(s->folder, list->items[i].name, 0) < 0 && errno != ENOENT)
                        return false;
        return true;
}

/* List the folder, which is LOCKED, and leave at least one file's room: *COUNT is how many are left. */
static bool count_files(const struct spool *s, int locked, uint64_t *count)
{
        int fd = openat(locked, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        /* Some more than one go at a time, since finding out which takes a while. */
        size_t keep = s->max - s->max / 32 - 1;
        old_files list = {0};
        bool done;

        if (!dir && fd >= 0)
                close(fd);
        if (!dir)
                return false;
        done = list_files(dir, &list);
        closedir(dir);
        *count = list.count;
        if (done && list.count >= s->max) {
                done = shrink(s, &list, keep);
                *count = keep;
        }
        array_free(&list);
        return done;
}

/* The file that says how many files there are, so that not each new one lists a large folder; or -1. */
static int open_count(const struct spool *s)
{
        cleanup_close int fd =
            openat(s->folder, COUNT_NAME,
                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        struct stat st;

        return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_trusted(&st)
                   ? steal_fd(&fd)
                   : -1;
}

/* Say that there are COUNT files, in the file FD. */
static bool tell_count(int fd, uint64_t count)
{
        uint8_t bytes[8];

        store_le64(bytes, count);
        return fd < 0 || pwrite(fd, bytes, sizeof bytes, 0) == sizeof bytes;
}

/*
 * Make room for one more file, and count it. The caller has the lock, which is LOCKED. False: there is
 * none.
 */
static bool make_room(struct spool *s, int locked)
{
        cleanup_close int fd = open_count(s);
        uint8_t bytes[8];
        uint64_t count = 0;
        bool known = s->counted && fd >= 0 && pread(fd, bytes, sizeof bytes, 0) == sizeof bytes;

        if (known)
                count = load_le64(bytes);
        if ((!known || count >= s->max) && !count_files(s, locked, &count))
                return false;
        s->counted = true;
        return tell_count(fd, count + 1);
}

/* ---- writing ---- */

static time_t now_seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/*
 * The folder, locked, as a new descriptor; -1: somebody else has the lock for long. Whoever may read
 * the folder can have it, so nobody waits for it time and again.
 */
static int lock_folder(struct spool *s)
{
        const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
        cleanup_close int fd = -1;

        if (now_seconds() < s->rest_until)
                return -1;
        fd = openat(s->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
                if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                        return steal_fd(&fd);
                nanosleep(&pause, NULL);
        }
        s->rest_until = now_seconds() + LOCK_REST + 1;
        return -1;
}

void spool_count(struct spool *s)
{
        cleanup_close int locked = lock_folder(s), fd = -1;
        uint64_t count;

        if (locked < 0)
                return;
        fd = open_count(s);
        s->counted = fd >= 0 && count_files(s, locked, &count) && tell_count(fd, count);
}

/* A new file for the piece, in place of what has its name. A descriptor or -1. */
static int create_file(const struct spool *s, const struct spool_object *o, uint64_t number)
{
        uint8_t head[AT_SUMS];
        char name[NAME];
        cleanup_close int fd = -1;

        name_file(o, number, name);
        make_head(o, number, head);
        if (unlinkat(s->folder, name, 0) < 0 && errno != ENOENT)
                return -1;
        fd = openat(s->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -1;
        if (pwrite(fd, head, sizeof head, 0) == sizeof head && ftruncate(fd, SPOOL_FILE) == 0)
                return steal_fd(&fd);
        unlinkat(s->folder, name, 0);
        return -1;
}

static int make_file(struct spool *s, const struct spool_object *o, uint64_t number)
{
        cleanup_close int locked = lock_folder(s);
        cleanup_close int fd = -1;

        if (locked < 0)
                return -1;
        /* Another one may have made it meanwhile. */
        fd = open_file(s, o, number, O_RDWR);
        if (fd < 0 && make_room(s, locked))
                fd = create_file(s, o, number);
        return steal_fd(&fd);
}

void spool_put(struct spool *s, const struct spool_object *o, uint64_t number, const void *buf)
{
        size_t len = spool_piece_len(o, number);
        cleanup_close int fd = len ? open_file(s, o, number, O_RDWR) : -1;
        uint8_t sum[SUM];

        if (len > 0 && fd < 0)
                fd = make_file(s, o, number);
        if (fd < 0)
                return;
        sum_piece(o, number, buf, len, sum);
        if (pwrite(fd, buf, len, piece_at(number)) == (ssize_t)len)
                (void)!pwrite(fd, sum, SUM, sum_at(number));
}
