/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/folder_helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/dir/dir.h"
#include "index/options.h"
#include "index/sidecar/catalog.h"
#include "index/site.h"

/* PATH/NAME as a new string. NULL: out of memory. */
static char *path_below(const char *path, const char *name)
{
        size_t len = strlen(path);
        char *both = NULL;

        while (len > 1 && path[len - 1] == '/')
                len--;
        return asprintf(&both, "%.*s/%s", (int)len, path, name) < 0 ? NULL : both;
}

/* ---- in the keeper ---- */

struct keeper {
        const char *path;
        int folder;
        const struct index_options *options;
        struct site *sites[FOLDER_SLOTS];
};

static void begin(void *ctx)
{
        (void)ctx;
        index_helper_drop_capabilities();
        helper_detach();
}

/* What surrounds an object on a server: its index is all. */
static int open_far(struct keeper *k, uint32_t slot, const char *name)
{
        cleanup_free char *path = path_below(k->path, name);

        site_close(steal_ptr(&k->sites[slot]));
        return path ? site_open_remote(NULL, path, k->options, &k->sites[slot], NULL) : -ENOMEM;
}

static int open_site(struct keeper *k, uint32_t slot, const char *name, int *fd)
{
        const char *slash = strrchr(name, '/'), *leaf = slash ? slash + 1 : name;
        cleanup_free char *above = strndup(name, (size_t)(leaf - name) - (slash ? 1 : 0));
        cleanup_free char *path = path_below(k->path, name);
        cleanup_close int dir = above ? dir_open_below(k->folder, above) : -ENOMEM;
        int rc;

        if (dir < 0)
                return dir;
        if (!path)
                return -ENOMEM;
        site_close(steal_ptr(&k->sites[slot]));
        rc = site_open_at(dir, leaf, path, k->options, &k->sites[slot], NULL);
        if (rc == 0) {
                *fd = k->sites[slot]->archive;
                k->sites[slot]->archive = -1;
        }
        return rc;
}

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        struct keeper *k = ctx;
        uint32_t slot = keeper_slot(in);

        (void)out;
        if (slot >= FOLDER_SLOTS)
                return -EINVAL;
        if (in->what == KEEPER_SITE)
                return k->folder < 0 ? open_far(k, slot, in->name)
                                     : open_site(k, slot, in->name, fd);
        if (!k->sites[slot])
                return -EINVAL;
        if (in->what != KEEPER_LEAVE)
                return index_helper_handle(k->sites[slot], in, fd);
        site_close(steal_ptr(&k->sites[slot]));
        return 0;
}

/* Remove new files that were not committed. */
static void end(void *ctx)
{
        struct keeper *k = ctx;

        for (size_t i = 0; i < FOLDER_SLOTS; i++)
                site_close(k->sites[i]);
}

static const struct helper_role role = {"index-helper", begin, NULL, handle, end};

/* ---- in the process that asks ---- */

int folder_helper_start(struct folder_helper *k, const char *path, int folder,
                        const struct index_options *options, struct error *err)
{
        struct keeper keeper = {.path = path, .folder = folder, .options = options};
        int rc;

        k->path = path;
        k->far = folder < 0;
        k->options = options;
        k->dir_path = options->sidecar == INDEX_SIDECAR_NONE ? NULL : catalog_dir();
        rc = helper_start(&k->helper, &role, &keeper, &folder, k->far ? 0 : 1);
        if (rc < 0)
                return error_set(err, -rc, "its index-helper cannot be started: %s", strerror(-rc));
        return 0;
}

int folder_helper_site(struct folder_helper *k, unsigned slot, const char *name, struct site **out,
                       struct error *err)
{
        struct keeper_line *line = &k->lines[slot];
        cleanup_free char *path = path_below(k->path, name);
        int fd = -1, rc;

        if (!path)
                return error_set(err, ENOMEM, "out of memory");
        *line = (struct keeper_line){&k->helper, slot};
        rc = index_helper_ask(line, KEEPER_SITE, name, &fd);
        if (rc == 0 && fd < 0 && !k->far)
                rc = -EPIPE;
        if (rc < 0)
                return error_set(err, -rc, "cannot be opened: %s", strerror(-rc));
        rc = index_helper_site(line, path, k->dir_path, fd, k->options, out);
        if (rc < 0)
                folder_helper_leave(k, slot);
        return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

void folder_helper_leave(struct folder_helper *k, unsigned slot)
{
        index_helper_ask(&k->lines[slot], KEEPER_LEAVE, "", NULL);
}

void folder_helper_end(struct folder_helper *k)
{
        helper_end(&k->helper);
        free(k->dir_path);
        k->dir_path = NULL;
}
