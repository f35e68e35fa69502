/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/bucket_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote_list.h"
#include "archive/store/dir/dir.h"
#include "fs/fetch/fetchers.h"
#include "fs/folder/bucket_folder.h"
#include "fs/folder/folder.h"
#include "fs/print/report.h"

enum { FOLDERS_MAX = 10000 }; /* that are looked into */

struct search {
        struct folder *out;
        struct fetchers *fetchers;
        ARRAY(char *) folders; /* below the folder, "" being itself */
        const char *at;        /* the one that is listed */
};

static void cleanup_search_fn(struct search *s)
{
        for (size_t i = 0; i < s->folders.count; i++)
                free(s->folders.items[i]);
        array_free(&s->folders);
}

/* The path of NAME in the folder that is listed. */
static char *path_of(const struct search *s, const char *name)
{
        char *path = NULL;

        return asprintf(&path, "%s%s%s", s->at, *s->at ? "/" : "", name) < 0 ? NULL : path;
}

/* The address of BELOW, a path in the folder. */
static char *path_below(const struct search *s, const char *below)
{
        const char *root = s->out->path;
        size_t len = strlen(root);
        char *path = NULL;

        while (root[len - 1] == '/')
                len--;
        return asprintf(&path, "%.*s/%s", (int)len, root, below) < 0 ? NULL : path;
}

static int keep(struct search *s, const char *below)
{
        char *path = path_below(s, below);

        if (path && array_add(&s->out->archives, path) == 0)
                return 0;
        free(path);
        return -ENOMEM;
}

static int take_entry(void *ctx, const struct remote_entry *e)
{
        struct search *s = ctx;
        cleanup_free char *below = NULL;

        if (*s->at && bucket_folder_is_datastores(e))
                return -ECANCELED;
        if (!e->folder && !dir_is_archive(e->name))
                return 0;
        below = path_of(s, e->name);
        if (!below)
                return -ENOMEM;
        if (!e->folder)
                return keep(s, below);
        if (s->folders.count == FOLDERS_MAX)
                return -E2BIG;
        if (array_reserve(&s->folders, 1) < 0)
                return -ENOMEM;
        return array_add(&s->folders, steal_ptr(&below));
}

/* Whatever was found in the folder that is listed is not: there were so many before. */
static void forget(struct search *s, size_t folders, size_t archives)
{
        while (s->folders.count > folders)
                free(s->folders.items[--s->folders.count]);
        while (s->out->archives.count > archives)
                free(s->out->archives.items[--s->out->archives.count]);
}

/* What one folder cannot tell does not hide what the others hold, as long as there is a server. */
static int search_one(struct search *s, size_t number, struct error *err)
{
        size_t folders = s->folders.count, archives = s->out->archives.count;
        cleanup_free char *path = NULL;
        int rc;

        s->at = s->folders.items[number];
        rc = fetchers_list(s->fetchers, s->at, take_entry, s, err);
        if (rc == 0 || number == 0 || !(rc == -ECANCELED || rc == -EACCES || rc == -ENOENT))
                return rc;
        forget(s, folders, archives);
        path = path_below(s, s->at);
        if (!path)
                return -ENOMEM;
        folder_leave_out(s->out, path, rc == -ECANCELED ? NULL : err->text);
        *err = (struct error){0};
        return 0;
}

static int search(struct search *s, struct error *err)
{
        char *top = strdup("");
        int rc = 0;

        if (!top || array_add(&s->folders, top) < 0) {
                free(top);
                return error_set(err, ENOMEM, "out of memory");
        }
        for (size_t i = 0; rc == 0 && i < s->folders.count; i++)
                rc = search_one(s, i, err);
        if (rc == -E2BIG && !err->code)
                return error_set(err, E2BIG, "has more than %d folders", FOLDERS_MAX);
        return rc < 0 && !err->code ? error_set(err, -rc, "%s", strerror(-rc)) : rc;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int bucket_find(const char *path, struct fetchers *f, struct folder *out)
{
        __attribute__((cleanup(cleanup_search_fn))) struct search s = {.out = out, .fetchers = f};
        struct error err = {0};
        int rc;

        *out = FOLDER_NONE;
        out->path = path;
        out->fetchers = f;
        rc = search(&s, &err);
        if (rc < 0) {
                report_error(path, &err);
                return report_status(rc);
        }
        if (out->archives.count)
                qsort(out->archives.items, out->archives.count, sizeof(*out->archives.items),
                      by_name);
        return STATUS_OK;
}
