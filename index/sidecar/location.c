/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/location.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

enum {
        SAMPLE = 65536,
        LOCK_POLL_MS = 20,
        LOCK_WAIT_MS = 60000,
};

#define TEMPORARY ".vmafs-" /* and 16 digits: a new file's first name */

struct place {
        uint8_t identity[IDENTITY_LEN];
        int dir;          /* where it is written; -errno where there is no such folder */
        char *path;       /* for messages */
        const char *name; /* the last part of path */
        int beside;       /* ARCHIVE.vmafs, open for reading, or -1 */
        char *beside_path;
        char temporary[64];
        bool named; /* the new file has the temporary name */
};

/* ---- identity ---- */

static int digest_part(EVP_MD_CTX *ctx, struct source *file, uint64_t offset, uint8_t *buf)
{
        ssize_t n = source_pread(file, buf, SAMPLE, offset);

        if (n < 0)
                return (int)n;
        return EVP_DigestUpdate(ctx, buf, (size_t)n) == 1 ? 0 : -EIO;
}

static int identify(struct source *file, uint8_t out[IDENTITY_LEN])
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        cleanup_free uint8_t *buf = malloc(SAMPLE);
        uint64_t size = file->size;
        int rc = ctx && buf ? 0 : -ENOMEM;

        if (rc == 0 && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
                rc = -ENOTSUP;
        if (rc == 0)
                rc = digest_part(ctx, file, 0, buf);
        if (rc == 0)
                rc = digest_part(ctx, file, size > SAMPLE ? size - SAMPLE : 0, buf);
        store_le64(out, size);
        if (rc == 0 && EVP_DigestFinal_ex(ctx, out + 8, NULL) != 1)
                rc = -ENOTSUP;
        EVP_MD_CTX_free(ctx);
        return rc;
}

/* ---- folders ---- */

