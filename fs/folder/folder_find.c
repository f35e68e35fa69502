/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/folder_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/given.h"
#include "fs/folder/bucket_find.h"
#include "fs/folder/folder.h"
#include "fs/print/report.h"

enum { DEPTH_MAX = 64 }; /* folders in folders */

struct search {
        struct folder *f;
        const char *path; /* of the folder that is listed */
        int fd;
        unsigned depth;
};

static int search(struct folder *f, const char *path, int fd, unsigned depth);

static int search_below(const struct search *s, const char *name, const char *path)
{
        cleanup_close int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
                return 0; /* it has gone meanwhile */
        if (fd < 0)
                folder_leave_out(s->f, path, strerror(errno));
        else if (s->depth == DEPTH_MAX)
                folder_leave_out(s->f, path, "it is more than 64 folders deep");
        else if (pbs_store_probe(fd))
                folder_leave_out(s->f, path, NULL);
        else
                return search(s->f, path, fd, s->depth + 1);
        return 0;
}

static int keep(struct folder *f, char **take_path)
{
        if (array_reserve(&f->archives, 1) < 0)
                return -ENOMEM;
        return array_add(&f->archives, steal_ptr(take_path));
}

static int take_name(void *ctx, const struct dir_name *n)
{
        const struct search *s = ctx;
        cleanup_free char *path = NULL;

        if (n->kind != DIR_FOLDER && n->kind != DIR_ARCHIVE)
                return 0;
        if (asprintf(&path, "%s/%s", s->path, n->name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return n->kind == DIR_FOLDER ? search_below(s, n->name, path) : keep(s->f, &path);
}

static int search(struct folder *f, const char *path, int fd, unsigned depth)
{
        struct search s = {f, path, fd, depth};
        int rc = dir_list(fd, take_name, &s);

        if (rc == -ENOMEM || rc == 0 || depth == 0)
                return rc;
        folder_leave_out(f, path, strerror(-rc));
        return 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_on_disk(const char *path, struct folder *f)
{
        size_t len = strlen(path);
        cleanup_free char *plain = strdup(path);
        int rc;

        *f = (struct folder){.path = path, .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        rc = f->fd < 0 ? -errno : 0;
        while (plain && len > 1 && plain[len - 1] == '/')
                plain[--len] = '\0';
        if (rc == 0)
                rc = plain ? search(f, plain, f->fd, 0) : -ENOMEM;
        if (rc < 0) {
                report("%s: %s", path, strerror(-rc));
                return report_status(rc);
        }
        if (f->archives.count)
                qsort(f->archives.items, f->archives.count, sizeof(*f->archives.items), by_name);
        return STATUS_OK;
}

int folder_find(struct given *g, struct folder *f)
{
        return g->far ? bucket_find(g->path, &g->fetchers, f) : find_on_disk(g->path, f);
}
