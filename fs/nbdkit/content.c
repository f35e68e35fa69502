/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/content.h"

#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <inttypes.h>
#include <nbdkit-plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/cleanup.h"
#include "archive/shared.h"
#include "fs/cli/archive_path.h"
#include "fs/fetch/fetch_site.h"
#include "fs/fetch/url.h"
#include "fs/nbdkit/settings.h"
#include "index/index.h"
#include "index/owner.h"
#include "index/site.h"

enum { END_SECONDS = 3 }; /* how long the scan may take to end; it does at its next read */

static int log_error(const struct content *c, int rc, const struct error *err)
{
        char text[512];

        error_format(err, text, sizeof text);
        nbdkit_error("%s: %s", c->path, text);
        return rc;
}

static int log_memory(void)
{
        nbdkit_error("out of memory");
        return -ENOMEM;
}

/* ---- opening ---- */

static int open_snapshot(struct content *c, const struct stored_place *place,
                         const struct settings *s)
{
        struct error err = {0};
        const char *inside;
        int rc;

        c->is_stored = true;
        rc = snapshot_open(place, s, c->shared, &c->snapshot, &inside, &err);
        if (rc < 0)
                return log_error(c, rc, &err);
        c->inside = strdup(inside);
        return c->inside ? 0 : log_memory();
}

static int open_index(struct content *c, const struct settings *s)
{
        struct index_options options = s->opening;
        struct error err = {0};
        int rc;

        options.shared = c->shared;
        rc = index_open_site(c->site, &options, &c->index, &err);
        if (rc < 0)
                return log_error(c, rc, &err);
        if (index_try_keeping(c->index, &err) < 0)
                nbdkit_error("%s: %s; each start has to read the whole archive, unless index=PATH "
                             "keeps it elsewhere",
                             c->path, err.text);
        return 0;
}

/* The archive, of which PATH is a path or an address. */
static int open_archive(struct content *c, const struct settings *s, const char *path)
{
        struct error err = {0};
        int rc;

        if (s->keyfile || s->passfile) {
                nbdkit_error("%s: is no datastore, and %s is of no use for anything else", c->path,
                             s->keyfile ? "keyfile" : "passfile");
                return -EINVAL;
        }
        rc = fetch_site(path, &s->opening, &c->site, &err);
        if (rc < 0)
                return log_error(c, rc, &err);
        /* What is on a server is read through a thread, which would not survive nbdkit's fork. */
        return content_is_far(c) ? 0 : open_index(c, s);
}

bool content_is_far(const struct content *c)
{
        return c->site && c->site->remote && !c->index;
}

int content_open_far(struct content *c, const struct settings *s)
{
        return open_index(c, s);
}

/* C's path may lead into an archive, to one of its disks. */
static int find_archive(struct content *c, const struct settings *s)
{
        struct archive_path in = {0};
        int rc;

        if (!archive_path_has_parts(c->path))
                return open_archive(c, s, c->path);
        /* It reports what is wrong itself. */
        rc = archive_path_find(c->path, NULL, &in) == 0 ? 0 : -EINVAL;
        if (rc == 0) {
                free(c->path);
                c->path = steal_ptr(&in.archive);
                c->inside = steal_ptr(&in.inside);
                rc = open_archive(c, s, c->path);
        }
        archive_path_fini(&in);
        return rc;
}

static int open_any(struct content *c, const struct settings *s)
{
        struct stored_place place;
        struct error err = {0};
        int rc = shared_new(s->opening.cache_bytes, s->opening.threads, &c->shared, &err);

        if (rc < 0)
                return log_error(c, rc, &err);
        if (url_is(s->archive))
                return open_archive(c, s, s->archive);
        if (stored_locate(c->path, &place))
                rc = open_snapshot(c, &place, s);
        else
                rc = find_archive(c, s);
        stored_place_fini(&place);
        return rc;
}

int content_open(const struct settings *s, struct content **out)
{
        struct content *c = calloc(1, sizeof *c);
        int rc;

        if (!c)
                return log_memory();
        c->snapshot = SNAPSHOT_NONE;
        growth_init(&c->growth);
        pthread_mutex_init(&c->lock, NULL);
        c->path = url_shown(s->archive);
        rc = c->path ? open_any(c, s) : log_memory();
        if (rc < 0)
                content_close(c);
        else
                *out = c;
        return rc;
}

void content_close(struct content *c)
{
        if (!c)
                return;
        index_close(c->index);
        snapshot_close(&c->snapshot);
        shared_free(c->shared);
        site_close(c->site);
        growth_fini(&c->growth);
        pthread_mutex_destroy(&c->lock);
        free(c->only);
        free(c->inside);
        free(c->path);
        free(c);
}

/* ---- the index ---- */

/* As a mount does. */
static void log_damage(const struct content *c)
{
        const struct index_damage *list;
        uint64_t lost = 0;

        for (size_t i = 0; i < index_disk_count(c->index); i++)
                lost += index_disk(c->index, i)->totals.lost;
        if (index_damages(c->index, &list))
                nbdkit_error("%s: at byte %" PRIu64 ": %s", c->path, list[0].offset, list[0].text);
        if (lost)
                nbdkit_error("%s: %" PRIu64 " bytes are lost and read as %s; vmafs verify names "
                             "them",
                             c->path, lost,
                             index_recover_zero(c->index) ? "ZEROS (recover=zero)" : "I/O errors");
}

static void *scan(void *arg)
{
        struct content *c = arg;
        struct error err = {0};
        int rc = index_scan(c->index, NULL, &err);

        if (rc == -ECANCELED)
                return NULL;
        if (rc < 0)
                nbdkit_error("%s: indexing failed: %s; what is not indexed reads as an I/O error",
                             c->path, err.text);
        log_damage(c);
        if (index_sidecar_state(c->index).problem)
                nbdkit_error("%s: %s", c->path, index_sidecar_state(c->index).problem);
        return NULL;
}

int content_start(struct content *c)
{
        int rc;

        shared_release(c->shared);
        if (!c->index)
                return 0;
        rc = growth_start(&c->growth, c->index);
        if (rc == 0)
                rc = -pthread_create(&c->scan, NULL, scan, c);
        c->scanning = rc == 0;
        if (rc < 0)
                nbdkit_error("a thread cannot be started: %s", strerror(-rc));
        return rc;
}

bool content_stop(struct content *c)
{
        struct timespec limit;

        if (c->index)
                index_stop(c->index);
        growth_stop(&c->growth);
        if (!c->scanning)
                return true;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += END_SECONDS;
        if (pthread_timedjoin_np(c->scan, NULL, &limit) != 0) {
                nbdkit_error("%s: a read of the archive hangs, and ends with nbdkit", c->path);
                return false;
        }
        c->scanning = false;
        return true;
}
