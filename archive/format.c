/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

static const struct archive_ops *const formats[] = {
    &vma_archive, &vmdk_archive, &tar_archive, &qcow2_archive, &qed_archive,
};

int archive_open(struct source *source, const struct archive_origin *origin,
                 const struct archive_sink *sink, struct archive **out, struct error *err)
{
        unsigned char head[512] = {0};
        uint64_t end;
        ssize_t len;
        int rc;

        rc = source_reach(source, sizeof head, &end, err);
        if (rc < 0)
                return rc;
        len = source_pread(source, head, sizeof head, 0);
        if (len < 0)
                return error_set_at(err, (int)-len, 0, "cannot be read: %s", strerror((int)-len));
        if (len == 0)
                return error_set(err, EMEDIUMTYPE, "is empty, so it is not an archive");
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
                if (formats[i]->probe(head, (size_t)len))
                        return formats[i]->open(source, origin, sink, out, err);
        return error_set_at(err, EMEDIUMTYPE, 0,
                            "is not an archive that vmafs knows: no known magic number");
}

/* LEN without EXTENSION, where the LEN bytes at NAME end in it and are more than that. */
static size_t without(const char *name, size_t len, const char *extension)
{
        size_t n = strlen(extension);

        return len > n && strncasecmp(name + len - n, extension, n) == 0 ? len - n : len;
}

char *archive_disk_name(const char *name)
{
        static const char *const compressions[] = {".zst", ".gz", ".lzo"};
        size_t len = strlen(name);
        const char *dot;
        char *out;

        for (size_t i = 0; i < sizeof compressions / sizeof *compressions; i++)
                len = without(name, len, compressions[i]);
        dot = memrchr(name, '.', len);
        if (dot && dot != name)
                len = (size_t)(dot - name);
        if (len > INT_MAX || asprintf(&out, "disk-%.*s.raw", (int)len, name) < 0)
                return NULL;
        return out;
}

int archive_open_beside(const struct archive_origin *origin, const char *name, struct source **out,
                        struct error *err)
{
        cleanup_close int dirfd = -1;
        int fd;

        if (!origin->dir || strchr(name, '/') || strcmp(name, "..") == 0)
                return error_set(err, EPERM,
                                 "names the file %.200s, which is not in its own folder", name);
        dirfd = open(origin->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return error_set(err, errno, "its folder cannot be opened: %s", strerror(errno));
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return error_set(err, errno, "names the file %.200s, which cannot be opened: %s",
                                 name, errno == ELOOP ? "it is a link" : strerror(errno));
        return source_open_fd(fd, out, err);
}

void archive_close(struct archive *a)
{
        if (a)
                a->ops->close(a);
}
