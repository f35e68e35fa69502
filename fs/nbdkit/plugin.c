/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin for nbdkit: what nbdkit calls, in the order in which it does.
 *
 *   config, config_complete   the parameters
 *   get_ready                 open the archive: what is wrong is still seen on the terminal; start
 *                             the process that fetches one from a server
 *   (nbdkit forks)
 *   after_fork                start threads: the scan; open an archive on a server
 *   open, get_size, pread …   each client, on threads of nbdkit's, many at a time
 *   cleanup, unload           end threads, free
 */
#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <nbdkit-plugin.h>
#include <stdint.h>
#include <stdlib.h>

#include "fs/nbdkit/content.h"
#include "fs/nbdkit/exports.h"
#include "fs/nbdkit/reading.h"
#include "fs/nbdkit/settings.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum {
        PREFERRED_SIZE = 64 << 10, /* bytes of a request: the clusters of most archives */
        REQUEST_MAX = 32 << 20,    /* what every client may count on */
        LISTED_MAX = 10000,        /* nbdkit takes no more */
};

/* nbdkit passes nothing of ours to its callbacks, so this has to be global. */
static struct {
        struct settings settings;
        struct content *content;
} plugin_state;

/* For nbdkit: 0, or -1 with errno. */
static int result(int rc)
{
        if (rc >= 0)
                return 0;
        nbdkit_set_error(-rc);
        errno = -rc;
        return -1;
}

/* ---- starting and ending ---- */

static int plugin_config(const char *key, const char *value)
{
        return settings_set(&plugin_state.settings, key, value);
}

static int plugin_config_complete(void)
{
        return settings_complete(&plugin_state.settings);
}

static int plugin_get_ready(void)
{
        int rc = content_open(&plugin_state.settings, &plugin_state.content);

        if (rc == 0 && !content_is_far(plugin_state.content))
                rc = exports_choose(plugin_state.content, plugin_state.settings.disk);
        return result(rc);
}

static int plugin_after_fork(void)
{
        int rc = 0;

        if (content_is_far(plugin_state.content)) {
                rc = content_open_far(plugin_state.content, &plugin_state.settings);
                if (rc == 0)
                        rc = exports_choose(plugin_state.content, plugin_state.settings.disk);
        }
        return result(rc < 0 ? rc : content_start(plugin_state.content));
}

/* Every client has gone. */
static void plugin_cleanup(void)
{
        if (plugin_state.content && !content_stop(plugin_state.content))
                plugin_state.content = NULL;
}

static void plugin_unload(void)
{
        plugin_cleanup();
        content_close(plugin_state.content);
        plugin_state.content = NULL;
        settings_fini(&plugin_state.settings);
}

/* ---- exports ---- */

struct listing {
        struct nbdkit_exports *exports;
        unsigned count;
};

static int list_one(void *ctx, const struct export *e)
{
        struct listing *l = ctx;
        char text[DESCRIPTION_SIZE];

        if (l->count++ >= LISTED_MAX)
                return 0;
        exports_describe(plugin_state.content, e, text);
        return nbdkit_add_export(l->exports, e->name, text);
}

static int plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
        struct listing l = {.exports = exports};
        int rc;

        (void)readonly;
        (void)is_tls;
        rc = exports_each(plugin_state.content, plugin_state.settings.partitions, list_one, &l);
        return rc == 0 ? 0 : -1;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
        (void)readonly;
        (void)is_tls;
        return exports_default(plugin_state.content);
}

/* ---- a client ---- */

static void *plugin_open(int readonly)
{
        struct export *e = malloc(sizeof *e);
        const char *name = nbdkit_export_name();
        int rc;

        (void)readonly;
        rc = !e ? -ENOMEM : name ? exports_find(plugin_state.content, name, e) : -EINVAL;
        if (rc == 0)
                return e;
        free(e);
        result(rc);
        return NULL;
}

static void plugin_close(void *handle)
{
        free(handle);
}

static const char *plugin_export_description(void *handle)
{
        char text[DESCRIPTION_SIZE];

        exports_describe(plugin_state.content, handle, text);
        return nbdkit_strdup_intern(text);
}

static int64_t plugin_get_size(void *handle)
{
        uint64_t size = 0;

        return result(reading_size(plugin_state.content, handle, &size)) < 0 ? -1 : (int64_t)size;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
                             uint32_t *maximum)
{
        (void)handle;
        *minimum = 1;
        *preferred = PREFERRED_SIZE;
        *maximum = REQUEST_MAX;
        return 0;
}

/* Nothing changes, so that every connection sees the same. */
static int plugin_can_multi_conn(void *handle)
{
        (void)handle;
        return 1;
}

/* ---- requests ---- */

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
        (void)flags;
        return result(reading_read(plugin_state.content, handle, buf, count, offset));
}

static int add_extent(void *ctx, uint64_t pos, uint64_t len, bool zeros)
{
        uint32_t type = zeros ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;

        return nbdkit_add_extent(ctx, pos, len, type) < 0 ? -errno : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                          struct nbdkit_extents *extents)
{
        bool one = flags & NBDKIT_FLAG_REQ_ONE;

        return result(
            reading_map(plugin_state.content, handle, count, offset, one, add_extent, extents));
}

static struct nbdkit_plugin plugin = {
    .name = "vmafs",
    .longname = "vmafs: virtual machine backups",
    .version = VMAFS_VERSION,
    .description = "Serve the disks of a virtual machine's backup read-only.",
    .magic_config_key = "archive",
    .config_help = SETTINGS_HELP,
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .get_ready = plugin_get_ready,
    .after_fork = plugin_after_fork,
    .cleanup = plugin_cleanup,
    .unload = plugin_unload,
    .list_exports = plugin_list_exports,
    .default_export = plugin_default_export,
    .open = plugin_open,
    .close = plugin_close,
    .export_description = plugin_export_description,
    .get_size = plugin_get_size,
    .block_size = plugin_block_size,
    .can_multi_conn = plugin_can_multi_conn,
    .pread = plugin_pread,
    .extents = plugin_extents,
    .errno_is_preserved = 1,
};

/* What nbdkit's macro defines needs no declaration but this compiler's. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
