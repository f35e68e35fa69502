/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_chunks.h"
#include "archive/store/pbs/pbs_file.h"
#include "archive/store/pbs/pbs_files.h"
#include "archive/store/store.h"

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

enum { OPEN_MIN = 8, OPEN_MAX = 256 }; /* files of snapshots at a time */

struct pbs_store {
        int dir;             /* on disk; -1: … */
        struct pbs_far *far; /* … in a bucket */
        const struct pbs_key *key;
        struct pbs_chunks *chunks;
        struct pbs_files *files;
};

bool pbs_store_probe(int dir)
{
        struct stat st;

        return fstatat(dir, PBS_CHUNKS_FOLDER, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* A part of the limit, since other files are open, too. */
static size_t open_max(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return OPEN_MIN;
        return (size_t)max_u64(min_u64(limit.rlim_cur / 4, OPEN_MAX), OPEN_MIN);
}

int pbs_store_open(int take_dir, const struct pbs_key *key, struct shared *shared,
                   struct pbs_store **out, struct error *err)
{
        cleanup_close int dir = take_dir;
        cleanup_free struct pbs_store *s = calloc(1, sizeof *s);
        cleanup_close int bucket = openat(dir, PBS_BUCKET_FOLDER, FOLDER);
        int chunks;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        /* A link is followed: large datastores have their chunks on another disk. */
        chunks = openat(dir, PBS_CHUNKS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (chunks < 0)
                return error_set(err, errno, "its chunks cannot be opened: %s", strerror(errno));
        if (pbs_chunks_new(chunks, key, shared, &s->chunks) < 0)
                return error_set(err, ENOMEM, "out of memory");
        if (bucket >= 0) {
                close(dir);
                dir = steal_fd(&bucket);
        }
        if (pbs_files_new(dir, open_max(), &s->files) < 0) {
                pbs_chunks_free(s->chunks);
                return error_set(err, ENOMEM, "out of memory");
        }
        s->key = key;
        s->dir = steal_fd(&dir);
        *out = steal_ptr(&s);
        return 0;
}

int pbs_store_open_far(struct store *take_store, const struct pbs_key *key, struct shared *shared,
                       struct pbs_store **out, struct error *err)
{
        struct pbs_store *s = calloc(1, sizeof *s);
        int rc;

        if (!s) {
                take_store->ops->close(take_store);
                return error_set(err, ENOMEM, "out of memory");
        }
        s->dir = -1;
        s->key = key;
        rc = pbs_far_open(take_store, shared, &s->far, err);
        if (rc == 0 && (pbs_chunks_new_far(s->far, key, shared, &s->chunks) < 0 ||
                        pbs_files_new_far(s->far, &s->files) < 0))
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc < 0) {
                pbs_store_close(s);
                return rc;
        }
        *out = s;
        return 0;
}

void pbs_store_close(struct pbs_store *s)
{
        if (!s)
                return;
        pbs_chunks_free(s->chunks);
        pbs_files_free(s->files);
        pbs_far_close(s->far);
        if (s->dir >= 0)
                close(s->dir);
        free(s);
}

struct pbs_chunks *pbs_store_chunks(const struct pbs_store *s)
{
        return s->chunks;
}

const struct pbs_key *pbs_store_key(const struct pbs_store *s)
{
        return s->key;
}

struct pbs_files *pbs_store_files(const struct pbs_store *s)
{
        return s->files;
}

struct pbs_far *pbs_store_far(const struct pbs_store *s)
{
        return s->far;
}

int pbs_store_folder(const struct pbs_store *s, const char *path)
{
        return pbs_files_folder(s->dir, path);
}

static int stop_at_once(void *ctx, const struct dir_name *n)
{
        (void)ctx;
        (void)n;
        return -ECANCELED;
}

int pbs_store_look(const struct pbs_store *s, const char *path, struct error *err)
{
        cleanup_close int fd = s->far ? -1 : pbs_store_folder(s, path);
        int rc;

        if (!s->far)
                return fd < 0 ? error_set(err, -fd, "%s", strerror(-fd)) : 0;
        /* In a bucket a folder is there as long as there is something in it. */
        rc = pbs_far_list(s->far, path, stop_at_once, NULL, err);
        if (rc == 0)
                return error_set(err, ENOENT, "%s", strerror(ENOENT));
        return rc == -ECANCELED ? 0 : rc;
}

ssize_t pbs_store_read(const struct pbs_store *s, const char *path, const char *name, size_t max,
                       void **out, struct error *err)
{
        cleanup_close int dir = s->far ? -1 : pbs_store_folder(s, path);

        if (s->far)
                return pbs_far_read(s->far, path, name, max, out, err);
        if (dir < 0)
                return error_set(err, -dir, "%s", strerror(-dir));
        return pbs_file_read(dir, name, max, out, err);
}

int pbs_store_changed(const struct pbs_store *s, const char *path, struct timespec *out)
{
        cleanup_close int fd = -1;
        struct stat st;

        if (s->far) {
                pbs_far_changed(s->far, out);
                return 0;
        }
        fd = pbs_store_folder(s, path);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        *out = st.st_ctim;
        return 0;
}

/* ---- names ---- */

/* Of a group, or a namespace. */
static bool is_id(const char *name)
{
        if (!isalnum((unsigned char)*name) && *name != '_')
                return false;
        for (; *name; name++)
                if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
                        return false;
        return true;
}

static bool is_type(const char *name)
{
        return strcmp(name, "vm") == 0 || strcmp(name, "ct") == 0 || strcmp(name, "host") == 0;
}

bool pbs_snapshot_time(const char *name, int64_t *out)
{
        static const char form[] = "0000-00-00T00:00:00Z";
        struct tm tm = {0};
        char again[sizeof form];
        const char *end;

        if (strlen(name) != sizeof form - 1)
                return false;
        for (size_t i = 0; i < sizeof form - 1; i++)
                if (form[i] == '0' ? !isdigit((unsigned char)name[i]) : name[i] != form[i])
                        return false;
        end = strptime(name, "%Y-%m-%dT%H:%M:%SZ", &tm);
        if (!end || *end)
                return false;
        *out = timegm(&tm);
        /* A 30th of February becomes one of March. */
        strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &tm);
        return strcmp(again, name) == 0;
}

/* What is NAME in a folder of LEVEL? False: nothing of the datastore's. */
static bool classify(enum pbs_level level, const char *name, enum pbs_level *out)
{
        int64_t time;

        switch (level) {
        case PBS_NAMESPACE:
                *out = strcmp(name, "ns") == 0 ? PBS_NAMESPACES : PBS_TYPE;
                return *out == PBS_NAMESPACES || is_type(name);
        case PBS_NAMESPACES:
                *out = PBS_NAMESPACE;
                return is_id(name);
        case PBS_TYPE:
                *out = PBS_GROUP;
                return is_id(name);
        case PBS_GROUP:
                *out = PBS_SNAPSHOT;
                return pbs_snapshot_time(name, &time);
        case PBS_SNAPSHOT:
                break;
        }
        return false;
}

size_t pbs_store_split(const char *path, enum pbs_level *level)
{
        size_t taken = 0, at = 0;

        *level = PBS_NAMESPACE;
        while (path[at]) {
                size_t len = strcspn(path + at, "/");
                enum pbs_level next;
                char name[NAME_MAX + 1];

                if (len > NAME_MAX)
                        break;
                memcpy(name, path + at, len);
                name[len] = '\0';
                if (!classify(*level, name, &next))
                        break;
                *level = next;
                taken = at + len;
                at = taken + strspn(path + taken, "/");
        }
        return taken;
}

/* ---- listing ---- */

static void cleanup_dir_fn(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

/* Is D, which is OUT->level, a folder? Then OUT says more of it. */
static bool describe(DIR *dir, const struct dirent *d, struct pbs_folder *out)
{
        struct stat st;

        if (d->d_type != DT_UNKNOWN && d->d_type != DT_DIR)
                return false;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                return false;
        out->name = d->d_name;
        if (out->level != PBS_SNAPSHOT || !pbs_snapshot_time(d->d_name, &out->time))
                out->time = st.st_mtim.tv_sec;
        return true;
}

/* Who is told of a folder in a bucket. */
struct far_listing {
        enum pbs_level level;
        int (*each)(void *ctx, const struct pbs_folder *folder);
        void *ctx;
};

static int take_far(void *ctx, const struct dir_name *n)
{
        const struct far_listing *l = ctx;
        struct pbs_folder below = {.name = n->name};

        if (n->kind != DIR_FOLDER || !classify(l->level, n->name, &below.level))
                return 0;
        if (below.level != PBS_SNAPSHOT || !pbs_snapshot_time(n->name, &below.time))
                below.time = n->mtime;
        return l->each(l->ctx, &below);
}

static int list_on_disk(const struct pbs_store *s, const char *path, enum pbs_level level,
                        int (*each)(void *ctx, const struct pbs_folder *folder), void *ctx)
{
        cleanup_close int fd = pbs_store_folder(s, path);
        __attribute__((cleanup(cleanup_dir_fn))) DIR *dir = NULL;
        int rc = 0;

        if (fd < 0)
                return fd;
        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        steal_fd(&fd);
        while (rc == 0) {
                struct pbs_folder below;
                const struct dirent *d;

                errno = 0;
                d = readdir(dir);
                if (!d)
                        return -errno;
                if (classify(level, d->d_name, &below.level) && describe(dir, d, &below))
                        rc = each(ctx, &below);
        }
        return rc;
}

int pbs_store_list(const struct pbs_store *s, const char *path, enum pbs_level level,
                   int (*each)(void *ctx, const struct pbs_folder *folder), void *ctx,
                   struct error *err)
{
        struct far_listing l = {level, each, ctx};

        return s->far ? pbs_far_list(s->far, path, take_far, &l, err)
                      : list_on_disk(s, path, level, each, ctx);
}
