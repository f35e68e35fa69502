/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/bucket_folder.h"

#include <errno.h>
#include <string.h>

#include "archive/error.h"
#include "archive/source/remote/remote_list.h"
#include "archive/store/bucket/bucket.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_far.h"
#include "fs/fetch/fetchers.h"
#include "fs/fetch/url.h"

bool bucket_folder_is_one(const char *path)
{
        return url_is(path) && url_is_prefix(path);
}

bool bucket_folder_may_be_one(const char *path)
{
        const char *slash = strrchr(path, '/');

        return url_is(path) && !url_host(path) && !url_is_prefix(path) &&
               !dir_is_archive(slash + 1);
}

/* ---- what it is ---- */

bool bucket_folder_is_datastores(const struct remote_entry *e)
{
        return e->folder &&
               (strcmp(e->name, PBS_CHUNKS_FOLDER) == 0 || strcmp(e->name, PBS_BUCKET_FOLDER) == 0);
}

enum { FOUND = -ECANCELED };

static int look_at(void *ctx, const struct remote_entry *e)
{
        bool *some = ctx;

        *some = true;
        return bucket_folder_is_datastores(e) ? FOUND : 0;
}

int bucket_folder_look(struct fetchers *f, const char *path, struct error *err)
{
        bool some = false;
        int rc = fetchers_list(f, path, look_at, &some, err);

        if (rc == 0 && !some)
                return error_set(err, ENOENT,
                                 "the bucket has no object of which the name begins like this");
        return rc == FOUND ? 1 : rc;
}

int bucket_folder_try(struct fetchers *f, const char *path, struct error *err)
{
        struct error why = {0};
        int rc = bucket_folder_look(f, path, &why);

        if (rc >= 0)
                return rc;
        /* No other request would be answered, either. */
        if (rc == -EREMOTEIO || rc == -ENOMEM)
                return error_set(err, -rc, "%s", why.text);
        return -ENOENT;
}

/* ---- as a store ---- */

static int list_bucket(void *ctx, const char *path,
                       int (*each)(void *each_ctx, const struct remote_entry *e), void *each_ctx,
                       struct error *err)
{
        return fetchers_list(ctx, path, each, each_ctx, err);
}

static int open_object(void *ctx, const char *path, struct remote **out, struct error *err)
{
        return fetchers_open(ctx, path, 0, out, err);
}

static ssize_t read_part(void *ctx, const char *path, struct remote_part *part, void **out,
                         struct error *err)
{
        return fetchers_part(ctx, path, part, out, err);
}

struct store *bucket_folder_store(struct fetchers *f)
{
        const struct bucket_ops ops = {f, list_bucket, open_object, read_part};

        return bucket_new(&ops);
}
