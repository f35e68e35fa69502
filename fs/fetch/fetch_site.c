/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/fetch_site.h"

#include <errno.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/fetcher.h"
#include "fs/fetch/url.h"
#include "index/options.h"
#include "index/site.h"

int fetch_site(const char *path, const struct index_options *options, struct site **out,
               struct error *err)
{
        bool reads_index =
            options->sidecar == INDEX_SIDECAR_USE || options->sidecar == INDEX_SIDECAR_ENTER;
        cleanup_free char *shown = url_shown(path);
        struct remote *remote = NULL;
        int rc;

        if (!url_is(path))
                return site_open(path, options, out, err);
        if (!shown)
                return error_set(err, ENOMEM, "out of memory");
        rc = url_check(path, err);
        if (rc == 0)
                rc = fetcher_start(path, &options->server, reads_index && !options->sidecar_path,
                                   &remote, err);
        return rc < 0 ? rc : site_open_remote(remote, shown, options, out, err);
}
