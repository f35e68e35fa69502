/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/mount_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote.h"
#include "archive/store/dir/dir_store.h"
#include "archive/store/store.h"
#include "fs/cli/stored.h"
#include "fs/fetch/fetch_site.h"
#include "fs/fetch/url.h"
#include "fs/folder/bucket_folder.h"
#include "fs/print/report.h"
#include "index/options.h"
#include "index/site.h"

bool mount_folder_may_be_one(const char *path)
{
        return bucket_folder_is_one(path) || bucket_folder_may_be_one(path) ||
               stored_is_other_folder(path);
}

/* ---- finding it ---- */

static int find_on_disk(struct mount_folder *f, const char *path)
{
        f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        f->path = realpath(path, NULL);
        if (f->fd >= 0 && f->path)
                return STATUS_OK;
        report("%s: cannot be opened: %s", path, strerror(errno));
        return report_status(-errno);
}

static int find_bucket(struct mount_folder *f, struct error *err)
{
        int rc = fetchers_start(&f->fetchers, f->path, &f->options->server, err);

        return rc < 0 ? rc : bucket_folder_look(&f->fetchers, "", err);
}

/* F->path has no '/' at its end: it is an archive if it is no folder, and *SITE is set. */
static int find_either(struct mount_folder *f, struct site **site, struct error *err)
{
        const char *name = strrchr(f->path, '/') + 1;
        cleanup_free char *beside = strndup(f->path, (size_t)(name - f->path));
        struct remote *remote;
        int rc = beside ? fetchers_start(&f->fetchers, beside, &f->options->server, err)
                        : error_set(err, ENOMEM, "out of memory");

        if (rc == 0)
                rc = bucket_folder_try(&f->fetchers, name, err);
        if (rc >= 0) {
                int narrowed = fetchers_narrow(&f->fetchers, name, err);

                return narrowed < 0 ? narrowed : rc;
        }
        if (rc != -ENOENT || err->code)
                return rc;
        rc = fetchers_open(&f->fetchers, name, fetch_flags(f->options), &remote, err);
        return rc < 0 ? rc : site_open_remote(remote, f->path, f->options, site, err);
}

static int find_in_bucket(struct mount_folder *f, const char *path, struct site **site)
{
        struct error err = {0};
        int rc = url_check(path, &err);

        f->far = true;
        f->path = strdup(path);
        if (rc == 0 && !f->path)
                rc = error_set(&err, ENOMEM, "out of memory");
        if (rc == 0)
                rc = bucket_folder_is_one(path) ? find_bucket(f, &err) : find_either(f, site, &err);
        f->is_datastore = rc == 1;
        f->is_one = rc == 0 && !*site;
        if (rc >= 0)
                return STATUS_OK;
        report_error(path, &err);
        return report_status(rc);
}

int mount_folder_find(struct mount_folder *f, const char *path, const struct index_options *options,
                      struct site **site)
{
        int status;

        f->is_one = true;
        f->options = options;
        status = url_is(path) ? find_in_bucket(f, path, site) : find_on_disk(f, path);
        if (*site)
                return status;
        if (status == STATUS_OK && f->is_datastore && options->server.spool) {
                report("%s: -o spool is of archives, not of a datastore", path);
                return STATUS_USAGE;
        }
        if (status != STATUS_OK || !options->sidecar_path || options->sidecar == INDEX_SIDECAR_NONE)
                return status;
        report("%s: -o index=PATH is the index of one archive", path);
        return STATUS_USAGE;
}

int mount_folder_start(struct mount_folder *f, struct error *err)
{
        return folder_helper_start(&f->keeper, f->path, f->fd, f->options, err);
}

/* ---- what is in it ---- */

struct store *mount_folder_store(struct mount_folder *f)
{
        return f->far ? bucket_folder_store(&f->fetchers) : dir_store_new(steal_fd(&f->fd));
}

int mount_folder_datastore(struct mount_folder *f, struct stored *key, struct shared *shared,
                           struct datastore **out, struct error *err)
{
        struct store *store = mount_folder_store(f);

        if (!store)
                return error_set(err, ENOMEM, "out of memory");
        return stored_open_far(key, store, shared, out, err);
}

int mount_folder_site(struct mount_folder *f, unsigned number, const char *path, struct site **out,
                      struct error *err)
{
        struct remote *remote = NULL;
        int rc = 0;

        if (f->far)
                rc = fetchers_open(&f->fetchers, path, fetch_flags(f->options), &remote, err);
        if (rc == 0)
                rc = folder_helper_site(&f->keeper, number, path, out, err);
        if (rc < 0)
                remote_close(remote);
        else if (remote)
                site_set_remote(*out, remote);
        return rc;
}

void mount_folder_leave(struct mount_folder *f, unsigned number)
{
        folder_helper_leave(&f->keeper, number);
}

void mount_folder_end(struct mount_folder *f)
{
        folder_helper_end(&f->keeper);
        fetchers_end(&f->fetchers);
        if (f->fd >= 0)
                close(steal_fd(&f->fd));
        free(f->path);
        f->path = NULL;
}
