/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/opening.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "fs/cli/archive_path.h"
#include "fs/cli/numbers.h"
#include "fs/cli/usage.h"
#include "fs/fetch/fetch_site.h"
#include "fs/fetch/fetchers.h"
#include "fs/fetch/spool.h"
#include "fs/fetch/url.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/process/descriptors.h"
#include "fs/process/sandbox.h"
#include "index/index.h"
#include "index/site.h"
#include "index/tree/tree.h"

#define WINDOW_MAX  (UINT64_C(1) << 31)
#define THREADS_MAX 1024
#define TIMEOUT_MAX 3600
#define SPOOL_MAX   (UINT64_C(1) << 50)

static int refuse(const char *dashes, const char *what)
{
        char text[120];

        snprintf(text, sizeof text, "%s%s", dashes, what);
        return usage_error(text);
}

static bool parse_backing(const char *value, enum neighbour_reach *out)
{
        if (!value)
                return true;
        *out = strcmp(value, "any") == 0 ? NEIGHBOUR_ANYWHERE : NEIGHBOUR_BELOW;
        return strcmp(value, "any") == 0 || strcmp(value, "dir") == 0;
}

bool opening_parse_spool(const char *value, struct remote_options *out)
{
        const char *comma = value ? strrchr(value, ',') : NULL;
        uint64_t size = 0;

        if (!comma || comma == value || !parse_size(comma + 1, SPOOL_MAX, &size) ||
            size < SPOOL_MIN)
                return false;
        out->spool = value;
        out->spool_len = (size_t)(comma - value);
        out->spool_bytes = size;
        return true;
}

static bool parse_view(const char *value, enum archive_view *out)
{
        if (!value)
                return true;
        *out = strcmp(value, "tree") == 0 ? VIEW_TREE : VIEW_IMAGES;
        return strcmp(value, "tree") == 0 || strcmp(value, "images") == 0;
}

int opening_set(enum opening_word word, const char *dashes, const char *value,
                struct index_options *o)
{
        uint64_t cache = o->cache_bytes;

        switch (word) {
        case OPENING_CACHE:
                if (!parse_size(value, SIZE_MAX / 2, &cache))
                        return refuse(dashes, "cache is a size, such as 512M");
                o->cache_bytes = cache;
                break;
        case OPENING_THREADS:
                if (!parse_number(value, 10, THREADS_MAX, &o->threads) || (value && !o->threads))
                        return refuse(dashes,
                                      "threads is a number from 1 to 1024; without it there "
                                      "is one a processor");
                break;
        case OPENING_WINDOW:
                if (!parse_size(value, WINDOW_MAX, &o->window))
                        return refuse(dashes, "window is a size of at most 2G");
                break;
        case OPENING_ENDPOINT:
                o->server.endpoint = value;
                break;
        case OPENING_CAFILE:
                o->server.cafile = value;
                break;
        case OPENING_TIMEOUT:
                if (!parse_number(value, 10, TIMEOUT_MAX, &o->server.timeout) ||
                    (value && !o->server.timeout))
                        return refuse(dashes, "timeout is a number of seconds from 1 to 3600");
                break;
        case OPENING_SPOOL:
                if (value && !opening_parse_spool(value, &o->server))
                        return refuse(dashes,
                                      "spool is a folder, a comma, and a size of at least 16M");
                break;
        case OPENING_BACKING:
                if (!parse_backing(value, &o->backing))
                        return refuse(dashes, "backing is dir or any");
                break;
        case OPENING_VIEW:
                if (!parse_view(value, &o->view))
                        return refuse(dashes, "view is tree or images");
                break;
        }
        return STATUS_OK;
}

int opening_option(int c, char **argv, struct index_options *o)
{
        switch (c) {
        case OPENING_CACHE:
        case OPENING_THREADS:
        case OPENING_WINDOW:
        case OPENING_BACKING:
        case OPENING_ENDPOINT:
        case OPENING_CAFILE:
        case OPENING_TIMEOUT:
        case OPENING_SPOOL:
        case OPENING_VIEW:
                return opening_set((enum opening_word)c, "--", optarg, o);
        default:
                return usage_option(c, argv);
        }
}

/* The site of *O is open: confine, and read the archive. */
static int open_confined(const struct index_options *options, const int sockets[2],
                         struct opened *o, struct error *err)
{
        struct sandbox sandbox = {.sockets = {-1, sockets[0], sockets[1]}};
        struct index_options with = *options;
        int rc = shared_new(options->cache_bytes, options->threads, &o->shared, err);

        with.shared = o->shared;
        if (rc == 0)
                rc = index_helper_start(&o->keeper, o->site, err);
        if (rc < 0)
                return rc;
        sandbox.sockets[0] = o->keeper.helper.fd;
        /* What the kernel lacks is done without. */
        sandbox_enter(&sandbox, NULL);
        rc = index_open_site(o->site, &with, &o->index, err);
        /* A verb that finds something in a tree expects it to stay. */
        if (rc == 0)
                tree_limit(index_tree(o->index), SIZE_MAX);
        return rc;
}

/* RC is that of opening the archive at PATH. Returns the exit status. */
static int report_opening(const char *path, int rc, const struct error *err)
{
        cleanup_free char *shown = url_shown(path);

        if (rc == 0)
                return STATUS_OK;
        if (rc == -ENOTDIR && archive_path_has_parts(path))
                report("%s: leads into an archive; give the archive alone", path);
        else
                report_error(shown, err);
        return report_status(rc);
}

int opening_open(const struct archive_at *at, const struct index_options *options, struct opened *o)
{
        static const int none[2] = {-1, -1};

        return opening_open_with(at, options, none, o);
}

static int fetch_object(const struct archive_at *at, const struct index_options *options,
                        struct opened *o, struct error *err)
{
        struct remote *remote;
        int rc = fetchers_open(at->fetchers, at->object, fetch_flags(options), &remote, err);

        fetchers_leave(at->fetchers);
        return rc < 0 ? rc : site_open_remote(remote, at->path, options, &o->site, err);
}

int opening_open_with(const struct archive_at *at, const struct index_options *options,
                      const int sockets[2], struct opened *o)
{
        struct error err = {0};
        int rc = at->fetchers ? fetch_object(at, options, o, &err)
                              : fetch_site(at->path, options, &o->site, &err);

        descriptors_release(at->path);
        if (rc == 0)
                rc = open_confined(options, sockets, o, &err);
        return report_opening(at->path, rc, &err);
}

int opening_open_at(int take_dir, const char *name, const char *path,
                    const struct index_options *options, struct opened *o)
{
        static const int none[2] = {-1, -1};
        struct error err = {0};
        int rc = site_open_at(take_dir, name, path, options, &o->site, &err);

        close(take_dir);
        if (rc == 0)
                rc = open_confined(options, none, o, &err);
        return report_opening(path, rc, &err);
}

void opening_close(struct opened *o)
{
        index_close(o->index);
        shared_free(o->shared);
        site_close(o->site);
        index_helper_end(&o->keeper);
}

int opening_scan(struct index *index, const char *path)
{
        struct progress *progress = progress_start(index, "indexing");
        struct error err = {0};
        int rc = index_scan(index, NULL, &err);

        progress_stop(progress);
        if (rc == 0)
                return STATUS_OK;
        report_error(path, &err);
        return STATUS_FAILED;
}
