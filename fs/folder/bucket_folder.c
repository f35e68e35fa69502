/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/bucket_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote_list.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_far.h"
#include "fs/fetch/fetchers.h"
#include "fs/fetch/url.h"
#include "fs/folder/folder.h"
#include "fs/print/report.h"

enum { FOLDERS_MAX = 10000 }; /* that are looked into */

bool bucket_folder_is_one(const char *path)
{
        return url_is(path) && url_is_prefix(path);
}

bool bucket_folder_is_datastores(const char *name)
{
        return strcmp(name, PBS_CHUNKS_FOLDER) == 0 || strcmp(name, PBS_BUCKET_FOLDER) == 0;
}

struct search {
        struct folder *out;
        ARRAY(char *) folders; /* below the folder, "" being itself */
        const char *at;        /* the one that is listed */
        size_t names;          /* in all of them */
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

static int keep(struct search *s, const char *below)
{
        const char *root = s->out->path;
        size_t len = strlen(root);
        char *path = NULL;

        while (root[len - 1] == '/')
                len--;
        if (asprintf(&path, "%.*s/%s", (int)len, root, below) < 0)
                return -ENOMEM;
        if (array_add(&s->out->archives, path) == 0)
                return 0;
        free(path);
        return -ENOMEM;
}

static int take_entry(void *ctx, const struct remote_entry *e)
{
        struct search *s = ctx;
        cleanup_free char *below = NULL;

        s->names++;
        if (e->folder && !*s->at && bucket_folder_is_datastores(e->name))
                return -ENOTSUP;
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

static int search(struct search *s, struct fetchers *f, struct error *err)
{
        char *top = strdup("");
        int rc = 0;

        if (!top || array_add(&s->folders, top) < 0) {
                free(top);
                return error_set(err, ENOMEM, "out of memory");
        }
        for (size_t i = 0; rc == 0 && i < s->folders.count; i++) {
                s->at = s->folders.items[i];
                rc = fetchers_list(f, s->at, take_entry, s, err);
        }
        if (rc == -E2BIG && !err->code)
                return error_set(err, E2BIG, "has more than %d folders", FOLDERS_MAX);
        if (rc == -ENOTSUP && !err->code)
                return error_set(err, ENOTSUP,
                                 "is a datastore of Proxmox Backup Server in a bucket, which only "
                                 "vmafs mount reads");
        if (rc == 0 && s->names == 0)
                return error_set(err, ENOENT,
                                 "the bucket has no object of which the name begins like this");
        return rc < 0 && !err->code ? error_set(err, -rc, "%s", strerror(-rc)) : rc;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int bucket_folder_find(const char *path, const struct remote_options *options, struct fetchers *f,
                       struct folder *out)
{
        __attribute__((cleanup(cleanup_search_fn))) struct search s = {.out = out};
        struct error err = {0};
        int rc = url_check(path, &err);

        *out = FOLDER_NONE;
        out->path = path;
        if (rc == 0)
                rc = fetchers_start(f, path, options, &err);
        if (rc == 0)
                rc = search(&s, f, &err);
        if (rc < 0) {
                report_error(path, &err);
                return report_status(rc);
        }
        if (out->archives.count)
                qsort(out->archives.items, out->archives.count, sizeof(*out->archives.items),
                      by_name);
        return STATUS_OK;
}
