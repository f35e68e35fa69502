/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/fetch_site.h"

#include <errno.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/fetcher.h"
#include "fs/fetch/fetchers.h"
#include "fs/fetch/url.h"
#include "index/options.h"
#include "index/site.h"

static bool reads_index(const struct index_options *options)
{
        return (options->sidecar == INDEX_SIDECAR_USE || options->sidecar == INDEX_SIDECAR_ENTER) &&
               !options->sidecar_path;
}

uint32_t fetch_flags(const struct index_options *options)
{
        return (reads_index(options) ? FETCH_INDEX : 0) |
               (options->backing != NEIGHBOUR_BESIDE ? FETCH_BELOW : 0);
}

int fetch_site(const char *path, const struct index_options *options, struct site **out,
               struct error *err)
{
        cleanup_free char *shown = url_shown(path);
        struct remote_options server = options->server;
        struct remote *remote = NULL;
        int rc;

        server.below = options->backing != NEIGHBOUR_BESIDE;
        if (!url_is(path))
                return site_open(path, options, out, err);
        if (!shown)
                return error_set(err, ENOMEM, "out of memory");
        rc = url_check(path, err);
        if (rc == 0 && url_is_prefix(path))
                rc = error_set(err, EISDIR, "is a folder; give one archive in it");
        if (rc == 0)
                rc = fetcher_start(path, &server, reads_index(options), &remote, err);
        return rc < 0 ? rc : site_open_remote(remote, shown, options, out, err);
}
