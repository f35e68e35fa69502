/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/remote/remote.h"
#include "archive/source/source.h"
#include "archive/store/dir/dir.h"
#include "index/options.h"

static struct site *site_new(const char *path, const struct index_options *options)
{
        struct site *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        s->neighbours = (struct neighbours){
            .open = neighbours_open, .folder = -ENOENT, .farthest = options->backing};
        s->archive = -1;
        s->path = strdup(path);
        if (s->path)
                return s;
        free(s);
        return NULL;
}

int site_open_at(int dir, const char *name, const char *path, const struct index_options *options,
                 struct site **out, struct error *err)
{
        struct site *s = site_new(path, options);
        int rc = 0;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->archive = dir_open_file(dir, name);
        if (s->archive < 0)
                rc = error_set(err, -s->archive, "cannot be opened: %s",
                               s->archive == -ELOOP ? "it is a link" : strerror(-s->archive));
        if (rc == 0) {
                s->neighbours.folder = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (s->neighbours.folder < 0)
                        s->neighbours.folder = -errno;
        }
        if (rc == 0 && options->sidecar != INDEX_SIDECAR_NONE)
                rc = shelf_open_at(dir, name, path, options->sidecar_path, &s->shelf, err);
        if (rc < 0) {
                site_close(s);
                return rc;
        }
        *out = s;
        return 0;
}

int site_open(const char *path, const struct index_options *options, struct site **out,
              struct error *err)
{
        struct site *s = site_new(path, options);
        int rc = 0;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->archive = source_open_path(path, err);
        if (s->archive < 0)
                rc = s->archive;
        if (rc == 0)
                s->neighbours.folder = neighbours_folder(path);
        if (rc == 0 && options->sidecar != INDEX_SIDECAR_NONE)
                rc = shelf_open(path, options->sidecar_path, &s->shelf, err);
        if (rc < 0) {
                site_close(s);
                return rc;
        }
        *out = s;
        return 0;
}

int site_open_remote(struct remote *take_remote, const char *path,
                     const struct index_options *options, struct site **out, struct error *err)
{
        struct site *s = site_new(path, options);
        int rc = 0;

        if (!s) {
                remote_close(take_remote);
                return error_set(err, ENOMEM, "out of memory");
        }
        s->neighbours.folder = -EOPNOTSUPP;
        if (options->sidecar != INDEX_SIDECAR_NONE)
                rc = shelf_open(path, options->sidecar_path, &s->shelf, err);
        site_set_remote(s, take_remote);
        if (rc < 0) {
                site_close(s);
                return rc;
        }
        *out = s;
        return 0;
}

void site_set_remote(struct site *s, struct remote *take_remote)
{
        s->remote = take_remote;
        if (take_remote) {
                s->neighbours.fetch = neighbours_fetch;
                s->neighbours.remote = take_remote;
        }
        if (s->shelf)
                s->shelf->remote = take_remote;
}

void site_close(struct site *s)
{
        if (!s)
                return;
        shelf_free(s->shelf);
        remote_close(s->remote);
        if (s->neighbours.folder >= 0)
                close(s->neighbours.folder);
        if (s->archive >= 0)
                close(s->archive);
        free(s->path);
        free(s);
}
