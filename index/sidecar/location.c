/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/location.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote.h"
#include "archive/source/source.h"

enum { SAMPLE = 65536 };

struct location {
        uint8_t identity[IDENTITY_LEN];
        struct shelf *shelf;
        char *path;       /* of the index, for messages */
        const char *name; /* the last part of path */
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

/* ---- names ---- */

static int name_in_cache(struct location *p, const char *dir, uint32_t owner)
{
        char hex[2 * 32 + 1];

        for (int i = 0; i < 32; i++)
                snprintf(hex + 2 * (size_t)i, 3, "%02x", p->identity[8 + i]);
        if (asprintf(&p->path, "%s/%s-%" PRIu64 "-%" PRIu32 ".vmafs", dir, hex,
                     load_le64(p->identity), owner) < 0) {
                p->path = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int name_choice(struct location *p, const struct shelf *s)
{
        bool slash = s->dir_path[strlen(s->dir_path) - 1] == '/';

        if (strcmp(s->dir_path, ".") == 0)
                p->path = strdup(s->name);
        else if (asprintf(&p->path, "%s%s%s", s->dir_path, slash ? "" : "/", s->name) < 0)
                p->path = NULL;
        return p->path ? 0 : -ENOMEM;
}

int location_new(struct shelf *shelf, struct source *file, struct location **out, struct error *err)
{
        struct location *p = calloc(1, sizeof *p);
        int rc;

        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        p->shelf = shelf;
        rc = identify(file, p->identity);
        if (rc == 0 && shelf->name)
                rc = name_choice(p, shelf);
        else if (rc == 0)
                rc = name_in_cache(p, shelf->dir_path ? shelf->dir_path : "", source_owner(file));
        if (rc < 0) {
                location_free(p);
                return error_set(err, -rc, "cannot be identified: %s", strerror(-rc));
        }
        p->name = strrchr(p->path, '/');
        p->name = p->name ? p->name + 1 : p->path;
        *out = p;
        return 0;
}

void location_free(struct location *p)
{
        if (!p)
                return;
        free(p->path);
        free(p);
}

const uint8_t *location_identity(const struct location *p)
{
        return p->identity;
}

const char *location_path(const struct location *p, enum location_where where)
{
        return where == LOCATION_BESIDE ? p->shelf->beside_path : p->path;
}

/* ---- files ---- */

/* May the file open as FD be trusted? 0, or -EPERM with the reason in ERR. */
static int check_trust(int fd, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return error_set(err, EPERM, "it is no regular file");
        if (st.st_uid != 0 && st.st_uid != geteuid())
                return error_set(err, EPERM,
                                 "it belongs to user %u, and must belong to root or to the user "
                                 "who runs vmafs",
                                 (unsigned)st.st_uid);
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return error_set(err, EPERM,
                                 "others may write to it (mode %04o); remove it, or vouch for it "
                                 "with chmod go-w",
                                 (unsigned)st.st_mode & 07777);
        return 0;
}

int location_open(const struct location *p, enum location_where where, struct error *err)
{
        cleanup_close int fd = p->shelf->ops->open(p->shelf, where, p->name);
        int rc;

        if (fd == -ELOOP)
                return error_set(err, EPERM, "it is a link");
        if (fd < 0)
                return fd;
        rc = check_trust(fd, err);
        return rc < 0 ? rc : steal_fd(&fd);
}

int location_source_again(const struct location *p, int fd, struct source **out, struct error *err)
{
        int copy;

        if (fd < 0)
                return remote_source(p->shelf->remote, REMOTE_INDEX, out, err);
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return copy < 0 ? error_set(err, errno, "%s", strerror(errno))
                        : source_open_fd(copy, out, err);
}

int location_source(const struct location *p, enum location_where where, int *fd,
                    struct source **out, struct error *err)
{
        *fd = -1;
        if (where == LOCATION_BESIDE && p->shelf->remote)
                return location_source_again(p, -1, out, err);
        *fd = location_open(p, where, err);
        return *fd < 0 ? *fd : location_source_again(p, *fd, out, err);
}

bool location_is_quarantined(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && (st.st_mode & S_ISVTX);
}

int location_quarantine(const struct location *p, enum location_where where)
{
        return p->shelf->ops->quarantine(p->shelf, where);
}

int location_lock(const struct location *p)
{
        return p->shelf->ops->lock(p->shelf);
}

void location_unlock(const struct location *p)
{
        p->shelf->ops->unlock(p->shelf);
}

static int cannot_keep(const struct location *p, int rc, struct error *err)
{
        if (rc == -ENOENT && p->shelf->dir_path)
                error_fill(err, ENOENT,
                           "its index cannot be kept as %s: the folder %s does not exist", p->path,
                           p->shelf->dir_path);
        else
                error_fill(err, -rc, "its index cannot be kept as %s: %s", p->path,
                           rc == -EEXIST ? "something else has that name" : strerror(-rc));
        return rc;
}

int location_create(struct location *p, struct error *err)
{
        int fd = p->shelf->ops->create(p->shelf);

        return fd < 0 ? cannot_keep(p, fd, err) : fd;
}

int location_commit(struct location *p, int take_fd, struct error *err)
{
        int rc;

        close(take_fd);
        rc = p->shelf->ops->commit(p->shelf, p->name);
        return rc < 0 ? cannot_keep(p, rc, err) : 0;
}

void location_abandon(struct location *p, int take_fd)
{
        close(take_fd);
        p->shelf->ops->abandon(p->shelf);
}

int location_partial(const struct location *p, bool make, struct error *err)
{
        cleanup_close int fd = p->shelf->ops->partial(p->shelf, p->name, make);
        int rc = fd < 0 ? fd : check_trust(fd, err);

        return rc < 0 ? rc : steal_fd(&fd);
}

void location_drop_partial(const struct location *p)
{
        p->shelf->ops->drop_partial(p->shelf, p->name);
}
