/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/opening.h"
#include "fs/print/json.h"
#include "fs/print/report.h"

enum { DEPTH_MAX = 64 }; /* folders in folders */

bool folder_is_one(const char *path)
{
        cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 && !pbs_store_probe(fd);
}

/* ---- finding the archives ---- */

struct search {
        struct folder *f;
        const char *path; /* of the folder that is listed */
        int fd;
        unsigned depth;
};

static int search(struct folder *f, const char *path, int fd, unsigned depth);

/* What one folder cannot tell does not hide what the others hold. */
static void leave_out(struct folder *f, const char *path, const char *why)
{
        report("%s: is left out: %s", path, why);
        f->left_out++;
}

static int search_below(const struct search *s, const char *name, const char *path)
{
        cleanup_close int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
                return 0; /* it has gone meanwhile */
        if (fd < 0)
                leave_out(s->f, path, strerror(errno));
        else if (s->depth == DEPTH_MAX)
                leave_out(s->f, path, "it is more than 64 folders deep");
        else if (pbs_store_probe(fd))
                leave_out(s->f, path, "it is a datastore, give it by itself");
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
        leave_out(f, path, strerror(-rc));
        return 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int folder_find(const char *path, struct folder *f)
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

void folder_close(struct folder *f)
{
        for (size_t i = 0; i < f->archives.count; i++)
                free(f->archives.items[i]);
        array_free(&f->archives);
        if (f->fd >= 0)
                close(f->fd);
        *f = FOLDER_NONE;
}

/* ---- one of them ---- */

const char *folder_name(const struct folder *f, const char *archive)
{
        size_t len = strlen(f->path);

        while (len > 1 && f->path[len - 1] == '/')
                len--;
        return archive + len + 1;
}

int folder_of(const struct folder *f, const char *archive)
{
        const char *name = folder_name(f, archive), *slash = strrchr(name, '/');
        cleanup_free char *path = strndup(name, slash ? (size_t)(slash - name) : 0);

        return path ? dir_open_below(f->fd, path) : -ENOMEM;
}

int folder_open(struct folder *f, const char *archive, const struct index_options *options,
                struct opened *o)
{
        int dir = folder_of(f, archive);

        close(steal_fd(&f->fd));
        if (dir < 0) {
                report("%s: cannot be opened: %s", archive, strerror(-dir));
                return report_status(dir);
        }
        return opening_open_at(dir, strrchr(archive, '/') + 1, archive, options, o);
}

/* ---- all of them ---- */

/* What is not looked at may be damaged. */
static int worse_of(const struct folder *f, int status)
{
        return status == STATUS_OK && f->left_out ? STATUS_FAILED : status;
}

static int run_json(const struct folder *f, several_work *work, void *ctx)
{
        json_t *text = json_text(f->path);
        cleanup_free char *path = json_dumps(text, JSON_ENCODE_ANY);
        struct several_counts counts;
        int status;

        json_decref(text);
        printf("{\"archive\": %s, \"format\": \"folder\", \"archives\": ", path ? path : "null");
        status = worse_of(
            f, several_run_list(f->archives.items, f->archives.count, true, work, ctx, &counts));
        printf(", \"unread\": %zu, \"sound\": %s}\n", counts.silent + f->left_out,
               status == STATUS_OK ? "true" : "false");
        return report_finish_output(status);
}

int folder_run(const struct folder *f, bool json, const char *word, several_work *work, void *ctx)
{
        struct several_counts counts;
        int status;

        if (json)
                return run_json(f, work, ctx);
        status = worse_of(
            f, several_run_list(f->archives.items, f->archives.count, false, work, ctx, &counts));
        printf("%s: %zu archive%s", f->path, f->archives.count, f->archives.count == 1 ? "" : "s");
        if (counts.failed)
                printf(", %zu %s", counts.failed, word);
        putchar('\n');
        return report_finish_output(status);
}