static int open_dir(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Open DIR, made where it is missing, with the folder above it. */
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

/* The cache folder's path as a new string, or NULL: out of memory, or there is none. */
static char *cache_dir(void)
{
        const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
        char *dir = NULL;
        int rc;

        if (geteuid() == 0)
                rc = asprintf(&dir, "/var/cache/vmafs");
        else if (xdg && xdg[0] == '/')
                rc = asprintf(&dir, "%s/vmafs", xdg);
        else if (home && home[0] == '/')
                rc = asprintf(&dir, "%s/.cache/vmafs", home);
        else
                return NULL;
        return rc < 0 ? NULL : dir;
}

static int name_in_cache(struct place *p, const char *dir)
{
        char hex[2 * 32 + 1];

        for (int i = 0; i < 32; i++)
                snprintf(hex + 2 * (size_t)i, 3, "%02x", p->identity[8 + i]);
        if (asprintf(&p->path, "%s/%s-%" PRIu64 ".vmafs", dir, hex, load_le64(p->identity)) < 0) {
                p->path = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* May the sidecar FD beside ARCHIVE be believed? */
static bool trusted(int fd, const char *archive)
{
        struct stat sidecar, of;

        if (fstat(fd, &sidecar) < 0 || stat(archive, &of) < 0)
                return false;
        return sidecar.st_uid == 0 || sidecar.st_uid == geteuid() || sidecar.st_uid == of.st_uid;
}

static int open_beside(struct place *p, const char *archive)
{
        cleanup_close int fd = -1;

        if (asprintf(&p->beside_path, "%s.vmafs", archive) < 0) {
                p->beside_path = NULL;
                return -ENOMEM;
        }
        fd = open(p->beside_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && trusted(fd, archive))
                p->beside = steal_fd(&fd);
        return 0;
}

static int choose_cache(struct place *p, const char *archive)
{
        cleanup_free char *dir = cache_dir();
        int rc = open_beside(p, archive);

        if (rc == 0)
                rc = name_in_cache(p, dir ? dir : "");
        if (rc == 0)
                p->dir = dir ? make_dir(dir) : -ENOENT;
        return rc;
}

static int choose_path(struct place *p, const char *choice)
{
        cleanup_free char *dir = strdup(choice);
        char *slash;

        p->path = strdup(choice);
        if (!dir || !p->path)
                return -ENOMEM;
        slash = strrchr(dir, '/');
        if (!slash)
                p->dir = open_dir(".");
        else if (slash == dir)
                p->dir = open_dir("/");
        else {
                *slash = '\0';
                p->dir = open_dir(dir);
        }
        return 0;
}

/*
 * May the sidecar take its name? Someone may have named an archive, or /dev/null, as the index:
 * nothing but an index is replaced.
 */
static bool may_replace(const struct place *p)
{
        char start[8];
        struct stat st;
        cleanup_close int fd = -1;

        if (p->name[0] == '\0')
                return false;
        if (p->dir < 0 || fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return true;
        if (!S_ISREG(st.st_mode))
                return false;
        fd = openat(p->dir, p->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        return fd >= 0 && pread(fd, start, sizeof start, 0) == sizeof start &&
               memcmp(start, PLACE_MAGIC, sizeof start) == 0;
}

int place_new(const char *path, struct source *file, const char *choice, struct place **out,
              struct error *err)
{
        struct place *p = calloc(1, sizeof *p);
        const char *slash;
        int rc;

        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        p->dir = -ENOENT;
        p->beside = -1;
        rc = identify(file, p->identity);
        if (rc == 0)
                rc = choice ? choose_path(p, choice) : choose_cache(p, path);
        if (rc < 0) {
                place_free(p);
                return error_set(err, -rc, "cannot be identified: %s", strerror(-rc));
        }
        slash = strrchr(p->path, '/');
        p->name = slash ? slash + 1 : p->path;
        if (choice && !may_replace(p)) {
                error_fill(err, EEXIST, "cannot have %s as its index: that is something else",
                           choice);
                place_free(p);
                return -EEXIST;
        }
        *out = p;
        return 0;
}

void place_free(struct place *p)
{
        if (!p)
                return;
        if (p->dir >= 0)
                close(p->dir);
        if (p->beside >= 0)
                close(p->beside);
        free(p->beside_path);
        free(p->path);
        free(p);
}

const uint8_t *place_identity(const struct place *p)
{
        return p->identity;
}

const char *place_path(const struct place *p, enum place_where where)
{
        return where == PLACE_BESIDE ? p->beside_path : p->path;
}

int place_folder(const struct place *p)
{
        return p->dir < 0 ? -1 : p->dir;
}

int place_open(const struct place *p, enum place_where where)
{
        int fd;

        if (where == PLACE_BESIDE && p->beside < 0)
                return -ENOENT;
        if (where == PLACE_BESIDE)
                fd = fcntl(p->beside, F_DUPFD_CLOEXEC, 3);
        else if (p->dir < 0)
                return p->dir;
        else
                fd = openat(p->dir, p->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

bool place_is_condemned(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && (st.st_mode & S_ISVTX);
}

int place_condemn(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || fchmod(fd, (st.st_mode & 07777) | S_ISVTX) < 0)
                return -errno;
        /* Some file systems take no such mode and say nothing. */
        return place_is_condemned(fd) ? 0 : -ENOTSUP;
}

/* The folder itself is locked: a file for it would have to stay for ever. */
int place_lock(const struct place *p)
{
        const struct timespec poll = {.tv_nsec = LOCK_POLL_MS * 1000000L};
        cleanup_close int fd = -1;

        if (p->dir < 0)
                return p->dir;
        /* Opened again: what is only duplicated shares its lock with this process's other threads.
         */
        fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_POLL_MS) {
                if (errno != EWOULDBLOCK)
                        return -errno;
                if (waited >= LOCK_WAIT_MS)
                        return -ETIMEDOUT;
                nanosleep(&poll, NULL);
        }
        return steal_fd(&fd);
}

void place_unlock(int lock)
{
        if (lock >= 0)
                close(lock);
}

/* Is NAME one that choose_temporary may have made? */
static bool is_temporary(const char *name)
{
        return strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0 &&
               strlen(name) == strlen(TEMPORARY) + 16 &&
               strspn(name + strlen(TEMPORARY), "0123456789abcdef") == 16;
}

/* Remove NAME of folder DIR, if whoever made it is gone: a new file is locked while it has one. */
static void sweep_one(int dir, const char *name)
{
        cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
                unlinkat(dir, name, 0);
}

/* A process that is killed while it gives the sidecar its name leaves a temporary one. */
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

/* A name that no other process takes, also one with the same number in another container. */
static int choose_temporary(struct place *p)
{
        uint64_t random;

        if (getrandom(&random, sizeof random, 0) != sizeof random)
                return -EIO;
        snprintf(p->temporary, sizeof p->temporary, TEMPORARY "%016" PRIx64, random);
        return 0;
}

/* Without a name where the file system can do that: then a killed process leaves nothing. */
static int create(struct place *p)
{
        int rc = choose_temporary(p);
        int fd;

        if (rc < 0 || p->dir < 0)
                return rc < 0 ? rc : p->dir;
        sweep(p->dir);
        fd = openat(p->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        p->named = fd < 0;
        if (fd < 0)
                fd = openat(p->dir, p->temporary,
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        flock(fd, LOCK_EX | LOCK_NB); /* of no use, and of no harm, where that does not work */
        return fd;
}

static int cannot_keep(const struct place *p, int rc, struct error *err)
{
        error_fill(err, -rc, "its index cannot be kept as %s: %s", p->path,
                   rc == -EEXIST ? "something else has that name" : strerror(-rc));
        return rc;
}

int place_create(struct place *p, struct error *err)
{
        int fd = create(p);

        return fd < 0 ? cannot_keep(p, fd, err) : fd;
}

static int give_name(struct place *p, int fd)
{
        char self[32];

        if (fsync(fd) < 0)
                return -errno;
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        if (!p->named && linkat(AT_FDCWD, self, p->dir, p->temporary, AT_SYMLINK_FOLLOW) < 0)
                return -errno;
        p->named = true;
        if (!may_replace(p))
                return -EEXIST;
        return renameat(p->dir, p->temporary, p->dir, p->name) < 0 ? -errno : 0;
}

int place_commit(struct place *p, int take_fd, struct error *err)
{
        int rc = give_name(p, take_fd);

        if (rc < 0) {
                place_abandon(p, take_fd);
                return cannot_keep(p, rc, err);
        }
        close(take_fd);
        /* The name is not on disk before its folder is; losing it costs only a new scan. */
        fsync(p->dir);
        return 0;
}

void place_abandon(struct place *p, int take_fd)
{
        close(take_fd);
        if (p->named)
                unlinkat(p->dir, p->temporary, 0);
}
